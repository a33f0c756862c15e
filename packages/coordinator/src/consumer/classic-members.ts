import {
  errorCodeOf,
  errors,
  type HeartbeatRequest,
  type HeartbeatResponse,
  KafkaError,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
  readSubscription,
  type SyncGroupRequest,
  type Writable,
} from '@ottla/protocol';
import { ownedProtocols } from '../classic/classic-member.ts';
import type { Join } from '../classic/join-group.ts';
import { rejoinKey, resyncKey } from '../group-deadline.ts';
import type { GroupState } from '../group-state.ts';
import type { Continuation, MemberProtocol, Token, Turn } from '../outcome.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import type { ConsumerGroups } from './consumer-groups.ts';
import { type ConsumerMember, isReconciledTo, memberStates, topicNames, withMetadata } from './consumer-member.ts';
import { lastTarget, type MemberUpdate, recordMember, stepTowards, updateEpoch, updateTarget } from './member-update.ts';
import { classicAssignment, classicGroupOf, classicOwned, mayDowngrade, takeOverClassicGroup } from './migration.ts';
import { partitionsByTopic } from './partition-epochs.ts';

type Joined = Extract<Continuation, { type: 'ClassicMemberJoined' }>;
type Synced = Extract<Continuation, { type: 'ClassicMemberSynced' }>;

/**
 * Members of consumer groups that speak the classic protocol: consumers that are not upgraded yet. They join, sync and send heartbeats
 * as ever, but wait for nobody: a JoinGroup takes the member a step towards its target, the answer to SyncGroup says what it has, and
 * a heartbeat sends it to rejoin when there is a step to take.
 */
export class ClassicMembers {
  readonly #state: GroupState;
  readonly #groups: ConsumerGroups;

  constructor(state: GroupState, groups: ConsumerGroups) {
    this.#state = state;
    this.#groups = groups;
  }

  /**
   * Answers by token. Throws INCONSISTENT_GROUP_PROTOCOL, GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID,
   * UNKNOWN_SERVER_ERROR.
   */
  join(group: ConsumerGroup, join: Join, turn: Turn): void {
    const { request, token, clientId, clientHost } = join;
    const { groupId, groupInstanceId: instanceId, sessionTimeoutMs, rebalanceTimeoutMs } = request;
    const { config, topics } = this.#state;
    if (!config.consumer.mayUpgrade && !config.consumer.mayDowngrade) {
      throw new KafkaError(
        'INCONSISTENT_GROUP_PROTOCOL',
        `Cannot join the consumer group ${groupId} with the classic protocol because the group migration is disabled.`,
      );
    }
    const isUnknown = request.memberId === '';
    const memberId = isUnknown ? join.newMemberId : request.memberId;
    this.#groups.requireRoom(group, memberId);
    requireSupported(group, memberId, request);
    // v4: the member comes back with the id it is given, so that a retry is not taken for one more member (KIP-394).
    if (isUnknown && instanceId === null && join.apiVersion >= 4) {
      turn.answerJoin(token, { memberId, errorCode: errors.MEMBER_ID_REQUIRED.code });
      return;
    }
    const mayBegin = instanceId === null || isUnknown;
    const claim = { memberId, instanceId, memberEpoch: null, owned: [], mayBegin, isClassic: true };
    const replaced = instanceId === null ? undefined : group.staticMember(instanceId);
    const before = this.#groups.claimMember(group, claim, turn);
    const subscription = subscriptionOf(request.protocols);
    const after = withMetadata(before, {
      instanceId: instanceId ?? before.instanceId,
      rackId: subscription.rackId || before.rackId,
      rebalanceTimeoutMs: rebalanceTimeoutMs === -1 ? before.rebalanceTimeoutMs : rebalanceTimeoutMs,
      subscribedTopicNames: topicNames(subscription.topics),
      subscribedTopicRegex: '',
      clientId,
      clientHost,
      classic: { sessionTimeoutMs, protocols: ownedProtocols(request.protocols) },
    });
    const update: MemberUpdate = { group, before, after };
    const { namesChanged, regexChange } = recordMember(update, this.#groups.regexes, turn);
    const hasSubscriptionChanged = namesChanged || regexChange !== 'none';
    const groupEpoch = updateEpoch(update, hasSubscriptionChanged, this.#state, turn);
    const owned = classicOwned(subscription.ownedPartitions, topics);
    const downgrades =
      replaced !== undefined && replaced.classic === null && mayDowngrade(group.membersWith(after), this.#state.config);
    const member = downgrades
      ? this.#downgrade(update, { replaced, groupEpoch, hasSubscriptionChanged, owned }, turn)
      : stepTowards(
          update,
          { ...updateTarget(update, groupEpoch, this.#state, turn), hasSubscriptionChanged, owned },
          this.#state,
          turn,
        );
    // From now on, not from the commit: that may come after the request was given up, for a member whose id nobody was told.
    if (!downgrades) this.#groups.keepAlive(groupId, memberId, turn, sessionTimeoutMs);
    const response = {
      memberId,
      generationId: member.memberEpoch,
      protocolType: 'consumer',
      protocolName: request.protocols[0]!.name,
    };
    turn.continuation = {
      type: 'ClassicMemberJoined',
      groupId,
      token,
      response,
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      downgrades,
    };
  }

  /** Throws UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, INCONSISTENT_GROUP_PROTOCOL, REBALANCE_IN_PROGRESS. */
  sync(group: ConsumerGroup, request: SyncGroupRequest, token: Token, turn: Turn): void {
    const { groupId, memberId, protocolType, protocolName } = request;
    const member = this.#classicMember(group, request);
    const { sessionTimeoutMs, protocols } = member.classic!;
    requireProtocol(member, request);
    if (group.assignmentEpoch > member.memberEpoch && member.state !== memberStates.unrevoked) {
      this.#expectRejoin(groupId, member, turn);
      throw new KafkaError(
        'REBALANCE_IN_PROGRESS',
        `A new rebalance is triggered in group ${groupId} and member ${memberId} should rejoin to catch up.`,
      );
    }
    const held = new Map(partitionsByTopic(member.assigned).map(({ topicId, partitions }) => [topicId, partitions]));
    const assignment = classicAssignment(held, protocols[0]!.metadata, this.#state.topics);
    const response = { protocolType, protocolName, assignment };
    turn.continuation = { type: 'ClassicMemberSynced', groupId, memberId, token, response, sessionTimeoutMs };
  }

  /** Throws UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION. */
  heartbeat(group: ConsumerGroup, request: HeartbeatRequest, turn: Turn): Writable<HeartbeatResponse> {
    const { groupId } = group;
    const member = this.#classicMember(group, request);
    this.#groups.keepAlive(groupId, member.memberId, turn, member.classic!.sessionTimeoutMs);
    const mayStep =
      member.memberEpoch < group.assignmentEpoch ||
      member.state === memberStates.unrevoked ||
      (member.state === memberStates.unreleased && !group.isWaitingForOthers(member));
    if (!mayStep) return { errorCode: 0 };
    this.#expectRejoin(groupId, member, turn);
    return { errorCode: errors.REBALANCE_IN_PROGRESS.code };
  }

  /** Members of both protocols: an administrator may remove any of them. */
  leave(group: ConsumerGroup, members: LeaveGroupRequest['members'], turn: Turn): Writable<LeaveGroupResponse> {
    const leaving = new Map<string, ConsumerMember>();
    const results = members.map(({ memberId, groupInstanceId }) => {
      try {
        const member = this.#leaver(group, memberId, groupInstanceId);
        leaving.set(member.memberId, member);
        return { memberId, groupInstanceId, errorCode: 0 };
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error;
        return { memberId, groupInstanceId, errorCode: errorCodeOf(error) };
      }
    });
    this.#groups.fence(group, [...leaving.values()], turn);
    return { members: results };
  }

  joined({ groupId, token, response, sessionTimeoutMs, rebalanceTimeoutMs, downgrades }: Joined, turn: Turn): void {
    const { deadlines } = this.#state;
    const { memberId } = response;
    deadlines.cancel(rejoinKey(groupId, memberId));
    if (!downgrades) {
      this.#groups.keepAlive(groupId, memberId, turn, sessionTimeoutMs);
      const atMs = turn.moment.monotonicMs + rebalanceTimeoutMs;
      deadlines.set(resyncKey(groupId, memberId), atMs, { type: 'ResyncExpired', groupId, memberId });
    }
    turn.answerJoin(token, response);
  }

  synced({ groupId, memberId, token, response, sessionTimeoutMs }: Synced, turn: Turn): void {
    this.#state.deadlines.cancel(resyncKey(groupId, memberId));
    this.#groups.keepAlive(groupId, memberId, turn, sessionTimeoutMs);
    turn.answerSync(token, response);
  }

  /** The last member of the consumer protocol was static, and is replaced by one of the classic protocol. */
  #downgrade(
    update: MemberUpdate,
    {
      replaced,
      groupEpoch,
      hasSubscriptionChanged,
      owned,
    }: {
      readonly replaced: ConsumerMember;
      readonly groupEpoch: number;
      readonly hasSubscriptionChanged: boolean;
      readonly owned: ReturnType<typeof classicOwned>;
    },
    turn: Turn,
  ): ConsumerMember {
    const { group, after } = update;
    const { memberId } = after;
    const isStale = group.assignmentEpoch < groupEpoch;
    const member = isStale
      ? after
      : stepTowards(update, { ...lastTarget(update), hasSubscriptionChanged, owned }, this.#state, turn);
    const members = group.membersWith(member);
    const classic = classicGroupOf(group, members, this.#state.topics, turn);
    if (classic === null) {
      throw new KafkaError(
        'GROUP_ID_NOT_FOUND',
        `Cannot downgrade the consumer group ${group.groupId}: what its members say of themselves cannot be read.`,
      );
    }
    turn.records.push(...group.tombstonesWith({ replacedId: replaced.memberId, memberId }));
    // Who waits for a partition gets it in a rebalance only.
    const rebalances = isStale || members.some((each) => !isReconciledTo(each, group.assignmentEpoch));
    takeOverClassicGroup(classic, { rebalances }, this.#state, turn);
    return member;
  }

  #classicMember(
    group: ConsumerGroup,
    request: { readonly memberId: string; readonly groupInstanceId: string | null; readonly generationId: number },
  ): ConsumerMember {
    const { memberId, groupInstanceId, generationId } = request;
    const member =
      groupInstanceId === null ? group.member(memberId) : this.#groups.requireStatic(group, groupInstanceId, memberId);
    if (member.classic === null) {
      throw new KafkaError('UNKNOWN_MEMBER_ID', `Member ${memberId} does not use the classic protocol.`);
    }
    if (generationId !== member.memberEpoch) {
      throw new KafkaError('ILLEGAL_GENERATION', `member ${memberId} is at epoch ${member.memberEpoch}, not ${generationId}`);
    }
    return member;
  }

  #leaver(group: ConsumerGroup, memberId: string, groupInstanceId: string | null): ConsumerMember {
    if (groupInstanceId === null) return group.member(memberId);
    const known = group.staticMember(groupInstanceId)?.memberId;
    return this.#groups.requireStatic(group, groupInstanceId, memberId === '' && known !== undefined ? known : memberId);
  }

  #expectRejoin(groupId: string, { memberId, rebalanceTimeoutMs }: ConsumerMember, { moment }: Turn): void {
    const { deadlines } = this.#state;
    const key = rejoinKey(groupId, memberId);
    if (!deadlines.has(key))
      deadlines.set(key, moment.monotonicMs + rebalanceTimeoutMs, { type: 'RejoinExpired', groupId, memberId });
  }
}

/** Throws INCONSISTENT_GROUP_PROTOCOL: every classic member of the group has to support one of them. */
function requireSupported(
  group: ConsumerGroup,
  memberId: string,
  { protocolType, protocols }: { readonly protocolType: string; readonly protocols: readonly MemberProtocol[] },
): void {
  const classic = [...group.members.values()].flatMap((member) => member.classic ?? []);
  const isSupported = ({ name }: MemberProtocol): boolean =>
    classic.every((member) => member.protocols.some((protocol) => protocol.name === name));
  if (protocolType === 'consumer' && protocols.some(isSupported)) return;
  throw new KafkaError('INCONSISTENT_GROUP_PROTOCOL', `Member ${memberId}'s protocols are not supported.`);
}

function requireProtocol({ memberId, classic }: ConsumerMember, { protocolType, protocolName }: SyncGroupRequest): void {
  const agreed = classic!.protocols[0]!.name;
  if ((protocolType === null || protocolType === 'consumer') && (protocolName === null || protocolName === agreed)) return;
  throw new KafkaError('INCONSISTENT_GROUP_PROTOCOL', `member ${memberId} joined with protocol ${agreed} of type consumer`);
}

/** Throws UNKNOWN_SERVER_ERROR for bytes that are none, as Kafka does. */
function subscriptionOf(protocols: readonly MemberProtocol[]): ReturnType<typeof readSubscription> {
  try {
    return readSubscription(protocols[0]!.metadata);
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    throw new KafkaError('UNKNOWN_SERVER_ERROR', 'Malformed embedded consumer protocol in subscription deserialization.');
  }
}
