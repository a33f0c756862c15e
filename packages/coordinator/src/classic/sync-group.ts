import { errors, KafkaError, type SyncGroupRequest } from '@ottla/protocol';
import { coordinatorErrorOf } from '../coordinator-error.ts';
import type { Continuation, Token } from '../outcome.ts';
import type { ClassicTurn } from './classic-turn.ts';
import { syncKey } from './classic-turn.ts';
import { failAssignment, rebalanceOrCompleteJoin, settleAssignment } from './rebalance.ts';

export function syncGroup(on: ClassicTurn, request: SyncGroupRequest, token: Token): void {
  const { group, turn, deadlines } = on;
  const { memberId } = request;
  try {
    validate(on, request);
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    turn.answerSync(token, { errorCode: error.code });
    return;
  }
  const member = group.members.get(memberId)!;
  group.pendingSyncMembers.delete(memberId);
  if (group.pendingSyncMembers.size === 0) deadlines.cancel(syncKey(group.groupId));

  if (group.state === 'Stable') {
    const { protocolType, protocolName } = group;
    turn.answerSync(token, { protocolType, protocolName, assignment: member.assignment });
    return;
  }
  // A second SyncGroup of the same member takes the place of the first, whose sender has given up.
  if (member.awaitingSync !== null) turn.answerSync(member.awaitingSync, { errorCode: errors.REBALANCE_IN_PROGRESS.code });
  member.awaitingSync = token;
  if (!group.isLeader(memberId)) return;

  const assignments = new Map(request.assignments.map(({ memberId, assignment }) => [memberId, assignment.slice()]));
  turn.records.push(group.toRecord(assignments));
  turn.continuation = {
    type: 'AssignmentStored',
    groupId: group.groupId,
    memberId,
    generationId: group.generationId,
    assignments,
  };
}

/** The leader's assignment was committed, or could not be: unless the group has moved on meanwhile, its members are told. */
export function assignmentStored(
  on: ClassicTurn,
  { generationId, assignments }: Extract<Continuation, { type: 'AssignmentStored' }>,
  error: KafkaError | null,
): void {
  const { group } = on;
  if (group.state !== 'CompletingRebalance' || group.generationId !== generationId) return;
  if (error === null) {
    settleAssignment(on, assignments);
  } else {
    failAssignment(on, coordinatorErrorOf(error.name));
    rebalanceOrCompleteJoin(on);
  }
}

/** Throws COORDINATOR_NOT_AVAILABLE, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, INCONSISTENT_GROUP_PROTOCOL, REBALANCE_IN_PROGRESS. */
function validate({ group }: ClassicTurn, request: SyncGroupRequest): void {
  if (group.state === 'Dead') throw new KafkaError('COORDINATOR_NOT_AVAILABLE');
  group.validateMember(request.memberId, request.groupInstanceId);
  if (request.generationId !== group.generationId) {
    throw new KafkaError('ILLEGAL_GENERATION', `group ${group.groupId} is at generation ${group.generationId}`);
  }
  if (differs(request.protocolType, group.protocolType) || differs(request.protocolName, group.protocolName)) {
    throw new KafkaError(
      'INCONSISTENT_GROUP_PROTOCOL',
      `group ${group.groupId} uses ${group.protocolType} ${group.protocolName}`,
    );
  }
  if (group.state === 'PreparingRebalance') throw new KafkaError('REBALANCE_IN_PROGRESS');
}

/** v5: what a member says is compared, an older member says nothing. */
function differs(said: string | null, ofGroup: string | null): boolean {
  return said !== null && ofGroup !== null && said !== ofGroup;
}
