/** Groups that change between the classic and the consumer protocol while they have members (KIP-848, migration). */
import { errors, KafkaError, readAssignment, readSubscription, type Uuid, writeAssignment } from '@ottla/protocol';
import type { Assignment } from '../assignors/group-assignor.ts';
import { ClassicGroup } from '../classic/classic-group.ts';
import { type ClassicMember, EMPTY_BYTES, metadataOf } from '../classic/classic-member.ts';
import type { ClassicTurn } from '../classic/classic-turn.ts';
import { answerJoin, answerSync, keepAlive, prepareRebalance } from '../classic/rebalance.ts';
import type { GroupCoordinatorConfig } from '../group-coordinator-config.ts';
import { rejoinKey, resyncKey } from '../group-deadline.ts';
import type { GroupState } from '../group-state.ts';
import type { GroupTopics } from '../group-topics.ts';
import type { Turn } from '../outcome.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { type ConsumerMember, memberStates, newMember, topicNames } from './consumer-member.ts';
import {
  type ConsumerRecord,
  epochRecord,
  memberRecord,
  progressRecord,
  targetEpochRecord,
  targetRecord,
} from './consumer-records.ts';
import { atEpoch, heldBy } from './partition-epochs.ts';

/** Throws GROUP_ID_NOT_FOUND: to the consumer protocol, a classic group that stays one does not exist. */
export function requireUpgradable(group: ClassicGroup, { consumer }: GroupCoordinatorConfig): void {
  if (!consumer.mayUpgrade) throw notUpgradable(group, 'online upgrade is disabled');
  if (!group.usesConsumerProtocol) throw notUpgradable(group, 'the group does not use the consumer embedded protocol');
  if (group.members.size > consumer.maxSize) throw notUpgradable(group, 'the group size exceeds the consumer group maximum size');
}

/**
 * A classic group as one of the consumer protocol, at the epoch of its generation, each member with what the leader gave it.
 * Throws GROUP_ID_NOT_FOUND.
 */
export function upgradeRecords(group: ClassicGroup, state: GroupState): ConsumerRecord[] {
  const { groupId, generationId } = group;
  const upgraded = [...group.members.values()].map((member) => upgradedMember(group, member, state.topics));
  const names = new Set(upgraded.flatMap(({ member }) => member.subscribedTopicNames));
  return [
    ...upgraded.map(({ member }) => memberRecord(groupId, member)),
    epochRecord(groupId, generationId, state.topicHashes.ofGroup(names)),
    ...upgraded.map(({ member, target }) => targetRecord(groupId, member.memberId, target)),
    targetEpochRecord(groupId, generationId, 0),
    ...upgraded.map(({ member }) => progressRecord(groupId, member)),
  ];
}

/**
 * Whoever waits for the others is told to rejoin; each member has the session that it asked for. What it was expected to do when the
 * group was one of the consumer protocol before, it is not any more.
 */
export function leaveClassicGroup(group: ClassicGroup, { config, deadlines }: GroupState, turn: Turn): void {
  const on: ClassicTurn = { group, turn, config, deadlines };
  for (const member of group.members.values()) {
    answerJoin(on, member, { memberId: member.memberId, errorCode: errors.REBALANCE_IN_PROGRESS.code });
    answerSync(on, member, { errorCode: errors.REBALANCE_IN_PROGRESS.code });
    keepAlive(on, member);
    deadlines.cancel(rejoinKey(group.groupId, member.memberId));
    deadlines.cancel(resyncKey(group.groupId, member.memberId));
  }
}

/** Whether a group with these members left is one of the classic protocol again. */
export function mayDowngrade(left: readonly ConsumerMember[], { consumer, maxSize }: GroupCoordinatorConfig): boolean {
  return left.length > 0 && consumer.mayDowngrade && left.length <= maxSize && left.every(({ classic }) => classic !== null);
}

/**
 * The members that are left as a classic group. Null: what they said of themselves cannot be read.
 *
 * Each has what it holds, where Kafka notes down what it was to have: a member that has yet to give something up would have it while the
 * group says that it is free, and gives it to the next consumer that turns the group around again.
 */
export function classicGroupOf(
  group: ConsumerGroup,
  left: readonly ConsumerMember[],
  topics: GroupTopics,
  turn: Turn,
): ClassicGroup | null {
  const classic = new ClassicGroup(group.groupId, turn.moment.wallMs);
  classic.generationId = group.groupEpoch;
  for (const { memberId, instanceId, clientId, clientHost, rebalanceTimeoutMs, classic: metadata } of left) {
    classic.add(
      {
        memberId,
        groupInstanceId: instanceId,
        clientId,
        clientHost,
        rebalanceTimeoutMs,
        sessionTimeoutMs: metadata!.sessionTimeoutMs,
        protocols: metadata!.protocols,
        assignment: EMPTY_BYTES,
        awaitingJoin: null,
        awaitingSync: null,
        isNew: false,
      },
      'consumer',
    );
  }
  try {
    classic.settle(turn.moment.wallMs);
    for (const member of left) {
      const joined = classic.members.get(member.memberId)!;
      joined.assignment = classicAssignment(heldBy(member), metadataOf(joined, classic.protocolName), topics);
    }
  } catch (error) {
    if (error instanceof KafkaError) return null;
    throw error;
  }
  return classic;
}

/** From here on the group is led by requests of the classic protocol. */
export function takeOverClassicGroup(
  group: ClassicGroup,
  { rebalances }: { readonly rebalances: boolean },
  { journal, groups, config, deadlines }: GroupState,
  turn: Turn,
): void {
  // It is set before its record is replayed, as it knows more than that; without the record it is taken back.
  journal.set(groups, group.groupId, group);
  turn.records.push(group.toRecord());
  const on: ClassicTurn = { group, turn, config, deadlines };
  for (const member of group.members.values()) keepAlive(on, member);
  if (rebalances) prepareRebalance(on);
}

/** As the consumer protocol writes it in a SyncGroup, in the version that the member speaks. */
export function classicAssignment(assignment: Assignment, subscription: Uint8Array, topics: GroupTopics): Uint8Array {
  const assignedPartitions = [...assignment].flatMap(([topicId, partitions]) => {
    const topic = topics.byId(topicId);
    return topic === undefined ? [] : [{ topic: topic.name, partitions: [...partitions] }];
  });
  return writeAssignment({ assignedPartitions, userData: null }, subscriptionVersion(subscription)).slice();
}

export function classicOwned(
  owned: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
  topics: GroupTopics,
): { topicId: Uuid; partitions: readonly number[] }[] {
  return owned.flatMap(({ topic: name, partitions }) => {
    const topic = topics.byName(name);
    return topic === undefined ? [] : [{ topicId: topic.id, partitions }];
  });
}

function upgradedMember(
  group: ClassicGroup,
  member: ClassicMember,
  topics: GroupTopics,
): { readonly member: ConsumerMember; readonly target: Assignment } {
  const { memberId, groupInstanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, protocols } = member;
  const { target, subscription } = readMember(group, member, topics);
  const upgraded: ConsumerMember = {
    ...newMember(memberId),
    memberEpoch: group.generationId,
    previousMemberEpoch: group.generationId,
    state: memberStates.stable,
    instanceId: groupInstanceId,
    rackId: subscription.rackId || null,
    rebalanceTimeoutMs,
    clientId,
    clientHost,
    subscribedTopicNames: topicNames(subscription.topics),
    assigned: atEpoch(target, group.generationId),
    classic: { sessionTimeoutMs, protocols },
  };
  return { member: upgraded, target };
}

function readMember(group: ClassicGroup, member: ClassicMember, topics: GroupTopics) {
  let subscription: ReturnType<typeof readSubscription>;
  let assigned: ReturnType<typeof readAssignment> | null;
  try {
    // While members rejoin, one may not know the protocol of the last generation any more.
    const protocol = member.protocols.find(({ name }) => name === group.protocolName) ?? member.protocols[0]!;
    subscription = readSubscription(protocol.metadata);
    assigned = member.assignment.length === 0 ? null : readAssignment(member.assignment);
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    throw notUpgradable(group, 'the embedded consumer protocol is malformed');
  }
  if (assigned?.userData && assigned.userData.length > 0) {
    throw notUpgradable(group, 'an unsupported custom assignor is in use: switch to one of the default assignors first');
  }
  const target = new Map(
    classicOwned(assigned?.assignedPartitions ?? [], topics).map(({ topicId, partitions }) => [topicId, [...partitions]]),
  );
  return { subscription, target };
}

function notUpgradable({ groupId }: ClassicGroup, why: string): KafkaError {
  return new KafkaError('GROUP_ID_NOT_FOUND', `Cannot upgrade classic group ${groupId} to consumer group because ${why}.`);
}

/** Every version of the protocol begins with its number. */
function subscriptionVersion(subscription: Uint8Array): number {
  const view = new DataView(subscription.buffer, subscription.byteOffset, subscription.byteLength);
  if (subscription.byteLength < 2) throw new KafkaError('INVALID_REQUEST', 'a subscription begins with its version');
  return Math.min(view.getInt16(0), 3);
}
