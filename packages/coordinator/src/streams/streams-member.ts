/** A member of a streams group as the log has it (KIP-1071). Never changed once made: a record makes another. */
import type { GroupRecordOf } from '../group-record.ts';
import type { ModernMember } from '../modern/modern-group.ts';
import { inHashMapOrder } from './hash-map-order.ts';
import { type TaskAssignment, type TaskIds, type Tasks, taskIdsOf, tasksOf } from './tasks.ts';

type MemberMetadataValue = NonNullable<GroupRecordOf<'StreamsGroupMemberMetadata'>['value']>;
type CurrentAssignmentValue = NonNullable<GroupRecordOf<'StreamsGroupCurrentMemberAssignment'>['value']>;
type TaskIdsWithEpochs = TaskIds & { readonly assignmentEpochs: readonly number[] | null };

/** How a member stands to its target: there, asked to give up tasks first, or waiting for tasks that others still have. */
export type StreamsMemberState = 'Stable' | 'UnrevokedTasks' | 'UnreleasedTasks' | 'Unknown';

/** Active tasks come with the member epoch at which they were assigned: an older epoch must not commit for them. */
export type HeldTasks = {
  readonly active: ReadonlyMap<string, ReadonlyMap<number, number>>;
  readonly standby: Tasks;
  readonly warmup: Tasks;
};

/** What a member says of itself. */
export type StreamsMemberMetadata = {
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeoutMs: number;
  readonly topologyEpoch: number;
  readonly processId: string;
  readonly userEndpoint: { readonly host: string; readonly port: number } | null;
  readonly clientTags: ReadonlyMap<string, string>;
};

export interface StreamsMember extends ModernMember, StreamsMemberMetadata {
  readonly previousMemberEpoch: number;
  readonly state: StreamsMemberState;
  /** What it may have. */
  readonly assigned: HeldTasks;
  /** What it was asked to give up, and may still have. */
  readonly pendingRevocation: HeldTasks;
}

export const NOTHING_HELD: HeldTasks = { active: new Map(), standby: new Map(), warmup: new Map() };

const STATE_CODES = { Stable: 1, UnrevokedTasks: 2, UnreleasedTasks: 3, Unknown: 127 } as const;

export function newStreamsMember(memberId: string): StreamsMember {
  return {
    memberId,
    memberEpoch: 0,
    previousMemberEpoch: 0,
    state: 'Stable',
    instanceId: null,
    rackId: null,
    clientId: '',
    clientHost: '',
    rebalanceTimeoutMs: -1,
    topologyEpoch: -1,
    processId: '',
    userEndpoint: null,
    clientTags: new Map(),
    assigned: NOTHING_HELD,
    pendingRevocation: NOTHING_HELD,
  };
}

export function isReconciled({ state, memberEpoch }: StreamsMember, assignmentEpoch: number): boolean {
  return state === 'Stable' && memberEpoch === assignmentEpoch;
}

export function saysTheSame(one: StreamsMemberMetadata, other: StreamsMemberMetadata): boolean {
  const endpoint = one.userEndpoint;
  return (
    one.instanceId === other.instanceId &&
    one.rackId === other.rackId &&
    one.clientId === other.clientId &&
    one.clientHost === other.clientHost &&
    one.rebalanceTimeoutMs === other.rebalanceTimeoutMs &&
    one.topologyEpoch === other.topologyEpoch &&
    one.processId === other.processId &&
    endpoint?.host === other.userEndpoint?.host &&
    endpoint?.port === other.userEndpoint?.port &&
    one.clientTags.size === other.clientTags.size &&
    [...one.clientTags].every(([key, value]) => other.clientTags.get(key) === value)
  );
}

export function sameHeldTasks(one: HeldTasks, other: HeldTasks): boolean {
  return one === other || JSON.stringify(printable(one)) === JSON.stringify(printable(other));
}

export function holdsNothing({ active, standby, warmup }: HeldTasks): boolean {
  return active.size === 0 && standby.size === 0 && warmup.size === 0;
}

/** Without the epochs. */
export function tasksHeld({ active, standby, warmup }: HeldTasks): TaskAssignment {
  return { active: new Map([...active].map(([id, epochs]) => [id, new Set(epochs.keys())])), standby, warmup };
}

// ── records ──

export function metadataRecord(groupId: string, member: StreamsMember): GroupRecordOf<'StreamsGroupMemberMetadata'> {
  const { memberId, instanceId, rackId, clientId, clientHost, rebalanceTimeoutMs, topologyEpoch, processId, userEndpoint } =
    member;
  const clientTags = [...member.clientTags.keys()].sort().map((key) => ({ key, value: member.clientTags.get(key)! }));
  return {
    type: 'StreamsGroupMemberMetadata',
    version: 0,
    key: { groupId, memberId },
    value: { instanceId, rackId, clientId, clientHost, rebalanceTimeoutMs, topologyEpoch, processId, userEndpoint, clientTags },
  };
}

export function currentAssignmentRecord(
  groupId: string,
  member: StreamsMember,
): GroupRecordOf<'StreamsGroupCurrentMemberAssignment'> {
  const { memberId, memberEpoch, previousMemberEpoch, state, assigned, pendingRevocation } = member;
  return {
    type: 'StreamsGroupCurrentMemberAssignment',
    version: 0,
    key: { groupId, memberId },
    value: {
      memberEpoch,
      previousMemberEpoch,
      state: STATE_CODES[state],
      activeTasks: idsWithEpochs(assigned.active),
      standbyTasks: idsWithoutEpochs(assigned.standby),
      warmupTasks: idsWithoutEpochs(assigned.warmup),
      activeTasksPendingRevocation: idsWithEpochs(pendingRevocation.active),
      standbyTasksPendingRevocation: idsWithoutEpochs(pendingRevocation.standby),
      warmupTasksPendingRevocation: idsWithoutEpochs(pendingRevocation.warmup),
    },
  };
}

export function withMetadata(member: StreamsMember, value: MemberMetadataValue): StreamsMember {
  const { instanceId, rackId, clientId, clientHost, rebalanceTimeoutMs, topologyEpoch, processId, userEndpoint } = value;
  const clientTags = tagsOf(value.clientTags);
  return {
    ...member,
    ...{ instanceId, rackId, clientId, clientHost, rebalanceTimeoutMs, topologyEpoch, processId, clientTags },
    userEndpoint: userEndpoint && { host: userEndpoint.host, port: userEndpoint.port },
  };
}

/** Null: the record is gone, and with it all that the member had. */
export function withCurrentAssignment(member: StreamsMember, value: CurrentAssignmentValue | null): StreamsMember {
  if (value === null) {
    const left = { assigned: NOTHING_HELD, pendingRevocation: NOTHING_HELD };
    return { ...member, memberEpoch: -1, previousMemberEpoch: -1, ...left };
  }
  const { memberEpoch, previousMemberEpoch } = value;
  return {
    ...member,
    memberEpoch,
    previousMemberEpoch,
    state: stateOf(value.state),
    assigned: {
      active: activeTasksOf(value.activeTasks, memberEpoch),
      standby: tasksOf(value.standbyTasks),
      warmup: tasksOf(value.warmupTasks),
    },
    pendingRevocation: {
      active: activeTasksOf(value.activeTasksPendingRevocation, memberEpoch),
      standby: tasksOf(value.standbyTasksPendingRevocation),
      warmup: tasksOf(value.warmupTasksPendingRevocation),
    },
  };
}

/** In the order in which Kafka tells them. */
export function tagsOf(tags: readonly { readonly key: string; readonly value: string }[]): Map<string, string> {
  const values = new Map(tags.map(({ key, value }) => [key, value]));
  return new Map(inHashMapOrder(values.keys()).map((key) => [key, values.get(key)!]));
}

function stateOf(code: number): StreamsMemberState {
  if (code === STATE_CODES.Stable) return 'Stable';
  if (code === STATE_CODES.UnrevokedTasks) return 'UnrevokedTasks';
  return code === STATE_CODES.UnreleasedTasks ? 'UnreleasedTasks' : 'Unknown';
}

/** Kafka 4.1 wrote no epochs: that of the member stands in for them. */
function activeTasksOf(ids: readonly TaskIdsWithEpochs[], memberEpoch: number): HeldTasks['active'] {
  const tasks = new Map<string, Map<number, number>>();
  for (const { subtopologyId, partitions, assignmentEpochs } of ids) {
    const epochs = assignmentEpochs?.length === partitions.length ? assignmentEpochs : undefined;
    tasks.set(subtopologyId, new Map(partitions.map((partition, at) => [partition, epochs?.[at] ?? memberEpoch])));
  }
  return tasks;
}

function idsWithEpochs(
  active: HeldTasks['active'],
): (TaskIdsWithEpochs & { partitions: number[]; assignmentEpochs: number[] })[] {
  return taskIdsOf(active).map(({ subtopologyId, partitions }) => ({
    subtopologyId,
    partitions,
    assignmentEpochs: partitions.map((partition) => active.get(subtopologyId)!.get(partition)!),
  }));
}

/** Nobody commits for a standby: its epochs are left out. */
function idsWithoutEpochs(tasks: Tasks): { subtopologyId: string; partitions: number[]; assignmentEpochs: number[] }[] {
  return taskIdsOf(tasks).map((ids) => ({ ...ids, assignmentEpochs: [] }));
}

function printable({ active, standby, warmup }: HeldTasks): unknown {
  return [idsWithEpochs(active), taskIdsOf(standby), taskIdsOf(warmup)];
}
