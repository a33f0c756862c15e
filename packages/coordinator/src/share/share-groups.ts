import {
  errors,
  type InitializeShareGroupStateRequest,
  KafkaError,
  type ShareGroupHeartbeatRequest,
  type ShareGroupHeartbeatResponse,
  type Uuid,
  type Writable,
} from '@ottla/protocol';
import { type Assignment, sameAssignment } from '../assignors/group-assignor.ts';
import { shareOut } from '../assignors/simple-assignor.ts';
import { type DeadlineOfGroup, sessionKey } from '../group-deadline.ts';
import type { GroupProtocol } from '../group-protocol.ts';
import type { GroupState } from '../group-state.ts';
import { type Moment, type Outcome, Turn } from '../outcome.ts';
import { type DescribedShareGroup, ShareGroup } from './share-group.ts';
import {
  JOINING_EPOCH,
  LEAVING_EPOCH,
  NO_ASSIGNMENT,
  newShareMember,
  type ShareMember,
  sameNames,
  topicPartitionsOf,
} from './share-member.ts';
import { ShareOffsets } from './share-offsets.ts';
import { type PartitionsByTopic, type TopicPartitions, union } from './share-partitions.ts';
import {
  currentRecord,
  epochRecord,
  memberRecord,
  memberTombstones,
  type ShareRecord,
  sharePartitionsRecord,
  targetEpochRecord,
  targetRecord,
} from './share-records.ts';

/** An answer, and what the share coordinator has to be asked once it is committed. */
export type ShareHeartbeat = {
  readonly response: Writable<ShareGroupHeartbeatResponse>;
  readonly initialize: InitializeShareGroupStateRequest | null;
};

/** Where a request comes from. `clientHost` as Kafka prints an address: `/127.0.0.1`. */
export type ShareHeartbeatSender = { readonly clientId: string; readonly clientHost: string };

/** The start offset of a share partition that its leader has to find out. */
const OFFSET_NOT_KNOWN = -1;

/**
 * The groups of the share protocol (KIP-932). As in consumer groups heartbeats carry everything; but partitions may have several readers
 * and nothing is given up before it is given to others, so a member has its target assignment at once.
 *
 * A partition is given out once the share coordinator has state for it. The group's log says which are being initialized, are
 * initialized, or have state that is being deleted, so that a coordinator that takes over goes on with it.
 */
export class ShareGroups implements GroupProtocol<ShareRecord> {
  readonly offsets: ShareOffsets;
  readonly #state: GroupState;

  constructor(state: GroupState) {
    this.#state = state;
    this.offsets = new ShareOffsets(state, this);
  }

  // ── members ──

  /** Throws GROUP_ID_NOT_FOUND, GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH. */
  heartbeat(request: ShareGroupHeartbeatRequest, sender: ShareHeartbeatSender, moment: Moment): Outcome<ShareHeartbeat> {
    const turn = new Turn(moment);
    if (request.memberEpoch === LEAVING_EPOCH) {
      const response = this.#leave(this.group(request.groupId), request.memberId, turn);
      return turn.outcome({ response, initialize: null });
    }
    return turn.outcome(this.#heartbeat(request, sender, turn));
  }

  /** As of the last committed record. */
  describe(groupId: string): DescribedShareGroup {
    const { journal, groups, topics } = this.#state;
    const group = journal.committed(groups, groupId);
    if (group instanceof ShareGroup) return group.describe(topics);
    const errorMessage = group === undefined ? `Group ${groupId} not found.` : `Group ${groupId} is not a share group.`;
    return { groupId, errorCode: errors.GROUP_ID_NOT_FOUND.code, errorMessage };
  }

  /** Throws GROUP_ID_NOT_FOUND. */
  group(groupId: string): ShareGroup {
    const group = this.#state.groups.get(groupId);
    if (group instanceof ShareGroup) return group;
    throw new KafkaError(
      'GROUP_ID_NOT_FOUND',
      group === undefined ? `Group ${groupId} not found.` : `Group ${groupId} is not a share group.`,
    );
  }

  /** Its first record will make it one of the groups. Throws GROUP_ID_NOT_FOUND for a group of another protocol. */
  groupOrNew(groupId: string): ShareGroup {
    return this.#state.groups.has(groupId) ? this.group(groupId) : new ShareGroup(groupId, this.#state.journal);
  }

  #heartbeat(request: ShareGroupHeartbeatRequest, sender: ShareHeartbeatSender, turn: Turn): ShareHeartbeat {
    const { groupId, memberId, memberEpoch, rackId, subscribedTopicNames } = request;
    const isJoining = memberEpoch === JOINING_EPOCH;
    const group = isJoining ? this.groupOrNew(groupId) : this.group(groupId);
    this.#requireRoom(group, memberId);
    const before = this.#member(group, memberId, isJoining);
    requireEpoch(before, memberEpoch);
    const after: ShareMember = {
      ...before,
      rackId: rackId ?? before.rackId,
      clientId: sender.clientId,
      clientHost: sender.clientHost,
      subscribedTopicNames:
        subscribedTopicNames === null ? before.subscribedTopicNames : [...new Set(subscribedTopicNames)].sort(),
    };
    const isChanged = this.#recordMember(group, before, after, turn);
    const topicNames = group.subscribedTopicsWith(after);
    const groupEpoch = this.#updateEpoch(group, topicNames, isChanged, turn);
    const target = this.#updateTarget(group, after, groupEpoch, turn);
    const member = this.#stepTowards(groupId, after, target, isChanged, turn);
    this.#keepAlive(groupId, memberId, turn);

    const isTold = isJoining || subscribedTopicNames !== null || !sameAssignment(member.assigned, before.assigned);
    const response: Writable<ShareGroupHeartbeatResponse> = {
      memberId,
      memberEpoch: member.memberEpoch,
      heartbeatIntervalMs: this.#state.configOf(groupId)['share.heartbeat.interval.ms'],
      assignment: isTold ? { topicPartitions: topicPartitionsOf(member.assigned) } : null,
    };
    return { response, initialize: this.#initializeNew(group, topicNames, groupEpoch, turn) };
  }

  #requireRoom(group: ShareGroup, memberId: string): void {
    const { maxSize } = this.#state.config.share;
    if (group.members.size < maxSize || group.members.has(memberId)) return;
    throw new KafkaError('GROUP_MAX_SIZE_REACHED', `The share group has reached its maximum capacity of ${maxSize} members.`);
  }

  #member(group: ShareGroup, memberId: string, mayBegin: boolean): ShareMember {
    return mayBegin && !group.members.has(memberId) ? newShareMember(memberId) : group.member(memberId);
  }

  /** Whether it subscribes to something else than before. */
  #recordMember(group: ShareGroup, before: ShareMember, after: ShareMember, turn: Turn): boolean {
    const isChanged = !sameNames(before.subscribedTopicNames, after.subscribedTopicNames);
    const isSame =
      !isChanged &&
      group.members.has(after.memberId) &&
      before.rackId === after.rackId &&
      before.clientId === after.clientId &&
      before.clientHost === after.clientHost;
    if (!isSame) turn.records.push(memberRecord(group.groupId, after));
    return isChanged;
  }

  /** The group's epoch, which grows when members want something else, their topics changed, or more partitions can be given out. */
  #updateEpoch(group: ShareGroup, topicNames: ReadonlySet<string>, isChanged: boolean, turn: Turn): number {
    let isBumped = isChanged || (group.assignmentEpoch >= group.groupEpoch && this.#hasMoreToAssign(group));
    if (!isBumped && !group.needsRefresh) return group.groupEpoch;
    const metadataHash = this.#state.topicHashes.ofGroup(topicNames);
    isBumped ||= metadataHash !== group.metadataHash;
    const groupEpoch = isBumped ? group.groupEpoch + 1 : group.groupEpoch;
    if (isBumped) turn.records.push(epochRecord(group.groupId, groupEpoch, metadataHash));
    group.refreshed(groupEpoch);
    return groupEpoch;
  }

  /** Whether the members together have other partitions of a subscribed topic than those that are initialized. */
  #hasMoreToAssign(group: ShareGroup): boolean {
    const { initialized } = group.sharePartitions.get();
    if (group.isEmpty || initialized.size === 0) return false;
    const names = group.subscribedTopics();
    const assigned = new Map<Uuid, Set<number>>();
    for (const target of group.targets.values()) {
      for (const [topicId, partitions] of target) {
        const all = assigned.get(topicId) ?? new Set();
        for (const partition of partitions) all.add(partition);
        assigned.set(topicId, all);
      }
    }
    for (const [topicId, { partitions }] of initialized) {
      // What is left of a topic that is gone is given to nobody, though it may have a namesake.
      const topic = this.#state.topics.byId(topicId);
      if (topic === undefined || !names.has(topic.name)) continue;
      const all = assigned.get(topicId);
      if (all?.size !== partitions.length || !partitions.every((partition) => all.has(partition))) return true;
    }
    return false;
  }

  /** What the member is to have, as of which epoch: computed anew if it is older than the group, and may be computed again already. */
  #updateTarget(group: ShareGroup, member: ShareMember, groupEpoch: number, turn: Turn): Target {
    const { groupId, assignmentEpoch } = group;
    const { wallMs } = turn.moment;
    const { memberId } = member;
    const intervalMs = this.#state.configOf(groupId)['share.assignment.interval.ms'];
    if (groupEpoch <= assignmentEpoch || !group.mayAssign(intervalMs, wallMs)) {
      return { assignment: group.targets.get(memberId) ?? NO_ASSIGNMENT, assignmentEpoch };
    }
    const members = [...group.members.values()].filter((other) => other.memberId !== memberId);
    const targets = shareOut(
      [...members, member].map((each) => ({
        memberId: each.memberId,
        instanceId: null,
        subscribedTopicIds: this.#topicIds(each.subscribedTopicNames),
        assignment: group.targets.get(each.memberId) ?? NO_ASSIGNMENT,
      })),
      this.#assignable(group),
    );
    for (const [each, assignment] of targets) {
      const known = group.targets.get(each);
      if (known === undefined || !sameAssignment(known, assignment)) turn.records.push(targetRecord(groupId, each, assignment));
    }
    turn.records.push(targetEpochRecord(groupId, groupEpoch, wallMs));
    return { assignment: targets.get(memberId) ?? NO_ASSIGNMENT, assignmentEpoch: groupEpoch };
  }

  /** The initialized partitions of topics that still exist. */
  #assignable(group: ShareGroup): Map<Uuid, readonly number[]> {
    const assignable = new Map<Uuid, readonly number[]>();
    for (const [topicId, { partitions }] of group.sharePartitions.get().initialized) {
      if (this.#state.topics.byId(topicId) !== undefined) assignable.set(topicId, partitions);
    }
    return assignable;
  }

  #topicIds(names: readonly string[]): Set<Uuid> {
    const ids = new Set<Uuid>();
    for (const name of names) {
      const topic = this.#state.topics.byName(name);
      if (topic !== undefined) ids.add(topic.id);
    }
    return ids;
  }

  #stepTowards(groupId: string, member: ShareMember, target: Target, isChanged: boolean, turn: Turn): ShareMember {
    if (!isChanged && member.memberEpoch === target.assignmentEpoch) return member;
    // The target may be older than what the member subscribes to now.
    const topicIds = this.#topicIds(member.subscribedTopicNames);
    const assigned = new Map([...target.assignment].filter(([topicId]) => topicIds.has(topicId)));
    const stepped: ShareMember =
      member.memberEpoch === target.assignmentEpoch
        ? { ...member, assigned }
        : { ...member, assigned, memberEpoch: target.assignmentEpoch, previousMemberEpoch: member.memberEpoch };
    if (stepped.memberEpoch !== member.memberEpoch || !sameAssignment(stepped.assigned, member.assigned)) {
      turn.records.push(currentRecord(groupId, stepped));
    }
    return stepped;
  }

  // ── sessions ──

  #keepAlive(groupId: string, memberId: string, { moment }: Turn): void {
    const timeoutMs = this.#state.configOf(groupId)['share.session.timeout.ms'];
    const event = { type: 'SessionExpired', groupId, memberId } as const;
    this.#state.deadlines.set(sessionKey(groupId, memberId), moment.monotonicMs + timeoutMs, event);
  }

  #leave(group: ShareGroup, memberId: string, turn: Turn): Writable<ShareGroupHeartbeatResponse> {
    this.#removeMember(group, group.member(memberId), turn);
    return { memberId, memberEpoch: LEAVING_EPOCH };
  }

  /** Its deadline stays, in case this cannot be written: without a member it means nothing. */
  #removeMember(group: ShareGroup, { memberId }: ShareMember, turn: Turn): void {
    const { groupId } = group;
    const names = group.subscribedTopicsWith(newShareMember(memberId));
    turn.records.push(...memberTombstones(groupId, memberId));
    turn.records.push(epochRecord(groupId, group.groupEpoch + 1, this.#state.topicHashes.ofGroup(names)));
  }

  onDeadline(deadline: DeadlineOfGroup, turn: Turn): void {
    if (deadline.type !== 'SessionExpired') return;
    const group = this.#state.groups.get(deadline.groupId);
    const member = group instanceof ShareGroup ? group.members.get(deadline.memberId) : undefined;
    if (member !== undefined) this.#removeMember(group as ShareGroup, member, turn);
  }

  // ── state of share partitions ──

  /** Has state made for partitions of subscribed topics that have none. Tries again what was begun long ago. */
  #initializeNew(
    group: ShareGroup,
    topicNames: ReadonlySet<string>,
    stateEpoch: number,
    turn: Turn,
  ): InitializeShareGroupStateRequest | null {
    const fresh = this.#partitionsWithoutState(group, topicNames, turn.moment.monotonicMs);
    if (fresh.size === 0) return null;
    this.markInitializing(group, fresh, turn);
    return {
      groupId: group.groupId,
      topics: [...fresh].map(([topicId, { partitions }]) => ({
        topicId,
        partitions: partitions.map((partition) => ({ partition, stateEpoch, startOffset: OFFSET_NOT_KNOWN })),
      })),
    };
  }

  #partitionsWithoutState(group: ShareGroup, topicNames: ReadonlySet<string>, nowMs: number): Map<Uuid, TopicPartitions> {
    const { initialized, initializing } = group.sharePartitions.get();
    const fresh = new Map<Uuid, TopicPartitions>();
    for (const name of topicNames) {
      const topic = this.#state.topics.byName(name);
      if (topic === undefined) continue;
      const isUnderWay =
        nowMs - (group.initializingSinceMs.get(topic.id) ?? Number.NEGATIVE_INFINITY) <
        this.#state.config.share.initializeRetryMs;
      const known = new Set(initialized.get(topic.id)?.partitions);
      for (const partition of (isUnderWay && initializing.get(topic.id)?.partitions) || []) known.add(partition);
      if (known.size >= topic.partitionCount) continue;
      const partitions = Array.from({ length: topic.partitionCount }, (_, partition) => partition).filter(
        (partition) => !known.has(partition),
      );
      fresh.set(topic.id, { name, partitions });
    }
    return fresh;
  }

  /** Writes down that the share coordinator is being asked. */
  markInitializing(group: ShareGroup, fresh: PartitionsByTopic, { moment, records }: Turn): void {
    const { initialized, initializing, deleting } = group.sharePartitions.get();
    const begun = union(initializing, fresh);
    records.push(
      sharePartitionsRecord(group.groupId, {
        initializing: begun,
        initialized,
        // Whoever begins anew with a topic does not want its state deleted any more.
        deleting: new Map([...deleting].filter(([topicId]) => !begun.has(topicId))),
      }),
    );
    for (const topicId of fresh.keys()) group.initializingSinceMs.set(topicId, moment.monotonicMs);
  }

  // ── the log, and the life of the partition ──

  replay(record: ShareRecord): void {
    const { journal, groups } = this.#state;
    const { groupId } = record.key;
    let group = groups.get(groupId);
    if (!(group instanceof ShareGroup)) {
      // A tombstone of what the group was before it changed its type says nothing about what it is now.
      if (record.value === null) return;
      group = new ShareGroup(groupId, journal);
      journal.set(groups, groupId, group);
    }
    (group as ShareGroup).replay(record);
    if (record.type === 'ShareGroupMetadata' && record.value === null) journal.delete(groups, groupId);
  }

  /** None could be heard meanwhile: every member gets a fresh session, and what was begun elsewhere may yet come to its end. */
  activate(turn: Turn): void {
    for (const group of this.#state.groups.values()) {
      if (!(group instanceof ShareGroup)) continue;
      for (const memberId of group.members.keys()) this.#keepAlive(group.groupId, memberId, turn);
      for (const topicId of group.sharePartitions.get().initializing.keys()) {
        group.initializingSinceMs.set(topicId, turn.moment.monotonicMs);
      }
    }
  }

  unload(): void {}

  onTopicsChanged(names: ReadonlySet<string>): void {
    for (const group of this.#state.groups.values()) if (group instanceof ShareGroup) group.onTopicsChanged(names);
  }
}

type Target = { readonly assignment: Assignment; readonly assignmentEpoch: number };

/** A member that did not hear of its new epoch is at the one before. Throws FENCED_MEMBER_EPOCH. */
function requireEpoch({ memberEpoch, previousMemberEpoch }: ShareMember, received: number): void {
  if (received === JOINING_EPOCH || received === memberEpoch || (received < memberEpoch && received === previousMemberEpoch))
    return;
  throw new KafkaError(
    'FENCED_MEMBER_EPOCH',
    `the member is at epoch ${memberEpoch}, the request at ${received}: give up all partitions and join again`,
  );
}
