import {
  BatchBuilder,
  type BatchView,
  buildControlBatch,
  KafkaError,
  type MetadataRecord,
  readMetadataRecord,
  type Uuid,
  BatchView as View,
  writeMetadataRecord,
  ZERO_UUID,
} from '@ottla/protocol';
import {
  type LeaderAndEpoch,
  type QuorumDescription,
  type RaftBatch,
  type RaftEffects,
  RaftNode,
  type Voter,
  type VoterEndpoint,
} from '@ottla/raft';
import { IoError, type Runtime } from '@ottla/runtime';
import { diskFaultOf, Log } from '@ottla/storage';
import type { CommittedBatch, MetadataListener } from './metadata-listener.ts';
import { asLogConfig, defaultMetadataLogConfig, type MetadataLogConfig } from './metadata-log-config.ts';
import { MetadataSnapshots } from './metadata-snapshots.ts';
import { MetadataTransactions } from './metadata-transactions.ts';
import { readQuorumState, writeQuorumState } from './quorum-state-file.ts';
import { batchesFrom, readRecordedQuorum } from './recorded-quorum.ts';
import { isBootstrap, type SnapshotId } from './snapshot-files.ts';
import { requireWholeMetadataLog } from './whole-metadata-log.ts';

export const metadataTopic = '__cluster_metadata';
export const metadataTopicId: Uuid = 'AAAAAAAAAAAAAAAAAAAAAQ';

export type MetadataQuorumOptions = {
  readonly runtime: Runtime;
  /** The log directory that holds `__cluster_metadata-0`, and its id from meta.properties. */
  readonly directory: string;
  readonly directoryId: Uuid;
  readonly nodeId: number;
  /** Nothing can be torn: damage is refused, with CorruptFileError, and not cut. Default false. */
  readonly wasCleanShutdown?: boolean;
  /** Where this node's controller listens, as others reach it: the first of controller.listener.names first. */
  readonly controllerEndpoints: readonly VoterEndpoint[];
  /** controller.quorum.voters; empty for a dynamic quorum. */
  readonly staticVoters?: readonly { readonly id: number; readonly host: string; readonly port: number }[];
  readonly config?: MetadataLogConfig;
  /** The log can no longer be trusted to take what is decided: the node must stop. Called once. */
  readonly onFailure: (error: unknown) => void;
};

export type AppendedRecords = {
  readonly baseOffset: number;
  /** Inclusive. */
  readonly lastOffset: number;
  readonly endOffset: number;
};

/** A batch on its way: in the log or about to be, not yet known to be committed. */
type PendingBatch = {
  readonly bytes: Uint8Array;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly leaderEpoch: number;
  readonly isControl: boolean;
  readonly resolve: (appended: AppendedRecords) => void;
  readonly reject: (error: unknown) => void;
};

/** How long a full disk is left alone before it is tried again. */
const shortestPauseMs = 500;
const longestPauseMs = 4_000;
const snapshotRetryMs = 60_000;

/**
 * The metadata log of the cluster: `__cluster_metadata-0` with its snapshots and quorum-state, led by this node. It carries out what the pure
 * RaftNode decides. Batches of one turn, and all that arrive while the disk is busy, share one write and one sync.
 */
export class MetadataQuorum {
  readonly #options: MetadataQuorumOptions;
  readonly #config: MetadataLogConfig;
  readonly #directory: string;
  readonly #log: Log;
  readonly #raft: RaftNode;
  readonly #snapshots: MetadataSnapshots;
  readonly #transactions = new MetadataTransactions();
  readonly #listeners: MetadataListener[] = [];
  /** Appended by the RaftNode, not yet written to the log. */
  #unwritten: PendingBatch[] = [];
  /** Written, not yet committed. */
  #uncommitted: PendingBatch[] = [];
  #writing: Promise<void> | undefined;
  #snapshotting: Promise<unknown> = Promise.resolve();
  #isSnapshotting = false;
  #failure: unknown;
  /** Since when the disk takes nothing, and when it is tried again. */
  #blocked: { readonly error: IoError; readonly untilMs: number; readonly pauseMs: number } | undefined;
  #snapshotNotBeforeMs = 0;
  #isClosed = false;
  /** Everything before it was told to the listeners; never inside a metadata transaction. */
  #appliedEndOffset = 0;
  #appliedEpoch = 0;
  #appliedTimestampMs = 0;
  #bytesSinceSnapshot = 0;
  #snapshotAtMs: number;

  /**
   * Loads the log and takes the lead. Throws UnsupportedQuorumError for a quorum of several voters, and IoError or CorruptFileError when the disk
   * is at fault.
   */
  static async open(options: MetadataQuorumOptions): Promise<MetadataQuorum> {
    const quorum = new MetadataQuorum(options);
    await quorum.#lead();
    return quorum;
  }

  private constructor(options: MetadataQuorumOptions) {
    this.#options = options;
    this.#config = options.config ?? defaultMetadataLogConfig;
    this.#directory = `${options.directory}/${metadataTopic}-0`;
    const { runtime } = options;
    runtime.files.makeDirectory(this.#directory);
    runtime.files.syncDirectory(options.directory);
    this.#snapshots = new MetadataSnapshots({
      runtime,
      directory: this.#directory,
      deleteDelayMs: this.#config.deleteDelayMs,
      retentionMs: this.#config.retentionMs,
      retentionBytes: this.#config.retentionBytes,
    });
    this.#snapshotAtMs = runtime.clock.nowMs();
    if (options.wasCleanShutdown) requireWholeMetadataLog(runtime.files, this.#directory);
    this.#log = openLog(this.#directory, runtime, this.#config, this.#snapshots);
    try {
      this.#raft = createRaftNode(options, this.#directory, this.#log, this.#snapshots);
    } catch (error) {
      this.#log.abandon();
      throw error;
    }
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

  /** A metadata transaction was begun and not ended. After a start, whoever left it open is gone: it is to be aborted. */
  get hasOpenTransaction(): boolean {
    return this.#transactions.isOpen;
  }

  describe(): QuorumDescription {
    return this.#raft.describe(this.#options.runtime.clock.nowMs());
  }

  /**
   * One atomic batch. Resolves once it is committed and every listener has heard it. Rejects with NOT_CONTROLLER when this node does not lead,
   * RECORD_LIST_TOO_LARGE beyond internal.metadata.max.batch.size.in.bytes, KAFKA_STORAGE_ERROR when the disk is full; nothing was appended
   * then.
   */
  append(records: readonly MetadataRecord[]): Promise<AppendedRecords> {
    return new Promise((resolve, reject) => {
      const values = this.#writable(records);
      const effects = this.#raft.step({ type: 'append', values }, this.#options.runtime.clock.nowMs());
      for (const batch of effects.batches) this.#unwritten.push(pending(batch, resolve, reject));
      this.#writeSoon();
    });
  }

  /** Throws what `append` would reject with at once. */
  requireWritable(records: readonly MetadataRecord[]): void {
    this.#writable(records);
  }

  /** The disk is full, and was so a moment ago: it is not tried with every request. */
  get isBlocked(): boolean {
    return this.#blocked !== undefined && this.#options.runtime.clock.nowMs() < this.#blocked.untilMs;
  }

  #writable(records: readonly MetadataRecord[]): Uint8Array[] {
    this.#ensureWritable();
    if (this.isBlocked) throw fullDisk(this.#blocked!.error);
    const values = records.map(writeMetadataRecord);
    requireRoom(values, this.#config.maxBatchBytes);
    return values;
  }

  /** Tells the listener all that is committed, at once, and from then on each batch as it commits. */
  subscribe(listener: MetadataListener): void {
    this.#replay(listener);
    this.#listeners.push(listener);
  }

  /**
   * Writes a snapshot: `records` must be the whole state as of everything heard so far, and is read to its end before this returns.
   * Resolves when the file is in place and what it makes superfluous is gone.
   */
  async writeSnapshot(records: Iterable<MetadataRecord>): Promise<SnapshotId> {
    this.#ensureWritable();
    const id = { endOffset: this.#appliedEndOffset, epoch: this.#appliedEpoch };
    const { kRaftVersion, voters } = this.#raft.quorumBefore(id.endOffset);
    this.#isSnapshotting = true;
    try {
      await this.#snapshots.write(id, { lastContainedLogTimestampMs: this.#appliedTimestampMs, kRaftVersion, voters }, records);
      this.#bytesSinceSnapshot = 0;
      this.#snapshotAtMs = this.#options.runtime.clock.nowMs();
      if (!this.#isClosed) this.#clean();
    } finally {
      this.#isSnapshotting = false;
    }
    return id;
  }

  /** Periodic work, about once a minute: retention, and files whose removal is due. */
  runTasks(nowMs: number): void {
    if (this.#isClosed || this.#failure !== undefined) return;
    try {
      if (!this.#isSnapshotting) this.#clean();
      this.#log.runTasks(nowMs);
    } catch (error) {
      this.#failUnlessFull(error);
    }
  }

  /** Gives up the lead, lets what was appended reach the disk, and leaves the files as a clean stop should. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#announce(this.#raft.step({ type: 'resign' }, this.#options.runtime.clock.nowMs()));
    while (this.#writing) await this.#writing;
    await this.#snapshotting;
    this.#isClosed = true;
    this.#snapshots.close();
    if (this.#failure === undefined) this.#log.close();
    else this.#log.abandon();
  }

  /** As the only voter this node has all that is committed: with the batch that opens its epoch, the whole log is. */
  async #lead(): Promise<void> {
    const { runtime } = this.#options;
    this.#loadState();
    const effects = this.#raft.step({ type: 'wake' }, runtime.clock.nowMs());
    if (effects.electionState) {
      writeQuorumState(runtime.files, this.#directory, effects.electionState, {
        kRaftVersion: this.#raft.kRaftVersion,
        voterIds: this.#raft.voters.ids,
      });
    }
    for (const batch of effects.batches) this.#unwritten.push(pending(batch, ignore, ignore));
    await this.#writeUnwritten();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** After this turn: whatever else is appended in it goes along. While a sync is under way nothing needs to be done, it looks again. */
  #writeSoon(): void {
    if (this.#writing) return;
    this.#writing = new Promise((done) => {
      this.#options.runtime.timers.soon(() => void this.#writeUnwritten().then(done));
    });
  }

  async #writeUnwritten(): Promise<void> {
    try {
      while (this.#unwritten.length > 0) {
        const isWhole = this.#writeToLog();
        const endOffset = this.#log.logEndOffset;
        await this.#log.flushLater();
        this.#commit(this.#raft.step({ type: 'flushed', endOffset }, this.#options.runtime.clock.nowMs()));
        if (!isWhole) this.#withdrawUnwritten();
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#writing = undefined;
    }
  }

  /** False: the disk is full, and what it did not take is still unwritten. */
  #writeToLog(): boolean {
    const batches = this.#unwritten;
    this.#unwritten = [];
    for (const [index, batch] of batches.entries()) {
      try {
        const { firstOffset } = this.#log.append(batch.bytes, { leaderEpoch: batch.leaderEpoch, origin: 'raft' });
        if (firstOffset !== batch.baseOffset)
          throw new Error(`broken invariant: a batch for offset ${batch.baseOffset} went to ${firstOffset}`);
      } catch (error) {
        this.#unwritten = batches.slice(index);
        if (!(error instanceof IoError) || diskFaultOf(error) === 'failed' || !this.#canWithdraw) throw error;
        this.#block(error);
        return false;
      }
      this.#uncommitted.push(batch);
    }
    if (this.#blocked) this.#options.runtime.logger.info('the metadata log is written again', { directory: this.#directory });
    this.#blocked = undefined;
    return true;
  }

  /** The batch that opens this node's epoch is not to be had without. */
  get #canWithdraw(): boolean {
    return this.#raft.isLeader && this.highWatermark > 0 && this.#unwritten.every(({ isControl }) => !isControl);
  }

  #block(error: IoError): void {
    const { clock, logger } = this.#options.runtime;
    if (!this.#blocked)
      logger.error('the disk of the metadata log is full: what would change the cluster is refused until there is room', {
        directory: this.#directory,
        error,
      });
    const pauseMs = Math.min((this.#blocked?.pauseMs ?? shortestPauseMs / 2) * 2, longestPauseMs);
    this.#blocked = { error, pauseMs, untilMs: clock.nowMs() + pauseMs };
  }

  /** Whoever decided it takes it back. Those that came while the others were flushed build on it, so they go too. */
  #withdrawUnwritten(): void {
    const withdrawn = this.#unwritten;
    this.#unwritten = [];
    this.#raft.step({ type: 'withdraw', endOffset: this.#log.logEndOffset }, this.#options.runtime.clock.nowMs());
    for (const { reject } of withdrawn) reject(fullDisk(this.#blocked!.error));
  }

  #commit(effects: RaftEffects): void {
    if (effects.highWatermark === null) return;
    this.#log.onHighWatermark(effects.highWatermark);
    while (this.#uncommitted.length > 0 && this.#uncommitted[0]!.lastOffset < effects.highWatermark) {
      const { bytes, baseOffset, lastOffset, resolve } = this.#uncommitted[0]!;
      // It stays in the list until then: if a listener throws, whoever appended it hears of that.
      this.#tell(new View(bytes));
      this.#uncommitted.shift();
      resolve({ baseOffset, lastOffset, endOffset: lastOffset + 1 });
    }
    this.#snapshotIfDue();
  }

  #tell(batch: BatchView): void {
    this.#bytesSinceSnapshot += batch.length;
    for (const visible of this.#transactions.pass(committed(batch))) {
      for (const listener of this.#listeners) listener.batch(visible);
      this.#applied(visible);
    }
  }

  #applied({ lastOffset, leaderEpoch, appendTimestampMs }: CommittedBatch): void {
    this.#appliedEndOffset = lastOffset + 1;
    this.#appliedEpoch = leaderEpoch;
    this.#appliedTimestampMs = appendTimestampMs;
  }

  /** Brings transactions and offsets to where the log on disk ends. */
  #loadState(): void {
    const { newest } = this.#snapshots;
    if (newest) {
      this.#appliedEndOffset = newest.endOffset;
      this.#appliedEpoch = newest.epoch;
      this.#appliedTimestampMs = this.#snapshots.lastContainedLogTimestampMs(newest);
    }
    for (const batch of batchesFrom(this.#log, newest?.endOffset ?? this.#log.logStartOffset)) this.#tell(batch);
  }

  #replay(listener: MetadataListener): void {
    const { newest } = this.#snapshots;
    if (newest) {
      const { records, lastContainedLogTimestampMs } = this.#snapshots.read(newest);
      listener.snapshot({ endOffset: newest.endOffset, leaderEpoch: newest.epoch, lastContainedLogTimestampMs, records });
    }
    const transactions = new MetadataTransactions();
    const startOffset = newest?.endOffset ?? this.#log.logStartOffset;
    for (const batch of batchesFrom(this.#log, startOffset, this.highWatermark)) {
      for (const visible of transactions.pass(committed(batch))) listener.batch(visible);
    }
    listener.leaderChanged?.(this.leaderAndEpoch);
  }

  #announce({ leadership }: RaftEffects): void {
    if (leadership) for (const listener of this.#listeners) listener.leaderChanged?.(leadership);
  }

  #snapshotIfDue(): void {
    if (this.#isSnapshotting || this.#transactions.isOpen || this.#isClosed) return;
    if (this.#options.runtime.clock.nowMs() < this.#snapshotNotBeforeMs) return;
    const { snapshotBytes, snapshotIntervalMs } = this.#config;
    const ageMs = this.#options.runtime.clock.nowMs() - this.#snapshotAtMs;
    const isDue = this.#bytesSinceSnapshot >= snapshotBytes || (snapshotIntervalMs > 0 && ageMs >= snapshotIntervalMs);
    if (!isDue) return;
    const records = this.#listeners.find((each) => each.toSnapshot)?.toSnapshot?.();
    if (records) this.#snapshotting = this.writeSnapshot(records).catch((error) => this.#failUnlessFull(error));
  }

  #clean(): void {
    const { runtime } = this.#options;
    this.#snapshots.clean({
      sizeBytes: this.#log.sizeBytes,
      deleteBefore: (offset) => {
        this.#log.advanceLogStartOffset(offset);
        this.#log.deleteOldSegments({ highWatermark: this.highWatermark, nowMs: runtime.clock.nowMs() });
      },
    });
  }

  /** What a full disk does not take here can be written later: snapshots, and what they make superfluous. */
  #failUnlessFull(error: unknown): void {
    if (!(error instanceof IoError) || diskFaultOf(error) === 'failed') {
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
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#options.runtime.logger.error('the metadata log cannot be written', { directory: this.#directory, error });
    const lost = [...this.#uncommitted, ...this.#unwritten];
    this.#uncommitted = [];
    this.#unwritten = [];
    this.#announce(this.#raft.step({ type: 'resign' }, this.#options.runtime.clock.nowMs()));
    for (const { reject } of lost) reject(error);
    this.#options.onFailure(error);
  }

  #ensureWritable(): void {
    if (this.#failure === undefined && !this.#isClosed) return;
    throw new KafkaError('NOT_CONTROLLER', `node ${this.#options.nodeId} no longer writes the metadata log`);
  }
}

/**
 * The whole log is read again at every start, as Kafka does: it is small, and nothing may be wrong with it. A log that ends before the newest
 * snapshot (it was copied alone, or its tail was lost) starts again behind it.
 */
function openLog(directory: string, runtime: Runtime, config: MetadataLogConfig, snapshots: MetadataSnapshots): Log {
  const { newest } = snapshots;
  // Before the log may have to give way to it: a file that only looks like a snapshot must not cost the log.
  if (newest) snapshots.read(newest);
  const log = Log.open({
    directory,
    topic: metadataTopic,
    partition: 0,
    topicId: metadataTopicId,
    runtime,
    config: asLogConfig(config),
    cleanShutdown: false,
    recoveryPoint: 0,
    logStartOffset: snapshots.all[0]?.endOffset ?? 0,
  });
  if (newest && newest.endOffset > log.logEndOffset) {
    runtime.logger.warn('the metadata log ends before its newest snapshot and starts again there', { directory, ...newest });
    log.truncateFullyAndStartAt(newest.endOffset);
  }
  return log;
}

function createRaftNode(options: MetadataQuorumOptions, directory: string, log: Log, snapshots: MetadataSnapshots): RaftNode {
  const { nodeId, directoryId, controllerEndpoints, staticVoters = [] } = options;
  const { bootstrap, newest } = snapshots;
  const listenerName = controllerEndpoints[0]?.name ?? 'CONTROLLER';
  const quorum = readRecordedQuorum({
    staticVoters: staticVoters.map(({ id, host, port }) =>
      voterOf({ id, directoryId: ZERO_UUID }, [{ name: listenerName, host, port }]),
    ),
    bootstrap: bootstrap && snapshots.read(bootstrap),
    snapshot: newest && { ...snapshots.read(newest), endOffset: newest.endOffset },
    log,
  });
  return new RaftNode({
    self: voterOf({ id: nodeId, directoryId }, controllerEndpoints),
    quorum,
    electionState: readQuorumState(options.runtime.files, directory),
    log: { startOffset: log.logStartOffset, endOffset: log.logEndOffset, epochs: log.epochs },
    snapshots: snapshots.all.filter((id) => !isBootstrap(id)),
    random: () => options.runtime.random.fraction(),
  });
}

const voterOf = ({ id, directoryId }: { id: number; directoryId: Uuid }, endpoints: readonly VoterEndpoint[]): Voter => ({
  id,
  directoryId,
  endpoints,
  minKRaftVersion: 0,
  maxKRaftVersion: 1,
});

function pending(batch: RaftBatch, resolve: PendingBatch['resolve'], reject: PendingBatch['reject']): PendingBatch {
  const { baseOffset, leaderEpoch } = batch;
  const count = batch.kind === 'control' ? batch.records.length : batch.values.length;
  return {
    bytes: encode(batch),
    baseOffset,
    lastOffset: baseOffset + count - 1,
    leaderEpoch,
    isControl: batch.kind === 'control',
    resolve,
    reject,
  };
}

function encode(batch: RaftBatch): Uint8Array {
  const { baseOffset, leaderEpoch, timestampMs } = batch;
  if (batch.kind === 'control')
    return buildControlBatch({ records: batch.records, timestamp: timestampMs, baseOffset, leaderEpoch });
  const builder = new BatchBuilder({ baseOffset, leaderEpoch });
  for (const value of batch.values) builder.append(timestampMs, null, value);
  return builder.build();
}

/** Decoded from the bytes, so that a listener hears today what it would hear after a restart. */
function committed(batch: BatchView): CommittedBatch {
  const records: MetadataRecord[] = [];
  if (!batch.isControl) for (const { value } of batch.records()) if (value) records.push(readMetadataRecord(value));
  const { baseOffset, lastOffset, leaderEpoch, maxTimestamp } = batch;
  return { baseOffset, lastOffset, leaderEpoch, appendTimestampMs: maxTimestamp, records };
}

function requireRoom(values: readonly Uint8Array[], maxBatchBytes: number): void {
  const batchOverhead = 61;
  const recordOverhead = 21;
  const bytes = values.reduce((sum, value) => sum + value.length + recordOverhead, batchOverhead);
  if (bytes <= maxBatchBytes) return;
  throw new KafkaError(
    'RECORD_LIST_TOO_LARGE',
    `${values.length} metadata records take ${bytes} bytes, more than the ${maxBatchBytes} of one batch`,
  );
}

const fullDisk = (error: IoError): KafkaError =>
  new KafkaError('KAFKA_STORAGE_ERROR', `the metadata log cannot be written: ${error.message}`, { cause: error });

const ignore = (): void => {};
