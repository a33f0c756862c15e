/**
 * Sticky, for members that keep reading while they rejoin (KIP-429). Nobody is given what somebody else still holds: it is left
 * out, its owner lets go of it and rejoins, and the rebalance after this one gives it away.
 *
 * What members hold is in their subscription; since when, in its generationId (v2), or before that in the user data, an int32.
 */
import { Reader, Writer } from '@ottla/protocol';
import type { TopicPartition } from '../topic-partition.ts';
import type { Assignor, MemberSubscription, OwnAssignment } from './assignor.ts';
import { type Claims, stickyGroup } from './sticky/claims.ts';
import { stickyAssignment } from './sticky/sticky-assignment.ts';

export const cooperativeStickyAssignor: Assignor = {
  name: 'cooperative-sticky',
  rebalanceProtocol: 'cooperative',
  userDataOf({ generationId }) {
    const writer = new Writer(4);
    writer.int32(generationId);
    return writer.bytes();
  },
  assign(members, partitionCounts, replicaRacks) {
    const group = stickyGroup(members, partitionCounts, memoryOf);
    return withoutMoving(stickyAssignment(group, replicaRacks), group.claims);
  },
};

function memoryOf({ ownedPartitions = [], generationId = -1, userData }: MemberSubscription): OwnAssignment {
  if (generationId >= 0 || !userData || userData.length < 4) return { partitions: ownedPartitions, generationId };
  return { partitions: ownedPartitions, generationId: new Reader(userData).int32() };
}

function withoutMoving(
  assignment: Map<string, TopicPartition[]>,
  { owned, claimed, disputed }: Claims,
): Map<string, TopicPartition[]> {
  for (const [memberId, partitions] of assignment) {
    const own = new Set(owned.get(memberId));
    const isThere = (partition: TopicPartition): boolean =>
      !claimed.has(partition) || (own.has(partition) && !disputed.has(partition));
    assignment.set(memberId, partitions.filter(isThere));
  }
  return assignment;
}
