import { type ErrorName, errors, type JoinGroupRequest, KafkaError } from '@ottla/protocol';
import { coordinatorErrorOf } from '../coordinator-error.ts';
import type { Continuation, Token } from '../outcome.ts';
import { type ClassicMember, EMPTY_BYTES, ownedProtocols, sameProtocols } from './classic-member.ts';
import type { ClassicTurn } from './classic-turn.ts';
import {
  answerJoin,
  answerSync,
  completeJoinIfAllJoined,
  expectBy,
  keepAlive,
  prepareRebalance,
  rebalanceOrCompleteJoin,
} from './rebalance.ts';

/** A JoinGroup, with what the shell knows of its sender. */
export type Join = {
  readonly request: JoinGroupRequest;
  readonly token: Token;
  readonly clientId: string;
  /** As Kafka prints an address: `/127.0.0.1`. */
  readonly clientHost: string;
  readonly apiVersion: number;
  /** A fresh uuid in Java's text form, for a member that has no id yet. */
  readonly uuid: string;
  /** A fresh id for a member that has none, should the group be one of the consumer protocol. */
  readonly newMemberId: string;
};

/**
 * A new member cannot send heartbeats while it waits for its first answer, and a client that gives up and retries leaves a dead
 * member behind: this bounds how long.
 */
const NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60 * 1000;

/** Every way out answers, or leaves the token with the member, to be answered when the join phase ends. */
export function joinGroup(on: ClassicTurn, join: Join): void {
  const { group } = on;
  const { memberId } = join.request;
  if (!hasRoomFor(on, memberId)) {
    group.remove(memberId);
    refuse(on, join, '', 'GROUP_MAX_SIZE_REACHED');
  } else if (group.state === 'Dead') {
    refuse(on, join, memberId, 'COORDINATOR_NOT_AVAILABLE');
  } else if (!group.supports(join.request.protocolType, join.request.protocols)) {
    refuse(on, join, memberId, 'INCONSISTENT_GROUP_PROTOCOL');
  } else if (memberId === '') {
    joinWithoutId(on, join);
  } else {
    joinWithId(on, join);
  }
}

function joinWithoutId(on: ClassicTurn, join: Join): void {
  const { group } = on;
  const { groupInstanceId, sessionTimeoutMs } = join.request;
  if (groupInstanceId !== null) {
    const newMemberId = `${groupInstanceId}-${join.uuid}`;
    const known = group.staticMemberId(groupInstanceId);
    if (known === undefined) addMember(on, join, newMemberId);
    else replaceStaticMember(on, join, known, newMemberId);
    return;
  }
  const newMemberId = `${join.clientId}-${join.uuid}`;
  // v4: the member comes back with the id it is given, so that a retry is not taken for one more member (KIP-394).
  if (join.apiVersion >= 4) {
    group.pendingJoinMembers.add(newMemberId);
    expectBy(on, newMemberId, sessionTimeoutMs);
    refuse(on, join, newMemberId, 'MEMBER_ID_REQUIRED');
  } else {
    addMember(on, join, newMemberId);
  }
}

function joinWithId(on: ClassicTurn, join: Join): void {
  const { group } = on;
  const { memberId, groupInstanceId, protocols } = join.request;
  if (group.pendingJoinMembers.has(memberId)) {
    if (groupInstanceId !== null) {
      throw new KafkaError('UNKNOWN_SERVER_ERROR', `${memberId} was given out to a dynamic member, not to ${groupInstanceId}`);
    }
    addMember(on, join, memberId);
    return;
  }
  try {
    group.validateMember(memberId, groupInstanceId);
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    on.turn.answerJoin(join.token, { memberId, errorCode: error.code, protocolType: null, protocolName: null });
    return;
  }
  const member = group.members.get(memberId)!;
  switch (group.state) {
    case 'PreparingRebalance':
      rejoin(on, join, member);
      break;
    case 'CompletingRebalance':
      // The same metadata again: the answer to its last JoinGroup may have been lost.
      if (sameProtocols(member.protocols, protocols)) answerWithGeneration(on, join, group.isLeader(memberId));
      else rejoin(on, join, member);
      break;
    case 'Stable':
      // The leader rejoins for reasons that its metadata does not show, such as a topic with more partitions.
      if (group.isLeader(memberId) || !sameProtocols(member.protocols, protocols)) rejoin(on, join, member);
      else answerWithGeneration(on, join, false);
      break;
    default:
      refuse(on, join, memberId, 'UNKNOWN_MEMBER_ID');
  }
}

function addMember(on: ClassicTurn, join: Join, memberId: string): void {
  const { group } = on;
  const { groupInstanceId, rebalanceTimeoutMs, sessionTimeoutMs, protocolType, protocols } = join.request;
  const member: ClassicMember = {
    memberId,
    groupInstanceId,
    clientId: join.clientId,
    clientHost: join.clientHost,
    rebalanceTimeoutMs,
    sessionTimeoutMs,
    protocols: ownedProtocols(protocols),
    assignment: EMPTY_BYTES,
    awaitingJoin: join.token,
    awaitingSync: null,
    isNew: true,
  };
  if (group.state === 'PreparingRebalance' && group.previousState === 'Empty') group.newMemberAdded = true;
  group.add(member, protocolType);
  keepAlive(on, member, NEW_MEMBER_JOIN_TIMEOUT_MS);
  rebalanceOrCompleteJoin(on);
}

function rejoin(on: ClassicTurn, join: Join, member: ClassicMember): void {
  update(on, join, member);
  rebalanceOrCompleteJoin(on);
}

/** The member as it is now, waiting for the end of the join phase. A JoinGroup of its own that still waits is superseded. */
function update({ group, turn }: ClassicTurn, { request, token }: Join, member: ClassicMember): void {
  if (member.awaitingJoin !== null) {
    turn.answerJoin(member.awaitingJoin, { memberId: member.memberId, errorCode: errors.REBALANCE_IN_PROGRESS.code });
  }
  const { protocols, rebalanceTimeoutMs, sessionTimeoutMs } = request;
  group.updateMember(member, { protocols: ownedProtocols(protocols), rebalanceTimeoutMs, sessionTimeoutMs });
  group.awaitJoin(member, token);
}

/** A static member that came back without its member id (it restarted) takes the place of its former self. */
function replaceStaticMember(on: ClassicTurn, join: Join, oldMemberId: string, newMemberId: string): void {
  const { group, turn } = on;
  const groupInstanceId = join.request.groupInstanceId!;
  const old = group.members.get(oldMemberId)!;
  const { protocols: oldProtocols, rebalanceTimeoutMs: oldRebalanceTimeoutMs, sessionTimeoutMs: oldSessionTimeoutMs } = old;
  const oldLeaderId = group.leaderId;
  const fenced = errors.FENCED_INSTANCE_ID.code;
  answerJoin(on, old, { memberId: oldMemberId, errorCode: fenced, protocolType: null, protocolName: null });
  answerSync(on, old, { errorCode: fenced });

  const member = group.replaceStaticMember(groupInstanceId, oldMemberId, newMemberId);
  // The session goes on with the timeout it had; the one asked for now counts from the first heartbeat.
  keepAlive(on, member);
  update(on, join, member);

  if (group.state === 'Stable' && group.selectProtocol() === group.protocolName) {
    // Nothing that an assignor would look at has changed: the others need not hear of it (KIP-345).
    turn.records.push(group.toRecord());
    turn.continuation = {
      type: 'StaticMemberReplaced',
      groupId: group.groupId,
      groupInstanceId,
      token: join.token,
      apiVersion: join.apiVersion,
      oldMemberId,
      newMemberId,
      generationId: group.generationId,
      oldLeaderId,
      oldProtocols,
      oldRebalanceTimeoutMs,
      oldSessionTimeoutMs,
    };
  } else if (group.state === 'Stable') {
    rebalanceOrCompleteJoin(on);
  } else if (group.state === 'CompletingRebalance') {
    // The leader may have been given the old id, and would assign to a member that is no more.
    prepareRebalance(on);
  } else {
    completeJoinIfAllJoined(on);
  }
}

/** The replacement is durable: it goes on with the generation as if it had never been away. */
export function staticMemberReplaced(
  on: ClassicTurn,
  { newMemberId, oldLeaderId, apiVersion }: Extract<Continuation, { type: 'StaticMemberReplaced' }>,
): void {
  const { group } = on;
  const member = group.members.get(newMemberId);
  // A rebalance has begun meanwhile, and answers the member when it ends.
  if (member === undefined || group.state !== 'Stable') return;
  const { generationId, protocolName, protocolType } = group;
  const generation = { memberId: newMemberId, generationId, protocolName, protocolType };
  keepAlive(on, member);
  if (apiVersion >= 9) {
    // v9: the leader learns its members, and that it is not to assign anew (KIP-814).
    const isLeader = group.isLeader(newMemberId);
    const members = isLeader ? group.membersForLeader() : [];
    answerJoin(on, member, { ...generation, members, leader: group.leaderId!, skipAssignment: isLeader });
  } else {
    // An older leader would assign again if it knew that it leads: it is told of its former self.
    answerJoin(on, member, { ...generation, members: [], leader: oldLeaderId! });
  }
}

/**
 * The replacement could not be stored: the old member is back. Unless a rebalance has begun meanwhile: others may have joined upon the
 * protocols that the replacement brought, so it stays, and is a static member that is away.
 */
export function staticMemberNotReplaced(
  on: ClassicTurn,
  continuation: Extract<Continuation, { type: 'StaticMemberReplaced' }>,
  error: ErrorName,
): void {
  const { group, turn } = on;
  const { groupInstanceId, newMemberId, oldMemberId, oldLeaderId, token } = continuation;
  const member = group.members.get(newMemberId);
  if (member === undefined) return;
  const { generationId, protocolName, protocolType } = group;
  // Else the join phase has answered it, or a later JoinGroup has taken its place.
  if (member.awaitingJoin === token) {
    group.awaitJoin(member, null);
    turn.answerJoin(token, {
      errorCode: errors[coordinatorErrorOf(error)].code,
      memberId: '',
      generationId,
      protocolName,
      protocolType,
      leader: oldLeaderId ?? '',
    });
    keepAlive(on, member);
  }
  if (group.state !== 'Stable' || generationId !== continuation.generationId) return;
  group.updateMember(member, {
    protocols: continuation.oldProtocols,
    rebalanceTimeoutMs: continuation.oldRebalanceTimeoutMs,
    sessionTimeoutMs: continuation.oldSessionTimeoutMs,
  });
  keepAlive(on, group.replaceStaticMember(groupInstanceId, newMemberId, oldMemberId));
}

/** A group that is full takes nobody new, but lets its members rejoin: all that are in, or those that were quick enough. */
function hasRoomFor({ group, config }: ClassicTurn, memberId: string): boolean {
  switch (group.state) {
    case 'PreparingRebalance':
      return (group.members.get(memberId)?.awaitingJoin ?? null) !== null || group.awaitingJoinCount < config.maxSize;
    case 'CompletingRebalance':
    case 'Stable':
      return group.members.has(memberId) || group.members.size < config.maxSize;
    default:
      return true;
  }
}

function answerWithGeneration(on: ClassicTurn, join: Join, withMembers: boolean): void {
  const { group } = on;
  const { generationId, protocolName, protocolType } = group;
  on.turn.answerJoin(join.token, {
    members: withMembers ? group.membersForLeader() : [],
    memberId: join.request.memberId,
    generationId,
    protocolName,
    protocolType,
    leader: group.leaderId!,
  });
}

function refuse(on: ClassicTurn, { token }: Join, memberId: string, error: ErrorName): void {
  on.turn.answerJoin(token, { memberId, errorCode: errors[error].code });
}
