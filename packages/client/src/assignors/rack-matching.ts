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

  /** Partitions that fewer members have in their rack come first; others keep their order. */
  mostConstrainedFirst(partitions: readonly TopicPartition[], members: readonly MemberSubscription[]): TopicPartition[] {
    const membersIn = Map.groupBy(members, ({ rackId }) => rackId);
    const nearbyMembers = (partition: TopicPartition): number =>
      [...this.racksOf(partition)].reduce((sum, rack) => sum + (membersIn.get(rack)?.length ?? 0), 0);
    return partitions
      .map((partition) => ({ partition, count: nearbyMembers(partition) }))
      .sort((one, other) => one.count - other.count)
      .map(({ partition }) => partition);
  }

  racksOf({ topic, partition }: TopicPartition): ReadonlySet<string> {
    return this.#racks.get(topic)?.[partition] ?? noRacks;
  }
}

const noRacks: ReadonlySet<string> = new Set();
