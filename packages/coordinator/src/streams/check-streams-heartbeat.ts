import { KafkaError, type StreamsGroupHeartbeatRequest } from '@ottla/protocol';
import { checkChangelogs, checkTopology } from './streams-topology.ts';

const JOINING = 0;
export const LEAVING = -1;
export const LEAVING_STATIC = -2;

/**
 * What is wrong with a request whatever the group is like, in the order in which Kafka looks. What the protocol has a place for and 4.3 does
 * not do yet is refused as there: static members, regular expressions, warm-up tasks, offsets of tasks.
 * Throws STREAMS_INVALID_TOPOLOGY, INVALID_REQUEST.
 */
export function checkStreamsHeartbeat(request: StreamsGroupHeartbeatRequest, isInternalTopic: (topic: string) => boolean): void {
  if (request.topology !== null) checkTopology(request.topology, isInternalTopic);
  checkIsSupported(request);
  require(request.memberId !== '', "MemberId can't be empty.");
  require(request.groupId !== '', "GroupId can't be empty.");
  require(request.rackId !== '', "RackId can't be empty.");
  const { memberEpoch, topology, activeTasks, standbyTasks, warmupTasks } = request;
  if (memberEpoch === JOINING) checkJoin(request);
  require(memberEpoch !== LEAVING_STATIC, "InstanceId can't be null.");
  require(memberEpoch >=
    LEAVING_STATIC, `MemberEpoch is ${memberEpoch}, but must be greater than or equal to ${LEAVING_STATIC}.`);
  const told = [activeTasks, standbyTasks, warmupTasks].filter((tasks) => tasks !== null).length;
  require(told === 0 || told === 3, 'If one task-type is non-null, all must be non-null.');
  require(memberEpoch === JOINING || topology === null, 'Topology can only be provided when (re-)joining.');
}

function checkIsSupported({
  instanceId,
  taskOffsets,
  taskEndOffsets,
  warmupTasks,
  topology,
}: StreamsGroupHeartbeatRequest): void {
  require(instanceId === null, 'Static membership is not yet supported.');
  require(taskOffsets === null, 'TaskOffsets are not supported yet.');
  require(taskEndOffsets === null, 'TaskEndOffsets are not supported yet.');
  require(warmupTasks === null || warmupTasks.length === 0, 'WarmupTasks are not supported yet.');
  const hasRegex = topology?.subtopologies.some(({ sourceTopicRegex }) => sourceTopicRegex.length > 0) ?? false;
  require(!hasRegex, 'Regular expressions for source topics are not supported yet.');
}

function checkJoin({ rebalanceTimeoutMs, topology, ...tasks }: StreamsGroupHeartbeatRequest): void {
  require(rebalanceTimeoutMs !== -1, 'RebalanceTimeoutMs must be provided in first request.');
  require(tasks.activeTasks?.length === 0, 'ActiveTasks must be empty when (re-)joining.');
  require(tasks.standbyTasks?.length === 0, 'StandbyTasks must be empty when (re-)joining.');
  require(tasks.warmupTasks?.length === 0, 'WarmupTasks must be empty when (re-)joining.');
  require(topology !== null, 'Topology must be non-null when (re-)joining.');
  checkChangelogs(topology!);
}

function require(condition: boolean, message: string): void {
  if (!condition) throw new KafkaError('INVALID_REQUEST', message);
}
