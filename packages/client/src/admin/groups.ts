import type { BrokerConnection } from '@ottla/network';
import {
  ConsumerGroupDescribe,
  DeleteGroups,
  DescribeGroups,
  errorOfCode,
  KafkaError,
  ListGroups,
  readAssignment,
} from '@ottla/protocol';
import type { TopicPartition } from '../topic-partition.ts';
import type { AdminContext } from './admin.ts';
import { eachItem, missingAnswer, type Outcome } from './each-item.ts';

export type ListedGroup = {
  readonly groupId: string;
  /** Stable, Empty, PreparingRebalance …; '' from brokers that do not say. */
  readonly state: string;
  /** Classic, Consumer, Share, Streams. */
  readonly type: string;
  /** 'consumer' for consumers; '' for a group that only ever committed offsets. */
  readonly protocolType: string;
};

export type GroupMember = {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly assignment: readonly TopicPartition[];
};

export type GroupDescription = {
  readonly groupId: string;
  readonly state: string;
  readonly type: 'classic' | 'consumer';
  readonly protocolType: string;
  /** '' while the group is rebalancing or empty. */
  readonly assignor: string;
  readonly coordinatorId: number;
  readonly members: readonly GroupMember[];
};

/** Groups have a coordinator each, so all brokers are asked. */
export async function listGroups(
  { cluster, timeoutMs }: AdminContext,
  { states = [], types = [] }: { states?: readonly string[]; types?: readonly string[] },
): Promise<ListedGroup[]> {
  await cluster.retry(timeoutMs, () => cluster.refreshMetadata());
  const lists = await Promise.all(
    [...cluster.metadata.nodes.keys()].map((nodeId) =>
      cluster.retry(timeoutMs, async () => {
        const connection = await cluster.connectionTo(nodeId);
        const response = await connection.send(ListGroups, { statesFilter: [...states], typesFilter: [...types] });
        const error = errorOfCode(response.errorCode);
        if (error) throw error;
        return response.groups;
      }),
    ),
  );
  return lists
    .flat()
    .map(({ groupId, groupState: state, groupType: type, protocolType }) => ({ groupId, state, type, protocolType }))
    .sort((one, other) => (one.groupId < other.groupId ? -1 : 1));
}

/** A group that nobody has heard of is GROUP_ID_NOT_FOUND. */
export function describeGroups(context: AdminContext, groupIds: readonly string[]): Promise<GroupDescription[]> {
  return atCoordinators(context, groupIds, (groupId, connection, coordinatorId) =>
    describeGroup(groupId, connection, coordinatorId),
  );
}

async function describeGroup(
  groupId: string,
  connection: BrokerConnection,
  coordinatorId: number,
): Promise<Outcome<GroupDescription>> {
  if (connection.offers(ConsumerGroupDescribe)) {
    const response = await connection.send(ConsumerGroupDescribe, { groupIds: [groupId] });
    const group = response.groups[0];
    if (!group) return missingAnswer(`group ${groupId}`);
    const error = errorOfCode(group.errorCode, group.errorMessage);
    if (!error) {
      const members = group.members.map(({ memberId, instanceId, clientId, clientHost, assignment }) => ({
        memberId,
        groupInstanceId: instanceId,
        clientId,
        clientHost,
        assignment: assignment.topicPartitions.flatMap(({ topicName: topic, partitions }) =>
          partitions.map((partition) => ({ topic, partition })),
        ),
      }));
      const { groupState: state, assignorName: assignor } = group;
      return { groupId, state, type: 'consumer', protocolType: 'consumer', assignor, coordinatorId, members };
    }
    // Not a group of the new protocol: it may be a classic one.
    if (error.name !== 'GROUP_ID_NOT_FOUND' && error.name !== 'UNSUPPORTED_VERSION') return error;
  }
  const response = await connection.send(DescribeGroups, { groups: [groupId] });
  const group = response.groups[0];
  if (!group) return missingAnswer(`group ${groupId}`);
  const error = errorOfCode(group.errorCode, group.errorMessage);
  if (error) return error;
  if (group.groupState === 'Dead') return new KafkaError('GROUP_ID_NOT_FOUND', `there is no group ${groupId}`);
  const { groupState: state, protocolType, protocolData: assignor } = group;
  const members = group.members.map(({ memberId, groupInstanceId, clientId, clientHost, memberAssignment }) => ({
    memberId,
    groupInstanceId,
    clientId,
    clientHost,
    assignment: protocolType === 'consumer' ? partitionsOf(memberAssignment) : [],
  }));
  return { groupId, state, type: 'classic', protocolType, assignor, coordinatorId, members };
}

function partitionsOf(assignment: Uint8Array): TopicPartition[] {
  if (assignment.length === 0) return [];
  return readAssignment(assignment).assignedPartitions.flatMap(({ topic, partitions }) =>
    partitions.map((partition) => ({ topic, partition })),
  );
}

export async function deleteGroups(context: AdminContext, groupIds: readonly string[]): Promise<void> {
  await atCoordinators(context, groupIds, async (groupId, connection): Promise<Outcome<undefined>> => {
    const response = await connection.send(DeleteGroups, { groupsNames: [groupId] });
    const result = response.results[0];
    if (!result) return missingAnswer(`group ${groupId}`);
    return errorOfCode(result.errorCode) ?? undefined;
  });
}

/** One call for each group, to its coordinator, looked up again when it has moved. */
export function atCoordinators<Result>(
  { cluster, timeoutMs }: AdminContext,
  groupIds: readonly string[],
  send: (groupId: string, connection: BrokerConnection, coordinatorId: number) => Promise<Outcome<Result>>,
): Promise<Result[]> {
  return eachItem(cluster, groupIds, {
    timeoutMs,
    nameOf: (groupId) => groupId,
    attempt: (asked) =>
      Promise.all(
        asked.map(async (groupId) => {
          try {
            const connection = await cluster.coordinatorOf(groupId);
            return await send(groupId, connection, cluster.coordinatorIdOf(groupId));
          } catch (error) {
            if (error instanceof KafkaError) return error;
            throw error;
          }
        }),
      ),
    recover: (_, groupId) => cluster.forgetCoordinator(groupId),
  });
}
