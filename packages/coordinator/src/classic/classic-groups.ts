import {
  type DescribeGroupsResponse,
  type ErrorName,
  errors,
  type HeartbeatRequest,
  type HeartbeatResponse,
  KafkaError,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
  type SyncGroupRequest,
  type Writable,
} from '@ottla/protocol';
import type { ClassicMembers } from '../consumer/classic-members.ts';
import { ConsumerGroup } from '../consumer/consumer-group.ts';
import { coordinatorErrorOf } from '../coordinator-error.ts';
import type { DeadlineOfGroup } from '../group-deadline.ts';
import type { GroupProtocol } from '../group-protocol.ts';
import type { GroupRecordOf } from '../group-record.ts';
import type { GroupState } from '../group-state.ts';
import { type Continuation, type Moment, type Outcome, type Token, Turn } from '../outcome.ts';
import { ClassicGroup } from './classic-group.ts';
import { EMPTY_BYTES, metadataOf } from './classic-member.ts';
import type { ClassicTurn } from './classic-turn.ts';
import { heartbeat } from './heartbeat.ts';
import { type Join, joinGroup, staticMemberNotReplaced, staticMemberReplaced } from './join-group.ts';
import { leaveGroup } from './leave-group.ts';
import {
  answerJoin,
  answerSync,
  completeJoin,
  expireSession,
  expireSyncPhase,
  extendOrCompleteInitialRebalance,
  keepAlive,
  prepareRebalance,
} from './rebalance.ts';
import { assignmentStored, syncGroup } from './sync-group.ts';

/** What classic groups still have to do once records are committed; the others are of classic members of consumer groups. */
export type ClassicContinuation = Exclude<
  Continuation,
  { type: 'MemberExpired' | 'ClassicMemberJoined' | 'ClassicMemberSynced' }
>;
type DescribedGroup = NonNullable<Writable<DescribeGroupsResponse>['groups']>[number];

/** The groups of the classic protocol. Every operation returns what it wants to become true, or throws the KafkaError that forbids it. */
export class ClassicGroups implements GroupProtocol<GroupRecordOf<'GroupMetadata'>, ClassicContinuation> {
  readonly #state: GroupState;

  /** Of consumer groups, whose classic members come here too. */
  readonly #classicMembers: ClassicMembers;

  constructor(state: GroupState, classicMembers: ClassicMembers) {
    this.#state = state;
    this.#classicMembers = classicMembers;
  }

  /** Answers by token: at once, when the join phase ends, or when the group is unloaded. */
  join(join: Join, moment: Moment): Outcome {
    const { journal, groups } = this.#state;
    const { groupId, memberId } = join.request;
    const turn = new Turn(moment);
    const group = groups.get(groupId);
    if (group instanceof ClassicGroup) {
      joinGroup(this.#on(group, turn), join);
      return turn.outcome();
    }
    if (group instanceof ConsumerGroup && !group.isEmpty) {
      this.#classicMembers.join(group, join, turn);
      return turn.outcome();
    }
    if (group !== undefined && (group.type === 'Share' || !group.isEmpty)) {
      return refuseJoin(turn, join.token, '', 'INCONSISTENT_GROUP_PROTOCOL');
    }
    // Only who brings no id can begin a group: an id was given out by a group that is gone.
    if (memberId !== '') return refuseJoin(turn, join.token, memberId, 'UNKNOWN_MEMBER_ID');
    // An empty group of another protocol turns into a classic one.
    if (group !== undefined) turn.records.push(...group.tombstones());
    const created = new ClassicGroup(groupId, moment.wallMs);
    journal.set(groups, groupId, created);
    const emptyRecord = created.toEmptyRecord();
    joinGroup(this.#on(created, turn), join);
    // The record makes the group known to a restart, and takes it back should it not be written.
    turn.records.push(emptyRecord);
    turn.continuation = { type: 'GroupCreated', groupId, token: join.token };
    return turn.outcome();
  }

  /** Answers by token: at once, when the leader's assignment is committed, or with REBALANCE_IN_PROGRESS. */
  sync(request: SyncGroupRequest, token: Token, moment: Moment): Outcome {
    const turn = new Turn(moment);
    const group = this.#state.groups.get(request.groupId);
    if (group instanceof ClassicGroup && !group.isEmpty) syncGroup(this.#on(group, turn), request, token);
    else if (group instanceof ConsumerGroup && !group.isEmpty) this.#classicMembers.sync(group, request, token, turn);
    else turn.answerSync(token, { errorCode: errors.UNKNOWN_MEMBER_ID.code });
    return turn.outcome();
  }

  heartbeat(request: HeartbeatRequest, moment: Moment): Outcome<Writable<HeartbeatResponse>> {
    const turn = new Turn(moment);
    const group = this.#groupOfMembers(request.groupId);
    if (group instanceof ConsumerGroup) return turn.outcome(this.#classicMembers.heartbeat(group, request, turn));
    return turn.outcome(heartbeat(this.#on(group, turn), request));
  }

  leave(groupId: string, members: LeaveGroupRequest['members'], moment: Moment): Outcome<Writable<LeaveGroupResponse>> {
    const turn = new Turn(moment);
    const group = this.#groupOfMembers(groupId);
    if (group instanceof ConsumerGroup) return turn.outcome(this.#classicMembers.leave(group, members, turn));
    return turn.outcome(leaveGroup(this.#on(group, turn), members));
  }

  describe(groupId: string, { apiVersion }: { readonly apiVersion: number }): DescribedGroup {
    const { journal, groups } = this.#state;
    const group = journal.committed(groups, groupId);
    if (!(group instanceof ClassicGroup)) {
      const errorMessage = group === undefined ? `Group ${groupId} not found.` : `Group ${groupId} is not a classic group.`;
      const isReported = apiVersion >= 6;
      return { groupId, groupState: 'Dead', ...(isReported && { errorCode: errors.GROUP_ID_NOT_FOUND.code, errorMessage }) };
    }
    const isStable = group.state === 'Stable';
    return {
      groupId,
      groupState: group.state,
      protocolType: group.protocolType ?? '',
      protocolData: isStable ? (group.protocolName ?? '') : '',
      members: [...group.members.values()].map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        memberMetadata: isStable ? metadataOf(member, group.protocolName) : EMPTY_BYTES,
        memberAssignment: member.assignment,
      })),
    };
  }

  /** A commit is a sign of life. */
  onCommit(group: ClassicGroup, memberId: string, turn: Turn): void {
    if (group.state !== 'Stable' && group.state !== 'PreparingRebalance') return;
    const member = group.members.get(memberId);
    if (member !== undefined) keepAlive(this.#on(group, turn), member);
  }

  onDeadline(due: DeadlineOfGroup, turn: Turn): void {
    const on = this.#on(this.#state.groups.get(due.groupId) as ClassicGroup, turn);
    switch (due.type) {
      case 'SessionExpired':
        expireSession(on, due.memberId);
        break;
      case 'SyncPhaseExpired':
        expireSyncPhase(on, due.generationId);
        break;
      case 'JoinPhaseExpired':
        completeJoin(on);
        break;
      case 'InitialRebalanceDelayed':
        extendOrCompleteInitialRebalance(on, due.delayMs, due.remainingMs);
        break;
      default: // Left over from the protocol that the group had before.
    }
  }

  continueWith(continuation: ClassicContinuation, error: KafkaError | null, turn: Turn): void {
    const group = this.#state.groups.get(continuation.groupId);
    if (continuation.type === 'GroupCreated') {
      if (error !== null) turn.answerJoin(continuation.token, { errorCode: errors[coordinatorErrorOf(error.name)].code });
    } else if (group instanceof ClassicGroup) {
      const on = this.#on(group, turn);
      if (continuation.type === 'AssignmentStored') assignmentStored(on, continuation, error);
      else if (error === null) staticMemberReplaced(on, continuation);
      else staticMemberNotReplaced(on, continuation, error.name);
    }
  }

  replay({ key: { group: groupId }, value }: GroupRecordOf<'GroupMetadata'>): void {
    const { journal, groups, isActive } = this.#state;
    const group = groups.get(groupId);
    if (value === null) {
      if (group instanceof ClassicGroup) journal.delete(groups, groupId);
    } else if (!(group instanceof ClassicGroup) || !isActive) {
      journal.set(groups, groupId, ClassicGroup.fromRecord(groupId, value));
    }
    // A group that is active wrote the record itself: it knows more than the record does.
  }

  /** Every member gets a fresh session, as none could be heard meanwhile. */
  activate(turn: Turn): void {
    for (const on of this.#all(turn)) {
      for (const member of on.group.members.values()) keepAlive(on, member);
      // group.max.size was lowered: a rebalance lets in as many as it allows.
      if (on.group.members.size > on.config.maxSize) prepareRebalance(on);
    }
  }

  unload(turn: Turn): void {
    const errorCode = errors.NOT_COORDINATOR.code;
    for (const on of this.#all(turn)) {
      for (const member of on.group.members.values()) {
        answerJoin(on, member, { memberId: member.memberId, errorCode });
        answerSync(on, member, { errorCode });
      }
      on.group.transitionTo('Dead', turn.moment.wallMs);
    }
  }

  *#all(turn: Turn): Generator<ClassicTurn> {
    for (const group of this.#state.groups.values()) if (group instanceof ClassicGroup) yield this.#on(group, turn);
  }

  #on(group: ClassicGroup, turn: Turn): ClassicTurn {
    const { config, deadlines } = this.#state;
    return { group, turn, config, deadlines };
  }

  /** Throws UNKNOWN_MEMBER_ID: whoever speaks for a member of a group that is none of this kind is no member. */
  #groupOfMembers(groupId: string): ClassicGroup | ConsumerGroup {
    const group = this.#state.groups.get(groupId);
    if (group instanceof ClassicGroup || group instanceof ConsumerGroup) return group;
    throw new KafkaError('UNKNOWN_MEMBER_ID', `Group ${groupId} not found.`);
  }
}

function refuseJoin(turn: Turn, token: Token, memberId: string, error: ErrorName): Outcome {
  turn.answerJoin(token, { memberId, errorCode: errors[error].code });
  return turn.outcome();
}
