import type { Uuid } from '@ottla/protocol';
import { KafkaError } from '@ottla/protocol';
import type { Assignment } from '../assignors/group-assignor.ts';
import { type ConsumerMember, memberStates, withProgress } from './consumer-member.ts';
import { NO_PARTITIONS, type PartitionEpochs, partitionsIn, putPartition } from './partition-epochs.ts';

/** What a member says that it has; null when it says nothing of it. */
export type OwnedPartitions = readonly { readonly topicId: Uuid; readonly partitions: readonly number[] }[] | null;

export type Destination = {
  readonly target: Assignment;
  readonly targetEpoch: number;
  /** The topics that the member subscribes to and that exist. */
  readonly subscribedTopicIds: ReadonlySet<Uuid>;
  readonly hasSubscriptionChanged: boolean;
  /** Whether any member has the partition, or has yet to give it up. */
  readonly isOwned: (topicId: Uuid, partition: number) => boolean;
  readonly owned: OwnedPartitions;
};

/**
 * One step of a member towards its target, if it can take one. It gives up first what it is not to have, and stays at its epoch until
 * it has said so; then it moves to the epoch of the target, and gets what nobody else has. What others still have follows as they give
 * it up. So no partition is ever with two members. The same object when nothing changes.
 */
export function reconcile(member: ConsumerMember, to: Destination): ConsumerMember {
  switch (member.state) {
    case memberStates.stable:
      if (member.memberEpoch !== to.targetEpoch) return advance(member, to, member.memberEpoch);
      return to.hasSubscriptionChanged ? revokeUnsubscribed(member, to) : member;
    case memberStates.unrevoked:
      if (!ownsAny(to.owned, member.revoking)) return advance(member, to, member.memberEpoch);
      return to.hasSubscriptionChanged ? revokeUnsubscribed(member, to) : member;
    case memberStates.unreleased:
      return advance(member, to, member.memberEpoch);
    default:
      // A later Kafka knows more states. Who has nothing can begin again from here.
      if (to.owned?.length === 0) return advance(member, to, to.targetEpoch);
      throw new KafkaError(
        'FENCED_MEMBER_EPOCH',
        'The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin.',
      );
  }
}

function advance(member: ConsumerMember, to: Destination, memberEpoch: number): ConsumerMember {
  const targets = new Map<Uuid, ReadonlySet<number>>();
  for (const [topicId, partitions] of to.target) {
    if (to.subscribedTopicIds.has(topicId)) targets.set(topicId, new Set(partitions));
  }
  const assigned = new Map<Uuid, Map<number, number>>();
  const revoking = new Map<Uuid, Map<number, number>>();
  for (const { topicId, partition, epoch } of partitionsIn(member.assigned)) {
    putPartition(targets.get(topicId)?.has(partition) ? assigned : revoking, topicId, partition, epoch);
  }
  if (revoking.size > 0 && ownsAny(to.owned, revoking)) {
    return withProgress(member, {
      state: memberStates.unrevoked,
      memberEpoch,
      previousMemberEpoch: member.memberEpoch,
      assigned,
      revoking,
    });
  }
  let isWaiting = false;
  for (const [topicId, partitions] of targets) {
    for (const partition of partitions) {
      if (member.assigned.get(topicId)?.has(partition)) continue;
      // What the member itself is just giving up it can have again.
      if (to.isOwned(topicId, partition) && !member.revoking.get(topicId)?.has(partition)) isWaiting = true;
      else putPartition(assigned, topicId, partition, to.targetEpoch);
    }
  }
  return withProgress(member, {
    state: isWaiting ? memberStates.unreleased : memberStates.stable,
    memberEpoch: to.targetEpoch,
    previousMemberEpoch: member.memberEpoch,
    assigned,
    revoking: NO_PARTITIONS,
  });
}

/** A member that no longer subscribes to a topic gives its partitions up at once, whatever its target says. */
function revokeUnsubscribed(member: ConsumerMember, to: Destination): ConsumerMember {
  const assigned = new Map<Uuid, Map<number, number>>();
  const revoking = new Map<Uuid, Map<number, number>>();
  let isChanged = false;
  for (const { topicId, partition, epoch } of partitionsIn(member.revoking)) putPartition(revoking, topicId, partition, epoch);
  for (const { topicId, partition, epoch } of partitionsIn(member.assigned)) {
    const isKept = to.subscribedTopicIds.has(topicId);
    putPartition(isKept ? assigned : revoking, topicId, partition, epoch);
    isChanged ||= !isKept;
  }
  if (!isChanged) return member;
  const { memberEpoch } = member;
  const progress = { memberEpoch, previousMemberEpoch: memberEpoch, assigned };
  return ownsAny(to.owned, revoking)
    ? withProgress(member, { ...progress, state: memberStates.unrevoked, revoking })
    : withProgress(member, { ...progress, state: member.state, revoking: member.revoking });
}

/** Who does not say what it has may have any of it. */
function ownsAny(owned: OwnedPartitions, revoking: PartitionEpochs): boolean {
  if (owned === null) return true;
  return owned.some(({ topicId, partitions }) => {
    const asked = revoking.get(topicId);
    return asked !== undefined && partitions.some((partition) => asked.has(partition));
  });
}
