/** What the members say they had before, with contradictions settled: a member that missed a rebalance claims too much. */
import type { TopicPartition } from '../../topic-partition.ts';
import type { MemberSubscription, OwnAssignment } from '../assignor.ts';
import { compareText, partitionsOfTopic } from '../assignor.ts';

/** What a sticky assignor is given. Partitions are objects of `partitions`, so they can be compared as such. */
export type StickyGroup = {
  readonly members: readonly MemberSubscription[];
  readonly partitionCounts: ReadonlyMap<string, number>;
  /** By topic and number. */
  readonly partitions: ReadonlyMap<string, readonly TopicPartition[]>;
  readonly claims: Claims;
};

export type Claims = {
  /** By member id, in the order it claimed them. */
  readonly owned: ReadonlyMap<string, readonly TopicPartition[]>;
  /** Two members of one generation claim it: both had it, and whoever gets it must wait for the other to let go. */
  readonly disputed: ReadonlySet<TopicPartition>;
  readonly claimed: ReadonlySet<TopicPartition>;
  /** Who had it in the latest of the earlier generations, of those whose claim is stale. */
  readonly earlierOwner: ReadonlyMap<TopicPartition, string>;
};

/** The topics that exist and somebody subscribes to, by name, and what members remember of them. */
export function stickyGroup(
  members: readonly MemberSubscription[],
  existing: ReadonlyMap<string, number>,
  memoryOf: (member: MemberSubscription) => OwnAssignment,
): StickyGroup {
  const topics = [...new Set(members.flatMap((member) => member.topics))]
    .filter((topic) => existing.has(topic))
    .sort(compareText);
  const partitionCounts = new Map(topics.map((topic) => [topic, existing.get(topic)!]));
  const partitions = new Map(topics.map((topic) => [topic, partitionsOfTopic(topic, partitionCounts.get(topic)!)]));
  const memories = new Map<string, OwnAssignment>();
  for (const member of members) {
    const { partitions: remembered, generationId } = memoryOf(member);
    const known = remembered.flatMap(({ topic, partition }) => partitions.get(topic)?.[partition] ?? []);
    memories.set(member.memberId, { partitions: [...new Set(known)], generationId });
  }
  return { members, partitionCounts, partitions, claims: settle(memories) };
}

/** The later generation wins. */
function settle(memories: ReadonlyMap<string, OwnAssignment>): Claims {
  const owned = new Map<string, TopicPartition[]>();
  const owner = new Map<TopicPartition, string>();
  const disputed = new Set<TopicPartition>();
  for (const [memberId, { partitions, generationId }] of memories) {
    const own: TopicPartition[] = [];
    owned.set(memberId, own);
    for (const partition of partitions) {
      const rival = owner.get(partition);
      const lead = rival === undefined ? 1 : generationId - memories.get(rival)!.generationId;
      if (rival !== undefined && lead >= 0) remove(owned.get(rival)!, partition);
      if (lead === 0) disputed.add(partition);
      if (lead > 0) {
        owner.set(partition, memberId);
        own.push(partition);
      }
    }
  }
  return { owned, disputed, claimed: new Set(owner.keys()), earlierOwner: earlierOwners(memories) };
}

function earlierOwners(memories: ReadonlyMap<string, OwnAssignment>): Map<TopicPartition, string> {
  const latest = Math.max(-1, ...[...memories.values()].map(({ generationId }) => generationId));
  const earlier = new Map<TopicPartition, string>();
  for (const [memberId, { partitions, generationId }] of memories) {
    if (generationId >= latest) continue;
    for (const partition of partitions) {
      const rival = earlier.get(partition);
      if (rival === undefined || generationId > memories.get(rival)!.generationId) earlier.set(partition, memberId);
    }
  }
  return earlier;
}

export function remove<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}
