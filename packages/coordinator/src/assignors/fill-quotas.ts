/**
 * All members subscribe to the same topics, so each has a quota: floor(partitions / members), and as many members as are left
 * over one more. They keep what they have within it; what is free fills them up, member by member.
 */
import type { Uuid } from '@ottla/protocol';
import { DraftAssignment } from './draft-assignment.ts';
import type { AssignableMember, Assignment } from './group-assignor.ts';

export function fillQuotas(
  members: readonly AssignableMember[],
  partitionCounts: ReadonlyMap<Uuid, number>,
): Map<string, Assignment> {
  const topics = new Map([...partitionCounts].filter(([topicId]) => members[0]!.subscribedTopicIds.has(topicId)));
  const total = [...topics.values()].reduce((sum, count) => sum + count, 0);
  const quota = Math.floor(total / members.length);
  /** How many members may still get one more. */
  let larger = total % members.length;

  const draft = new DraftAssignment(members);
  const free = partitionsOfNobody(members, topics);
  const wanting: { readonly memberId: string; readonly missing: number }[] = [];
  for (const member of members) {
    const owned = partitionsOf(member, topics);
    const isLarger = owned.length > quota && larger > 0;
    if (isLarger) larger--;
    const kept = owned.slice(0, quota + (isLarger ? 1 : 0));
    for (const { topicId, partition } of kept) draft.give(member.memberId, topicId, partition);
    free.push(...owned.slice(kept.length));
    if (!isLarger) wanting.push({ memberId: member.memberId, missing: quota - kept.length });
  }

  let next = 0;
  for (const [place, { memberId, missing }] of wanting.entries()) {
    const isLarger = wanting.length - place <= larger;
    for (let given = missing + (isLarger ? 1 : 0); given > 0; given--, next++) {
      draft.give(memberId, free[next]!.topicId, free[next]!.partition);
    }
  }
  return draft.finish();
}

type Partition = { readonly topicId: Uuid; readonly partition: number };

/** What a member has of the topics, in its order. */
function partitionsOf({ assignment }: AssignableMember, topics: ReadonlyMap<Uuid, number>): Partition[] {
  return [...assignment].flatMap(([topicId, partitions]) =>
    partitions.filter((partition) => partition < (topics.get(topicId) ?? 0)).map((partition) => ({ topicId, partition })),
  );
}

function partitionsOfNobody(members: readonly AssignableMember[], topics: ReadonlyMap<Uuid, number>): Partition[] {
  const taken = new Map([...topics.keys()].map((topicId) => [topicId, new Set<number>()]));
  for (const { assignment } of members) {
    for (const [topicId, partitions] of assignment) for (const partition of partitions) taken.get(topicId)?.add(partition);
  }
  return [...topics].flatMap(([topicId, count]) =>
    Array.from({ length: count }, (_, partition) => ({ topicId, partition })).filter(
      ({ partition }) => !taken.get(topicId)!.has(partition),
    ),
  );
}
