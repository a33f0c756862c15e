/** The records of share groups, in the versions that Kafka writes. */
import type { Assignment } from '../assignors/group-assignor.ts';
import type { GroupRecordOf } from '../group-record.ts';
import { type ShareMember, topicPartitionsOf } from './share-member.ts';
import type { PartitionsByTopic, SharePartitions } from './share-partitions.ts';

type OfGroup = 'ShareGroupMetadata' | 'ShareGroupTargetAssignmentMetadata' | 'ShareGroupStatePartitionMetadata';
type OfMember = 'ShareGroupMemberMetadata' | 'ShareGroupTargetAssignmentMember' | 'ShareGroupCurrentMemberAssignment';

export type ShareRecord = GroupRecordOf<OfGroup | OfMember>;

const VERSION = 0;
const DELETED = { version: -1, value: null } as const;
/** The members of a share group know no other state: nothing has to be given up before it is given to somebody else. */
const STABLE = 0;

export function memberRecord(groupId: string, member: ShareMember): ShareRecord {
  const { memberId, rackId, clientId, clientHost, subscribedTopicNames } = member;
  const value = { rackId, clientId, clientHost, subscribedTopicNames: [...subscribedTopicNames] };
  return { type: 'ShareGroupMemberMetadata', version: VERSION, key: { groupId, memberId }, value };
}

export function epochRecord(groupId: string, epoch: number, metadataHash: bigint): ShareRecord {
  return { type: 'ShareGroupMetadata', version: VERSION, key: { groupId }, value: { epoch, metadataHash } };
}

export function targetRecord(groupId: string, memberId: string, target: Assignment): ShareRecord {
  const value = { topicPartitions: topicPartitionsOf(target) };
  return { type: 'ShareGroupTargetAssignmentMember', version: VERSION, key: { groupId, memberId }, value };
}

export function targetEpochRecord(groupId: string, assignmentEpoch: number, assignmentTimestamp: number): ShareRecord {
  const value = { assignmentEpoch, assignmentTimestamp };
  return { type: 'ShareGroupTargetAssignmentMetadata', version: VERSION, key: { groupId }, value };
}

export function currentRecord(groupId: string, member: ShareMember): ShareRecord {
  const { memberId, memberEpoch, previousMemberEpoch, assigned } = member;
  const value = { memberEpoch, previousMemberEpoch, state: STABLE, assignedPartitions: topicPartitionsOf(assigned) };
  return { type: 'ShareGroupCurrentMemberAssignment', version: VERSION, key: { groupId, memberId }, value };
}

export function sharePartitionsRecord(groupId: string, { initializing, initialized, deleting }: SharePartitions): ShareRecord {
  const value = {
    initializingTopics: topicsOf(initializing),
    initializedTopics: topicsOf(initialized),
    deletingTopics: [...deleting].map(([topicId, topicName]) => ({ topicId, topicName })),
  };
  return { type: 'ShareGroupStatePartitionMetadata', version: VERSION, key: { groupId }, value };
}

/** In the order in which Kafka deletes them, the member itself last. */
export function memberTombstones(groupId: string, memberId: string): ShareRecord[] {
  const key = { groupId, memberId };
  return [
    { type: 'ShareGroupCurrentMemberAssignment', key, ...DELETED },
    { type: 'ShareGroupTargetAssignmentMember', key, ...DELETED },
    { type: 'ShareGroupMemberMetadata', key, ...DELETED },
  ];
}

/** Of a group without members; the group itself last. */
export function groupTombstones(groupId: string): ShareRecord[] {
  const key = { groupId };
  return [
    { type: 'ShareGroupTargetAssignmentMetadata', key, ...DELETED },
    { type: 'ShareGroupStatePartitionMetadata', key, ...DELETED },
    { type: 'ShareGroupMetadata', key, ...DELETED },
  ];
}

function topicsOf(byTopic: PartitionsByTopic) {
  return [...byTopic].map(([topicId, { name, partitions }]) => ({ topicId, topicName: name, partitions: [...partitions] }));
}
