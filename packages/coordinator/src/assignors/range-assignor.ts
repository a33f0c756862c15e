/**
 * Each topic is cut into ranges of consecutive partitions, one for each of its subscribers in order; the first ones get one
 * more when it does not come out even. So who joins topics with equal partitions by key finds both sides at one member. What
 * members had does not matter.
 */
import { DraftAssignment } from './draft-assignment.ts';
import type { AssignableMember, Assignment, GroupAssignor } from './group-assignor.ts';

export const rangeAssignor: GroupAssignor = {
  name: 'range',
  assign(members, partitionCounts): Map<string, Assignment> {
    const draft = new DraftAssignment(members);
    const ordered = [...members].sort(compareMembers);
    for (const [topicId, count] of partitionCounts) {
      const subscribers = ordered.filter(({ subscribedTopicIds }) => subscribedTopicIds.has(topicId));
      let next = 0;
      for (const [place, { memberId }] of subscribers.entries()) {
        const range = Math.floor(count / subscribers.length) + (place < count % subscribers.length ? 1 : 0);
        for (let given = 0; given < range; given++) draft.give(memberId, topicId, next++);
      }
    }
    return draft.finish();
  },
};

/** Static members come first, by their instance id. */
function compareMembers(one: AssignableMember, other: AssignableMember): number {
  if (one.instanceId !== null && other.instanceId !== null) return compareText(one.instanceId, other.instanceId);
  if (one.instanceId !== null) return -1;
  if (other.instanceId !== null) return 1;
  return compareText(one.memberId, other.memberId);
}

function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
