import { KafkaError, type RecordHeader } from '@ottla/protocol';
import {
  type CommittedOffset,
  fetchCommitted,
  type Membership,
  type OffsetToCommit,
  requireOffset,
  sendCommit,
} from '../admin/group-offsets.ts';
import { ClientClosedError } from '../client-closed-error.ts';
import { Cluster } from '../cluster/cluster.ts';
import { Signal } from '../cluster/signal.ts';
import { partitionName, type TopicPartition } from '../topic-partition.ts';
import { CommitOrder } from './commit-order.ts';
import {
  type CompleteConsumerConfig,
  type ConsumerConfig,
  completeConsumerConfig,
  type Deserializer,
} from './consumer-config.ts';
import { Fetcher } from './fetcher.ts';
import { GroupMembership } from './group-membership.ts';
import { PartitionState } from './partition-state.ts';
import { PositionFinder } from './position-finder.ts';
import type { CurrentRecord } from './record-reader.ts';

export type ConsumerRecord<Key = Uint8Array, Value = Uint8Array> = {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since 1970; -1 in formats without. */
  readonly timestamp: number;
  readonly key: Key | null;
  readonly value: Value | null;
  readonly headers: readonly RecordHeader[];
  readonly leaderEpoch: number;
};

export type RebalanceListener = {
  readonly onAssigned?: (partitions: readonly TopicPartition[]) => void | Promise<void>;
  /** Before others get them: the last chance to commit. */
  readonly onRevoked?: (partitions: readonly TopicPartition[]) => void | Promise<void>;
  /** Others may have them already. */
  readonly onLost?: (partitions: readonly TopicPartition[]) => void | Promise<void>;
};

/** Who reads, for `producer.sendOffsetsToTransaction`: a coordinator takes offsets of present members only (KIP-447). */
export type ConsumerGroupMetadata = {
  readonly groupId: string;
  readonly memberId: string;
  readonly generationId: number;
  readonly groupInstanceId: string | null;
};

/** A wait looks around at least this often: for commits that are due, and metadata that has changed. */
const longestWaitMs = 1000;
/** Rebalances and closing wait for last commits so long. */
const commitPatienceMs = 5000;

/**
 * Reads records: of the topics it subscribes to, shared with the other members of its group, or of partitions it is assigned.
 * Records count as consumed when the next ones are asked for; auto-commit commits no further.
 */
export class Consumer<Key = Uint8Array, Value = Uint8Array> {
  readonly #config: CompleteConsumerConfig;
  readonly #deserializeKey: Deserializer<Key> | undefined;
  readonly #deserializeValue: Deserializer<Value> | undefined;
  readonly #cluster: Cluster;
  readonly #signal: Signal;
  readonly #fetcher: Fetcher;
  readonly #finder: PositionFinder;
  readonly #membership: GroupMembership;
  readonly #states = new Map<string, PartitionState>();
  /** Undefined after `assign`, and before either. */
  #subscription: { readonly topics: readonly string[]; readonly listener: RebalanceListener } | undefined;
  #needsJoin = false;
  #isLost = false;
  /** Between joining and giving up what joining brought. */
  #isMember = false;
  /** For a group's leader: the partitions its assignment was based on. */
  #basis: ReadonlyMap<string, number> | undefined;
  #joining: Promise<void> | undefined;
  /** What a join begins with. */
  #givingUp: Promise<void> | undefined;
  #failure: Error | undefined;
  #nextCommitMs: number;
  readonly #commits: CommitOrder;
  #isAutoCommitting = false;
  #listenersCalled = 0;
  /** Resolves as soon as a listener is being called. */
  #listenerCalled = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;

  /** Throws INVALID_CONFIG. Connects when first used. */
  constructor(config: ConsumerConfig<Key, Value>) {
    this.#config = completeConsumerConfig(config as ConsumerConfig<unknown, unknown>);
    this.#deserializeKey = config.keyDeserializer;
    this.#deserializeValue = config.valueDeserializer;
    this.#cluster = new Cluster(this.#config, { client: 'consumer', createsTopics: this.#config.allowAutoCreateTopics });
    this.#signal = new Signal(this.#cluster.runtime.timers);
    this.#commits = new CommitOrder(this.#cluster.runtime, (offsets, membership, timeoutMs) => {
      const { groupId } = this.#config;
      return this.#atCoordinator(timeoutMs, (connection) =>
        sendCommit(connection, { groupId, offsets, ...(membership ? { membership } : {}) }),
      );
    });
    this.#nextCommitMs = this.#nowMs + this.#config.autoCommitIntervalMs;
    this.#fetcher = new Fetcher(this.#cluster, this.#config, {
      assigned: () => this.#states.values(),
      onProgress: () => this.#signal.notify(),
      onOutOfRange: (state) => this.#resetPosition(state),
    });
    this.#finder = new PositionFinder(this.#cluster, this.#config, {
      assigned: () => this.#states.values(),
      committed: (partitions) => this.#fetchCommitted(partitions, 0),
      onProgress: () => this.#signal.notify(),
      onFailure: (error) => this.#fail(error),
    });
    this.#membership = new GroupMembership(this.#cluster, this.#config, {
      onRejoinNeeded: ({ isLost }) => {
        this.#needsJoin = true;
        this.#isLost ||= isLost;
        this.#signal.notify();
      },
      onFailure: (error) => this.#fail(error),
    });
  }

  get #nowMs(): number {
    return this.#cluster.runtime.clock.monotonicMs();
  }

  /** Optional: finds out at once whether there is a broker. Rejects with NETWORK_EXCEPTION. */
  connect(): Promise<void> {
    return this.#cluster.connect();
  }

  /** Joins the group when records are next asked for. Replaces the topics of an earlier call. */
  subscribe(topics: readonly string[], listener: RebalanceListener = {}): void {
    this.#assertOpen();
    this.#requireGroup('subscribe');
    if (!this.#subscription && this.#states.size > 0)
      throw new Error('this consumer was assigned partitions: it cannot subscribe too');
    this.#subscription = { topics: [...topics], listener };
    this.#cluster.watch(topics);
    this.#needsJoin = true;
    this.#signal.notify();
  }

  /** Reads just these partitions, whatever the group does. Replaces those of an earlier call; positions of those that stay are kept. */
  assign(partitions: readonly TopicPartition[]): void {
    this.#assertOpen();
    if (this.#subscription) throw new Error('this consumer subscribes to topics: its group assigns the partitions');
    const kept = new Map(this.#states);
    this.#states.clear();
    for (const partition of partitions) {
      const name = partitionName(partition);
      this.#states.set(name, kept.get(name) ?? new PartitionState(partition));
    }
    this.#cluster.watch(partitions.map(({ topic }) => topic));
    this.#signal.notify();
  }

  get assignment(): TopicPartition[] {
    return [...this.#states.values()].map(({ topic, partition }) => ({ topic, partition }));
  }

  /** Throws INVALID_REQUEST for what is no offset; one that the log does not have starts over by `autoOffsetReset`. */
  seek(partition: TopicPartition, offset: number): void {
    requireOffset(offset);
    this.#stateOf(partition).seek(offset);
    this.#signal.notify();
  }

  /** All assigned partitions unless given. */
  seekToBeginning(partitions: readonly TopicPartition[] = this.assignment): void {
    for (const partition of partitions) this.#stateOf(partition).seekTo('earliest');
    this.#signal.notify();
  }

  /** Where the log ends when records are next asked for. */
  seekToEnd(partitions: readonly TopicPartition[] = this.assignment): void {
    for (const partition of partitions) this.#stateOf(partition).seekTo('latest');
    this.#signal.notify();
  }

  /** The next offset to be given out; undefined until it is found out. */
  position(partition: TopicPartition): number | undefined {
    return this.#stateOf(partition).position;
  }

  /** Stops giving out records of these partitions, and stays their owner. */
  pause(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) this.#stateOf(partition).isPaused = true;
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) this.#stateOf(partition).isPaused = false;
    this.#signal.notify();
  }

  #stateOf(partition: TopicPartition): PartitionState {
    const state = this.#states.get(partitionName(partition));
    if (!state) throw new Error(`partition ${partitionName(partition)} is not assigned to this consumer`);
    return state;
  }

  /**
   * The next records, at most `maxPollRecords`; waits up to `timeoutMs` for the first. Empty when there are none, and when the
   * consumer closes meanwhile; a later call rejects with ClientClosedError. Rejects with what does not pass by itself: authorization, corrupt records, a refused group member.
   */
  async poll({ timeoutMs = 0 }: { timeoutMs?: number } = {}): Promise<ConsumerRecord<Key, Value>[]> {
    this.#assertOpen();
    this.#requirePartitions();
    const records: ConsumerRecord<Key, Value>[] = [];
    await this.#take(this.#config.maxPollRecords, records, timeoutMs);
    return records;
  }

  /** Records without end, until the consumer closes. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ConsumerRecord<Key, Value>, void, undefined> {
    if (!this.#closing) this.#requirePartitions();
    const records: ConsumerRecord<Key, Value>[] = [];
    while (!this.#closing) {
      // One at a time, so that the position is never ahead of what the loop has seen.
      await this.#take(1, records, Number.POSITIVE_INFINITY);
      const record = records.pop();
      if (record) yield record;
    }
  }

  /** Who reads from nothing would wait for ever. */
  #requirePartitions(): void {
    if (!this.#subscription && this.#states.size === 0)
      throw new Error('this consumer reads nothing yet: subscribe to topics, or assign partitions');
  }

  async #take(max: number, records: ConsumerRecord<Key, Value>[], timeoutMs: number): Promise<void> {
    const deadlineMs = this.#nowMs + timeoutMs;
    for (;;) {
      if (this.#closing) return;
      this.#membership.polled();
      this.#throwIfFailed();
      this.#commitIfDue();
      if (this.#isReady()) {
        this.#fetcher.take(max, (state, record, leaderEpoch) => records.push(this.#recordOf(state, record, leaderEpoch)));
        if (records.length > 0) return;
        this.#fetcher.send();
      }
      const remainingMs = deadlineMs - this.#nowMs;
      if (remainingMs <= 0) return;
      await this.#signal.wait(Math.min(remainingMs, this.#untilNextLookMs()));
    }
  }

  #untilNextLookMs(): number {
    let waitMs = longestWaitMs;
    const nowMs = this.#nowMs;
    for (const { retryAtMs } of this.#states.values()) if (retryAtMs > nowMs) waitMs = Math.min(waitMs, retryAtMs - nowMs);
    return waitMs;
  }

  #recordOf(state: PartitionState, record: CurrentRecord, leaderEpoch: number): ConsumerRecord<Key, Value> {
    const { topic, partition } = state;
    const { offset, timestamp, key, value } = record;
    return {
      topic,
      partition,
      offset,
      timestamp,
      key: key && this.#deserializeKey ? this.#deserializeKey(key, topic) : (key as Key | null),
      value: value && this.#deserializeValue ? this.#deserializeValue(value, topic) : (value as Value | null),
      headers: record.headers(),
      leaderEpoch,
    };
  }

  #throwIfFailed(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure;
    this.#fetcher.throwIfFailed();
  }

  #fail(error: Error): void {
    if (this.#closing) return;
    this.#failure = error;
    this.#signal.notify();
  }

  /** Whether records may be given out; if not, sets going what is missing. */
  #isReady(): boolean {
    this.#noticeNewMetadata();
    if (this.#subscription && this.#needsJoin) this.#beginToJoin();
    // Nothing is given out before its listener knows.
    if (this.#joining) return false;
    this.#finder.send();
    return true;
  }

  #beginToJoin(): void {
    this.#joining ??= this.#join()
      .catch((error: unknown) => this.#fail(error as Error))
      .finally(() => {
        this.#joining = undefined;
        this.#signal.notify();
      });
  }

  /** Topics that are not there yet are asked for each time; what is there, when it has become old. */
  #noticeNewMetadata(): void {
    const { metadata, isMetadataOld } = this.#cluster;
    const isMissing = this.#subscription?.topics.some((topic) => !metadata.topic(topic));
    if (isMetadataOld || (isMissing && this.#nowMs - metadata.updatedAtMs > longestWaitMs)) {
      // Who has been asked all the time may be cut off from the controllers, and say so of nothing.
      this.#cluster.askAnother();
      // Whoever needs the answer asks again.
      this.#cluster.refreshMetadata().catch(() => {});
    }
    if (!this.#basis || this.#needsJoin) return;
    for (const [topic, count] of this.#basis) {
      const known = metadata.topic(topic);
      if (known && known.partitions.length !== count) this.#needsJoin = true;
    }
  }

  async #join(): Promise<void> {
    this.#givingUp = this.#giveUpAssignment(this.#subscription!.listener).finally(() => {
      this.#givingUp = undefined;
    });
    await this.#givingUp;
    if (this.#closing) return;
    // The application may have subscribed to others meanwhile.
    const { topics, listener } = this.#subscription!;
    this.#needsJoin = false;
    this.#isLost = false;
    try {
      const { assigned, basis } = await this.#membership.join(topics);
      this.#cluster.watch(assigned.map(({ topic }) => topic));
      if (assigned.some(({ topic, partition }) => !this.#cluster.metadata.partition(topic, partition)))
        await this.#cluster.refreshMetadata();
      // The group has given them to others meanwhile, or this one leaves: nobody is told of what is not its own.
      if (this.#isLost || this.#closing) return;
      this.#basis = basis;
      for (const partition of assigned) this.#states.set(partitionName(partition), new PartitionState(partition));
      this.#isMember = true;
      await this.#listening(() => listener.onAssigned?.(assigned));
    } catch (error) {
      this.#needsJoin = true;
      if (!(error instanceof KafkaError && error.retriable)) throw error;
    }
  }

  async #giveUpAssignment(listener: RebalanceListener): Promise<void> {
    if (!this.#isMember) return;
    this.#isMember = false;
    // The listener may close the consumer, which is to find that this is under way.
    await Promise.resolve();
    try {
      if (this.#config.enableAutoCommit && !this.#isLost) await this.#autoCommit();
      await this.#tellGivenUp(listener);
      // The coordinator takes them before the member joins again, not after.
      if (!this.#isLost) await this.#commits.end(commitPatienceMs);
    } finally {
      // Also when the listener fails: others read them from now on.
      this.#states.clear();
      this.#basis = undefined;
    }
  }

  async #tellGivenUp(listener: RebalanceListener): Promise<void> {
    if (this.#isLost && listener.onLost) await this.#listening(() => listener.onLost!(this.assignment));
    else await this.#listening(() => listener.onRevoked?.(this.assignment));
  }

  /** Calls the application, which may wait for the close of this consumer. */
  async #listening(tell: () => void | Promise<void>): Promise<void> {
    this.#listenersCalled++;
    this.#listenerCalled.resolve();
    try {
      await tell();
    } finally {
      if (--this.#listenersCalled === 0) this.#listenerCalled = Promise.withResolvers();
    }
  }

  #resetPosition(state: PartitionState): void {
    try {
      const { topic, partition, position } = state;
      const fields = { topic, partition, offset: position, autoOffsetReset: this.#config.autoOffsetReset };
      this.#finder.startOver(state);
      this.#cluster.runtime.logger.warn('the position is outside the log: starting over by autoOffsetReset', fields);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** What the group has committed for these partitions, or the assigned ones. */
  committed(partitions: readonly TopicPartition[] = this.assignment): Promise<CommittedOffset[]> {
    this.#requireGroup('read committed offsets');
    return this.#fetchCommitted(partitions, this.#config.defaultApiTimeoutMs);
  }

  #fetchCommitted(partitions: readonly TopicPartition[], timeoutMs: number): Promise<CommittedOffset[]> {
    const { groupId } = this.#config;
    return this.#atCoordinator(timeoutMs, (connection) =>
      fetchCommitted(connection, { groupId, partitions, requireStable: true }),
    );
  }

  /** Commits the positions of all assigned partitions, or these offsets: of the next record wanted each. */
  async commit(offsets: readonly OffsetToCommit[] = this.#positions()): Promise<void> {
    // Also from a listener that hears of the consumer's close.
    this.#cluster.assertOpen();
    this.#requireGroup('commit offsets');
    for (const { offset } of offsets) requireOffset(offset);
    await this.#commit(offsets, this.#config.defaultApiTimeoutMs);
  }

  async #commit(offsets: readonly OffsetToCommit[], timeoutMs: number): Promise<void> {
    if (offsets.length === 0) return;
    // As of now: when its turn has come, the partitions may be another's, and this one the member of another generation.
    const membership = this.#committer();
    try {
      await this.#commits.commit(offsets, membership, timeoutMs);
    } catch (error) {
      if (error instanceof KafkaError && membership) this.#membership.commitFailed(error, membership);
      throw error;
    }
  }

  /** Who was assigned its partitions commits as nobody, which a group without members takes. */
  #committer(): Membership | undefined {
    if (!this.#subscription) return undefined;
    const { membership } = this.#membership;
    if (membership.memberId !== '') return membership;
    throw new KafkaError(
      'UNKNOWN_MEMBER_ID',
      `this consumer has not joined group ${this.#config.groupId} yet: poll, then commit`,
    );
  }

  #atCoordinator<T>(
    timeoutMs: number,
    send: (connection: Awaited<ReturnType<Cluster['coordinatorOf']>>) => Promise<T>,
  ): Promise<T> {
    const { groupId } = this.#config;
    return this.#cluster.retry(timeoutMs, async () => {
      try {
        return await send(await this.#cluster.coordinatorOf(groupId, 'group'));
      } catch (error) {
        if (error instanceof KafkaError && error.retriable) this.#cluster.forgetCoordinator(groupId);
        throw error;
      }
    });
  }

  #positions(): OffsetToCommit[] {
    return [...this.#states.values()]
      .filter(({ position }) => position !== undefined)
      .map(({ topic, partition, position, leaderEpoch }) => ({ topic, partition, offset: position!, leaderEpoch }));
  }

  #commitIfDue(): void {
    const { enableAutoCommit, groupId, autoCommitIntervalMs } = this.#config;
    if (!enableAutoCommit || groupId === '' || this.#nowMs < this.#nextCommitMs || this.#isAutoCommitting || this.#needsJoin)
      return;
    this.#nextCommitMs = this.#nowMs + autoCommitIntervalMs;
    this.#isAutoCommitting = true;
    void this.#autoCommit().finally(() => {
      this.#isAutoCommitting = false;
    });
  }

  /** Its failure is no reason to stop: what is not committed is given out again, to whoever comes next. */
  async #autoCommit(): Promise<void> {
    if (this.#config.groupId === '') return;
    try {
      await this.#commit(this.#positions(), commitPatienceMs);
    } catch (error) {
      if (error instanceof ClientClosedError) return;
      this.#cluster.runtime.logger.warn('auto-commit failed', { groupId: this.#config.groupId, error: (error as Error).message });
    }
  }

  /**
   * As the last join left it: ask again for each transaction. Who has lost its partitions since, also without knowing, is refused by its
   * group's coordinator. Throws INVALID_GROUP_ID without a `groupId`.
   */
  get groupMetadata(): ConsumerGroupMetadata {
    this.#requireGroup('send its offsets to a transaction');
    return { groupId: this.#config.groupId, ...this.#membership.membership };
  }

  /** Commits (with auto-commit), leaves the group, disconnects. At any moment: polls under way come back empty. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#signal.notify();
    const tell = (error: unknown): void =>
      this.#cluster.runtime.logger.warn('the consumer closes, and something fails', { error: (error as Error).message });
    const ownsPartitions = !this.#subscription || (this.#isMember && !this.#isLost);
    try {
      // A listener that commits does so as a member still, unless it takes long or waits for this itself.
      if (this.#givingUp) await this.#withPatience(this.#givingUp).catch(tell);
      if (this.#config.enableAutoCommit && ownsPartitions) await this.#autoCommit();
      try {
        if (this.#isMember) await this.#withPatience(this.#tellGivenUp(this.#subscription!.listener));
        await this.#commits.end(commitPatienceMs);
      } finally {
        if (this.#subscription) await this.#membership.leave('the consumer is closed');
      }
    } catch (error) {
      tell(error);
    } finally {
      await this.#cluster.close();
      await Promise.all([Promise.race([this.#joining, this.#listenerCalled.promise]), this.#finder.ended()]);
    }
  }

  #withPatience(task: Promise<void>): Promise<void> {
    return Promise.race([task, this.#cluster.pause(commitPatienceMs)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #assertOpen(): void {
    if (this.#closing) throw new ClientClosedError('consumer');
  }

  #requireGroup(what: string): void {
    if (this.#config.groupId === '') throw new KafkaError('INVALID_GROUP_ID', `to ${what}, a consumer needs a groupId`);
  }
}
