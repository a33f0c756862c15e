import { KafkaError, type MetadataRecord, type Writable, writeMetadataRecord } from '@ottla/protocol';
import type {
  LeaderAndEpoch,
  QuorumDescription,
  RaftEffects,
  RaftEvent,
  RaftMessages,
  RaftNode,
  ServedApi,
  SnapshotChunk,
} from '@ottla/raft';
import type { Address, Runtime } from '@ottla/runtime';
import { CorruptFileError, type Log } from '@ottla/storage';
import { dividedIntoBatches, requireOneBatch } from './batch-limits.ts';
import { CommittedLog } from './committed-log.ts';
import { isFull } from './disk-pause.ts';
import type { FetchedSnapshot } from './fetched-snapshot.ts';
import type { MetadataListener } from './metadata-listener.ts';
import { defaultMetadataLogConfig, type MetadataLogConfig } from './metadata-log-config.ts';
import { MetadataLogWriter } from './metadata-log-writer.ts';
import { MetadataSnapshots } from './metadata-snapshots.ts';
import { type AppendedRecords, type AppendWaiter, PendingAppends } from './pending-appends.ts';
import { controllerListenerNameOf, createRaftNode, metadataTopic, openMetadataLog, type QuorumMember } from './quorum-opening.ts';
import { QuorumReplies, type Releases } from './quorum-replies.ts';
import { QuorumRequests } from './quorum-requests.ts';
import { writeQuorumState } from './quorum-state-file.ts';
import { QuorumTroubles } from './quorum-troubles.ts';
import { RefusedSnapshot } from './refused-snapshot.ts';
import { isBootstrap, type SnapshotId } from './snapshot-files.ts';
import { WakeTimer } from './wake-timer.ts';
import { requireOnlyTornTail, requireReached, requireWholeMetadataLog } from './whole-metadata-log.ts';

export type MetadataQuorumOptions = QuorumMember & {
  readonly runtime: Runtime;
  /** The log directory that holds `__cluster_metadata-0`. */
  readonly directory: string;
  /** Nothing can be torn: damage is refused, with CorruptFileError, and not cut. Default false. */
  readonly wasCleanShutdown?: boolean;
  /** When this node last stopped, cleanly, its metadata log reached behind this offset: a controller's is refused when it does not. Default -1. */
  readonly reachedOffset?: number;
  readonly config?: MetadataLogConfig;
  /** How long what is appended waits for more, where several nodes vote [controller.quorum.append.linger.ms]. Default 0: until the turn is over. */
  readonly appendLingerMs?: number;
  /** socket.connection.setup.timeout.ms */
  readonly connectTimeoutMs?: number;
  /** The log can no longer be trusted to take what is decided: the node must stop. Called once. */
  readonly onFailure: (error: unknown) => void;
};

/** How a request of another node came in. */
export type ReceivedBy = {
  readonly version: number;
  readonly listenerName: string;
  readonly releases?: Releases;
};

const snapshotRetryMs = 60_000;
/** How long a leader that stops waits for another one to take over. */
const handOverPatienceMs = 5_000;

/**
 * The metadata log of the cluster: `__cluster_metadata-0` with its snapshots and quorum-state, led, followed or observed by this node. It carries
 * out what the pure RaftNode decides: all that an effect asks for is done before the next event, except that a sync of the disk, which is told
 * by an event of its own, goes on beside.
 */
export class MetadataQuorum {
  readonly #options: MetadataQuorumOptions;
  readonly #config: MetadataLogConfig;
  readonly #directory: string;
  readonly #log: Log;
  readonly #raft: RaftNode;
  readonly #snapshots: MetadataSnapshots;
  readonly #appends = new PendingAppends();
  readonly #committed: CommittedLog;
  readonly #requests: QuorumRequests;
  readonly #replies: QuorumReplies;
  readonly #timer: WakeTimer;
  readonly #writer: MetadataLogWriter;
  readonly #troubles: QuorumTroubles;
  readonly #refused: RefusedSnapshot;
  #fetchedSnapshot: FetchedSnapshot | undefined;
  #leader: LeaderAndEpoch;
  #snapshotting: Promise<unknown> = Promise.resolve();
  #isSnapshotting = false;
  #snapshotAtMs: number;
  #snapshotNotBeforeMs = 0;
  #onHandedOver: (() => void) | undefined;
  #failure: unknown;
  #isClosing = false;
  #isClosed = false;

  /**
   * Loads the log. An only voter leads when this resolves; any other node has begun to look for its quorum. Throws IoError or
   * CorruptFileError when the disk is at fault.
   */
  static async open(options: MetadataQuorumOptions): Promise<MetadataQuorum> {
    const quorum = new MetadataQuorum(options);
    await quorum.#begin();
    return quorum;
  }

  private constructor(options: MetadataQuorumOptions) {
    this.#options = options;
    this.#config = options.config ?? defaultMetadataLogConfig;
    this.#directory = `${options.directory}/${metadataTopic}-0`;
    const { runtime } = options;
    const directory = this.#directory;
    runtime.files.makeDirectory(directory);
    runtime.files.syncDirectory(options.directory);
    this.#snapshots = new MetadataSnapshots({
      runtime,
      directory,
      deleteDelayMs: this.#config.deleteDelayMs,
      retentionMs: this.#config.retentionMs,
      retentionBytes: this.#config.retentionBytes,
    });
    this.#snapshotAtMs = runtime.clock.nowMs();
    if (options.wasCleanShutdown) requireWholeMetadataLog(runtime.files, directory);
    else requireOnlyTornTail(runtime.files, directory, Math.max(options.fetchMaxBytes ?? 0, this.#config.maxBatchBytes));
    const opening = { runtime, directory, snapshots: this.#snapshots };
    this.#log = openMetadataLog(opening, this.#config);
    try {
      if (options.isController ?? true) requireReached(directory, this.#log.logEndOffset, options.reachedOffset ?? -1);
      this.#raft = createRaftNode(opening, this.#log, options);
    } catch (error) {
      this.#log.abandon();
      this.#snapshots.close();
      throw error;
    }
    this.#leader = this.#raft.leaderAndEpoch;
    this.#refused = new RefusedSnapshot(runtime.timers);
    this.#timer = new WakeTimer(runtime, () => this.#happened({ type: 'wake' }));
    this.#replies = new QuorumReplies({ log: this.#log, snapshots: this.#snapshots, maxBytes: this.#config.maxBatchBytes });
    this.#requests = new QuorumRequests({
      runtime,
      nodeId: options.nodeId,
      connectTimeoutMs: options.connectTimeoutMs,
      onOutcome: (outcome) => this.#happened(outcome),
    });
    this.#troubles = new QuorumTroubles({
      logger: runtime.logger,
      member: options,
      raft: this.#raft,
      requests: this.#requests,
    });
    this.#writer = new MetadataLogWriter({
      runtime,
      directory,
      log: this.#log,
      raft: this.#raft,
      appends: this.#appends,
      segmentBytes: this.#config.segmentBytes,
      appendLingerMs: options.appendLingerMs ?? 0,
      hasFailed: () => this.#failure !== undefined,
      onEvent: (event) => this.#happened(event),
      hasHeard: (endOffset) => this.#committed.hasHeard(endOffset),
      onFailure: (error) => this.#fail(error),
    });
    this.#committed = new CommittedLog({
      log: this.#log,
      snapshots: this.#snapshots,
      appends: this.#appends,
      timers: runtime.timers,
      onTold: () => this.#snapshotIfDue(),
      onFailure: (error) => this.#fail(error),
    });
  }

  /** The offset that the next appended record will get, those on their way to the disk counted. */
  get nextOffset(): number {
    return this.#raft.logEndOffset;
  }

  get isLeader(): boolean {
    return this.#raft.isLeader && this.#failure === undefined;
  }

  get leaderAndEpoch(): LeaderAndEpoch {
    return this.#raft.leaderAndEpoch;
  }

  /** Exclusive: what is before it is committed. */
  get highWatermark(): number {
    return this.#raft.highWatermark;
  }

  /** 0: static voters; 1: voters in the log. */
  get kRaftVersion(): number {
    return this.#raft.kRaftVersion;
  }

  /** A metadata transaction was begun and not ended. To a new leader: whoever left it open is gone, it is to be aborted. */
  get hasOpenTransaction(): boolean {
    return this.#committed.hasOpenTransaction;
  }

  /** Where the active controller listens; undefined while nobody is known to lead, or where it listens. */
  leaderEndpoint(): (Address & { readonly nodeId: number }) | undefined {
    const { leaderId } = this.#raft.leaderAndEpoch;
    const endpoints = this.#raft.leaderEndpoints;
    const name = controllerListenerNameOf(this.#options);
    const endpoint = endpoints.find((each) => each.name === name) ?? endpoints[0];
    return leaderId === null || !endpoint ? undefined : { nodeId: leaderId, host: endpoint.host, port: endpoint.port };
  }

  /** In words for an operator, where this node is in its search for a leader, and what may keep it from finding one. */
  get search(): string {
    return this.#troubles.search;
  }

  describe(): QuorumDescription {
    const description = this.#raft.describe(this.#timer.clock.nowMs);
    const leadMs = this.#timer.clock.wallClockLeadMs;
    if (leadMs === 0) return description;
    const inWallTime = (replica: QuorumDescription['voters'][number]) => ({
      ...replica,
      lastFetchTimestampMs:
        replica.lastFetchTimestampMs < 0 ? replica.lastFetchTimestampMs : replica.lastFetchTimestampMs + leadMs,
      lastCaughtUpTimestampMs:
        replica.lastCaughtUpTimestampMs < 0 ? replica.lastCaughtUpTimestampMs : replica.lastCaughtUpTimestampMs + leadMs,
    });
    return { ...description, voters: description.voters.map(inWallTime), observers: description.observers.map(inWallTime) };
  }

  /**
   * One atomic batch. Resolves once it is committed and every listener has heard it. Rejects with NOT_CONTROLLER when this node does not lead,
   * RECORD_LIST_TOO_LARGE beyond internal.metadata.max.batch.size.in.bytes, KAFKA_STORAGE_ERROR when the disk is full; nothing was appended
   * then, and every listener has heard what was appended before. NOT_CONTROLLER also comes when the lead is lost while the batch is under way:
   * then it may yet be committed, or not.
   */
  append(records: readonly MetadataRecord[]): Promise<AppendedRecords> {
    return new Promise((resolve, reject) => {
      const values = this.#writable(records);
      this.#carryOut(this.#raft.step({ type: 'append', values }, this.#timer.clock.nowMs), { resolve, reject });
    });
  }

  /** From static voters to those in the log (KIP-853), which have been written when later records are. Throws INVALID_UPDATE_VERSION, NOT_CONTROLLER. */
  upgradeKRaftVersion(kRaftVersion: number, validateOnly: boolean): void {
    this.#ensureWritable();
    this.#carryOut(this.#raft.step({ type: 'upgradeKRaftVersion', kRaftVersion, validateOnly }, this.#timer.clock.nowMs));
  }

  /** Throws what `append` would reject with at once. */
  requireWritable(records: readonly MetadataRecord[]): void {
    this.#writable(records);
  }

  /**
   * For records that need not be atomic, and may be too many for one batch: the batches to append, one behind the other in one turn. Throws what
   * appending them would reject with at once.
   */
  divide(records: readonly MetadataRecord[]): (readonly MetadataRecord[])[] {
    this.#ensureUnblocked();
    const { maxBatchBytes: maxBytes, maxDividedRecords: maxRecords } = this.#config;
    return dividedIntoBatches(records, { maxBytes, maxRecords });
  }

  /** The disk is full, and was so a moment ago: it is not tried with every request. */
  get isBlocked(): boolean {
    return this.#writer.isBlocked;
  }

  /** A request of another node: of a voter, an observer, or a tool. Rejects with BROKER_NOT_AVAILABLE when this node is about to stop. */
  handle<Name extends ServedApi>(
    api: Name,
    request: RaftMessages[Name]['request'],
    { version, listenerName, releases }: ReceivedBy,
  ): Promise<Writable<RaftMessages[Name]['response']>> {
    if (this.#isClosed || this.#failure !== undefined) return Promise.reject(this.#leaving());
    return this.#replies.expect<Name>(
      (requestId) => {
        const event = { type: 'request', requestId, listenerName, api, version, request } as unknown as RaftEvent;
        this.#carryOut(this.#step(event));
      },
      { version, releases },
    );
  }

  /**
   * Tells the listener all that others have heard, and from then on each batch as it commits. Resolves then; the node goes on taking part in the
   * quorum meanwhile. Rejects with CorruptFileError where a snapshot or the log cannot be read.
   */
  subscribe(listener: MetadataListener): Promise<void> {
    return this.#committed.subscribe(listener);
  }

  /**
   * Writes a snapshot: `records` must be the whole state as of everything heard so far, and is read little by little. Resolves when the file is in
   * place and what it makes superfluous is gone, or when it is given up, because this node stops or was given a later one by the leader.
   */
  async writeSnapshot(records: Iterable<MetadataRecord>): Promise<SnapshotId> {
    this.#ensureWritable();
    const { endOffset, epoch, lastContainedLogTimestampMs } = this.#committed.applied;
    const { kRaftVersion, voters } = this.#raft.quorumBefore(endOffset);
    this.#isSnapshotting = true;
    try {
      const header = { lastContainedLogTimestampMs, kRaftVersion, voters };
      const isWanted = (): boolean => !this.#isClosing && this.#failure === undefined;
      if (!(await this.#snapshots.write({ endOffset, epoch }, header, records, isWanted))) return { endOffset, epoch };
      this.#committed.onSnapshotWritten();
      this.#snapshotAtMs = this.#options.runtime.clock.nowMs();
      if (!this.#isClosed && this.#failure === undefined) {
        this.#clean();
        this.#tellSnapshots();
      }
    } finally {
      this.#isSnapshotting = false;
    }
    return { endOffset, epoch };
  }

  /** Periodic work, about once a minute: retention, and files whose removal is due. */
  runTasks(nowMs: number): void {
    if (this.#isClosed || this.#failure !== undefined) return;
    try {
      if (!this.#isSnapshotting && this.#clean()) this.#tellSnapshots();
      this.#log.runTasks(nowMs);
    } catch (error) {
      this.#failUnlessFull(error);
    }
  }

  /** Hands the lead over, lets what was appended reach the disk, and leaves the files as a clean stop should. */
  async close({ handsOver = true } = {}): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosing = true;
    this.#happened({ type: 'resign' });
    await this.#writer.rest();
    if (handsOver) await this.#handedOver();
    await this.#snapshotting;
    this.#end();
    if (this.#failure === undefined) this.#log.close();
    else this.#log.abandon();
  }

  /** As the only voter this node has all that is committed: with the batch that opens its epoch, the whole log is. */
  async #begin(): Promise<void> {
    this.#carryOut(this.#step({ type: 'wake' }));
    if (this.#raft.isLeader) {
      await this.#writer.rest();
      if (this.#failure === undefined) await this.#committed.hasHeard(this.#raft.highWatermark);
    }
    if (this.#failure !== undefined) {
      this.#end();
      throw this.#failure;
    }
  }

  #end(): void {
    this.#isClosed = true;
    this.#timer.cancel();
    this.#refused.close();
    this.#committed.close();
    this.#requests.close();
    this.#fetchedSnapshot?.abandon();
    this.#replies.refuseAll(this.#leaving());
    this.#snapshots.close();
  }

  async #handedOver(): Promise<void> {
    if (this.#raft.hasHandedOver || this.#failure !== undefined) return;
    const { timers } = this.#options.runtime;
    await new Promise<void>((resolve) => {
      const patience = timers.after(handOverPatienceMs, resolve);
      this.#onHandedOver = () => {
        patience.cancel();
        resolve();
      };
    });
  }

  #happened(event: RaftEvent): void {
    if (this.#isClosed || this.#failure !== undefined) return;
    this.#carryOut(this.#step(event));
  }

  #step(event: RaftEvent): RaftEffects | undefined {
    try {
      return this.#raft.step(event, this.#timer.clock.nowMs);
    } catch (error) {
      if (error instanceof KafkaError && event.type === 'request') throw error;
      this.#fail(error);
      return undefined;
    }
  }

  /** What is told to listeners comes last: they may append at once. */
  #carryOut(effects: RaftEffects | undefined, waiter?: AppendWaiter): void {
    if (!effects || this.#failure !== undefined) return;
    try {
      this.#changeFiles(effects, waiter);
      this.#troubles.tellDamage(effects.damage, this.#leader.leaderId);
      this.#troubles.tellNamesake();
      for (const request of effects.requests) this.#requests.send(request);
      for (const reply of effects.replies) this.#replies.answer(reply);
      this.#timer.wakeAt(effects.nextWakeMs);
      if (effects.leadership) this.#leadershipChanged(effects.leadership);
      if (effects.highWatermark !== null) {
        this.#log.onHighWatermark(effects.highWatermark);
        this.#committed.advanceTo(effects.highWatermark);
      }
      if (this.#onHandedOver && this.#raft.hasHandedOver) this.#onHandedOver();
    } catch (error) {
      this.#fail(error);
    }
  }

  #changeFiles({ electionState, truncateTo, batches, fetched, snapshotChunk }: RaftEffects, waiter?: AppendWaiter): void {
    if (electionState) {
      const { kRaftVersion, voters } = this.#raft;
      const quorum = { kRaftVersion, voterIds: voters.ids };
      writeQuorumState(this.#options.runtime.files, this.#directory, electionState, quorum);
    }
    if (truncateTo !== null) this.#writer.truncateTo(truncateTo, this.#notController('another leader took its place'));
    this.#writer.append(batches, waiter);
    if (fetched) this.#writer.takeFetched(fetched.bytes, this.#leader.leaderEpoch);
    if (snapshotChunk) this.#takeChunk(snapshotChunk);
  }

  #leadershipChanged(leader: LeaderAndEpoch): void {
    const { logger } = this.#options.runtime;
    const { leaderId, leaderEpoch } = leader;
    if (leaderId !== null) logger.info('the metadata quorum has a leader', { leaderId, leaderEpoch });
    else if (this.#leader.leaderId !== null) logger.info('the metadata quorum has no leader', { leaderEpoch });
    this.#leader = leader;
    this.#refused.onNewLeader();
    if (this.#raft.isLeader) {
      this.#committed.lead(leader, this.#raft.epochStartOffset!);
      return;
    }
    this.#appends.giveUp(this.#notController('it has lost the lead'));
    this.#committed.followLeader(leader);
  }

  #takeChunk(chunk: SnapshotChunk): void {
    if (chunk.position === 0) {
      this.#fetchedSnapshot?.abandon();
      this.#fetchedSnapshot = this.#snapshots.beginFetched(chunk.snapshotId);
    }
    this.#fetchedSnapshot!.add(chunk);
    if (chunk.isLast) void this.#loadFetched(this.#fetchedSnapshot!).catch((error: unknown) => this.#fail(error));
  }

  /** The snapshot takes the place of the log, and of all that the listeners know. */
  async #loadFetched(fetched: FetchedSnapshot): Promise<void> {
    const { logger } = this.#options.runtime;
    const { id } = fetched;
    try {
      const { kRaftVersion = 0, voters = null } = await this.#snapshots.prove(fetched);
      if (this.#isClosed || this.#failure !== undefined) return;
      this.#fetchedSnapshot = undefined;
      this.#snapshots.adopt(fetched);
      this.#writer.startAt(id.endOffset, this.#notController('another leader took its place'));
      this.#snapshots.retireBefore(id.endOffset);
      this.#snapshotAtMs = this.#options.runtime.clock.nowMs();
      logger.info('the metadata log begins anew behind a snapshot of the leader', { ...id });
      this.#committed.restartFrom(id);
      this.#happened({ type: 'snapshotLoaded', snapshotId: id, quorum: { kRaftVersion, voters } });
    } catch (error) {
      if (!(error instanceof CorruptFileError)) throw error;
      if (this.#isClosed || this.#failure !== undefined) return;
      this.#fetchedSnapshot = undefined;
      this.#troubles.tellRefused(id, error, this.#leader.leaderId);
      this.#refused.begin(id, () => this.#happened({ type: 'snapshotRefused', snapshotId: id }));
    }
  }

  #snapshotIfDue(): void {
    if (this.#isSnapshotting || this.hasOpenTransaction || this.#isClosed) return;
    const { clock } = this.#options.runtime;
    if (clock.nowMs() < this.#snapshotNotBeforeMs) return;
    const { snapshotBytes, snapshotIntervalMs } = this.#config;
    const ageMs = clock.nowMs() - this.#snapshotAtMs;
    const isDue = this.#committed.bytesSinceSnapshot >= snapshotBytes || (snapshotIntervalMs > 0 && ageMs >= snapshotIntervalMs);
    if (!isDue) return;
    const { records } = this.#committed;
    if (records) this.#snapshotting = this.writeSnapshot(records).catch((error) => this.#failUnlessFull(error));
  }

  /** True when something went. */
  #clean(): boolean {
    const { runtime } = this.#options;
    const before = this.#snapshots.all;
    this.#snapshots.clean({
      sizeBytes: this.#log.sizeBytes,
      deleteBefore: (offset) => {
        this.#log.advanceLogStartOffset(offset);
        this.#log.deleteOldSegments({ highWatermark: this.highWatermark, nowMs: runtime.clock.nowMs() });
      },
    });
    return this.#snapshots.all !== before;
  }

  #tellSnapshots(): void {
    const snapshots = this.#snapshots.all.filter((id) => !isBootstrap(id));
    this.#happened({ type: 'snapshots', snapshots, logStartOffset: this.#log.logStartOffset });
  }

  /** What a full disk does not take here can be written later: snapshots, and what they make superfluous. */
  #failUnlessFull(error: unknown): void {
    if (!isFull(error)) {
      this.#fail(error);
      return;
    }
    const { clock, logger } = this.#options.runtime;
    this.#snapshotNotBeforeMs = clock.nowMs() + snapshotRetryMs;
    logger.warn('a snapshot of the metadata, or what it makes superfluous, has to wait for room', {
      directory: this.#directory,
      error,
    });
  }

  /** What is decided can no longer be kept: nothing pending will be answered as done, and nothing more is taken. */
  #fail(error: unknown): void {
    if (this.#failure !== undefined || this.#isClosed) return;
    this.#failure = error;
    const { logger } = this.#options.runtime;
    // Of the disk, of a listener, or of a broken invariant: the error says which.
    logger.error('this node can take part in the metadata quorum no longer, and stops', { directory: this.#directory, error });
    this.#timer.cancel();
    this.#refused.close();
    this.#requests.close();
    this.#committed.followLeader({ leaderId: null, leaderEpoch: this.#raft.leaderAndEpoch.leaderEpoch });
    this.#committed.close();
    this.#appends.dropAll(error);
    this.#replies.refuseAll(this.#leaving());
    this.#onHandedOver?.();
    this.#options.onFailure(error);
  }

  #writable(records: readonly MetadataRecord[]): Uint8Array[] {
    this.#ensureUnblocked();
    const values = records.map(writeMetadataRecord);
    requireOneBatch(values, { maxBytes: this.#config.maxBatchBytes });
    return values;
  }

  #ensureUnblocked(): void {
    this.#ensureWritable();
    if (this.#writer.isBlocked) throw this.#writer.refusal;
  }

  #ensureWritable(): void {
    if (this.#failure !== undefined || this.#isClosed) throw this.#notController('it no longer writes the metadata log');
  }

  #notController(why: string): KafkaError {
    return new KafkaError('NOT_CONTROLLER', `node ${this.#options.nodeId} is not the active controller: ${why}`);
  }

  #leaving(): KafkaError {
    return new KafkaError('BROKER_NOT_AVAILABLE', `node ${this.#options.nodeId} no longer takes part in the metadata quorum`);
  }
}
