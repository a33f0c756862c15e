/**
 * For tests: the streams groups of a GroupWorld, in a cluster whose topics are created when asked, and members that behave as Kafka
 * Streams does.
 */
import {
  errorName,
  KafkaError,
  type StreamsGroupHeartbeatRequest,
  type StreamsGroupHeartbeatResponse,
  type Writable,
} from '@ottla/protocol';
import { GroupWorld } from '../group-world.ts';
import { checkStreamsHeartbeat } from './check-streams-heartbeat.ts';
import type { InternalTopic } from './configure-topology.ts';
import { StreamsGroup } from './streams-group.ts';
import { type TaskIds, taskIdsOf } from './tasks.ts';

type Response = Writable<StreamsGroupHeartbeatResponse>;
export type Topology = NonNullable<StreamsGroupHeartbeatRequest['topology']>;

const STATUSES = [
  'STALE_TOPOLOGY',
  'MISSING_SOURCE_TOPICS',
  'INCORRECTLY_PARTITIONED_TOPICS',
  'MISSING_INTERNAL_TOPICS',
  'SHUTDOWN_APPLICATION',
  'ASSIGNMENT_DELAYED',
];

export class StreamsWorld extends GroupWorld {
  /** What the broker would have created by now. */
  readonly missing = new Map<string, InternalTopic>();

  createTopic(name: string, partitions: number): void {
    this.missing.delete(name);
    this.setTopic(name, partitions);
  }

  createMissingTopics(): void {
    for (const { name, partitions } of [...this.missing.values()]) this.createTopic(name, partitions);
  }

  /** The error's name, or the answer. */
  askStreams(fields: Partial<StreamsGroupHeartbeatRequest> & { memberId: string; memberEpoch: number }): string | Response {
    const request: StreamsGroupHeartbeatRequest = {
      groupId: 'g',
      endpointInformationEpoch: 0,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: -1,
      topology: null,
      activeTasks: null,
      standbyTasks: null,
      warmupTasks: null,
      processId: null,
      userEndpoint: null,
      clientTags: null,
      taskOffsets: null,
      taskEndOffsets: null,
      shutdownApplication: false,
      ...fields,
    };
    try {
      checkStreamsHeartbeat(request, (topic) => topic.startsWith('__'));
      const outcome = this.coordinator.streams.heartbeat(request, { clientId: 'c', clientHost: '/127.0.0.1' }, this.moment);
      const error = this.submit(outcome);
      if (error !== null) return error.name;
      for (const topic of outcome.response.internalTopics) this.missing.set(topic.name, topic);
      return outcome.response.response;
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      return error.name;
    }
  }

  streamsGroup(groupId = 'g'): StreamsGroup {
    const group = this.coordinator.groups.get(groupId);
    if (!(group instanceof StreamsGroup)) throw new Error(`no streams group ${groupId}`);
    return group;
  }
}

/** A thread of a Kafka Streams application: keeps what it is given, and gives up what it is not given any more. */
export class StreamsThread {
  readonly memberId: string;
  readonly processId: string;
  readonly #world: StreamsWorld;
  readonly #topology: Topology;
  memberEpoch = 0;
  active = new Set<string>();
  standby = new Set<string>();
  /** The last answer's. */
  status: string[] = [];
  /** Between a join that was answered and a fence, a leave, or its death. */
  isMember = false;
  isDead = false;

  constructor(world: StreamsWorld, memberId: string, processId: string, topology: Topology) {
    this.#world = world;
    this.memberId = memberId;
    this.processId = processId;
    this.#topology = topology;
  }

  /** One heartbeat. A lost answer leaves the thread as it was. */
  beat({
    isAnswerLost = false,
    fields = {},
  }: {
    isAnswerLost?: boolean;
    fields?: Partial<StreamsGroupHeartbeatRequest>;
  } = {}): string {
    const isJoining = this.memberEpoch === 0;
    const { memberId, memberEpoch, processId } = this;
    const told = isJoining
      ? { topology: this.#topology, rebalanceTimeoutMs: 30_000, processId, activeTasks: [], standbyTasks: [], warmupTasks: [] }
      : { activeTasks: idsOf(this.active), standbyTasks: idsOf(this.standby), warmupTasks: [] };
    const answer = this.#world.askStreams({ memberId, memberEpoch, ...told, ...fields });
    if (isAnswerLost) return 'LOST';
    if (typeof answer === 'string') {
      if (answer === 'FENCED_MEMBER_EPOCH' || answer === 'UNKNOWN_MEMBER_ID' || answer === 'GROUP_ID_NOT_FOUND') this.forget();
      return answer;
    }
    this.isMember = true;
    this.memberEpoch = answer.memberEpoch!;
    this.status = (answer.status ?? []).map(({ statusCode }) => STATUSES[statusCode!]!);
    if (answer.activeTasks) this.active = namesOf(answer.activeTasks as TaskIds[]);
    if (answer.standbyTasks) this.standby = namesOf(answer.standbyTasks as TaskIds[]);
    return 'NONE';
  }

  leave(): string {
    const answer = this.#world.askStreams({ memberId: this.memberId, memberEpoch: -1 });
    if (typeof answer === 'string' && answer !== 'UNKNOWN_MEMBER_ID' && answer !== 'GROUP_ID_NOT_FOUND') return answer;
    this.forget();
    return typeof answer === 'string' ? answer : 'NONE';
  }

  /** It has nothing, and has to join again. */
  forget(): void {
    this.isMember = false;
    this.memberEpoch = 0;
    this.active = new Set();
    this.standby = new Set();
  }

  toString(): string {
    const tasks = (names: ReadonlySet<string>): string => [...names].sort().join(' ');
    const standby = this.standby.size > 0 ? ` standby ${tasks(this.standby)}` : '';
    const status = this.status.length > 0 ? ` [${this.status.join(' ')}]` : '';
    return `${this.memberId} at ${this.memberEpoch}: ${tasks(this.active) || '-'}${standby}${status}`;
  }
}

/** All that a restart has to know of a streams group, as plain data. */
export function durableStreamsGroup(group: StreamsGroup): unknown {
  const { groupEpoch, metadataHash, topology, validatedTopologyEpoch, lastAssignmentConfigs } = group;
  const sorted = <V>(entries: Iterable<[string, V]>): [string, V][] =>
    [...entries].sort(([one], [other]) => (one < other ? -1 : 1));
  const held = ({
    active,
    standby,
    warmup,
  }: {
    active: ReadonlyMap<string, unknown>;
    standby: unknown;
    warmup: unknown;
  }): unknown => [
    sorted(
      [...active].map(([id, of]): [string, unknown] => [
        id,
        of instanceof Map ? [...of].sort() : [...(of as Set<number>)].sort(),
      ]),
    ),
    taskIdsOf(standby as Map<string, Set<number>>),
    taskIdsOf(warmup as Map<string, Set<number>>),
  ];
  return {
    state: group.committedState,
    epoch: [groupEpoch, metadataHash, validatedTopologyEpoch, [...lastAssignmentConfigs], group.assignment.get()],
    topology: topology && [topology.epoch, [...topology.subtopologies.values()]],
    targets: sorted(group.targets.entries()).map(([id, target]) => [id, held(target)]),
    members: sorted(group.members.entries()).map(([, member]) => ({
      ...member,
      clientTags: [...member.clientTags],
      assigned: held(member.assigned),
      pendingRevocation: held(member.pendingRevocation),
    })),
  };
}

/** Words are split and counted: a repartition topic between two subtopologies, and a changelog. */
export function wordCount({ epoch = 0, sources = ['text'], repartitionPartitions = 0 } = {}): Topology {
  const internal = (name: string, partitions = 0): Topology['subtopologies'][number]['stateChangelogTopics'][number] => ({
    name,
    partitions,
    replicationFactor: -1,
    topicConfigs: [{ key: 'cleanup.policy', value: name.endsWith('changelog') ? 'compact' : 'delete' }],
  });
  const nothing = { sourceTopicRegex: [], copartitionGroups: [] };
  return {
    epoch,
    subtopologies: [
      {
        ...nothing,
        subtopologyId: '0',
        sourceTopics: sources,
        stateChangelogTopics: [],
        repartitionSinkTopics: ['words'],
        repartitionSourceTopics: [],
      },
      {
        ...nothing,
        subtopologyId: '1',
        sourceTopics: [],
        stateChangelogTopics: [internal('counts-changelog')],
        repartitionSinkTopics: [],
        repartitionSourceTopics: [internal('words', repartitionPartitions)],
      },
    ],
  };
}

export function outcomeOf(answer: string | Response): string {
  return typeof answer === 'string' ? answer : errorName(answer.errorCode ?? 0);
}

function namesOf(tasks: readonly TaskIds[]): Set<string> {
  return new Set(
    tasks.flatMap(({ subtopologyId, partitions }) => partitions.map((partition) => `${subtopologyId}_${partition}`)),
  );
}

function idsOf(names: ReadonlySet<string>): { subtopologyId: string; partitions: number[] }[] {
  const tasks = new Map<string, Set<number>>();
  for (const name of names) {
    const [id, partition] = name.split('_') as [string, string];
    tasks.set(id, (tasks.get(id) ?? new Set()).add(Number(partition)));
  }
  return taskIdsOf(tasks);
}
