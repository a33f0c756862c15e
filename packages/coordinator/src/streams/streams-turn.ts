/** What operations on a streams group have in common: the records that they want to have written. */
import type { GroupRecord, GroupRecordOf } from '../group-record.ts';
import type { Moment } from '../outcome.ts';
import type { ConfiguredTopology } from './configure-topology.ts';
import { inHashMapOrder } from './hash-map-order.ts';
import { assignTasks } from './sticky-task-assignor.ts';
import type { AssignmentConfigs, StreamsGroup } from './streams-group.ts';
import type { StreamsMember } from './streams-member.ts';
import { NO_TASKS, sameAssignments, type TaskAssignment, taskIdsOf } from './tasks.ts';

/** The name under which the log keeps how many standbys an assignment was made for. */
export const STANDBY_REPLICAS = 'num.standby.replicas';

export function groupEpochRecord(
  groupId: string,
  epoch: number,
  metadataHash: bigint,
  validatedTopologyEpoch: number,
  assignmentConfigs: AssignmentConfigs,
): GroupRecordOf<'StreamsGroupMetadata'> {
  const lastAssignmentConfigs = [...assignmentConfigs].map(([key, value]) => ({ key, value }));
  return {
    type: 'StreamsGroupMetadata',
    version: 0,
    key: { groupId },
    value: { epoch, metadataHash, validatedTopologyEpoch, lastAssignmentConfigs },
  };
}

/** Ends a membership. The others find a new epoch, and get the tasks that are free now. */
export function fence(group: StreamsGroup, { memberId }: StreamsMember): GroupRecord[] {
  const { groupId } = group;
  const gone = { version: -1, key: { groupId, memberId }, value: null };
  return [
    { type: 'StreamsGroupCurrentMemberAssignment', ...gone },
    { type: 'StreamsGroupTargetAssignmentMember', ...gone },
    { type: 'StreamsGroupMemberMetadata', ...gone },
    groupEpochRecord(
      groupId,
      group.groupEpoch + 1,
      group.metadataHash,
      group.validatedTopologyEpoch,
      group.lastAssignmentConfigs,
    ),
  ];
}

/** A target assignment for `epoch`: the records of members that get another one, and then that of the whole. */
export function assignmentRecords(
  group: StreamsGroup,
  members: readonly StreamsMember[],
  topology: ConfiguredTopology,
  configs: AssignmentConfigs,
  epoch: number,
  { wallMs }: Moment,
): { readonly records: GroupRecord[]; readonly targets: ReadonlyMap<string, TaskAssignment> } {
  const { groupId } = group;
  const targets = targetsOf(group, members, topology, configs);
  const records: GroupRecord[] = [];
  for (const memberId of inHashMapOrder(targets.keys())) {
    const before = group.targets.get(memberId);
    const target = targets.get(memberId)!;
    if (before !== undefined && sameAssignments(before, target)) continue;
    const value = {
      activeTasks: taskIdsOf(target.active),
      standbyTasks: taskIdsOf(target.standby),
      warmupTasks: taskIdsOf(target.warmup),
    };
    records.push({ type: 'StreamsGroupTargetAssignmentMember', version: 0, key: { groupId, memberId }, value });
  }
  const value = { assignmentEpoch: epoch, assignmentTimestamp: wallMs };
  records.push({ type: 'StreamsGroupTargetAssignmentMetadata', version: 0, key: { groupId }, value });
  return { records, targets };
}

function targetsOf(
  group: StreamsGroup,
  members: readonly StreamsMember[],
  { problem, subtopologies }: ConfiguredTopology,
  configs: AssignmentConfigs,
): Map<string, TaskAssignment> {
  // There are no tasks before their topics are there.
  if (problem !== null || subtopologies === null) return new Map(members.map(({ memberId }) => [memberId, NO_TASKS]));
  return assignTasks(
    members.map(({ memberId, processId }) => ({ memberId, processId, assignment: group.targets.get(memberId) ?? NO_TASKS })),
    [...subtopologies.values()].map(({ subtopologyId, taskCount, stateChangelogTopics }) => ({
      subtopologyId,
      taskCount,
      isStateful: stateChangelogTopics.length > 0,
    })),
    { standbyReplicas: Number(configs.get(STANDBY_REPLICAS) ?? 0) },
  );
}
