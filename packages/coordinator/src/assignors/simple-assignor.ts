/**
 * For share groups (KIP-932), where several members may read one partition: every partition has a reader, every member
 * something to read, and nobody much more than the others. The only assignor of share groups.
 */
import type { Uuid } from '@ottla/protocol';
import { DraftAssignment } from './draft-assignment.ts';
import { type AssignableMember, type Assignment, type GroupAssignor, haveEqualSubscriptions } from './group-assignor.ts';
import { inHashOrder, type TopicIdPartition } from './hash-order.ts';
import { type DealingOrder, sharePartitions } from './share-partitions.ts';

export const simpleAssignor: GroupAssignor = {
  name: 'simple',
  assign(members, partitionCounts) {
    const partitions = new Map<Uuid, readonly number[]>();
    for (const [topicId, count] of partitionCounts)
      partitions.set(
        topicId,
        Array.from({ length: count }, (_, number) => number),
      );
    return shareOut(members, partitions);
  },
};

/** The same, for topics of which not every partition can be given out. */
export function shareOut(
  members: readonly AssignableMember[],
  partitions: ReadonlyMap<Uuid, readonly number[]>,
): Map<string, Assignment> {
  const draft = new DraftAssignment(members);
  const topicIds = [...partitions.keys()].filter((topicId) => members.some((member) => member.subscribedTopicIds.has(topicId)));
  const partitionsOf = (topicId: Uuid): TopicIdPartition[] =>
    partitions.get(topicId)!.map((partition) => ({ topicId, partition }));
  if (topicIds.length > 0 && haveEqualSubscriptions(members, partitions)) {
    sharePartitions(draft, { subscribers: members, partitions: topicIds.flatMap(partitionsOf), order: byHash });
    return draft.finish();
  }
  for (const topicId of topicIds) {
    const subscribers = members.filter(({ subscribedTopicIds }) => subscribedTopicIds.has(topicId));
    sharePartitions(draft, { subscribers, partitions: partitionsOf(topicId), order: byNumber });
  }
  return draft.finish();
}

/** All topics are one pool. */
const byHash: DealingOrder = {
  ofOwned: (owned) => inHashOrder(owned, Math.max(16, owned.length / 0.75)),
  // A table made for one more than all partitions, and whose places hold what came last first.
  ofFree: (free, total) => inHashOrder([...free].reverse(), Math.floor((total + 1) / 0.75 + 1)),
};

/** Each topic is shared among its own subscribers. */
const byNumber: DealingOrder = {
  ofOwned: (owned) => [...owned].sort((one, other) => one.partition - other.partition),
  ofFree: (free) => [...free].sort((one, other) => one.partition - other.partition),
};
