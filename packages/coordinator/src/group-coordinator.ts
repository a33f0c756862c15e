import {
  type DeleteGroupsResponse,
  type DescribeGroupsResponse,
  type ErrorName,
  errorCodeOf,
  errors,
  type HeartbeatRequest,
  type HeartbeatResponse,
  KafkaError,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
  type ListGroupsResponse,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse,
  type SyncGroupRequest,
  type Writable,
  ZERO_UUID,
} from '@ottla/protocol';
import { ClassicGroup } from './classic/classic-group.ts';
import { EMPTY_BYTES, metadataOf } from './classic/classic-member.ts';
import type { ClassicTurn, GroupDeadline } from './classic/classic-turn.ts';
import { heartbeat } from './classic/heartbeat.ts';
import { type Join, joinGroup, staticMemberNotReplaced, staticMemberReplaced } from './classic/join-group.ts';
import { leaveGroup } from './classic/leave-group.ts';
import {
  answerJoin,
  answerSync,
  completeJoin,
  expireSession,
  expireSyncPhase,
  extendOrCompleteInitialRebalance,
  keepAlive,
  prepareRebalance,
} from './classic/rebalance.ts';
import { assignmentStored, syncGroup } from './classic/sync-group.ts';
import { coordinatorErrorOf } from './coordinator-error.ts';
import { Deadlines } from './deadlines.ts';
import type { GroupConfig } from './group-config.ts';
import { type GroupRecord, type GroupRecordOf, groupMetadataTombstone, offsetTombstone } from './group-record.ts';
import { Journal } from './journal.ts';
import { isGroup, isModernRecord, ModernGroup, modernTypeOf } from './modern-group.ts';
import { commitOffsets, validateCommit } from './offsets/commit-offsets.ts';
import { expireOffsets } from './offsets/expire-offsets.ts';
import { type FetchedGroup, type FetchMode, fetchOffsets, noOffsets, type OffsetFetchGroup } from './offsets/fetch-offsets.ts';
import { OffsetStore } from './offsets/offset-store.ts';
import { type Continuation, type Moment, type Outcome, type Token, Turn } from './outcome.ts';

type Group = ClassicGroup | ModernGroup;
type DescribedGroup = NonNullable<Writable<DescribeGroupsResponse>['groups']>[number];
type ListedGroup = NonNullable<Writable<ListGroupsResponse>['groups']>[number];
type DeletedGroup = NonNullable<Writable<DeleteGroupsResponse>['results']>[number];

/** Where a record stands in the log, and who wrote it. */
export type RecordPosition = { readonly offset: number; readonly producerId: number };

/**
 * The groups of one partition of `__consumer_offsets`: who is in them, and what they have committed.
 *
 * Deterministic: time, random numbers and tokens are passed in. What must outlive a restart (offsets, which groups there are, the last
 * generation of each) comes from `replay` alone. The rest, who waits and whose session ends when, is in memory, and rebuilt by
 * `activate`. Every request method returns what it wants to become true as an Outcome, or throws the KafkaError that forbids it.
 */
export class GroupCoordinator {
  #config: GroupConfig;
  readonly #journal = new Journal();
  readonly #groups = new Map<string, Group>();
  readonly #offsets = new OffsetStore(this.#journal);
  readonly #deadlines = new Deadlines<GroupDeadline>();

  constructor(config: GroupConfig) {
    this.#config = config;
  }

  // ── classic groups: members ──

  /** Answers by token: at once, when the join phase ends, or when the group is unloaded. */
  join(join: Join, moment: Moment): Outcome {
    const { groupId, memberId } = join.request;
    const turn = new Turn(moment);
    const group = this.#groups.get(groupId);
    if (group instanceof ClassicGroup) {
      joinGroup(this.#on(group, turn), join);
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
    this.#journal.set(this.#groups, groupId, created);
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
    const group = this.#groups.get(request.groupId);
    if (group instanceof ClassicGroup && !group.isEmpty) syncGroup(this.#on(group, turn), request, token);
    else turn.answerSync(token, { errorCode: errors.UNKNOWN_MEMBER_ID.code });
    return turn.outcome();
  }

  heartbeat(request: HeartbeatRequest, moment: Moment): Outcome<Writable<HeartbeatResponse>> {
    const turn = new Turn(moment);
    return turn.outcome(heartbeat(this.#on(this.#classic(request.groupId), turn), request));
  }

  leave(groupId: string, members: LeaveGroupRequest['members'], moment: Moment): Outcome<Writable<LeaveGroupResponse>> {
    const turn = new Turn(moment);
    return turn.outcome(leaveGroup(this.#on(this.#classic(groupId), turn), members));
  }

  // ── offsets ──

  commitOffsets(
    request: OffsetCommitRequest,
    { apiVersion }: { readonly apiVersion: number },
    moment: Moment,
  ): Outcome<Writable<OffsetCommitResponse>> {
    const turn = new Turn(moment);
    const { groupId, memberId } = request;
    const group = this.#groups.get(groupId);
    validateCommit(groupId, group, { ...request, apiVersion, isTransactional: false });
    // A commit is a sign of life.
    if (group instanceof ClassicGroup && (group.state === 'Stable' || group.state === 'PreparingRebalance')) {
      const member = group.members.get(memberId);
      if (member !== undefined) keepAlive(this.#on(group, turn), member);
    }
    return turn.outcome(commitOffsets(turn, request, this.#config));
  }

  /** The topics asked for carry names, and ids where known. An error of the group is thrown. */
  fetchOffsets(request: OffsetFetchGroup, mode: FetchMode): FetchedGroup {
    const { groupId, memberId, memberEpoch } = request;
    const group = mode === 'stable' ? this.#groups.get(groupId) : this.#journal.committed(this.#groups, groupId);
    if (group === undefined || (group instanceof ClassicGroup && group.state === 'Dead')) return noOffsets(request);
    if (group instanceof ModernGroup) {
      if (group.type === 'Share') return noOffsets(request);
      group.validateOffsetFetch(memberId, memberEpoch);
    }
    return fetchOffsets(this.#offsets, request, mode);
  }

  deleteOffsets({ groupId, topics }: OffsetDeleteRequest, moment: Moment): Outcome<Writable<OffsetDeleteResponse>> {
    const turn = new Turn(moment);
    const group = this.#existing(groupId);
    if (group instanceof ClassicGroup && !group.isEmpty && !group.usesConsumerProtocol) {
      throw new KafkaError('NON_EMPTY_GROUP', `group ${groupId} has members, and what they read is not known`);
    }
    if (group.type === 'Share') throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${groupId} is not a consumer group.`);
    return turn.outcome({
      topics: topics.map(({ name, partitions }) => {
        const errorCode = group.isSubscribedTo(name) ? errors.GROUP_SUBSCRIBED_TO_TOPIC.code : 0;
        for (const { partitionIndex } of errorCode === 0 ? partitions : []) {
          const at = { groupId, topic: name, partition: partitionIndex };
          if (this.#offsets.get(at) !== undefined || this.#offsets.isOpen(at)) turn.records.push(offsetTombstone(at));
        }
        return { name, partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })) };
      }),
    });
  }

  // ── groups as a whole ──

  describe(groupId: string, { apiVersion }: { readonly apiVersion: number }): DescribedGroup {
    const group = this.#journal.committed(this.#groups, groupId);
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

  /** Filters are lower case; an empty one lets everything through. */
  list({ states, types }: { readonly states: ReadonlySet<string>; readonly types: ReadonlySet<string> }): ListedGroup[] {
    const listed: ListedGroup[] = [];
    for (const [groupId, group] of this.#journal.committedEntries(this.#groups)) {
      if (states.size > 0 && !states.has(group.state.toLowerCase())) continue;
      if (types.size > 0 && !types.has(group.type.toLowerCase())) continue;
      listed.push({
        groupId,
        protocolType: group.protocolType ?? '',
        groupState: group.state,
        groupType: group.type.toLowerCase(),
      });
    }
    return listed;
  }

  deleteGroups(groupIds: readonly string[], moment: Moment): Outcome<DeletedGroup[]> {
    const turn = new Turn(moment);
    const results = groupIds.map((groupId) => {
      try {
        const group = this.#existing(groupId);
        if (!group.isEmpty) throw new KafkaError('NON_EMPTY_GROUP', `group ${groupId} has members`);
        turn.records.push(...this.#offsets.deleteAll(groupId), ...this.#tombstones(group));
        return { groupId, errorCode: 0 };
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error;
        return { groupId, errorCode: errorCodeOf(error) };
      }
    });
    return turn.outcome(results);
  }

  /** Forgets the offsets of deleted topics. */
  onTopicsDeleted(topics: readonly { readonly name: string; readonly topicId: string }[], moment: Moment): Outcome {
    const turn = new Turn(moment);
    const deleted = topics.map(({ name, topicId }) => ({
      name,
      isDeleted: (stored: string): boolean => stored === ZERO_UUID || stored === topicId,
    }));
    turn.records.push(...this.#offsets.deleteTopics(deleted));
    return { ...turn.outcome(), atomic: false };
  }

  // ── time ──

  /** When `wake` wants to be called, by the monotonic clock. */
  nextWakeMs(): number | undefined {
    return this.#deadlines.nextMs();
  }

  /** Does one thing that is due, if any: call until there is none. */
  wake(moment: Moment): Outcome | undefined {
    const due = this.#deadlines.takeDue(moment.monotonicMs);
    if (due === undefined) return undefined;
    const turn = new Turn(moment);
    if (due.type === 'RetentionDue') {
      this.#expireGroups(turn);
      return { ...turn.outcome(), atomic: false };
    }
    const group = this.#groups.get(due.groupId);
    if (!(group instanceof ClassicGroup)) return turn.outcome();
    const on = this.#on(group, turn);
    if (due.type === 'SessionExpired') expireSession(on, due.memberId);
    else if (due.type === 'SyncPhaseExpired') expireSyncPhase(on, due.generationId);
    else if (due.type === 'JoinPhaseExpired') completeJoin(on);
    else extendOrCompleteInitialRebalance(on, due.delayMs, due.remainingMs);
    return turn.outcome();
  }

  // ── durability ──

  /** The records of an operation are committed, or failed to be written and have been rolled back. */
  continueWith(continuation: Continuation, error: KafkaError | null, moment: Moment): Outcome {
    const turn = new Turn(moment);
    const group = this.#groups.get(continuation.groupId);
    if (continuation.type === 'GroupCreated') {
      if (error !== null) turn.answerJoin(continuation.token, { errorCode: errors[coordinatorErrorOf(error.name)].code });
    } else if (group instanceof ClassicGroup) {
      const on = this.#on(group, turn);
      if (continuation.type === 'AssignmentStored') assignmentStored(on, continuation, error);
      else if (error === null) staticMemberReplaced(on, continuation);
      else staticMemberNotReplaced(on, continuation, error.name);
    }
    return turn.outcome();
  }

  /** The offset of the next record, by what was replayed. */
  get nextOffset(): number {
    return this.#journal.nextOffset;
  }

  /** The only place where offsets, and groups of the log, change. The caller replays in the order of the log. */
  replay(record: GroupRecord, { offset, producerId }: RecordPosition): void {
    this.#journal.advance(offset);
    if (record.type === 'OffsetCommit') this.#replayOffset(record, offset, producerId);
    else if (record.type === 'LegacyOffsetCommit') this.#replayOffset(modernised(record), offset, producerId);
    else if (record.type === 'GroupMetadata') this.#replayGroup(record);
    else if (isModernRecord(record)) this.#replayModern(record);
    this.#journal.advance(offset + 1);
  }

  replayTransactionEnd(producerId: number, isCommit: boolean, offset: number): void {
    this.#journal.advance(offset);
    this.#offsets.replayTransactionEnd(producerId, isCommit);
    this.#journal.advance(offset + 1);
  }

  /** Offsets that hold nothing for this machine: records of unknown types, and what the log no longer has. */
  skipTo(nextOffset: number): void {
    this.#journal.advance(nextOffset);
  }

  commitTo(endOffset: number): void {
    this.#journal.commit(endOffset);
  }

  rollbackTo(offset: number): void {
    this.#journal.rollback(offset);
  }

  // ── life of the partition ──

  updateConfig(config: GroupConfig): void {
    this.#config = config;
  }

  /** The log has been read: every member gets a fresh session, as none could be heard meanwhile. */
  activate(moment: Moment): Outcome {
    const turn = new Turn(moment);
    for (const group of this.#groups.values()) {
      if (!(group instanceof ClassicGroup)) continue;
      const on = this.#on(group, turn);
      for (const member of group.members.values()) keepAlive(on, member);
      // group.max.size was lowered: a rebalance lets in as many as it allows.
      if (group.members.size > this.#config.maxSize) prepareRebalance(on);
    }
    this.#scheduleRetention(turn);
    return turn.outcome();
  }

  /** The partition is led by another broker now: nobody must go on waiting here. */
  unload(moment: Moment): Outcome {
    const turn = new Turn(moment);
    const errorCode = errors.NOT_COORDINATOR.code;
    for (const group of this.#groups.values()) {
      if (!(group instanceof ClassicGroup)) continue;
      const on = this.#on(group, turn);
      for (const member of group.members.values()) {
        answerJoin(on, member, { memberId: member.memberId, errorCode });
        answerSync(on, member, { errorCode });
      }
      group.transitionTo('Dead', moment.wallMs);
    }
    return turn.outcome();
  }

  get groups(): ReadonlyMap<string, Group> {
    return this.#groups;
  }

  get offsets(): OffsetStore {
    return this.#offsets;
  }

  assertInvariants(): void {
    for (const group of this.#groups.values()) if (group instanceof ClassicGroup) group.assertInvariants();
    this.#offsets.assertInvariants();
  }

  #on(group: ClassicGroup, turn: Turn): ClassicTurn {
    return { group, turn, config: this.#config, deadlines: this.#deadlines };
  }

  /** Throws UNKNOWN_MEMBER_ID: whoever speaks for a member of a group that is none of this kind is no member. */
  #classic(groupId: string): ClassicGroup {
    const group = this.#groups.get(groupId);
    if (!(group instanceof ClassicGroup)) throw new KafkaError('UNKNOWN_MEMBER_ID', `Group ${groupId} not found.`);
    return group;
  }

  #existing(groupId: string): Group {
    const group = this.#groups.get(groupId);
    if (group === undefined) throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${groupId} not found.`);
    return group;
  }

  #tombstones(group: Group): GroupRecord[] {
    return group instanceof ClassicGroup ? [groupMetadataTombstone(group.groupId)] : group.tombstones();
  }

  #expireGroups(turn: Turn): void {
    const retention = { nowMs: turn.moment.wallMs, retentionMs: this.#config.offsetsRetentionMs };
    for (const group of this.#groups.values()) {
      // Share groups keep their place elsewhere.
      if (group.type === 'Share') continue;
      const nothingLeft = expireOffsets(this.#offsets, group, retention, turn.records);
      if (nothingLeft && group.isEmpty) turn.records.push(...this.#tombstones(group));
    }
    this.#scheduleRetention(turn);
  }

  #scheduleRetention({ moment }: Turn): void {
    const atMs = moment.monotonicMs + this.#config.offsetsRetentionCheckIntervalMs;
    this.#deadlines.set('retention', atMs, { type: 'RetentionDue' });
  }

  #replayOffset(record: Pick<GroupRecordOf<'OffsetCommit'>, 'key' | 'value'>, offset: number, producerId: number): void {
    const { group: groupId } = record.key;
    // A consumer that manages itself has no other record: its group is a classic one, empty and without a protocol type.
    if (record.value !== null && !this.#groups.has(groupId)) {
      this.#journal.set(this.#groups, groupId, new ClassicGroup(groupId, record.value.commitTimestamp));
    }
    this.#offsets.replay(record, offset, producerId);
  }

  #replayGroup({ key: { group: groupId }, value }: GroupRecordOf<'GroupMetadata'>): void {
    const group = this.#groups.get(groupId);
    if (value === null) {
      if (group instanceof ClassicGroup) this.#journal.delete(this.#groups, groupId);
    } else if (!(group instanceof ClassicGroup) || !this.#isActive) {
      this.#journal.set(this.#groups, groupId, ClassicGroup.fromRecord(groupId, value));
    }
    // A group that is active wrote the record itself: it knows more than the record does.
  }

  #replayModern(record: Parameters<ModernGroup['replay']>[0]): void {
    const { groupId } = record.key;
    const type = modernTypeOf(record.type);
    let group = this.#groups.get(groupId);
    if (!(group instanceof ModernGroup) || group.type !== type) {
      // A tombstone of what the group was before it changed its type says nothing about what it is now.
      if (record.value === null) return;
      group = new ModernGroup(groupId, type, this.#journal);
      this.#journal.set(this.#groups, groupId, group);
    }
    group.replay(record);
    if (record.value === null && (isGroup(record.type) || !group.hasRecords)) this.#journal.delete(this.#groups, groupId);
  }

  /** From `activate` on, classic groups are led by their members' requests; before, by the log. */
  get #isActive(): boolean {
    return this.#deadlines.has('retention');
  }
}

function refuseJoin(turn: Turn, token: Token, memberId: string, error: ErrorName): Outcome {
  turn.answerJoin(token, { memberId, errorCode: errors[error].code });
  return turn.outcome();
}

function modernised({ key, value }: GroupRecordOf<'LegacyOffsetCommit'>): Pick<GroupRecordOf<'OffsetCommit'>, 'key' | 'value'> {
  return { key, value: value && { ...value, leaderEpoch: -1, expireTimestamp: -1, topicId: ZERO_UUID } };
}
