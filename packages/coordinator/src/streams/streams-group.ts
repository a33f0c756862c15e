import {
  KafkaError,
  type StreamsGroupDescribeResponse,
  type StreamsGroupHeartbeatResponse,
  type Writable,
} from '@ottla/protocol';
import type { CommitCheck, Committer } from '../group.ts';
import type { GroupRecord, GroupRecordOf } from '../group-record.ts';
import type { GroupTopics } from '../group-topics.ts';
import type { Journal } from '../journal.ts';
import { JournaledValue, type View } from '../modern/journaled.ts';
import { ModernGroup } from '../modern/modern-group.ts';
import { type ConfiguredTopology, configureTopology } from './configure-topology.ts';
import { describeMember, describeTopology } from './describe-streams-group.ts';
import { partitionsByUserEndpoint } from './endpoint-partitions.ts';
import { isReconciled, newStreamsMember, type StreamsMember, withCurrentAssignment, withMetadata } from './streams-member.ts';
import { StreamsTopology } from './streams-topology.ts';
import { type TaskAssignment, tasksOf } from './tasks.ts';

type DescribedGroup = NonNullable<Writable<StreamsGroupDescribeResponse>['groups']>[number];
type EndpointPartitions = NonNullable<Writable<StreamsGroupHeartbeatResponse>['partitionsByUserEndpoint']>;
export type StreamsRecord = Extract<GroupRecord, { type: `StreamsGroup${string}` }>;

/** The configs that an assignment was made with, by the names that the log has for them. */
export type AssignmentConfigs = ReadonlyMap<string, string>;

/** A group of the streams protocol (KIP-1071): members that run one topology, and share its tasks. */
export class StreamsGroup extends ModernGroup<StreamsMember, TaskAssignment> {
  readonly type = 'Streams';
  readonly #topology: JournaledValue<StreamsTopology | null>;
  /** The topology epoch for which the cluster's topics were found right, -1 while they are not; and what the last epoch was made with. */
  readonly #validated: JournaledValue<{ readonly topologyEpoch: number; readonly assignmentConfigs: AssignmentConfigs }>;
  /** In memory: the topology laid over the topics, and which it was made of. */
  #configured: { readonly topology: StreamsTopology; readonly result: ConfiguredTopology } | null = null;
  /** In memory: the member that wants the whole application to stop, until all have left. */
  shutdownRequestedBy: string | null = null;
  /** In memory: grows when a member with an endpoint gets other tasks. A member that knows an older one is told who has what. */
  endpointInformationEpoch = 0;

  constructor(groupId: string, journal: Journal) {
    super(groupId, journal);
    this.#topology = new JournaledValue<StreamsTopology | null>(journal, null);
    this.#validated = new JournaledValue(journal, { topologyEpoch: 0, assignmentConfigs: new Map() });
  }

  get topology(): StreamsTopology | null {
    return this.#topology.get();
  }

  get validatedTopologyEpoch(): number {
    return this.#validated.get().topologyEpoch;
  }

  get lastAssignmentConfigs(): AssignmentConfigs {
    return this.#validated.get().assignmentConfigs;
  }

  /** As of when it was configured last; null if that was another topology, or never. */
  configured(topology: StreamsTopology): ConfiguredTopology | null {
    return this.#configured?.topology.equals(topology) ? this.#configured.result : null;
  }

  /** Throws STREAMS_INVALID_TOPOLOGY. */
  configure(topology: StreamsTopology, topics: GroupTopics): ConfiguredTopology {
    const result = configureTopology(topology, (name) => topics.byName(name)?.partitionCount);
    this.#configured = { topology, result };
    return result;
  }

  stateAsOf(view: View): string {
    const members = [...this.members.entries(view)];
    if (members.length === 0) return 'Empty';
    if (this.#topology.get(view)?.epoch !== this.#validated.get(view).topologyEpoch) return 'NotReady';
    const { assignmentEpoch } = this.assignment.get(view);
    if (this.epoch.get(view).groupEpoch > assignmentEpoch) return 'Assigning';
    return members.every(([, member]) => isReconciled(member, assignmentEpoch)) ? 'Stable' : 'Reconciling';
  }

  subscribedTopics(): ReadonlySet<string> {
    return new Set(this.topology?.requiredTopics);
  }

  /** Changelogs have no offsets that a group commits. */
  override isSubscribedTo(topic: string): boolean {
    return !this.isEmpty && this.topology?.readerOf(topic) !== undefined;
  }

  /** What each endpoint has, for interactive queries. `updated` is a member as it will be. */
  partitionsByUserEndpoint(updated: StreamsMember, topics: GroupTopics): EndpointPartitions {
    const others = [...this.members.values()].filter(({ memberId }) => memberId !== updated.memberId);
    return partitionsByUserEndpoint([...others, updated], this.#configured?.result.subtopologies ?? new Map(), topics);
  }

  describe(): DescribedGroup {
    const topology = this.#topology.get('committed');
    return {
      groupId: this.groupId,
      groupState: this.committedState,
      groupEpoch: this.epoch.get('committed').groupEpoch,
      assignmentEpoch: this.assignment.get('committed').assignmentEpoch,
      topology: topology && describeTopology(topology, this.configured(topology)),
      members: [...this.members.entries('committed')].map(([memberId, member]) =>
        describeMember(member, this.targets.get(memberId, 'committed')),
      ),
    };
  }

  /** Throws UNKNOWN_MEMBER_ID, UNSUPPORTED_VERSION, STALE_MEMBER_EPOCH. */
  validateOffsetCommit({ memberId, groupInstanceId, ...committer }: Committer): CommitCheck | undefined {
    const { generationIdOrMemberEpoch: memberEpoch, apiVersion, isTransactional } = committer;
    if (memberEpoch < 0 && this.isEmpty) return undefined;
    // A producer that does not say for whom it commits.
    if (isTransactional && memberEpoch === -1 && memberId === '' && groupInstanceId === null) return undefined;
    const member = this.member(memberId);
    if (!isTransactional && apiVersion < 9) {
      throw new KafkaError(
        'UNSUPPORTED_VERSION',
        'OffsetCommit version 9 or above must be used by members using the streams group protocol',
      );
    }
    if (memberEpoch === member.memberEpoch) return undefined;
    if (memberEpoch > member.memberEpoch) {
      throw stale(`Received member epoch ${memberEpoch} is newer than current member epoch ${member.memberEpoch}.`);
    }
    const { topology } = this;
    if (topology === null) throw stale('Topology is not available for offset commit validation.');
    return (topic, _topicId, partition) => checkAssignmentEpoch(member, memberEpoch, topology, topic, partition);
  }

  /** Throws UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH. */
  validateOffsetFetch(memberId: string | null, memberEpoch: number): void {
    if (memberId === null && memberEpoch < 0) return;
    const member = this.member(memberId ?? '', 'committed');
    if (memberEpoch === member.memberEpoch) return;
    throw stale(`The received member epoch ${memberEpoch} does not match the expected member epoch ${member.memberEpoch}.`);
  }

  replay(record: StreamsRecord): void {
    switch (record.type) {
      case 'StreamsGroupMetadata':
        if (record.value !== null) this.#replayMetadata(record.value);
        break;
      case 'StreamsGroupTopology':
        this.#topology.set(record.value && new StreamsTopology(record.value));
        break;
      case 'StreamsGroupMemberMetadata':
        if (record.value === null) this.#remove(record.key.memberId);
        else this.members.set(record.key.memberId, withMetadata(this.#memberOrNew(record.key.memberId), record.value));
        break;
      case 'StreamsGroupCurrentMemberAssignment':
        this.#replayCurrentAssignment(record);
        break;
      case 'StreamsGroupTargetAssignmentMember':
        if (record.value === null) this.targets.delete(record.key.memberId);
        else {
          const { activeTasks, standbyTasks, warmupTasks } = record.value;
          const target = { active: tasksOf(activeTasks), standby: tasksOf(standbyTasks), warmup: tasksOf(warmupTasks) };
          this.targets.set(record.key.memberId, target);
        }
        break;
      case 'StreamsGroupTargetAssignmentMetadata': {
        const { assignmentEpoch = -1, assignmentTimestamp = 0 } = record.value ?? {};
        this.assignment.set({ assignmentEpoch, assignmentTimestamp });
      }
    }
  }

  tombstones(): GroupRecord[] {
    const { groupId } = this;
    const ofMembers = <Type extends StreamsRecord['type']>(type: Type): GroupRecord[] =>
      [...this.members.keys()].map((memberId) => ({ type, version: -1, key: { groupId, memberId }, value: null }) as GroupRecord);
    const ofGroup = (type: StreamsRecord['type']): GroupRecord =>
      ({ type, version: -1, key: { groupId }, value: null }) as GroupRecord;
    return [
      ...ofMembers('StreamsGroupCurrentMemberAssignment'),
      ...ofMembers('StreamsGroupTargetAssignmentMember'),
      ofGroup('StreamsGroupTargetAssignmentMetadata'),
      ...ofMembers('StreamsGroupMemberMetadata'),
      ofGroup('StreamsGroupMetadata'),
      ofGroup('StreamsGroupTopology'),
    ];
  }

  assertInvariants(): void {
    const activeIn = new Map<string, string>();
    for (const { memberId, assigned, pendingRevocation } of this.members.values()) {
      for (const held of [assigned, pendingRevocation]) {
        for (const [id, epochs] of held.active) {
          for (const partition of epochs.keys()) {
            const task = `${id}_${partition}`;
            const other = activeIn.get(task);
            if (other !== undefined) throw new Error(`task ${task} of ${this.groupId} is active in ${other} and ${memberId}`);
            activeIn.set(task, memberId);
          }
        }
      }
    }
    for (const memberId of this.targets.keys()) {
      if (!this.members.has(memberId)) throw new Error(`${memberId} of ${this.groupId} has a target and is no member`);
    }
  }

  #replayMetadata(value: NonNullable<GroupRecordOf<'StreamsGroupMetadata'>['value']>): void {
    this.epoch.set({ groupEpoch: value.epoch, metadataHash: value.metadataHash });
    this.#validated.set({
      topologyEpoch: value.validatedTopologyEpoch,
      assignmentConfigs: new Map(value.lastAssignmentConfigs?.map((config) => [config.key, config.value])),
    });
  }

  #replayCurrentAssignment({ key: { memberId }, value }: GroupRecordOf<'StreamsGroupCurrentMemberAssignment'>): void {
    if (value === null && !this.members.has(memberId)) return;
    this.members.set(memberId, withCurrentAssignment(this.#memberOrNew(memberId), value));
  }

  #memberOrNew(memberId: string): StreamsMember {
    return this.members.get(memberId) ?? newStreamsMember(memberId);
  }

  #remove(memberId: string): void {
    this.members.delete(memberId);
    if (this.isEmpty) this.shutdownRequestedBy = null;
  }
}

/** A commit at an older epoch is fine for tasks that the member has had since then. */
function checkAssignmentEpoch(
  { assigned, pendingRevocation }: StreamsMember,
  memberEpoch: number,
  topology: StreamsTopology,
  topic: string,
  partition: number,
): void {
  const subtopologyId = topology.readerOf(topic);
  if (subtopologyId === undefined) throw stale(`Topic ${topic} is not in the topology.`);
  const assignedAt =
    assigned.active.get(subtopologyId)?.get(partition) ?? pendingRevocation.active.get(subtopologyId)?.get(partition);
  const task = `${subtopologyId}-${partition}`;
  if (assignedAt === undefined) throw stale(`Task ${task} is not assigned or pending revocation for member.`);
  if (memberEpoch < assignedAt) {
    throw stale(`Received member epoch ${memberEpoch} is older than assignment epoch ${assignedAt} for task ${task}.`);
  }
}

function stale(message: string): KafkaError {
  return new KafkaError('STALE_MEMBER_EPOCH', message);
}
