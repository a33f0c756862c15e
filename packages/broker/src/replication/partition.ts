import { batchesOf, KafkaError } from '@ottla/protocol';
import { IoError } from '@ottla/runtime';
import {
  type AbortedTransaction,
  type AppendOptions,
  type AppendResult,
  type Log,
  type LogRead,
  UnexpectedOffsetError,
} from '@ottla/storage';
import type { AlterAnswer, SubmitAlteration } from './alter-partition-manager.ts';
import type { IsrProposal } from './isr-state.ts';
import { LeaderReplicas, type LeaderRules } from './leader-replicas.ts';
import type { FollowerFetch } from './replica-progress.ts';

/** What the metadata log says about a partition; see PartitionRecord and PartitionChangeRecord. */
export type PartitionState = {
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
};

/** What a replica needs of the cluster around it. */
export type ReplicationContext = LeaderRules & {
  readonly monotonicMs: () => number;
  readonly minInsyncReplicas: (topic: string) => number;
  /** The broker is registered and not fenced. */
  readonly isAlive: (brokerId: number) => boolean;
  readonly alterPartition: SubmitAlteration;
  /** A follower does not get beyond an offset, because what the leader has there is damaged. */
  readonly onDamaged: (partition: Partition, offset: number, error: unknown) => void;
};

/** A broker that no other replicates with. */
const alone: ReplicationContext = {
  monotonicMs: () => 0,
  minInsyncReplicas: () => 1,
  isAlive: () => false,
  alterPartition: () => {},
  onDamaged: () => {},
  activeBrokerEpoch: () => undefined,
  maxLagMs: 0,
};

/** Below which offset a fetch may read. */
export type ReadBound = 'logEnd' | 'highWatermark' | 'lastStableOffset';

/** Waits for something to become of a partition. */
export interface PartitionWatcher {
  /** Called after each append, move of an offset, or loss of leadership. */
  partitionChanged(partition: Partition): void;
}

/** Told that what was waited for has come true, or why it will not. */
export type Settle = (error?: KafkaError) => void;

/** A follower that asks so often for one offset cannot take what it is given, or is throttled. */
const repeatsOfStuck = 3;

/** `isNews`: it is not the failure that was told last. */
type OnIoError = (error: IoError, isNews: boolean) => void;

/**
 * One replica on this broker: its log, and what replication knows about it.
 *
 * Invariant: logStartOffset <= lastStableOffset <= highWatermark <= logEndOffset, and the highWatermark never retreats while leading.
 */
export class Partition {
  readonly topic: string;
  readonly index: number;
  readonly topicId: string;
  #log: Log;
  readonly #brokerId: number;
  readonly #onIoError: OnIoError;
  readonly #cluster: ReplicationContext;
  /** The text of the failure that was told last, until an append succeeds. */
  #toldFailure: string | undefined;
  #state: PartitionState = { leader: -1, leaderEpoch: -1, partitionEpoch: -1, replicas: [], isr: [] };
  /** Of the replicas on other brokers, while this one leads. Absent where there are none: then all that is written is committed. */
  #leading: LeaderReplicas | undefined;
  #highWatermark: number;
  /** Counts the times that this broker began to lead when it may have followed since it led before. */
  #reign = 0;
  /** The topic is gone, the disk failed, or the broker stops. */
  #hasResigned = false;
  #hasStaged = false;
  #isCommitted = false;
  /** A set so that one that leaves costs nothing; absent while nobody waits. */
  #watchers: Set<PartitionWatcher> | undefined;

  /** Starts from the highWatermark that the log was opened with. `onIoError` is told when the disk fails an append or a read. */
  constructor(
    identity: { topic: string; index: number; topicId: string; brokerId: number },
    log: Log,
    onIoError: OnIoError,
    cluster: ReplicationContext = alone,
  ) {
    this.topic = identity.topic;
    this.index = identity.index;
    this.topicId = identity.topicId;
    this.#brokerId = identity.brokerId;
    this.#log = log;
    this.#onIoError = onIoError;
    this.#cluster = cluster;
    this.#highWatermark = log.highWatermark;
    log.onLogStartMoved = () => this.#notify();
  }

  get log(): Log {
    return this.#log;
  }

  /** The same records in another log directory take the place of the log. */
  replaceLog(log: Log): void {
    log.onHighWatermark(this.#highWatermark);
    log.takeOverVerifications(this.#log);
    this.#log.onLogStartMoved = undefined;
    this.#log = log;
    log.onLogStartMoved = () => this.#notify();
    this.#notify();
  }

  get highWatermark(): number {
    return this.#highWatermark;
  }

  /** A read_committed reader stops here. */
  get lastStableOffset(): number {
    return Math.min(this.log.lastStableOffset, this.#highWatermark);
  }

  get leaderEpoch(): number {
    return this.#state.leaderEpoch;
  }

  get leader(): number {
    return this.#state.leader;
  }

  get isLeader(): boolean {
    return this.#state.leader === this.#brokerId;
  }

  /** Stays the same through epochs in which this broker leads on, with nobody in between. */
  get reign(): number {
    return this.#reign;
  }

  get replicas(): readonly number[] {
    return this.#state.replicas;
  }

  /** The committed one. */
  get isr(): readonly number[] {
    return this.#leading?.isr.committed ?? this.#state.isr;
  }

  /** What is known of the replicas on other brokers; undefined: this one does not lead, or there are none. */
  get leading(): LeaderReplicas | undefined {
    return this.#leading;
  }

  /** Takes over what the metadata log says now. */
  updateState(state: PartitionState): void {
    const { leaderEpoch, partitionEpoch, replicas, isr } = state;
    // An answer to AlterPartition was faster than the metadata log.
    if (leaderEpoch === this.leaderEpoch && this.#leading && partitionEpoch < this.#leading.isr.partitionEpoch) return;
    // Between two epochs of which it hears at once there may be one of another leader, by whom logs would have been cut.
    const leadsOn = this.isLeader && state.leader === this.leader && leaderEpoch <= this.leaderEpoch + 1;
    if (!leadsOn) this.#reign++;
    this.#state = state;
    this.#hasResigned = false;
    if (this.isLeader) {
      const { logEndOffset } = this.log;
      if (leaderEpoch > this.log.latestEpoch) this.log.assignLeaderEpoch(leaderEpoch, logEndOffset);
      if (replicas.length > 1 || isr.length > 1) {
        const nowMs = this.#cluster.monotonicMs();
        const begins = { brokerId: this.#brokerId, leaderEpoch, partitionEpoch, replicas, isr, logEndOffset, nowMs };
        if (this.#leading && leadsOn) this.#leading.update(begins);
        else this.#leading = new LeaderReplicas(this.#cluster, begins);
      } else this.#leading = undefined;
      this.#advanceHighWatermark();
    } else this.#leading = undefined;
    this.#notify();
  }

  /** Throws NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH (KIP-320; -1 asks for no check). */
  requireLeader(currentLeaderEpoch = -1): void {
    this.requireEpoch(currentLeaderEpoch);
    if (!this.isLeader) {
      throw new KafkaError(
        'NOT_LEADER_OR_FOLLOWER',
        `${this.name} is led by broker ${this.leader}: refresh metadata and retry there`,
      );
    }
  }

  /** For readers who may be served by any replica (KIP-392). Throws what `requireLeader` throws, when the replica is given up. */
  requireReplicaHere(currentLeaderEpoch = -1): void {
    if (this.#hasResigned) this.requireLeader(currentLeaderEpoch);
    else this.requireEpoch(currentLeaderEpoch);
  }

  /** Throws FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH (KIP-320; -1 asks for no check). */
  requireEpoch(currentLeaderEpoch: number): void {
    if (currentLeaderEpoch === -1 || currentLeaderEpoch === this.leaderEpoch) return;
    if (currentLeaderEpoch < this.leaderEpoch) {
      throw new KafkaError(
        'FENCED_LEADER_EPOCH',
        `${this.name} is at leader epoch ${this.leaderEpoch}, the request at ${currentLeaderEpoch}: refresh metadata`,
      );
    }
    throw new KafkaError(
      'UNKNOWN_LEADER_EPOCH',
      `${this.name} has not heard of leader epoch ${currentLeaderEpoch} yet, it is at ${this.leaderEpoch}: retry`,
    );
  }

  get name(): string {
    return `${this.topic}-${this.index}`;
  }

  /** Throws NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS, KAFKA_STORAGE_ERROR and whatever the log refuses. */
  appendAsLeader(
    records: Uint8Array,
    options: Omit<AppendOptions, 'leaderEpoch'>,
    requiredAcks: number,
    minInsyncReplicas: number,
  ): AppendResult {
    this.#requireEnoughReplicas(requiredAcks, minInsyncReplicas);
    const result = this.#onDisk(() => this.log.append(records, { ...options, leaderEpoch: this.#state.leaderEpoch }));
    this.#toldFailure = undefined;
    this.#advanceHighWatermark();
    this.#notify();
    return result;
  }

  /**
   * The first half of `appendAsLeader`, which throws the same: the batch has its place in the log, and `commitStaged` must write it in this
   * turn. Until then `records` must not change.
   */
  stageAsLeader(
    records: Uint8Array,
    options: Omit<AppendOptions, 'leaderEpoch'>,
    requiredAcks: number,
    minInsyncReplicas: number,
  ): AppendResult {
    this.#requireEnoughReplicas(requiredAcks, minInsyncReplicas);
    const result = this.#onDisk(() => this.log.stage(records, { ...options, leaderEpoch: this.#state.leaderEpoch }));
    this.#hasStaged = true;
    return result;
  }

  #requireEnoughReplicas(requiredAcks: number, minInsyncReplicas: number): void {
    this.requireLeader();
    if (requiredAcks !== -1) return;
    const minimum = Math.min(minInsyncReplicas, this.#state.replicas.length);
    const { isr } = this;
    if (isr.length >= minimum) return;
    throw new KafkaError(
      'NOT_ENOUGH_REPLICAS',
      `the isr of ${this.name} has ${isr.length} members, min.insync.replicas asks for ${minimum}`,
    );
  }

  /** What was committed a moment ago is in as many replicas as min.insync.replicas asks for, as far as the leader can tell. */
  get hasEnoughReplicas(): boolean {
    const leading = this.#leading;
    if (!leading) return true;
    return leading.isr.maximal.length >= leading.effectiveMinIsr(this.#cluster.minInsyncReplicas(this.topic));
  }

  /** Something waits for `commitStaged`. */
  get hasStaged(): boolean {
    return this.#hasStaged;
  }

  /** Writes what was staged. When the disk fails, `isCommitted` says so, and none of it may be acknowledged, though some may be in the log. */
  commitStaged(): void {
    this.#hasStaged = false;
    this.#isCommitted = false;
    try {
      this.log.commitStaged();
    } catch (error) {
      // The log is closed when its directory failed since the batches were staged.
      if (error instanceof IoError) this.#tellFailure(error);
      else if (!this.log.isClosed) throw error;
      return;
    }
    this.#isCommitted = true;
    this.#toldFailure = undefined;
    this.#advanceHighWatermark();
    this.#notify();
  }

  /** The last `commitStaged` did what it should. */
  get isCommitted(): boolean {
    return this.#isCommitted;
  }

  /** Throws OFFSET_OUT_OF_RANGE, KAFKA_STORAGE_ERROR. */
  read(startOffset: number, maxBytes: number, bound: ReadBound, minOneBatch: boolean): LogRead {
    return this.#onDisk(() => this.log.read({ startOffset, maxBytes, endOffset: this.endOffsetFor(bound), minOneBatch }));
  }

  /** The bytes that `read` would give, without reading them; Infinity when waiting cannot add to them. Throws what `read` throws. */
  bytesToRead(startOffset: number, maxBytes: number, bound: ReadBound): number {
    const endOffset = this.endOffsetFor(bound);
    return this.#onDisk(() => this.log.measure({ startOffset, maxBytes, endOffset, minOneBatch: true }));
  }

  /** Those that have records in [startOffset, endOffset). Throws KAFKA_STORAGE_ERROR. */
  abortedTransactions(startOffset: number, endOffset: number): AbortedTransaction[] {
    return this.#onDisk(() => this.log.abortedTransactions(startOffset, endOffset));
  }

  /** A failing disk is told to the client as KAFKA_STORAGE_ERROR, and to the log of the broker whole. */
  #onDisk<Result>(action: () => Result): Result {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
      this.#tellFailure(error);
      throw new KafkaError('KAFKA_STORAGE_ERROR', `the disk failed ${this.name}: ${error.message}`, { cause: error });
    }
  }

  /** Clients try again and again: once is enough for the log. */
  #tellFailure(error: IoError): void {
    const isNews = this.#toldFailure !== error.message;
    this.#toldFailure = error.message;
    this.#onIoError(error, isNews);
  }

  /**
   * Throws OFFSET_NOT_AVAILABLE: a new leader's high watermark may trail one that clients have seen, until the isr has all that there was when its
   * epoch began. To answer now could run backwards (KIP-207).
   */
  requireKnownEnd(): void {
    if (!this.#leading || this.#leading.epochStartOffset <= this.#highWatermark) return;
    throw new KafkaError(
      'OFFSET_NOT_AVAILABLE',
      `${this.name} has a new leader, whose high watermark ${this.#highWatermark} is still behind the start of its epoch: retry`,
    );
  }

  endOffsetFor(bound: ReadBound): number {
    if (bound === 'logEnd') return this.log.logEndOffset;
    return bound === 'highWatermark' ? this.#highWatermark : this.lastStableOffset;
  }

  /** Throws OFFSET_OUT_OF_RANGE; -1 means up to the highWatermark. Returns the new logStartOffset (KIP-107). */
  deleteRecordsBefore(offset: number): number {
    this.requireLeader();
    const target = offset === -1 ? this.#highWatermark : offset;
    if (target < 0 || target > this.#highWatermark) {
      throw new KafkaError(
        'OFFSET_OUT_OF_RANGE',
        `${this.name} has records up to ${this.#highWatermark}, deletion before ${offset} was asked for`,
      );
    }
    this.log.advanceLogStartOffset(target);
    return this.log.logStartOffset;
  }

  /** The smallest logStartOffset of the replicas whose brokers live: what is below is deleted everywhere (KIP-107). */
  get lowWatermark(): number {
    let lowest = this.log.logStartOffset;
    if (!this.#leading) return lowest;
    for (const { brokerId, logStartOffset } of this.#leading.others)
      if (logStartOffset < lowest && this.#cluster.isAlive(brokerId)) lowest = logStartOffset;
    return lowest;
  }

  /** Tells `watcher` of each change that a waiting request may care about, until `unwatch`. */
  watch(watcher: PartitionWatcher): void {
    this.#watchers ??= new Set();
    this.#watchers.add(watcher);
  }

  unwatch(watcher: PartitionWatcher): void {
    this.#watchers?.delete(watcher);
  }

  /** How many wait for a change. */
  get watcherCount(): number {
    return this.#watchers?.size ?? 0;
  }

  /** Resolves once the highWatermark is at `endOffset` or above; rejects NOT_LEADER_OR_FOLLOWER when leadership goes before. */
  whenCommitted(endOffset: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.awaitCommitted(endOffset, (error) => (error ? reject(error) : resolve()));
    });
  }

  /**
   * Calls back once: when the highWatermark is at `endOffset` or above, or with NOT_LEADER_OR_FOLLOWER when leadership goes before. Whoever
   * waits no longer gives `unwatch` what it returns.
   */
  awaitCommitted(endOffset: number, settle: Settle): PartitionWatcher {
    return this.#whileLeading(() => this.#highWatermark >= endOffset, settle);
  }

  /** As `awaitCommitted`, until all replicas have deleted what is below `offset`. */
  awaitDeletedEverywhere(offset: number, settle: Settle): PartitionWatcher {
    return this.#whileLeading(() => this.lowWatermark >= offset, settle);
  }

  /** Also through epochs in which this broker leads on: a reassignment that ends begins a new one. */
  #whileLeading(isReached: () => boolean, settle: Settle): PartitionWatcher {
    const reign = this.#reign;
    const watcher: PartitionWatcher = {
      partitionChanged: () => {
        const leads = this.isLeader && this.#reign === reign;
        if (leads && !isReached()) return;
        this.unwatch(watcher);
        settle(leads ? undefined : new KafkaError('NOT_LEADER_OR_FOLLOWER', `${this.name} moved to another leader`));
      },
    };
    if (this.isLeader && isReached()) settle();
    else this.watch(watcher);
    return watcher;
  }

  /** The topic is being deleted, or the broker stops: whoever waits looks again and finds no leader here. */
  resign(): void {
    this.#state = { ...this.#state, leader: -1 };
    this.#hasResigned = true;
    this.#leading = undefined;
    this.#notify();
  }

  /**
   * Of a follower that fetches. Throws NOT_LEADER_OR_FOLLOWER, UNKNOWN_LEADER_EPOCH: it has no replica, this broker does not know of it yet, or
   * it has restarted since.
   */
  requireFollower(brokerId: number, brokerEpoch: number, currentLeaderEpoch: number): void {
    if (this.hasFollower(brokerId, brokerEpoch)) return;
    if (this.#leading?.replica(brokerId)) {
      throw new KafkaError(
        'NOT_LEADER_OR_FOLLOWER',
        `broker ${brokerId} fetches ${this.name} with broker epoch ${brokerEpoch}, which is over`,
      );
    }
    // An epoch that was checked means that the follower has heard of a reassignment that this leader has not.
    throw new KafkaError(
      currentLeaderEpoch < 0 ? 'NOT_LEADER_OR_FOLLOWER' : 'UNKNOWN_LEADER_EPOCH',
      `broker ${brokerId} has no replica of ${this.name}, as far as the leader knows`,
    );
  }

  /** The broker has a replica that follows this one, and has not restarted since it had that epoch (-1: it does not say). */
  hasFollower(brokerId: number, brokerEpoch: number): boolean {
    return this.#leading?.replica(brokerId) !== undefined && !this.#leading.isStale(brokerId, brokerEpoch);
  }

  /** A fetch that `requireFollower` let through, for an offset that is in the log. */
  onFollowerFetch(brokerId: number, brokerEpoch: number, fetch: FollowerFetch, nowMs: number): void {
    const leading = this.#leading!;
    const replica = leading.replica(brokerId)!;
    const { logEndOffset, logStartOffset, isFollowed } = replica;
    replica.onFetch(fetch, brokerEpoch, this.log.logEndOffset, nowMs);
    const proposal = leading.expansionBy(brokerId, this.#highWatermark);
    if (proposal) this.#propose(proposal);
    const hasMoved = replica.logEndOffset !== logEndOffset && this.#advanceHighWatermark();
    // A session of the follower's that counts on not having to name the partition has to hear of another's fetch.
    if (hasMoved || isFollowed || replica.logStartOffset !== logStartOffset) this.#notify();
    if (replica.repeats === repeatsOfStuck) this.#lookForDamage(replica.logEndOffset);
  }

  /** Followers check each crc, so a damaged batch does not spread; but nobody else would notice why they lag. */
  #lookForDamage(offset: number): void {
    try {
      const { records, release } = this.read(offset, 1, 'logEnd', true);
      try {
        for (const batch of batchesOf(records)) batch.ensureCrc();
      } finally {
        release?.();
      }
    } catch (error) {
      this.#cluster.onDamaged(this, offset, error);
    }
  }

  /** Proposes an isr without those who have not kept up, if there are any. */
  shrinkIsr(nowMs: number): void {
    const proposal = this.#leading?.shrinking(this.log.logEndOffset, nowMs);
    if (proposal) this.#propose(proposal);
  }

  #propose(proposal: IsrProposal): void {
    this.#leading!.isr.propose(proposal);
    this.#submit(proposal);
  }

  #submit(proposal: IsrProposal): void {
    this.#cluster.alterPartition(this, proposal, (answer) => this.#onAnswer(proposal, answer));
  }

  #onAnswer(proposal: IsrProposal, answer: AlterAnswer): void {
    const leading = this.#leading;
    if (!leading) return;
    const outcome = 'error' in answer ? leading.onRefused(proposal, answer.error) : leading.onAltered(proposal, answer.altered);
    if (outcome === 'try again') this.#submit(proposal);
    if (outcome === 'committed' || outcome === 'given up') {
      this.#advanceHighWatermark();
      this.#notify();
    }
  }

  /**
   * Appends what the leader sent, as it is. Throws CORRUPT_MESSAGE when it is damaged, KAFKA_STORAGE_ERROR, and whatever the log refuses.
   */
  appendAsFollower(records: Uint8Array, leaderEpoch: number): AppendResult {
    const options = { leaderEpoch, origin: 'replication' } as const;
    const result = this.#onDisk(() => {
      try {
        return this.log.append(records, options);
      } catch (error) {
        // The leader's log starts inside a batch: an empty one begins with the whole of it.
        const beginsInside =
          error instanceof UnexpectedOffsetError &&
          this.log.logEndOffset === this.log.logStartOffset &&
          error.firstOffset < this.log.logEndOffset &&
          error.lastOffset >= this.log.logEndOffset;
        if (!beginsInside) throw error;
        this.log.truncateFullyAndStartAt(error.firstOffset);
        return this.log.append(records, options);
      }
    });
    this.#toldFailure = undefined;
    return result;
  }

  /**
   * What the leader says of its offsets. A high watermark that was known stays, also when a new leader has yet to learn it. Throws
   * KAFKA_STORAGE_ERROR.
   */
  followOffsets(leader: { readonly highWatermark: number; readonly logStartOffset: number }): void {
    const { log } = this;
    const known = Math.min(leader.highWatermark, log.logEndOffset);
    let hasMoved = false;
    if (known > this.#highWatermark) {
      this.#highWatermark = known;
      log.onHighWatermark(known);
      hasMoved = true;
    }
    const logStartOffset = Math.min(leader.logStartOffset, this.#highWatermark);
    if (logStartOffset > log.logStartOffset) log.advanceLogStartOffset(logStartOffset);
    if (hasMoved) this.#notify();
  }

  /** As a follower: what lies behind is not what the leader has. Throws KAFKA_STORAGE_ERROR. */
  truncateTo(offset: number): void {
    this.#onDisk(() => this.log.truncateTo(offset));
    this.#onTruncated();
  }

  /** As a follower: the leader has nothing before `offset` any more, and all of this log is before. Throws KAFKA_STORAGE_ERROR. */
  startOverAt(offset: number): void {
    this.#onDisk(() => this.log.truncateFullyAndStartAt(offset));
    this.#highWatermark = offset;
    this.#onTruncated();
  }

  #onTruncated(): void {
    this.#highWatermark = Math.min(this.#highWatermark, this.log.logEndOffset);
    this.log.onHighWatermark(this.#highWatermark);
    this.#notify();
  }

  /** True when it did. */
  #advanceHighWatermark(): boolean {
    const committedOffset = this.#committedOffset();
    if (committedOffset <= this.#highWatermark) return false;
    this.#highWatermark = committedOffset;
    this.log.onHighWatermark(committedOffset);
    return true;
  }

  #committedOffset(): number {
    const { logEndOffset } = this.log;
    if (this.#leading) {
      const { minInsyncReplicas, monotonicMs } = this.#cluster;
      return this.#leading.committedOffset(logEndOffset, minInsyncReplicas(this.topic), monotonicMs);
    }
    const { isr } = this.#state;
    return isr.length === 1 && isr[0] === this.#brokerId ? logEndOffset : -1;
  }

  #notify(): void {
    if (!this.#watchers) return;
    for (const watcher of this.#watchers) watcher.partitionChanged(this);
  }
}
