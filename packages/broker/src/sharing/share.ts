import { type ErrorName, errorName, KafkaError } from '@ottla/protocol';
import type { Clock, Logger, Timer, Timers } from '@ottla/runtime';
import type { Partition, PartitionWatcher } from '../replication/partition.ts';
import type { AcknowledgementBatch } from './acknowledge-type.ts';
import type { AcquiredRange, AcquireRequest, OffsetRange } from './acquire-records.ts';
import type { DeadLetterQueue } from './dead-letter-queue.ts';
import type { GroupSharing } from './group-sharing.ts';
import { startOffsetFor } from './initial-offset.ts';
import { SharePartition } from './share-partition.ts';
import type { SharePersister } from './share-persister.ts';
import type { StateChange } from './state-change.ts';

export type ShareSurroundings = {
  readonly persister: SharePersister;
  readonly deadLetters: DeadLetterQueue;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
};

export type ShareOptions = {
  readonly groupId: string;
  readonly partition: Partition;
  /** As they are now: asked each time. */
  readonly sharing: () => GroupSharing;
  /** Called once, when this share is of no use any more: another leader, a newer state, or what could not be loaded. */
  readonly onClosed: (share: Share) => void;
};

/** Waits for records of a share to become available. */
export interface ShareWatcher {
  shareChanged(share: Share): void;
}

/**
 * The shell around a `SharePartition`: loads it, writes what it decides, moves its clock, and tells who waits. It lives for one leader epoch.
 */
export class Share implements PartitionWatcher {
  readonly groupId: string;
  readonly partition: Partition;
  readonly leaderEpoch: number;
  readonly #sharing: () => GroupSharing;
  readonly #around: ShareSurroundings;
  readonly #onClosed: (share: Share) => void;
  readonly #watchers = new Set<ShareWatcher>();
  #machine: SharePartition | undefined;
  #failure: KafkaError | undefined;
  #timer: Timer | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  #isNeeded = true;
  #changesUnderWay = 0;

  constructor(options: ShareOptions, around: ShareSurroundings) {
    this.groupId = options.groupId;
    this.partition = options.partition;
    this.leaderEpoch = options.partition.leaderEpoch;
    this.#sharing = options.sharing;
    this.#onClosed = options.onClosed;
    this.#around = around;
    this.partition.watch(this);
    this.#load().catch((error: unknown) => this.close(this.#toldToMembers(error)));
  }

  get name(): string {
    return `${this.partition.name} of share group ${this.groupId}`;
  }

  get sharing(): GroupSharing {
    return this.#sharing();
  }

  get isLoading(): boolean {
    return this.#machine === undefined && this.#failure === undefined;
  }

  /** Undefined while it is loading. Throws why it is closed. */
  get machine(): SharePartition | undefined {
    if (this.#failure) throw this.#failure;
    return this.#machine;
  }

  get #nowMs(): number {
    return this.#around.clock.monotonicMs();
  }

  async #load(): Promise<void> {
    const { groupId, partition, leaderEpoch } = this;
    const asked = { partition: partition.index, leaderEpoch };
    const { results } = await this.#around.persister.read({
      groupId,
      topics: [{ topicId: partition.topicId, partitions: [asked] }],
    });
    const result = results[0]?.partitions[0];
    if (!result) throw new KafkaError('UNKNOWN_SERVER_ERROR', `the share coordinator said nothing of ${this.name}`);
    throwPersisterError(result.errorCode, result.errorMessage);
    if (this.#failure) return;
    const startOffset =
      result.startOffset >= 0 ? result.startOffset : startOffsetFor(partition, this.sharing, this.#around.clock);
    this.#machine = new SharePartition({ stateEpoch: result.stateEpoch, startOffset, stateBatches: result.stateBatches });
    this.#notify();
  }

  /** Where the next fetch reads, if somebody may have records there; undefined while nobody may, or nobody knows. Throws why it is closed. */
  nextFetchOffset(): number | undefined {
    const { machine } = this;
    if (!machine) return undefined;
    machine.onLogStartOffset(this.partition.log.logStartOffset);
    const offset = machine.nextFetchOffset(this.#nowMs);
    return machine.canAcquire(offset, this.sharing) ? offset : undefined;
  }

  acquire(request: Omit<AcquireRequest, 'nowMs' | 'sharing'>, aborted: readonly OffsetRange[]): AcquiredRange[] {
    const acquired = this.#machine!.acquire({ ...request, sharing: this.sharing, nowMs: this.#nowMs }, aborted);
    this.#schedule();
    return acquired;
  }

  /** Resolves when what was said is kept. Rejects with INVALID_RECORD_STATE, INVALID_REQUEST, and with what kept it from being kept. */
  async acknowledge(memberId: string, batches: readonly AcknowledgementBatch[]): Promise<void> {
    const { machine } = this;
    if (!machine) throw new KafkaError('COORDINATOR_LOAD_IN_PROGRESS', `${this.name} is being loaded: retry`);
    let change: StateChange;
    try {
      change = machine.acknowledge(memberId, batches, this.sharing, this.#nowMs);
    } catch (error) {
      throw this.#toldToMembers(error);
    }
    await this.#keep(change);
  }

  /** Gives back what the member holds. */
  async release(memberId: string): Promise<void> {
    if (this.#failure || !this.#machine) return;
    await this.#keep(this.#machine.release(memberId, this.sharing, this.#nowMs));
  }

  /** False: it closes as soon as nothing is being written. */
  set isNeeded(isNeeded: boolean) {
    this.#isNeeded = isNeeded;
    this.#closeIfIdle();
  }

  #closeIfIdle(): void {
    if (this.#isNeeded || this.#changesUnderWay > 0) return;
    this.close(new KafkaError('SHARE_SESSION_NOT_FOUND', `no member of ${this.groupId} has a session here`));
  }

  async #keep(change: StateChange): Promise<void> {
    this.#schedule();
    if (change.isEmpty) return;
    this.#changesUnderWay++;
    try {
      await this.#keepOrUndo(change);
    } finally {
      this.#changesUnderWay--;
      this.#closeIfIdle();
    }
  }

  async #keepOrUndo(change: StateChange): Promise<void> {
    const machine = this.#machine!;
    try {
      await this.#write(machine, change);
    } catch (error) {
      machine.fail(change, this.sharing, this.#nowMs);
      this.#afterChange();
      this.#closeIfFenced(error);
      throw this.#toldToMembers(error);
    }
    machine.complete(change, this.#nowMs);
    this.#afterChange();
  }

  async #write(machine: SharePartition, change: StateChange): Promise<void> {
    const { groupId, partition, leaderEpoch } = this;
    const { deadLetterTopic, copiesDeadLetters } = this.sharing;
    if (change.deadLetters.length > 0)
      await this.#around.deadLetters.write({ groupId, deadLetterTopic, copiesDeadLetters }, partition, change.deadLetters);
    const { stateEpoch, startOffset, deliveryCompleteCount } = machine;
    const stateBatches = change.batches
      .filter(({ lastOffset }) => lastOffset >= startOffset)
      .map((batch) => ({ ...batch, firstOffset: Math.max(batch.firstOffset, startOffset) }));
    const state = { partition: partition.index, stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount, stateBatches };
    const { results } = await this.#around.persister.write({
      groupId,
      topics: [{ topicId: partition.topicId, partitions: [state] }],
    });
    const result = results[0]?.partitions[0];
    if (!result) throw new KafkaError('UNKNOWN_SERVER_ERROR', `the share coordinator said nothing of ${this.name}`);
    throwPersisterError(result.errorCode, result.errorMessage);
  }

  #afterChange(): void {
    if (this.#failure) return;
    this.#schedule();
    this.#notify();
  }

  #schedule(): void {
    const wakeMs = this.#failure ? Number.POSITIVE_INFINITY : (this.#machine?.wakeMs ?? Number.POSITIVE_INFINITY);
    if (wakeMs >= this.#timerMs) return;
    this.#timer?.cancel();
    this.#timerMs = wakeMs;
    this.#timer = this.#around.timers.after(Math.max(0, Math.ceil(wakeMs - this.#nowMs)), () => this.#wake());
  }

  #wake(): void {
    this.#timer = undefined;
    this.#timerMs = Number.POSITIVE_INFINITY;
    if (!this.#machine || this.#failure) return;
    const change = this.#machine.wake(this.sharing, this.#nowMs);
    this.#keep(change).catch((error: unknown) => {
      this.#around.logger.warn(`it could not be kept that locks of ${this.name} are over`, { error });
    });
    this.#notify();
  }

  /** Calls back when records may have become available, or never will be here, until `unwatch`. */
  watch(watcher: ShareWatcher): void {
    this.#watchers.add(watcher);
  }

  unwatch(watcher: ShareWatcher): void {
    this.#watchers.delete(watcher);
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher.shareChanged(this);
  }

  partitionChanged(partition: Partition): void {
    if (partition.isLeader && partition.leaderEpoch === this.leaderEpoch) return;
    this.close(new KafkaError('NOT_LEADER_OR_FOLLOWER', `${partition.name} moved to another leader: refresh metadata`));
  }

  /** What is no protocol error stays here, whole. */
  #toldToMembers(error: unknown): KafkaError {
    if (error instanceof KafkaError) return error;
    this.#around.logger.error(`the share state of ${this.name} failed unexpectedly`, { error });
    return new KafkaError('UNKNOWN_SERVER_ERROR', 'the state of the share group could not be kept', { cause: error });
  }

  /** Somebody else's state is newer: what is here is of no use, and the next fetch loads it again. */
  #closeIfFenced(error: unknown): void {
    if (error instanceof KafkaError && fencingErrors.has(error.name)) this.close(error);
  }

  /** From here on everybody is told `reason`; the locks are forgotten with their records. */
  close(reason: KafkaError): void {
    if (this.#failure) return;
    this.#failure = reason;
    this.#timer?.cancel();
    this.partition.unwatch(this);
    this.#onClosed(this);
    this.#notify();
    this.#watchers.clear();
  }
}

const fencingErrors: ReadonlySet<ErrorName> = new Set([
  'NOT_LEADER_OR_FOLLOWER',
  'FENCED_STATE_EPOCH',
  'GROUP_ID_NOT_FOUND',
  'UNKNOWN_TOPIC_OR_PARTITION',
]);

/** What a member is told of the share coordinator's errors. */
function throwPersisterError(code: number, message: string | null): void {
  if (code === 0) return;
  const name = errorName(code);
  throw new KafkaError(toMembers[name] ?? 'UNKNOWN_SERVER_ERROR', message ?? `the share coordinator answered ${name}`);
}

const toMembers: Partial<Record<ErrorName, ErrorName>> = {
  NOT_COORDINATOR: 'COORDINATOR_NOT_AVAILABLE',
  COORDINATOR_NOT_AVAILABLE: 'COORDINATOR_NOT_AVAILABLE',
  COORDINATOR_LOAD_IN_PROGRESS: 'COORDINATOR_NOT_AVAILABLE',
  GROUP_ID_NOT_FOUND: 'GROUP_ID_NOT_FOUND',
  UNKNOWN_TOPIC_OR_PARTITION: 'UNKNOWN_TOPIC_OR_PARTITION',
  FENCED_STATE_EPOCH: 'NOT_LEADER_OR_FOLLOWER',
  FENCED_LEADER_EPOCH: 'NOT_LEADER_OR_FOLLOWER',
};
