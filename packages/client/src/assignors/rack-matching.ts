/** Which member can read which partition from a replica in its own rack (KIP-881). */
import type { TopicPartition } from '../topic-partition.ts';
import type { MemberSubscription, ReplicaRacks } from './assignor.ts';

export class RackMatching {
  readonly #racks = new Map<string, readonly ReadonlySet<string>[]>();

  constructor(partitionCounts: ReadonlyMap<string, number>, replicaRacks: ReplicaRacks = new Map()) {
    for (const [topic, partitionCount] of partitionCounts) {
      const named = replicaRacks.get(topic) ?? [];
      const racks = Array.from({ length: partitionCount }, (_, at) => new Set(named[at]?.filter((rack) => rack !== '')));
      this.#racks.set(topic, racks);
    }
  }

  /** False when racks make no difference: none are named, members and partitions share none, or every partition is in all of them. */
  matterFor(topics: Iterable<string>, members: Iterable<MemberSubscription>): boolean {
    const partitions = [...topics].flatMap((topic) => this.#racks.get(topic) ?? []);
    const all = new Set(partitions.flatMap((racks) => [...racks]));
    const isShared = [...members].some(({ rackId }) => rackId && all.has(rackId));
    return isShared && !partitions.every(({ size }) => size === all.size);
  }

  /** A member that names no rack reads anything equally well. */
  matches({ rackId }: MemberSubscription, partition: TopicPartition): boolean {
    return !rackId || this.racksOf(partition).has(rackId);
  }

  /** The member names a rack, and it is one of the partition's. */
  isNearby({ rackId }: MemberSubscription, partition: TopicPartition): boolean {
    return Boolean(rackId) && this.racksOf(partition).has(rackId!);
  }

  /** Partitions that fewer of their subscribers can read nearby come first; others keep their order. */
  mostConstrainedFirst(partitions: readonly TopicPartition[], members: readonly MemberSubscription[]): TopicPartition[] {
    const readers = new Map<string, Map<string, number>>();
    for (const { topics, rackId } of members) {
      for (const topic of new Set(rackId ? topics : [])) {
        const inRack = readers.get(topic) ?? new Map<string, number>();
        readers.set(topic, inRack.set(rackId!, (inRack.get(rackId!) ?? 0) + 1));
      }
    }
    const nearbyReaders = (partition: TopicPartition): number =>
      [...this.racksOf(partition)].reduce((sum, rack) => sum + (readers.get(partition.topic)?.get(rack) ?? 0), 0);
    return partitions
      .map((partition) => ({ partition, readers: nearbyReaders(partition) }))
      .sort((one, other) => one.readers - other.readers)
      .map(({ partition }) => partition);
  }

  racksOf({ topic, partition }: TopicPartition): ReadonlySet<string> {
    return this.#racks.get(topic)?.[partition] ?? noRacks;
  }
}

const noRacks: ReadonlySet<string> = new Set();
