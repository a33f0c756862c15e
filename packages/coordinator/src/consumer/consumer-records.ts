/** The records of consumer groups, in the versions that Kafka writes. */
import type { Assignment } from '../assignors/group-assignor.ts';
import type { GroupRecordOf } from '../group-record.ts';
import type { ConsumerMember } from './consumer-member.ts';
import { recordedPartitions } from './partition-epochs.ts';
import type { ResolvedRegex } from './subscription-regexes.ts';

const VERSION = 0;
const DELETED = { version: -1, value: null } as const;

type OfGroup = 'ConsumerGroupMetadata' | 'ConsumerGroupPartitionMetadata' | 'ConsumerGroupTargetAssignmentMetadata';
type OfMember = 'ConsumerGroupMemberMetadata' | 'ConsumerGroupTargetAssignmentMember' | 'ConsumerGroupCurrentMemberAssignment';

export type ConsumerRecord = GroupRecordOf<OfGroup | OfMember | 'ConsumerGroupRegularExpression'>;

export function epochRecord(groupId: string, epoch: number, metadataHash: bigint): ConsumerRecord {
  return { type: 'ConsumerGroupMetadata', version: VERSION, key: { groupId }, value: { epoch, metadataHash } };
}

export function memberRecord(groupId: string, member: ConsumerMember): ConsumerRecord {
  const { memberId, instanceId, rackId, clientId, clientHost, rebalanceTimeoutMs, subscribedTopicRegex, serverAssignor } = member;
  return {
    type: 'ConsumerGroupMemberMetadata',
    version: VERSION,
    key: { groupId, memberId },
    value: {
      instanceId,
      rackId,
      clientId,
      clientHost,
      subscribedTopicNames: [...member.subscribedTopicNames],
      subscribedTopicRegex,
      rebalanceTimeoutMs,
      serverAssignor,
      classicMemberMetadata: member.classic && {
        sessionTimeoutMs: member.classic.sessionTimeoutMs,
        supportedProtocols: member.classic.protocols.map(({ name, metadata }) => ({ name, metadata })),
      },
    },
  };
}

export function targetRecord(groupId: string, memberId: string, target: Assignment): ConsumerRecord {
  return {
    type: 'ConsumerGroupTargetAssignmentMember',
    version: VERSION,
    key: { groupId, memberId },
    value: { topicPartitions: [...target].map(([topicId, partitions]) => ({ topicId, partitions: [...partitions] })) },
  };
}

export function targetEpochRecord(groupId: string, assignmentEpoch: number, assignmentTimestamp: number): ConsumerRecord {
  return {
    type: 'ConsumerGroupTargetAssignmentMetadata',
    version: VERSION,
    key: { groupId },
    value: { assignmentEpoch, assignmentTimestamp },
  };
}

export function progressRecord(groupId: string, member: ConsumerMember): ConsumerRecord {
  const { memberId, memberEpoch, previousMemberEpoch, state } = member;
  return {
    type: 'ConsumerGroupCurrentMemberAssignment',
    version: VERSION,
    key: { groupId, memberId },
    value: {
      memberEpoch,
      previousMemberEpoch,
      state,
      assignedPartitions: recordedPartitions(member.assigned),
      partitionsPendingRevocation: recordedPartitions(member.revoking),
    },
  };
}

export function regexRecord(groupId: string, regularExpression: string, resolved: ResolvedRegex): ConsumerRecord {
  const { topics, version, timestamp } = resolved;
  return {
    type: 'ConsumerGroupRegularExpression',
    version: VERSION,
    key: { groupId, regularExpression },
    value: { topics: [...topics].sort(), version, timestamp },
  };
}

export function regexTombstone(groupId: string, regularExpression: string): ConsumerRecord {
  return { type: 'ConsumerGroupRegularExpression', key: { groupId, regularExpression }, ...DELETED };
}

export function groupTombstone(type: OfGroup, groupId: string): ConsumerRecord {
  return { type, key: { groupId }, ...DELETED };
}

export function memberTombstone(type: OfMember, groupId: string, memberId: string): ConsumerRecord {
  return { type, key: { groupId, memberId }, ...DELETED };
}

/** All that the log has of a member, in the order in which it may be deleted. */
export function memberTombstones(groupId: string, memberId: string): ConsumerRecord[] {
  return [
    memberTombstone('ConsumerGroupCurrentMemberAssignment', groupId, memberId),
    memberTombstone('ConsumerGroupTargetAssignmentMember', groupId, memberId),
    memberTombstone('ConsumerGroupMemberMetadata', groupId, memberId),
  ];
}
