import {
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  errors,
  KafkaError,
  type Writable,
} from '@ottla/protocol';
import { ClassicGroup } from '../classic/classic-group.ts';
import { type DeadlineOfGroup, sessionKey } from '../group-deadline.ts';
import type { GroupProtocol } from '../group-protocol.ts';
import type { GroupState } from '../group-state.ts';
import { Journal } from '../journal.ts';
import { type Continuation, type Moment, type Outcome, Turn } from '../outcome.ts';
import { ClassicMembers } from './classic-members.ts';
import { ConsumerGroup, type DescribedConsumerGroup } from './consumer-group.ts';
import {
  AWAY_EPOCH,
  type ConsumerMember,
  JOINING_EPOCH,
  LEAVING_EPOCH,
  memberStates,
  newMember,
  topicNames,
  withMetadata,
} from './consumer-member.ts';
import {
  type ConsumerRecord,
  epochRecord,
  memberRecord,
  memberTombstones,
  progressRecord,
  regexTombstone,
  targetRecord,
} from './consumer-records.ts';
import { expectRevocation, type MemberUpdate, recordMember, stepTowards, updateEpoch, updateTarget } from './member-update.ts';
import {
  classicGroupOf,
  leaveClassicGroup,
  mayDowngrade,
  requireUpgradable,
  takeOverClassicGroup,
  upgradeRecords,
} from './migration.ts';
import { NO_PARTITIONS, partitionsByTopic, partitionsIn, putPartition, samePartitions } from './partition-epochs.ts';
import type { OwnedPartitions } from './reconcile.ts';
import { RegexRefresh } from './regex-refresh.ts';
import { NO_ASSIGNMENT } from './target-assignment.ts';

export type HeartbeatSender = {
  readonly clientId: string;
  /** As Kafka prints an address: `/127.0.0.1`. */
  readonly clientHost: string;
  /** A fresh id for a member that brings none (v0). */
  readonly newMemberId: string;
};

/** Where a member comes from: what a request says of it besides what it subscribes to. */
export type Claim = {
  readonly memberId: string;
  readonly instanceId: string | null;
  /** Null: not compared, as members of the classic protocol may be anywhere when they join. */
  readonly memberEpoch: number | null;
  readonly owned: OwnedPartitions;
  /** Whether it may be new, or take over from a static member. */
  readonly mayBegin: boolean;
  readonly isClassic: boolean;
};

/**
 * The groups of the consumer protocol (KIP-848). Heartbeats carry everything: what a member subscribes to and has goes up, its epoch
 * and what it is to have come down. Nobody waits for anybody; the coordinator decides who gets what, and leads each member there.
 */
export class ConsumerGroups implements GroupProtocol<ConsumerRecord> {
  readonly regexes: RegexRefresh;
  readonly classicMembers: ClassicMembers;
  readonly #state: GroupState;

  constructor(state: GroupState) {
    this.#state = state;
    this.regexes = new RegexRefresh(state);
    this.classicMembers = new ClassicMembers(state, this);
  }

  /**
   * Throws GROUP_ID_NOT_FOUND, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID, FENCED_INSTANCE_ID,
   * GROUP_MAX_SIZE_REACHED, INVALID_REGULAR_EXPRESSION.
   */
  heartbeat(
    request: ConsumerGroupHeartbeatRequest,
    sender: HeartbeatSender,
    moment: Moment,
  ): Outcome<Writable<ConsumerGroupHeartbeatResponse>> {
    const turn = new Turn(moment);
    const isLeaving = request.memberEpoch === LEAVING_EPOCH || request.memberEpoch === AWAY_EPOCH;
    return turn.outcome(isLeaving ? this.#leave(request, turn) : this.#heartbeat(request, sender, turn));
  }

  /** As of the last committed record. */
  describe(groupId: string): DescribedConsumerGroup {
    const { journal, groups, topics, config } = this.#state;
    const group = journal.committed(groups, groupId);
    if (group instanceof ConsumerGroup) return group.describe(topics, config.consumer.assignors[0]!);
    const errorMessage = group === undefined ? `Group ${groupId} not found.` : `Group ${groupId} is not a consumer group.`;
    return { groupId, errorCode: errors.GROUP_ID_NOT_FOUND.code, errorMessage };
  }

  #heartbeat(
    request: ConsumerGroupHeartbeatRequest,
    { clientId, clientHost, newMemberId }: HeartbeatSender,
    turn: Turn,
  ): Writable<ConsumerGroupHeartbeatResponse> {
    const { groupId, instanceId, memberEpoch, rebalanceTimeoutMs, topicPartitions: owned } = request;
    const isJoining = memberEpoch === JOINING_EPOCH;
    const { group, upgraded } = isJoining ? this.#groupToJoin(groupId, turn) : { group: this.group(groupId), upgraded: null };
    this.requireRoom(group, request.memberId);
    const memberId = request.memberId === '' ? newMemberId : request.memberId;
    const claim = { memberId, instanceId, memberEpoch, owned, mayBegin: isJoining, isClassic: false };
    const before = this.claimMember(group, claim, turn);
    const after = withMetadata(before, {
      instanceId: instanceId ?? before.instanceId,
      rackId: request.rackId ?? before.rackId,
      rebalanceTimeoutMs: rebalanceTimeoutMs === -1 ? before.rebalanceTimeoutMs : rebalanceTimeoutMs,
      serverAssignor: request.serverAssignor ?? before.serverAssignor,
      subscribedTopicNames:
        request.subscribedTopicNames === null ? before.subscribedTopicNames : topicNames(request.subscribedTopicNames),
      subscribedTopicRegex: request.subscribedTopicRegex ?? before.subscribedTopicRegex,
      clientId,
      clientHost,
      classic: null,
    });
    const update: MemberUpdate = { group, before, after };
    const { namesChanged, regexChange } = recordMember(update, this.regexes, turn);
    const groupEpoch = updateEpoch(update, namesChanged || regexChange === 'resolved', this.#state, turn);
    const destination = updateTarget(update, groupEpoch, this.#state, turn);
    const hasSubscriptionChanged = namesChanged || regexChange !== 'none';
    const member = stepTowards(update, { ...destination, hasSubscriptionChanged, owned }, this.#state, turn);
    if (upgraded !== null) leaveClassicGroup(upgraded, this.#state, turn);
    this.keepAlive(groupId, memberId, turn);

    const isFull = rebalanceTimeoutMs !== -1 && owned !== null && hasSubscription(request);
    const isAssigned = isJoining || isFull || !samePartitions(member.assigned, before.assigned);
    return {
      memberId,
      memberEpoch: member.memberEpoch,
      heartbeatIntervalMs: this.#state.configOf(groupId)['consumer.heartbeat.interval.ms'],
      assignment: isAssigned ? { topicPartitions: partitionsByTopic(member.assigned) } : null,
    };
  }

  #leave(
    { groupId, instanceId, memberId, memberEpoch }: ConsumerGroupHeartbeatRequest,
    turn: Turn,
  ): Writable<ConsumerGroupHeartbeatResponse> {
    const group = this.group(groupId);
    if (instanceId === null) {
      this.fence(group, [group.member(memberId)], turn);
      return { memberId, memberEpoch };
    }
    const member = this.requireStatic(group, instanceId, memberId);
    if (memberEpoch === AWAY_EPOCH) turn.records.push(progressRecord(groupId, away(member)));
    else this.fence(group, [member], turn);
    return { memberId, memberEpoch };
  }

  // ── members, of both protocols ──

  /** The group, which must be one of this protocol. Throws GROUP_ID_NOT_FOUND. */
  group(groupId: string): ConsumerGroup {
    const group = this.#state.groups.get(groupId);
    if (group instanceof ConsumerGroup) return group;
    const message = group === undefined ? `Consumer group ${groupId} not found.` : `Group ${groupId} is not a consumer group.`;
    throw new KafkaError('GROUP_ID_NOT_FOUND', message);
  }

  /** Throws GROUP_MAX_SIZE_REACHED. */
  requireRoom(group: ConsumerGroup, memberId: string): void {
    const { maxSize } = this.#state.config.consumer;
    if (group.members.size < maxSize || group.members.has(memberId)) return;
    throw new KafkaError('GROUP_MAX_SIZE_REACHED', `The consumer group has reached its maximum capacity of ${maxSize} members.`);
  }

  /**
   * The member that speaks, as the group knows it: a new one where that may be. A static member that comes back takes the place of
   * the one before it, under its own id.
   */
  claimMember(group: ConsumerGroup, claim: Claim, turn: Turn): ConsumerMember {
    const { memberId, instanceId, mayBegin, isClassic } = claim;
    if (instanceId === null) {
      const known = group.members.get(memberId);
      if (known === undefined && mayBegin) return newMember(memberId);
      const member = group.member(memberId);
      requireEpoch(member, claim);
      return member;
    }
    if (!mayBegin) {
      const member = this.requireStatic(group, instanceId, memberId);
      requireEpoch(member, claim);
      return member;
    }
    const known = group.staticMember(instanceId);
    if (known === undefined) return group.members.get(memberId) ?? newMember(memberId);
    if (!isClassic && known.classic === null && known.memberEpoch !== AWAY_EPOCH) {
      throw new KafkaError(
        'UNRELEASED_INSTANCE_ID',
        `Static member ${memberId} with instance id ${instanceId} cannot join the group because the instance id is owned by ${known.memberId} member.`,
      );
    }
    const { groupId } = group;
    const member = { ...known, memberId, memberEpoch: 0, previousMemberEpoch: 0 };
    turn.records.push(
      ...memberTombstones(groupId, known.memberId),
      memberRecord(groupId, member),
      targetRecord(groupId, memberId, group.targets.get(known.memberId) ?? NO_ASSIGNMENT),
      progressRecord(groupId, member),
    );
    return member;
  }

  /** Throws UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID. */
  requireStatic(group: ConsumerGroup, instanceId: string, memberId: string): ConsumerMember {
    const member = group.staticMember(instanceId);
    if (member === undefined) throw new KafkaError('UNKNOWN_MEMBER_ID', `Instance id ${instanceId} is unknown.`);
    if (member.memberId === memberId) return member;
    throw new KafkaError(
      'FENCED_INSTANCE_ID',
      `Static member ${memberId} with instance id ${instanceId} was fenced by member ${member.memberId}.`,
    );
  }

  keepAlive(groupId: string, memberId: string, turn: Turn, timeoutMs?: number): void {
    const sessionTimeoutMs = timeoutMs ?? this.#state.configOf(groupId)['consumer.session.timeout.ms'];
    const atMs = turn.moment.monotonicMs + sessionTimeoutMs;
    this.#state.deadlines.set(sessionKey(groupId, memberId), atMs, { type: 'SessionExpired', groupId, memberId });
  }

  /**
   * Removes members, whether they left or were not heard of in time. If only members of the classic protocol are left, the group
   * becomes one of theirs again. Their deadlines stay, in case this cannot be written: without a member they mean nothing.
   */
  fence(group: ConsumerGroup, members: readonly ConsumerMember[], turn: Turn): void {
    if (members.length === 0) return;
    const { groupId } = group;
    const gone = new Set(members.map(({ memberId }) => memberId));
    const left = [...group.members.values()].filter(({ memberId }) => !gone.has(memberId));
    const classic = mayDowngrade(left, this.#state.config) ? classicGroupOf(group, left, this.#state.topics, turn) : null;
    if (classic !== null) {
      turn.records.push(...group.tombstones());
      takeOverClassicGroup(classic, { rebalances: true }, this.#state, turn);
      return;
    }
    for (const { memberId } of members) turn.records.push(...memberTombstones(groupId, memberId));
    const subscribed = new Set(left.map(({ subscribedTopicRegex }) => subscribedTopicRegex));
    for (const regex of new Set(members.map(({ subscribedTopicRegex }) => subscribedTopicRegex))) {
      if (regex !== '' && !subscribed.has(regex)) turn.records.push(regexTombstone(groupId, regex));
    }
    const regexes = [...group.regexes.keys()].filter((regex) => subscribed.has(regex));
    const metadataHash = this.#state.topicHashes.ofGroup(group.subscribedTopicsOf(left, regexes));
    turn.records.push(epochRecord(groupId, group.groupEpoch + 1, metadataHash));
  }

  // ── as part of the coordinator ──

  onDeadline(due: DeadlineOfGroup, turn: Turn): void {
    const group = this.group(due.groupId);
    if (!('memberId' in due)) return;
    const member = group.members.get(due.memberId);
    if (member === undefined) return;
    // It has moved on since it was told to give something up.
    if (due.type === 'RevocationExpired' && member.memberEpoch !== due.memberEpoch) return;
    this.fence(group, [member], turn);
  }

  continueWith(continuation: Continuation, error: KafkaError | null, turn: Turn): void {
    // Whoever failed is told why by the shell.
    if (error !== null) return;
    if (continuation.type === 'ClassicMemberJoined') this.classicMembers.joined(continuation, turn);
    if (continuation.type === 'ClassicMemberSynced') this.classicMembers.synced(continuation, turn);
  }

  replay(record: ConsumerRecord): void {
    const { journal, groups } = this.#state;
    const { groupId } = record.key;
    let group = groups.get(groupId);
    if (!(group instanceof ConsumerGroup)) {
      // A tombstone of what the group was before it changed its type says nothing about what it is now.
      if (record.value === null) return;
      group = new ConsumerGroup(groupId, journal);
      journal.set(groups, groupId, group);
    }
    (group as ConsumerGroup).replay(record);
    if (record.value === null && record.type === 'ConsumerGroupMetadata') journal.delete(groups, groupId);
  }

  /** Every member gets a fresh session, and who has something to give up the whole of its time. */
  activate(turn: Turn): void {
    for (const group of this.#all()) {
      for (const member of group.members.values()) {
        this.keepAlive(group.groupId, member.memberId, turn);
        if (member.state === memberStates.unrevoked) expectRevocation(group.groupId, member, this.#state, turn);
      }
    }
  }

  /** Nobody waits. */
  unload(): void {}

  onTopicsChanged(names: ReadonlySet<string>): void {
    for (const group of this.#all()) group.onTopicsChanged(names);
  }

  *#all(): Generator<ConsumerGroup> {
    for (const group of this.#state.groups.values()) if (group instanceof ConsumerGroup) yield group;
  }

  /**
   * The group, made or turned into one of this protocol where that may be. It is only known to the coordinator once the records of
   * this turn are replayed.
   */
  #groupToJoin(groupId: string, turn: Turn): { readonly group: ConsumerGroup; readonly upgraded: ClassicGroup | null } {
    const known = this.#state.groups.get(groupId);
    if (known !== undefined && !(known instanceof ClassicGroup)) return { group: this.group(groupId), upgraded: null };
    const group = new ConsumerGroup(groupId, new Journal());
    if (known === undefined) return { group, upgraded: null };
    if (!known.isEmpty) requireUpgradable(known, this.#state.config);
    turn.records.push(...known.tombstones());
    if (known.isEmpty) return { group, upgraded: null };
    const records = upgradeRecords(known, this.#state);
    for (const record of records) group.replay(record);
    turn.records.push(...records);
    return { group, upgraded: known };
  }
}

function hasSubscription({ subscribedTopicNames, subscribedTopicRegex }: ConsumerGroupHeartbeatRequest): boolean {
  return subscribedTopicNames !== null || subscribedTopicRegex !== null;
}

/** The answer to its last heartbeat may have been lost: then it is one epoch behind, and has no more than it was given. */
function requireEpoch(member: ConsumerMember, { memberEpoch, owned }: Claim): void {
  if (memberEpoch === null || memberEpoch === JOINING_EPOCH || memberEpoch === member.memberEpoch) return;
  const isGreater = memberEpoch > member.memberEpoch;
  if (!isGreater && memberEpoch === member.previousMemberEpoch && hasNoMoreThanAssigned(member, owned)) return;
  throw new KafkaError(
    'FENCED_MEMBER_EPOCH',
    `The consumer group member has a ${isGreater ? 'greater' : 'smaller'} member epoch (${memberEpoch}) than the one known by the group coordinator (${member.memberEpoch}). The member must abandon all its partitions and rejoin.`,
  );
}

function hasNoMoreThanAssigned({ assigned }: ConsumerMember, owned: OwnedPartitions): boolean {
  if (owned === null) return false;
  return owned.every(({ topicId, partitions }) => {
    const epochs = assigned.get(topicId);
    return epochs !== undefined && partitions.every((partition) => epochs.has(partition));
  });
}

/** Its partitions wait for whoever comes back with its instance id, and may commit to them from the start. */
function away(member: ConsumerMember): ConsumerMember {
  const assigned = new Map<string, Map<number, number>>();
  for (const { topicId, partition } of partitionsIn(member.assigned)) putPartition(assigned, topicId, partition, 0);
  return { ...member, memberEpoch: AWAY_EPOCH, assigned, revoking: NO_PARTITIONS };
}
