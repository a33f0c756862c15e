import { sameProtocols } from '../classic/classic-member.ts';
import type { GroupRecordOf } from '../group-record.ts';
import type { ModernMember } from '../modern/modern-group.ts';
import type { MemberProtocol } from '../outcome.ts';
import { NO_PARTITIONS, type PartitionEpochs, partitionEpochsOf, samePartitions } from './partition-epochs.ts';

/** How far a member is on its way to its target, as its record has it. Any other number is of a later Kafka. */
export const memberStates = {
  /** It has all that it is to have at its epoch. */
  stable: 0,
  /** It was told to give up partitions, and has not said that it did. */
  unrevoked: 1,
  /** It waits for partitions that others still have. */
  unreleased: 2,
} as const;

export const JOINING_EPOCH = 0;
export const LEAVING_EPOCH = -1;
/** A static member that goes away for a while: its place is kept for the next one with its instance id. */
export const AWAY_EPOCH = -2;

/** What a member says of itself. */
export type MemberMetadata = {
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly rebalanceTimeoutMs: number;
  readonly clientId: string;
  readonly clientHost: string;
  /** Each once, in order. */
  readonly subscribedTopicNames: readonly string[];
  /** Empty: none. */
  readonly subscribedTopicRegex: string;
  readonly serverAssignor: string | null;
  /** Of a member that speaks the classic protocol; null for the others. */
  readonly classic: ClassicMetadata | null;
};

export type ClassicMetadata = { readonly sessionTimeoutMs: number; readonly protocols: readonly MemberProtocol[] };

/** Where a member is. */
export type MemberProgress = {
  readonly memberEpoch: number;
  readonly previousMemberEpoch: number;
  readonly state: number;
  readonly assigned: PartitionEpochs;
  /** What it has been told to give up. */
  readonly revoking: PartitionEpochs;
};

export type ConsumerMember = ModernMember & MemberMetadata & MemberProgress;

export function newMember(memberId: string): ConsumerMember {
  return {
    memberId,
    memberEpoch: 0,
    previousMemberEpoch: -1,
    state: memberStates.stable,
    instanceId: null,
    rackId: null,
    rebalanceTimeoutMs: -1,
    clientId: '',
    clientHost: '',
    subscribedTopicNames: [],
    subscribedTopicRegex: '',
    serverAssignor: null,
    assigned: NO_PARTITIONS,
    revoking: NO_PARTITIONS,
    classic: null,
  };
}

/** The same object if that changes nothing: a heartbeat mostly does not. */
export function withMetadata(member: ConsumerMember, changes: Partial<MemberMetadata>): ConsumerMember {
  const updated = { ...member, ...changes };
  return sameMetadata(member, updated) ? member : updated;
}

/** The same object if that changes nothing. */
export function withProgress(member: ConsumerMember, progress: MemberProgress): ConsumerMember {
  const isSame =
    member.memberEpoch === progress.memberEpoch &&
    member.previousMemberEpoch === progress.previousMemberEpoch &&
    member.state === progress.state &&
    samePartitions(member.assigned, progress.assigned) &&
    samePartitions(member.revoking, progress.revoking);
  return isSame ? member : { ...member, ...progress };
}

export function isReconciledTo({ state, memberEpoch }: ConsumerMember, assignmentEpoch: number): boolean {
  return state === memberStates.stable && memberEpoch === assignmentEpoch;
}

export function topicNames(names: Iterable<string>): string[] {
  return [...new Set(names)].sort();
}

export function sameNames(left: readonly string[], right: readonly string[]): boolean {
  return left === right || (left.length === right.length && left.every((name, index) => name === right[index]));
}

export function metadataFromRecord(value: NonNullable<GroupRecordOf<'ConsumerGroupMemberMetadata'>['value']>): MemberMetadata {
  return {
    instanceId: value.instanceId,
    rackId: value.rackId,
    rebalanceTimeoutMs: value.rebalanceTimeoutMs,
    clientId: value.clientId,
    clientHost: value.clientHost,
    subscribedTopicNames: topicNames(value.subscribedTopicNames),
    subscribedTopicRegex: value.subscribedTopicRegex ?? '',
    serverAssignor: value.serverAssignor,
    classic: value.classicMemberMetadata && {
      sessionTimeoutMs: value.classicMemberMetadata.sessionTimeoutMs,
      protocols: value.classicMemberMetadata.supportedProtocols.map(({ name, metadata }) => ({
        name,
        metadata: metadata.slice(),
      })),
    },
  };
}

export function progressFromRecord(
  value: NonNullable<GroupRecordOf<'ConsumerGroupCurrentMemberAssignment'>['value']>,
): MemberProgress {
  const { memberEpoch, previousMemberEpoch, state } = value;
  return {
    memberEpoch,
    previousMemberEpoch,
    state,
    assigned: partitionEpochsOf(value.assignedPartitions, memberEpoch),
    revoking: partitionEpochsOf(value.partitionsPendingRevocation, memberEpoch),
  };
}

function sameMetadata(left: MemberMetadata, right: MemberMetadata): boolean {
  return (
    left.instanceId === right.instanceId &&
    left.rackId === right.rackId &&
    left.rebalanceTimeoutMs === right.rebalanceTimeoutMs &&
    left.clientId === right.clientId &&
    left.clientHost === right.clientHost &&
    left.subscribedTopicRegex === right.subscribedTopicRegex &&
    left.serverAssignor === right.serverAssignor &&
    sameNames(left.subscribedTopicNames, right.subscribedTopicNames) &&
    sameClassic(left.classic, right.classic)
  );
}

function sameClassic(left: ClassicMetadata | null, right: ClassicMetadata | null): boolean {
  if (left === null || right === null) return left === right;
  return left.sessionTimeoutMs === right.sessionTimeoutMs && sameProtocols(left.protocols, right.protocols);
}
