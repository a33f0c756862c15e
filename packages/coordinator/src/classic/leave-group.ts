import { errorCodeOf, errors, KafkaError, type LeaveGroupRequest, type LeaveGroupResponse, type Writable } from '@ottla/protocol';
import { sessionKey } from '../group-deadline.ts';
import type { ClassicTurn } from './classic-turn.ts';
import { completeJoinIfAllJoined, rebalanceOrCompleteJoin, removeMember } from './rebalance.ts';

type Leaver = Pick<LeaveGroupRequest['members'][number], 'memberId' | 'groupInstanceId'>;

/** Each member leaves or not for itself; what is left of the group rebalances once. */
export function leaveGroup(on: ClassicTurn, members: readonly Leaver[]): Writable<LeaveGroupResponse> {
  const { group } = on;
  if (group.state === 'Dead') return { errorCode: errors.COORDINATOR_NOT_AVAILABLE.code };
  const results = members.map(({ memberId, groupInstanceId }) => ({
    memberId,
    groupInstanceId,
    errorCode: leave(on, memberId, groupInstanceId),
  }));
  if (results.some(({ errorCode }) => errorCode === 0)) {
    if (group.state === 'Stable' || group.state === 'CompletingRebalance') rebalanceOrCompleteJoin(on);
    else completeJoinIfAllJoined(on);
  }
  return { members: results };
}

/** The error code for this one. */
function leave(on: ClassicTurn, memberId: string, groupInstanceId: string | null): number {
  const { group, deadlines } = on;
  if (group.pendingJoinMembers.has(memberId)) {
    group.remove(memberId);
    deadlines.cancel(sessionKey(group.groupId, memberId));
    return 0;
  }
  try {
    const leaving = memberId === '' ? staticMember(on, groupInstanceId) : memberId;
    if (memberId !== '') group.validateMember(memberId, groupInstanceId);
    deadlines.cancel(sessionKey(group.groupId, leaving));
    removeMember(on, group.members.get(leaving)!);
    return 0;
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return errorCodeOf(error);
  }
}

/** An administrator removes a static member by its instance id alone. */
function staticMember({ group }: ClassicTurn, groupInstanceId: string | null): string {
  const memberId = groupInstanceId === null ? undefined : group.staticMemberId(groupInstanceId);
  if (memberId === undefined)
    throw new KafkaError('UNKNOWN_MEMBER_ID', `group ${group.groupId} has no static member ${groupInstanceId}`);
  return memberId;
}
