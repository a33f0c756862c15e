import type { Uuid } from '@ottla/protocol';
import type { Assignment } from '../assignors/group-assignor.ts';
import type { ModernMember } from '../modern/modern-group.ts';

/** A member of a share group as the log has it. Never changed, only replaced. */
export interface ShareMember extends ModernMember {
  readonly memberId: string;
  readonly memberEpoch: number;
  /** A member that did not hear of its new epoch still comes with this one. */
  readonly previousMemberEpoch: number;
  readonly rackId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  /** In alphabetical order. */
  readonly subscribedTopicNames: readonly string[];
  readonly assigned: Assignment;
}

export const JOINING_EPOCH = 0;
export const LEAVING_EPOCH = -1;

export const NO_ASSIGNMENT: Assignment = new Map();

export function newShareMember(memberId: string): ShareMember {
  return {
    memberId,
    memberEpoch: JOINING_EPOCH,
    previousMemberEpoch: JOINING_EPOCH,
    rackId: null,
    clientId: '',
    clientHost: '',
    subscribedTopicNames: [],
    assigned: NO_ASSIGNMENT,
  };
}

export function sameNames(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((name, index) => name === right[index]);
}

export function assignmentOf(topics: readonly { readonly topicId: Uuid; readonly partitions: readonly number[] }[]): Assignment {
  return new Map(topics.map(({ topicId, partitions }) => [topicId, partitions]));
}

export function topicPartitionsOf(assignment: Assignment): { topicId: Uuid; partitions: number[] }[] {
  return [...assignment].map(([topicId, partitions]) => ({ topicId, partitions: [...partitions] }));
}
