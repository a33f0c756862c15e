/**
 * The heartbeat of a member that is there, or joins (KIP-1071): what it says of itself is kept, the topology is laid over the topics, the
 * group's epoch grows if any of that has changed, a target assignment is made for the epoch, and the member goes a step towards it.
 */
import type { GroupConfig } from '@ottla/metadata';
import {
  KafkaError,
  type StreamsGroupHeartbeatRequest,
  type StreamsGroupHeartbeatResponse,
  type Writable,
} from '@ottla/protocol';
import { revocationKey, sessionKey, streamsDelayKey } from '../group-deadline.ts';
import type { GroupState } from '../group-state.ts';
import type { Turn } from '../outcome.ts';
import type { ConfiguredTopology, InternalTopic } from './configure-topology.ts';
import { reconcile, TaskHolders } from './reconcile.ts';
import type { AssignmentConfigs, StreamsGroup } from './streams-group.ts';
import {
  currentAssignmentRecord,
  metadataRecord,
  newStreamsMember,
  type StreamsMember,
  sameHeldTasks,
  saysTheSame,
  tagsOf,
  tasksHeld,
} from './streams-member.ts';
import { StreamsTopology, topologyValueOf } from './streams-topology.ts';
import { assignmentRecords, groupEpochRecord, STANDBY_REPLICAS } from './streams-turn.ts';
import { NO_TASKS, sameAssignments, type TaskAssignment, type TaskIds, type Tasks, taskIdsOf, tasksOf } from './tasks.ts';

type Status = NonNullable<Writable<StreamsGroupHeartbeatResponse>['status']>[number];

const STATUS = {
  STALE_TOPOLOGY: 0,
  MISSING_SOURCE_TOPICS: 1,
  INCORRECTLY_PARTITIONED_TOPICS: 2,
  MISSING_INTERNAL_TOPICS: 3,
  SHUTDOWN_APPLICATION: 4,
  ASSIGNMENT_DELAYED: 5,
} as const;

/** Who sent a heartbeat. */
export type StreamsClient = { readonly clientId: string; readonly clientHost: string };

/** The answer, and topics that somebody has to create before the group can have tasks. */
export type StreamsHeartbeat = {
  readonly response: Writable<StreamsGroupHeartbeatResponse>;
  readonly internalTopics: readonly InternalTopic[];
};

/** One operation on one group. */
export type StreamsTurn = {
  readonly state: GroupState;
  readonly group: StreamsGroup;
  /** In force for the group. */
  readonly config: GroupConfig;
  readonly turn: Turn;
};

export function heartbeatOfMember(
  on: StreamsTurn,
  request: StreamsGroupHeartbeatRequest,
  client: StreamsClient,
): StreamsHeartbeat {
  const { group, config, turn } = on;
  const { groupId } = group;
  const isJoining = request.memberEpoch === 0;
  const member = isJoining
    ? (group.members.get(request.memberId) ?? newStreamsMember(request.memberId))
    : group.member(request.memberId);
  if (!isJoining) checkEpoch(member, request);
  const described = describedBy(member, request, client);
  const isDescribedAnew = !saysTheSame(described, member);
  if (isDescribedAnew) turn.records.push(metadataRecord(groupId, described));

  const status: Status[] = [];
  const topology = topologyOf(on, request);
  if (group.topology !== null && described.topologyEpoch < group.topology.epoch) {
    const detail = `The member's topology epoch ${described.topologyEpoch} is behind the group's topology epoch ${group.topology.epoch}.`;
    status.push({ statusCode: STATUS.STALE_TOPOLOGY, statusDetail: detail });
  }
  const { configured, metadataHash } = configuredFor(on, topology);
  if (configured.problem === null) checkTasksExist(configured, request);

  const configs: AssignmentConfigs = new Map([[STANDBY_REPLICAS, String(config['streams.num.standby.replicas'])]]);
  const epoch = growEpoch(on, {
    isDescribedAnew,
    metadataHash,
    configs,
    validatedEpoch: configured.problem === null ? topology.epoch : -1,
  });
  delayFirstRebalance(on);
  const { assignmentEpoch, target } = targetFor(on, described, configured, configs, epoch, status);
  const updated = reconcile(described, {
    assignmentEpoch,
    target,
    owned: ownedTasks(request),
    holders: () => new TaskHolders(group.members.values()),
  });
  if (updated !== described) noteStep(on, updated);
  extendSession(on, updated);
  if (request.shutdownApplication) group.shutdownRequestedBy ??= request.memberId;
  return {
    response: answer(on, request, member, updated, configured, status),
    internalTopics: configured.internalTopicsToCreate,
  };
}

/** Throws FENCED_MEMBER_EPOCH. An answer may have been lost: whoever is one epoch behind, and has no more than it should, goes on. */
function checkEpoch(
  member: StreamsMember,
  { memberEpoch, activeTasks, standbyTasks, warmupTasks }: StreamsGroupHeartbeatRequest,
): void {
  if (memberEpoch === member.memberEpoch) return;
  const { active, standby, warmup } = tasksHeld(member.assigned);
  const hasNoMore = (owned: readonly TaskIds[] | null, assigned: Tasks): boolean =>
    owned?.every(({ subtopologyId, partitions }) => {
      const known = assigned.get(subtopologyId);
      return known !== undefined && partitions.every((partition) => known.has(partition));
    }) ?? false;
  const missedAnAnswer =
    memberEpoch < member.memberEpoch &&
    memberEpoch === member.previousMemberEpoch &&
    hasNoMore(activeTasks, active) &&
    hasNoMore(standbyTasks, standby) &&
    hasNoMore(warmupTasks, warmup);
  if (missedAnAnswer) return;
  throw new KafkaError(
    'FENCED_MEMBER_EPOCH',
    `The streams group member has a ${memberEpoch > member.memberEpoch ? 'greater' : 'smaller'} member epoch (${memberEpoch}) than the ` +
      `one known by the group coordinator (${member.memberEpoch}). The member must abandon all its partitions and rejoin.`,
  );
}

/** Null and -1: as before. */
function describedBy(
  member: StreamsMember,
  request: StreamsGroupHeartbeatRequest,
  { clientId, clientHost }: StreamsClient,
): StreamsMember {
  const { rackId, rebalanceTimeoutMs, topology, processId, userEndpoint, clientTags } = request;
  return {
    ...member,
    clientId,
    clientHost,
    rackId: rackId ?? member.rackId,
    rebalanceTimeoutMs: rebalanceTimeoutMs === -1 ? member.rebalanceTimeoutMs : rebalanceTimeoutMs,
    topologyEpoch: topology?.epoch ?? member.topologyEpoch,
    processId: processId ?? member.processId,
    userEndpoint: userEndpoint === null ? member.userEndpoint : { host: userEndpoint.host, port: userEndpoint.port },
    clientTags: clientTags === null ? member.clientTags : tagsOf(clientTags),
  };
}

/** The group's topology: that of its first member. Throws INVALID_REQUEST. */
function topologyOf({ group, turn }: StreamsTurn, { topology }: StreamsGroupHeartbeatRequest): StreamsTopology {
  const known = group.topology;
  if (topology === null) {
    if (known !== null) return known;
    // Its record was removed from the log: the group has to begin anew.
    throw new KafkaError('UNKNOWN_SERVER_ERROR', `the topology of streams group ${group.groupId} is not known`);
  }
  const value = topologyValueOf(topology);
  const joining = new StreamsTopology(value);
  if (known === null) {
    turn.records.push({ type: 'StreamsGroupTopology', version: 0, key: { groupId: group.groupId }, value });
    return joining;
  }
  if (known.epoch <= joining.epoch && !known.equals(joining)) {
    throw new KafkaError('INVALID_REQUEST', 'Topology updates are not supported yet.');
  }
  return known;
}

/** Looks at the topics again when they, or the topology, may have changed. */
function configuredFor(
  { state, group }: StreamsTurn,
  topology: StreamsTopology,
): { readonly configured: ConfiguredTopology; readonly metadataHash: bigint } {
  const known = group.topology === null ? null : group.configured(topology);
  if (known !== null && !group.needsRefresh) return { configured: known, metadataHash: group.metadataHash };
  const metadataHash = state.topicHashes.ofGroup(topology.requiredTopics);
  const isUnchanged = known !== null && metadataHash === group.metadataHash;
  return { configured: isUnchanged ? known : group.configure(topology, state.topics), metadataHash };
}

/** Throws INVALID_REQUEST. */
function checkTasksExist(
  { subtopologies }: ConfiguredTopology,
  { activeTasks, standbyTasks, warmupTasks }: StreamsGroupHeartbeatRequest,
): void {
  for (const { subtopologyId, partitions } of [...(activeTasks ?? []), ...(standbyTasks ?? []), ...(warmupTasks ?? [])]) {
    const taskCount = subtopologies?.get(subtopologyId)?.taskCount;
    if (taskCount === undefined) {
      throw new KafkaError('INVALID_REQUEST', `Subtopology ${subtopologyId} does not exist in the topology.`);
    }
    const unknown = partitions.find((partition) => partition < 0 || partition >= taskCount);
    if (unknown === undefined) continue;
    throw new KafkaError(
      'INVALID_REQUEST',
      `Task ${unknown} for subtopology ${subtopologyId} is invalid. Number of tasks for this subtopology: ${taskCount}`,
    );
  }
}

/** The group's epoch after this heartbeat. */
function growEpoch(
  { group, turn }: StreamsTurn,
  now: {
    readonly isDescribedAnew: boolean;
    readonly metadataHash: bigint;
    readonly validatedEpoch: number;
    readonly configs: AssignmentConfigs;
  },
): number {
  const { isDescribedAnew, metadataHash, validatedEpoch, configs } = now;
  const before = group.lastAssignmentConfigs;
  const sameConfigs = before.size === configs.size && [...configs].every(([key, value]) => before.get(key) === value);
  const isSame =
    !isDescribedAnew && metadataHash === group.metadataHash && validatedEpoch === group.validatedTopologyEpoch && sameConfigs;
  const epoch = isSame ? group.groupEpoch : group.groupEpoch + 1;
  if (!isSame) turn.records.push(groupEpochRecord(group.groupId, epoch, metadataHash, validatedEpoch, configs));
  group.refreshed(epoch);
  return epoch;
}

/** Whoever begins a group is seldom alone: those who come soon after it are waited for. */
function delayFirstRebalance({ state, group, config, turn }: StreamsTurn): void {
  const { groupId } = group;
  const delayMs = config['streams.initial.rebalance.delay.ms'];
  if (!group.isEmpty || delayMs <= 0 || state.deadlines.has(streamsDelayKey(groupId))) return;
  state.deadlines.set(streamsDelayKey(groupId), turn.moment.monotonicMs + delayMs, { type: 'StreamsRebalanceDelayed', groupId });
}

/** What the member is to have: by a new assignment, if the group's epoch has outgrown the last one and it is time. */
function targetFor(
  { state, group, config, turn }: StreamsTurn,
  member: StreamsMember,
  configured: ConfiguredTopology,
  configs: AssignmentConfigs,
  epoch: number,
  status: Status[],
): { readonly assignmentEpoch: number; readonly target: TaskAssignment } {
  const { groupId, assignmentEpoch } = group;
  if (state.deadlines.has(streamsDelayKey(groupId))) {
    const statusDetail = 'Assignment delayed due to the configured initial rebalance delay.';
    status.push({ statusCode: STATUS.ASSIGNMENT_DELAYED, statusDetail });
    return { assignmentEpoch, target: NO_TASKS };
  }
  const last = { assignmentEpoch, target: group.targets.get(member.memberId) ?? NO_TASKS };
  if (assignmentEpoch >= epoch) return last;
  if (!group.mayAssign(config['streams.assignment.interval.ms'], turn.moment.wallMs)) {
    const statusDetail = 'Assignment delayed due to the configured assignment interval.';
    status.push({ statusCode: STATUS.ASSIGNMENT_DELAYED, statusDetail });
    return last;
  }
  const members = new Map([...group.members.entries()]).set(member.memberId, member);
  const { records, targets } = assignmentRecords(group, [...members.values()], configured, configs, epoch, turn.moment);
  turn.records.push(...records);
  return { assignmentEpoch: epoch, target: targets.get(member.memberId)! };
}

function noteStep({ state, group, turn }: StreamsTurn, member: StreamsMember): void {
  const { groupId } = group;
  const { memberId, memberEpoch, rebalanceTimeoutMs } = member;
  turn.records.push(currentAssignmentRecord(groupId, member));
  const key = revocationKey(groupId, memberId);
  if (member.state !== 'UnrevokedTasks') state.deadlines.cancel(key);
  else {
    const due = { type: 'RevocationExpired', groupId, memberId, memberEpoch } as const;
    state.deadlines.set(key, turn.moment.monotonicMs + rebalanceTimeoutMs, due);
  }
}

function extendSession({ state, group, config, turn }: StreamsTurn, { memberId }: StreamsMember): void {
  const { groupId } = group;
  const endMs = turn.moment.monotonicMs + config['streams.session.timeout.ms'];
  state.deadlines.set(sessionKey(groupId, memberId), endMs, { type: 'SessionExpired', groupId, memberId });
}

function answer(
  { state, group, config }: StreamsTurn,
  request: StreamsGroupHeartbeatRequest,
  before: StreamsMember,
  member: StreamsMember,
  { problem }: ConfiguredTopology,
  status: Status[],
): Writable<StreamsGroupHeartbeatResponse> {
  const { groupId } = group;
  const { memberId, memberEpoch, assigned, userEndpoint } = member;
  const hasOtherTasks = request.memberEpoch === 0 || !sameHeldTasks(before.assigned, assigned);
  const owned = ownedTasks(request);
  // An answer may have been lost: a member that names other tasks than it should have is told again, which Kafka does not do.
  const isUnaware = owned !== null && !sameAssignments(owned, tasksHeld(assigned));
  if (hasOtherTasks && userEndpoint !== null) group.endpointInformationEpoch++;
  const { endpointInformationEpoch } = group;
  if (problem !== null) status.push({ statusCode: STATUS[problem.status], statusDetail: problem.detail });
  if (group.shutdownRequestedBy !== null) {
    const statusDetail = `Streams group member ${group.shutdownRequestedBy} encountered a fatal error and requested a shutdown for the entire application.`;
    status.push({ statusCode: STATUS.SHUTDOWN_APPLICATION, statusDetail });
  }
  return {
    memberId,
    memberEpoch,
    heartbeatIntervalMs: config['streams.heartbeat.interval.ms'],
    status,
    ...((hasOtherTasks || isUnaware) && {
      activeTasks: taskIdsOf(assigned.active),
      standbyTasks: taskIdsOf(assigned.standby),
      warmupTasks: taskIdsOf(assigned.warmup),
    }),
    ...(endpointInformationEpoch !== request.endpointInformationEpoch && {
      partitionsByUserEndpoint: group.partitionsByUserEndpoint(member, state.topics),
    }),
    // A group that begins with this heartbeat counts from the next one.
    ...(state.groups.has(groupId) && { endpointInformationEpoch }),
  };
}

function ownedTasks({ activeTasks, standbyTasks, warmupTasks }: StreamsGroupHeartbeatRequest): TaskAssignment | null {
  if (activeTasks === null || standbyTasks === null || warmupTasks === null) return null;
  return { active: tasksOf(activeTasks), standby: tasksOf(standbyTasks), warmup: tasksOf(warmupTasks) };
}
