import { KafkaError } from '@ottla/protocol';
import { IoError } from '@ottla/runtime';
import type { AbortedTransaction, AppendOptions, AppendResult, Log, LogRead } from '@ottla/storage';

/** What the metadata log says about a partition; see PartitionRecord and PartitionChangeRecord. */
export type PartitionState = {
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
};

/** Below which offset a fetch may read. */
export type ReadBound = 'logEnd' | 'highWatermark' | 'lastStableOffset';

/** Waits for something to become of a partition. */
export interface PartitionWatcher {
  /** Called after each append, move of an offset, or loss of leadership. */
  partitionChanged(partition: Partition): void;
}

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
  /** The text of the failure that was told last, until an append succeeds. */
  #toldFailure: string | undefined;
  #state: PartitionState = { leader: -1, leaderEpoch: -1, partitionEpoch: -1, replicas: [], isr: [] };
  #highWatermark: number;
  #hasStaged = false;
  #isCommitted = false;
  /** A set so that one that leaves costs nothing; absent while nobody waits. */
  #watchers: Set<PartitionWatcher> | undefined;

  /** Starts from the highWatermark that the log was opened with. `onIoError` is told when the disk fails an append or a read. */
  constructor(identity: { topic: string; index: number; topicId: string; brokerId: number }, log: Log, onIoError: OnIoError) {
    this.topic = identity.topic;
    this.index = identity.index;
    this.topicId = identity.topicId;
    this.#brokerId = identity.brokerId;
    this.#log = log;
    this.#onIoError = onIoError;
    this.#highWatermark = log.highWatermark;
  }

  get log(): Log {
    return this.#log;
  }

  /** The same records in another log directory take the place of the log. */
  replaceLog(log: Log): void {
    log.onHighWatermark(this.#highWatermark);
    log.takeOverVerifications(this.#log);
    this.#log = log;
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

  get isr(): readonly number[] {
    return this.#state.isr;
  }

  /** Takes over what the metadata log says now. */
  updateState(state: PartitionState): void {
    this.#state = state;
    if (this.isLeader) {
      if (state.leaderEpoch > this.log.latestEpoch) this.log.assignLeaderEpoch(state.leaderEpoch, this.log.logEndOffset);
      this.#advanceHighWatermark();
    }
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
    const minimum = Math.min(minInsyncReplicas, this.#state.replicas.length);
    if (requiredAcks !== -1 || this.#state.isr.length >= minimum) return;
    throw new KafkaError(
      'NOT_ENOUGH_REPLICAS',
      `the isr of ${this.name} has ${this.#state.isr.length} members, min.insync.replicas asks for ${minimum}`,
    );
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
    this.#notify();
    return this.log.logStartOffset;
  }

  /** Tells `watcher` of each change that a waiting request may care about, until `unwatch`. */
  watch(watcher: PartitionWatcher): void {
    this.#watchers ??= new Set();
    this.#watchers.add(watcher);
  }

  unwatch(watcher: PartitionWatcher): void {
    this.#watchers?.delete(watcher);
  }

  /** Resolves once the highWatermark is at `endOffset` or above; rejects NOT_LEADER_OR_FOLLOWER when leadership goes before. */
  whenCommitted(endOffset: number): Promise<void> {
    if (this.#highWatermark >= endOffset) return Promise.resolve();
    const { leaderEpoch } = this.#state;
    return new Promise((resolve, reject) => {
      const watcher: PartitionWatcher = {
        partitionChanged: () => {
          if (this.#highWatermark >= endOffset) resolve();
          else if (!this.isLeader || this.leaderEpoch !== leaderEpoch)
            reject(new KafkaError('NOT_LEADER_OR_FOLLOWER', `${this.name} moved to another leader`));
          else return;
          this.unwatch(watcher);
        },
      };
      this.watch(watcher);
    });
  }

  /** The topic is being deleted, or the broker stops: whoever waits looks again and finds no leader here. */
  resign(): void {
    this.#state = { ...this.#state, leader: -1 };
    this.#notify();
  }

  // This release replicates to no other broker, so the isr's smallest end offset is known only when the isr is this broker alone.
  #advanceHighWatermark(): void {
    if (this.#state.isr.length !== 1 || this.#state.isr[0] !== this.#brokerId) return;
    if (this.log.logEndOffset <= this.#highWatermark) return;
    this.#highWatermark = this.log.logEndOffset;
    this.log.onHighWatermark(this.#highWatermark);
  }

  #notify(): void {
    if (!this.#watchers) return;
    for (const watcher of this.#watchers) watcher.partitionChanged(this);
  }
}
