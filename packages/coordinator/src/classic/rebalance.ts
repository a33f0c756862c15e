/**
 * The course of a rebalance: wait for the members to rejoin, begin a generation, wait for the leader's assignment. These are the steps
 * that the requests and the timers of a classic group share.
 */
import { type ErrorName, errors } from '@ottla/protocol';
import { sessionKey } from '../group-deadline.ts';
import { type ClassicMember, EMPTY_BYTES } from './classic-member.ts';
import { type ClassicTurn, joinKey, syncKey } from './classic-turn.ts';

/** A new rebalance if the group is in a state for one; else the present one may be complete. */
export function rebalanceOrCompleteJoin(on: ClassicTurn): void {
  if (on.group.canRebalance) prepareRebalance(on);
  else completeJoinIfAllJoined(on);
}

export function prepareRebalance(on: ClassicTurn): void {
  const { group, turn, config, deadlines } = on;
  // Whoever waits for an assignment waits in vain: they have to rejoin first.
  if (group.state === 'CompletingRebalance') failAssignment(on, 'REBALANCE_IN_PROGRESS');
  group.pendingSyncMembers.clear();
  deadlines.cancel(syncKey(group.groupId));

  const isInitial = group.state === 'Empty';
  group.transitionTo('PreparingRebalance', turn.moment.wallMs);
  if (isInitial) {
    // The members of a new group start at about the same time: one rebalance a little later saves many in a row.
    const delayMs = config.initialRebalanceDelayMs;
    delayInitialRebalance(on, delayMs, Math.max(group.rebalanceTimeoutMs - delayMs, 0));
  } else if (group.allMembersJoined) {
    completeJoin(on);
  } else {
    scheduleJoinExpiry(on);
  }
}

/** The first rebalance of an empty group ends by its timer alone: others may still come. */
export function completeJoinIfAllJoined(on: ClassicTurn): void {
  const { group } = on;
  if (group.state === 'PreparingRebalance' && group.previousState !== 'Empty' && group.allMembersJoined) completeJoin(on);
}

export function extendOrCompleteInitialRebalance(on: ClassicTurn, delayMs: number, remainingMs: number): void {
  const { group, config } = on;
  if (group.newMemberAdded && remainingMs !== 0) {
    group.newMemberAdded = false;
    delayInitialRebalance(on, Math.min(config.initialRebalanceDelayMs, remainingMs), Math.max(remainingMs - delayMs, 0));
  } else {
    completeJoin(on);
  }
}

/** Ends the join phase: who has not rejoined is out (a static member stays), the others are told of the new generation. */
export function completeJoin(on: ClassicTurn): void {
  const { group, turn, deadlines } = on;
  deadlines.cancel(joinKey(group.groupId));
  for (const member of [...group.members.values()]) {
    if (member.awaitingJoin === null && member.groupInstanceId === null) {
      group.remove(member.memberId);
      deadlines.cancel(sessionKey(group.groupId, member.memberId));
    }
  }
  if (!group.electJoinedLeader() && group.members.size > 0) {
    // Only static members are left, and none came back: they are waited for until their sessions end.
    scheduleJoinExpiry(on);
    return;
  }
  group.initNextGeneration(turn.moment.wallMs);
  if (group.isEmpty) {
    turn.records.push(group.toRecord());
    return;
  }
  const { protocolType, protocolName, generationId, leaderId } = group;
  for (const member of group.members.values()) {
    answerJoin(on, member, {
      members: group.isLeader(member.memberId) ? group.membersForLeader() : [],
      memberId: member.memberId,
      generationId,
      protocolName,
      protocolType,
      leader: leaderId!,
    });
    keepAlive(on, member);
    member.isNew = false;
    group.pendingSyncMembers.add(member.memberId);
  }
  deadlines.set(syncKey(group.groupId), turn.moment.monotonicMs + group.rebalanceTimeoutMs, {
    type: 'SyncPhaseExpired',
    groupId: group.groupId,
    generationId,
  });
}

/** Removes the members that took a generation's JoinGroup answer and never asked for their assignment. */
export function expireSyncPhase(on: ClassicTurn, generationId: number): void {
  const { group, deadlines } = on;
  if (generationId !== group.generationId) return;
  if (group.state !== 'CompletingRebalance' && group.state !== 'Stable') return;
  if (group.pendingSyncMembers.size === 0) return;
  for (const memberId of [...group.pendingSyncMembers]) {
    group.remove(memberId);
    deadlines.cancel(sessionKey(group.groupId, memberId));
  }
  prepareRebalance(on);
}

/** A member has not been heard of for its session timeout. */
export function expireSession(on: ClassicTurn, memberId: string): void {
  const { group } = on;
  const member = group.members.get(memberId);
  if (group.pendingJoinMembers.has(memberId)) {
    group.remove(memberId);
    if (group.state === 'PreparingRebalance' && group.allMembersJoined) completeJoin(on);
  } else if (member !== undefined && !isWaitingForOthers(member)) {
    removeMember(on, member);
    if (group.state === 'Stable' || group.state === 'CompletingRebalance') rebalanceOrCompleteJoin(on);
    else if (group.state === 'PreparingRebalance' && group.allMembersJoined) completeJoin(on);
  }
}

/** Whoever waits in the member's name is sent to join again, should they still be there. */
export function removeMember(on: ClassicTurn, member: ClassicMember): void {
  answerJoin(on, member, { memberId: '', errorCode: errors.UNKNOWN_MEMBER_ID.code });
  answerSync(on, member, { errorCode: errors.UNKNOWN_MEMBER_ID.code });
  on.group.remove(member.memberId);
}

/** Gives every member of the generation its assignment. */
export function settleAssignment(on: ClassicTurn, assignments: ReadonlyMap<string, Uint8Array>): void {
  const { group, turn } = on;
  const { protocolType, protocolName } = group;
  for (const member of group.members.values()) {
    member.assignment = assignments.get(member.memberId) ?? EMPTY_BYTES;
    if (answerSync(on, member, { protocolType, protocolName, assignment: member.assignment })) keepAlive(on, member);
  }
  group.transitionTo('Stable', turn.moment.wallMs);
}

/** Takes the assignment back from every member, and tells those that wait for it why. */
export function failAssignment(on: ClassicTurn, error: ErrorName): void {
  for (const member of on.group.members.values()) {
    member.assignment = EMPTY_BYTES;
    if (answerSync(on, member, { errorCode: errors[error].code })) keepAlive(on, member);
  }
}

/** The member was heard of, or answered: its session begins anew. */
export function keepAlive(on: ClassicTurn, member: ClassicMember, timeoutMs = member.sessionTimeoutMs): void {
  expectBy(on, member.memberId, timeoutMs);
}

/** Expects the member, or one that is pending, within so long. */
export function expectBy({ group, turn, deadlines }: ClassicTurn, memberId: string, timeoutMs: number): void {
  deadlines.set(sessionKey(group.groupId, memberId), turn.moment.monotonicMs + timeoutMs, {
    type: 'SessionExpired',
    groupId: group.groupId,
    memberId,
  });
}

export function answerJoin(
  on: ClassicTurn,
  member: ClassicMember,
  response: Parameters<ClassicTurn['turn']['answerJoin']>[1],
): boolean {
  if (member.awaitingJoin === null) return false;
  on.turn.answerJoin(member.awaitingJoin, response);
  on.group.awaitJoin(member, null);
  return true;
}

export function answerSync(
  on: ClassicTurn,
  member: ClassicMember,
  response: Parameters<ClassicTurn['turn']['answerSync']>[1],
): boolean {
  if (member.awaitingSync === null) return false;
  on.turn.answerSync(member.awaitingSync, response);
  member.awaitingSync = null;
  return true;
}

/** A member that waits for the others cannot send heartbeats; a new one that waits may be gone without anyone noticing. */
function isWaitingForOthers(member: ClassicMember): boolean {
  return !member.isNew && (member.awaitingJoin !== null || member.awaitingSync !== null);
}

function delayInitialRebalance({ group, turn, deadlines }: ClassicTurn, delayMs: number, remainingMs: number): void {
  deadlines.set(joinKey(group.groupId), turn.moment.monotonicMs + delayMs, {
    type: 'InitialRebalanceDelayed',
    groupId: group.groupId,
    delayMs,
    remainingMs,
  });
}

function scheduleJoinExpiry({ group, turn, deadlines }: ClassicTurn): void {
  deadlines.set(joinKey(group.groupId), turn.moment.monotonicMs + group.rebalanceTimeoutMs, {
    type: 'JoinPhaseExpired',
    groupId: group.groupId,
  });
}
