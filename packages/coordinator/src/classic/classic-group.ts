import { type JoinGroupResponse, KafkaError, type Writable } from '@ottla/protocol';
import type { CommitCheck, Committer, Group } from '../group.ts';
import {
  type GroupMetadataValue,
  type GroupRecord,
  type GroupRecordOf,
  groupMetadataRecord,
  groupMetadataTombstone,
} from '../group-record.ts';
import type { OffsetAndMetadata } from '../offsets/offset-and-metadata.ts';
import type { MemberProtocol, Token } from '../outcome.ts';
import { type ClassicMember, EMPTY_BYTES, metadataOf } from './classic-member.ts';
import { electProtocol } from './elect-protocol.ts';
import { subscribedTopicsOf } from './subscribed-topics.ts';

export type ClassicState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead';

/**
 * A group of the classic protocol: who is in it, and how far its rebalance has come. The members agree on the assignment among
 * themselves; the coordinator only brings them together, generation by generation.
 *
 *   Empty ──► PreparingRebalance ──► CompletingRebalance ──► Stable
 *     ▲            │   ▲  ▲                 │                  │
 *     └────────────┘   │  └─────────────────┘                  │
 *                      └───────────────────────────────────────┘
 *
 * Only the last generation that was stored (GroupMetadata) outlives a restart: a rebalance in progress begins again, as its members
 * find themselves refused.
 */
export class ClassicGroup implements Group {
  readonly type = 'Classic';
  readonly groupId: string;
  #state: ClassicState = 'Empty';
  #previousState: ClassicState = 'Dead';
  /** -1: not known, from a record older than Kafka 2.1. */
  stateTimestampMs: number;
  protocolType: string | null = null;
  protocolName: string | null = null;
  generationId = 0;
  leaderId: string | null = null;
  /** In the order of joining, so that the longest member comes first where anyone would do. */
  readonly #members = new Map<string, ClassicMember>();
  /** How many members list each protocol: one that all members list can be chosen. */
  readonly #supporters = new Map<string, number>();
  /** How many members have `awaitingJoin` set. */
  #awaitingJoinCount = 0;
  /** groupInstanceId -> memberId. */
  readonly #staticMembers = new Map<string, string>();
  /** Ids given out with MEMBER_ID_REQUIRED and not yet come back. */
  readonly pendingJoinMembers = new Set<string>();
  /** Members of this generation that have not sent their SyncGroup. */
  readonly pendingSyncMembers = new Set<string>();
  /** Null: not known, as the members' metadata could not be read or is not of consumers. */
  subscribedTopics: ReadonlySet<string> | null = null;
  /** During the first rebalance of an empty group: somebody joined since the last look. */
  newMemberAdded = false;

  constructor(groupId: string, nowMs: number) {
    this.groupId = groupId;
    this.stateTimestampMs = nowMs;
  }

  /** A group as its last record left it: stable with all its members, or empty. */
  static fromRecord(groupId: string, value: GroupMetadataValue): ClassicGroup {
    const group = new ClassicGroup(groupId, value.currentStateTimestamp);
    group.protocolType = value.protocolType === '' ? null : value.protocolType;
    group.protocolName = value.protocol;
    group.generationId = value.generation;
    group.leaderId = value.leader;
    group.#state = value.members.length === 0 ? 'Empty' : 'Stable';
    for (const member of value.members) {
      const loaded: ClassicMember = {
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        rebalanceTimeoutMs: member.rebalanceTimeout === -1 ? member.sessionTimeout : member.rebalanceTimeout,
        sessionTimeoutMs: member.sessionTimeout,
        protocols: [{ name: value.protocol ?? '', metadata: member.subscription.slice() }],
        assignment: member.assignment.slice(),
        awaitingJoin: null,
        awaitingSync: null,
        isNew: false,
      };
      group.add(loaded, group.protocolType);
    }
    group.subscribedTopics = subscribedTopicsOf(group);
    return group;
  }

  get state(): ClassicState {
    return this.#state;
  }

  /** Its state is in memory, and as good as committed. */
  get committedState(): string {
    return this.#state;
  }

  get previousState(): ClassicState {
    return this.#previousState;
  }

  get isEmpty(): boolean {
    return this.#state === 'Empty';
  }

  get members(): ReadonlyMap<string, ClassicMember> {
    return this.#members;
  }

  get usesConsumerProtocol(): boolean {
    return this.protocolType === 'consumer';
  }

  /** The longest that any member wants to be waited for. */
  get rebalanceTimeoutMs(): number {
    let longest = 0;
    for (const member of this.#members.values()) longest = Math.max(longest, member.rebalanceTimeoutMs);
    return longest;
  }

  get awaitingJoinCount(): number {
    return this.#awaitingJoinCount;
  }

  get allMembersJoined(): boolean {
    return this.pendingJoinMembers.size === 0 && this.#awaitingJoinCount === this.#members.size;
  }

  get canRebalance(): boolean {
    return this.#state === 'Stable' || this.#state === 'CompletingRebalance' || this.#state === 'Empty';
  }

  transitionTo(state: ClassicState, nowMs: number): void {
    this.#previousState = this.#state;
    this.#state = state;
    this.stateTimestampMs = nowMs;
  }

  isLeader(memberId: string): boolean {
    return this.leaderId === memberId;
  }

  staticMemberId(groupInstanceId: string): string | undefined {
    return this.#staticMembers.get(groupInstanceId);
  }

  /** Throws UNKNOWN_MEMBER_ID, and FENCED_INSTANCE_ID when another member has taken over the instance id. */
  validateMember(memberId: string, groupInstanceId: string | null): void {
    if (groupInstanceId !== null) {
      const current = this.#staticMembers.get(groupInstanceId);
      if (current === undefined) throw unknownMember(this.groupId, memberId);
      if (current !== memberId) {
        throw new KafkaError(
          'FENCED_INSTANCE_ID',
          `${groupInstanceId} of group ${this.groupId} is now another member than ${memberId}`,
        );
      }
    }
    if (!this.#members.has(memberId)) throw unknownMember(this.groupId, memberId);
  }

  /** The first member decides the group's protocol type. */
  add(member: ClassicMember, protocolType: string | null): void {
    if (this.#members.size === 0) this.protocolType = protocolType;
    if (member.groupInstanceId !== null) this.#staticMembers.set(member.groupInstanceId, member.memberId);
    this.leaderId ??= member.memberId;
    this.#members.set(member.memberId, member);
    this.#countProtocols(member.protocols, 1);
    if (member.awaitingJoin !== null) this.#awaitingJoinCount++;
    this.pendingJoinMembers.delete(member.memberId);
  }

  remove(memberId: string): void {
    const member = this.#members.get(memberId);
    if (member !== undefined) {
      this.#members.delete(memberId);
      this.#countProtocols(member.protocols, -1);
      if (member.awaitingJoin !== null) this.#awaitingJoinCount--;
      if (member.groupInstanceId !== null) this.#staticMembers.delete(member.groupInstanceId);
    }
    if (this.leaderId === memberId) this.leaderId = this.#members.keys().next().value ?? null;
    this.pendingJoinMembers.delete(memberId);
    this.pendingSyncMembers.delete(memberId);
  }

  /** Whether a JoinGroup of the member waits, and which. */
  awaitJoin(member: ClassicMember, token: Token | null): void {
    this.#awaitingJoinCount += (token === null ? 0 : 1) - (member.awaitingJoin === null ? 0 : 1);
    member.awaitingJoin = token;
  }

  /** The member under a new id. Nobody may wait under the old one: the caller has fenced them. */
  replaceStaticMember(groupInstanceId: string, oldMemberId: string, newMemberId: string): ClassicMember {
    const old = this.#members.get(oldMemberId);
    if (old === undefined) throw new Error(`${oldMemberId} is not a member of group ${this.groupId}`);
    const replacement = { ...old, memberId: newMemberId, isNew: false };
    this.#members.delete(oldMemberId);
    this.#members.set(newMemberId, replacement);
    this.#staticMembers.set(groupInstanceId, newMemberId);
    if (this.leaderId === oldMemberId) this.leaderId = newMemberId;
    // The generation goes on with the replacement, which asks for its assignment in its own time.
    this.pendingSyncMembers.delete(oldMemberId);
    return replacement;
  }

  updateMember(
    member: ClassicMember,
    to: { readonly protocols: readonly MemberProtocol[]; readonly rebalanceTimeoutMs: number; readonly sessionTimeoutMs: number },
  ): void {
    this.#countProtocols(member.protocols, -1);
    this.#countProtocols(to.protocols, 1);
    member.protocols = to.protocols;
    member.rebalanceTimeoutMs = to.rebalanceTimeoutMs;
    member.sessionTimeoutMs = to.sessionTimeoutMs;
  }

  /** Whether a member with these protocols could be part of the group: every present member must support one of them. */
  supports(protocolType: string, protocols: readonly MemberProtocol[]): boolean {
    if (this.#state === 'Empty') return protocolType !== '' && protocols.length > 0;
    if (this.protocolType !== protocolType) return false;
    return protocols.some(({ name }) => (this.#supporters.get(name) ?? 0) === this.#members.size);
  }

  /** The protocol of the next generation. */
  selectProtocol(): string {
    return electProtocol(this.#members.values(), this.#commonProtocols());
  }

  /** The leader, if it has rejoined; else one who has. False when nobody has, or there is nobody. */
  electJoinedLeader(): boolean {
    if (this.leaderId === null) return false;
    if (this.#members.get(this.leaderId)!.awaitingJoin !== null) return true;
    for (const member of this.#members.values()) {
      if (member.awaitingJoin !== null) {
        this.leaderId = member.memberId;
        return true;
      }
    }
    return false;
  }

  initNextGeneration(nowMs: number): void {
    // Java's int wraps, and so must a generation that is compared with what a client got from Kafka.
    this.generationId = (this.generationId + 1) | 0;
    const isEmpty = this.#members.size === 0;
    this.protocolName = isEmpty ? null : this.selectProtocol();
    this.subscribedTopics = subscribedTopicsOf(this);
    this.transitionTo(isEmpty ? 'Empty' : 'CompletingRebalance', nowMs);
    this.pendingSyncMembers.clear();
  }

  /** Its members have their assignments without having asked for them: they come from a group of another protocol. */
  settle(nowMs: number): void {
    this.protocolName = this.selectProtocol();
    this.subscribedTopics = subscribedTopicsOf(this);
    this.transitionTo('Stable', nowMs);
  }

  isSubscribedTo(topic: string): boolean {
    return this.subscribedTopics?.has(topic) ?? this.usesConsumerProtocol;
  }

  /** Throws COORDINATOR_NOT_AVAILABLE, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS. */
  validateOffsetCommit(committer: Committer): CommitCheck | undefined {
    const { memberId, groupInstanceId, generationIdOrMemberEpoch: generationId, isTransactional } = committer;
    if (this.#state === 'Dead') throw new KafkaError('COORDINATOR_NOT_AVAILABLE');
    if (generationId < 0 && this.isEmpty) return undefined;
    if (generationId >= 0 || memberId !== '' || groupInstanceId !== null) {
      this.validateMember(memberId, groupInstanceId);
      if (generationId !== this.generationId) {
        throw new KafkaError('ILLEGAL_GENERATION', `group ${this.groupId} is at generation ${this.generationId}`);
      }
    } else if (!isTransactional) {
      // Without membership only an empty group takes commits, else one would overwrite what its members do.
      throw unknownMember(this.groupId, memberId);
    }
    // The member knows the new generation and not yet its part of it: what it commits may be another's by now.
    if (!isTransactional && this.#state === 'CompletingRebalance') throw new KafkaError('REBALANCE_IN_PROGRESS');
    return undefined;
  }

  validateOffsetFetch(): void {}

  validateOffsetDelete(): void {
    if (this.isEmpty || this.usesConsumerProtocol) return;
    throw new KafkaError('NON_EMPTY_GROUP', `group ${this.groupId} has members, and what they read is not known`);
  }

  offsetRetentionBase(): ((committed: OffsetAndMetadata) => number) | null {
    const commitTime = ({ commitTimestamp }: OffsetAndMetadata): number => commitTimestamp;
    if (this.protocolType === null) return commitTime;
    if (this.isEmpty) {
      const emptySinceMs = this.stateTimestampMs;
      return emptySinceMs === -1 ? commitTime : () => emptySinceMs;
    }
    return this.usesConsumerProtocol && this.subscribedTopics !== null && this.#state === 'Stable' ? commitTime : null;
  }

  tombstones(): GroupRecord[] {
    return [groupMetadataTombstone(this.groupId)];
  }

  /** What the leader is told of the members. */
  membersForLeader(): NonNullable<Writable<JoinGroupResponse>['members']> {
    return [...this.#members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      metadata: metadataOf(member, this.protocolName),
    }));
  }

  /** The record of this generation. Its members come with `assignments`, or with what they have. */
  toRecord(assignments?: ReadonlyMap<string, Uint8Array>): GroupRecordOf<'GroupMetadata'> {
    return groupMetadataRecord(this.groupId, {
      protocolType: this.protocolType ?? '',
      generation: this.generationId,
      protocol: this.protocolName,
      leader: this.leaderId,
      currentStateTimestamp: this.stateTimestampMs,
      members: [...this.#members.values()].map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        rebalanceTimeout: member.rebalanceTimeoutMs,
        sessionTimeout: member.sessionTimeoutMs,
        subscription: metadataOf(member, this.protocolName),
        assignment: assignments === undefined ? member.assignment : (assignments.get(member.memberId) ?? EMPTY_BYTES),
      })),
    });
  }

  /** The record that makes a new group known, before any generation of it. */
  toEmptyRecord(): GroupRecordOf<'GroupMetadata'> {
    const { groupId, stateTimestampMs } = this;
    return groupMetadataRecord(groupId, {
      protocolType: '',
      generation: 0,
      protocol: null,
      leader: null,
      currentStateTimestamp: stateTimestampMs,
      members: [],
    });
  }

  assertInvariants(): void {
    const fail = (what: string): never => {
      throw new Error(`classic group ${this.groupId} (${this.#state}): ${what}`);
    };
    if (this.leaderId !== null && this.#members.size > 0 && !this.#members.has(this.leaderId)) fail('its leader is no member');
    if (this.#members.size > 0 && this.leaderId === null) fail('it has members and no leader');
    if (this.#state === 'Empty' && this.#members.size > 0) fail('it is empty and has members');
    for (const [instanceId, memberId] of this.#staticMembers) {
      if (this.#members.get(memberId)?.groupInstanceId !== instanceId) fail(`${instanceId} maps to ${memberId}`);
    }
    for (const member of this.#members.values()) {
      if (member.awaitingJoin !== null && this.#state !== 'PreparingRebalance' && this.#state !== 'Stable') fail('a join waits');
      if (member.awaitingSync !== null && this.#state !== 'CompletingRebalance') fail('a sync waits');
    }
    for (const memberId of this.pendingSyncMembers) if (!this.#members.has(memberId)) fail(`no member ${memberId} to sync`);
    for (const memberId of this.pendingJoinMembers) if (this.#members.has(memberId)) fail(`${memberId} is pending and a member`);
    if (this.#state === 'Stable' && this.#members.size === 0) fail('it is stable without members');
    if (this.#members.size > 0 && this.#commonProtocols().size === 0) fail('its members have no protocol in common');
    const awaiting = [...this.#members.values()].filter((member) => member.awaitingJoin !== null).length;
    if (awaiting !== this.#awaitingJoinCount) fail(`${awaiting} joins wait, ${this.#awaitingJoinCount} are counted`);
  }

  /** The protocols that every member supports. */
  #commonProtocols(): ReadonlySet<string> {
    return new Set([...this.#supporters.keys()].filter((name) => this.#supporters.get(name) === this.#members.size));
  }

  /** A name that a member lists twice counts once. */
  #countProtocols(protocols: readonly MemberProtocol[], difference: 1 | -1): void {
    for (const name of new Set(protocols.map((protocol) => protocol.name))) {
      const count = (this.#supporters.get(name) ?? 0) + difference;
      if (count === 0) this.#supporters.delete(name);
      else this.#supporters.set(name, count);
    }
  }
}

export function unknownMember(groupId: string, memberId: string): KafkaError {
  return new KafkaError('UNKNOWN_MEMBER_ID', `group ${groupId} has no member ${memberId === '' ? '(no id)' : memberId}`);
}
