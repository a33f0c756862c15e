import type { Partition, PartitionWatcher } from '../replication/partition.ts';
import type { ReplicaProgress } from '../replication/replica-progress.ts';

/** What a fetcher asks of one partition. Without topic ids (before v13) `topicId` is the zero id, with them `topic` is resolved late. */
export type FetchPartition = {
  topic: string | undefined;
  readonly topicId: string;
  readonly index: number;
  fetchOffset: number;
  maxBytes: number;
  currentLeaderEpoch: number;
  lastFetchedEpoch: number;
  logStartOffset: number;
};

/** A partition remembered by a session, with what the fetcher was last told about it. */
export type SessionPartition = FetchPartition & {
  sentHighWatermark: number;
  sentLogStartOffset: number;
  /** Its place in the order of service. */
  turn: number;
  /** Set while it is quiet. */
  quietAt: Partition | undefined;
  /** The fetcher's replica, if it is a follower. Set while the partition is quiet. */
  replica: ReplicaProgress | undefined;
};

/** What one partition answers, as far as a session remembers it. */
type Answer = {
  readonly asked: FetchPartition;
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly logStartOffset: number;
  readonly records: Uint8Array;
  readonly divergingEpoch?: object;
  readonly preferredReadReplica?: number;
};

/** As whom the partitions of a session are read. */
export type Reader = {
  readonly bound: string;
  readonly replicaId: number;
  readonly replicaEpoch: number;
  /** Of the broker that follows, as the metadata has it. */
  readonly activeEpoch: number | undefined;
};

/** Where a partition of which there is nothing to tell would have to change for that to be otherwise. */
export type QuietPlace = { readonly partition: Partition; readonly replica: ReplicaProgress | undefined };

/** Waits while a fetch of the session does. */
export type StirListener = (asked: SessionPartition, partition: Partition) => void;

export function partitionKey(
  usesTopicIds: boolean,
  partition: { topic: string | undefined; topicId: string; index: number },
): string {
  return `${usesTopicIds ? partition.topicId : partition.topic}:${partition.index}`;
}

/**
 * The partitions that a fetcher follows, kept between its requests so that each names only what changed (KIP-227).
 *
 * Those of which the fetcher has all and knows all are quiet: nobody looks at them before they change, so that a follower of thousands costs no
 * more than what is written. Invariant: a partition is quiet and watched, or it is among those that the next fetch looks at.
 */
export class FetchSession implements PartitionWatcher {
  readonly id: number;
  readonly usesTopicIds: boolean;
  readonly isFollower: boolean;
  readonly #partitions = new Map<string, SessionPartition>();
  readonly #stirred = new Set<SessionPartition>();
  readonly #listeners = new Set<StirListener>();
  #reader: Reader | undefined;
  #isClosed = false;
  #lastTurn = 0;
  /** The epoch that the next request must carry. */
  nextEpoch = 1;
  lastUsedMs: number;
  /** When its fetcher last asked, and so acknowledged what it has of quiet partitions. */
  lastFetchMs = Number.NEGATIVE_INFINITY;

  constructor(identity: { id: number; usesTopicIds: boolean; isFollower: boolean; nowMs: number }) {
    this.id = identity.id;
    this.usesTopicIds = identity.usesTopicIds;
    this.isFollower = identity.isFollower;
    this.lastUsedMs = identity.nowMs;
  }

  get size(): number {
    return this.#partitions.size;
  }

  /** How many of them the next fetch looks at. */
  get stirredCount(): number {
    return this.#stirred.size;
  }

  /** Takes in what a request changes: new positions, partitions added, partitions forgotten. */
  update(
    changed: Iterable<FetchPartition>,
    forgotten: Iterable<{ topic: string | undefined; topicId: string; index: number }>,
  ): void {
    for (const asked of changed) {
      const key = partitionKey(this.usesTopicIds, asked);
      const known = this.#partitions.get(key);
      if (known) {
        // A follower drops what it is answered in an epoch that it has left, and with it the high watermark.
        if (asked.currentLeaderEpoch !== known.currentLeaderEpoch) known.sentHighWatermark = -1;
        Object.assign(known, asked, { topic: asked.topic ?? known.topic });
        this.#stir(known);
      } else this.#add(key, asked);
    }
    for (const partition of forgotten) {
      const key = partitionKey(this.usesTopicIds, partition);
      const known = this.#partitions.get(key);
      if (!known) continue;
      this.#stir(known);
      this.#stirred.delete(known);
      this.#partitions.delete(key);
    }
    this.nextEpoch = this.nextEpoch === 0x7fffffff ? 1 : this.nextEpoch + 1;
  }

  #add(key: string, asked: FetchPartition): void {
    const told = { sentHighWatermark: -1, sentLogStartOffset: -1, turn: ++this.#lastTurn };
    const added: SessionPartition = { ...asked, ...told, quietAt: undefined, replica: undefined };
    this.#partitions.set(key, added);
    this.#stirred.add(added);
  }

  /** Of whom it is not the same reader as before, or who may be sent elsewhere at any time, everything is looked at. */
  readBy(reader: Reader): void {
    const before = this.#reader;
    this.#reader = reader;
    const isSame =
      before?.bound === reader.bound &&
      before.replicaId === reader.replicaId &&
      before.replicaEpoch === reader.replicaEpoch &&
      before.activeEpoch === reader.activeEpoch;
    if (!isSame) this.stirAll();
  }

  stirAll(): void {
    for (const known of this.#partitions.values()) this.#stir(known);
  }

  /** Those of which there may be something to tell, in the order of service. */
  stirred(): SessionPartition[] {
    return [...this.#stirred].sort((one, other) => one.turn - other.turn);
  }

  /** Tells `listener` of each partition that is quiet no more, until `unlisten`. */
  listen(listener: StirListener): void {
    this.#listeners.add(listener);
  }

  unlisten(listener: StirListener): void {
    this.#listeners.delete(listener);
  }

  partitionChanged(partition: Partition): void {
    const known = this.#partitions.get(partitionKey(this.usesTopicIds, partition));
    if (known?.quietAt !== partition) return;
    this.#stir(known);
    for (const listener of this.#listeners) listener(known, partition);
  }

  #stir(known: SessionPartition): void {
    known.quietAt?.unwatch(this);
    known.replica?.unfollowed();
    known.quietAt = undefined;
    known.replica = undefined;
    this.#stirred.add(known);
  }

  /** Remembers what the fetcher is told, and returns what of it is new to it: data, errors, and offsets that moved. */
  told<Told extends Answer>(answers: readonly Told[]): Told[] {
    return answers.filter((answer) => {
      const known = this.#partitions.get(partitionKey(this.usesTopicIds, answer.asked));
      if (!known) return true;
      const isNews = remember(known, answer);
      // Whoever gave data is asked last next time, so that one busy partition cannot starve the others.
      if (answer.records.length > 0) known.turn = ++this.#lastTurn;
      return isNews;
    });
  }

  /** Lets those rest of which there is nothing to tell until they change. `placeOf`: undefined, there is. */
  quiet(placeOf: (known: SessionPartition) => QuietPlace | undefined): void {
    if (this.#isClosed) return;
    for (const known of this.#stirred) {
      const place = placeOf(known);
      if (!place) continue;
      this.#stirred.delete(known);
      known.quietAt = place.partition;
      known.replica = place.replica;
      place.partition.watch(this);
      place.replica?.followedBy(this);
    }
  }

  /** Nobody fetches by it any more. */
  close(): void {
    this.stirAll();
    this.#isClosed = true;
  }
}

/** Notes what the fetcher is told now; true if it is anything new. */
function remember(known: SessionPartition, answer: Answer): boolean {
  const moved = answer.highWatermark !== known.sentHighWatermark || answer.logStartOffset !== known.sentLogStartOffset;
  // Makes the next answer count as news: after an error the fetcher hears of the recovery, and who is told where its log diverges takes over no
  // high watermark before it is truncated (which Kafka's sessions do not make up for).
  const isTakenOver = answer.errorCode === 0 && answer.divergingEpoch === undefined;
  known.sentHighWatermark = isTakenOver ? answer.highWatermark : -1;
  known.sentLogStartOffset = answer.logStartOffset;
  if (moved || answer.errorCode !== 0 || answer.records.length > 0) return true;
  return answer.divergingEpoch !== undefined || answer.preferredReadReplica !== undefined;
}
