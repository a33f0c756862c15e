import {
  type Api,
  ConsumerGroupHeartbeat,
  DeleteGroups,
  DescribeConfigs,
  DescribeGroups,
  ListGroups,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  StreamsGroupDescribe,
  StreamsGroupHeartbeat,
  type StreamsGroupHeartbeatRequest,
  type StreamsGroupHeartbeatResponse,
  type Writable,
} from '@ottla/protocol';
import { eventually } from '../../processes.ts';
import { versionsOf } from '../plain.ts';
import type { Probe } from '../probe.ts';
import { configureGroup } from './consumer-groups.ts';
import { coordinatorReady } from './groups.ts';
import { makeTopic, type Scenario } from './scenario.ts';

type Request = Writable<StreamsGroupHeartbeatRequest>;
type Topology = NonNullable<Request['topology']>;
type Subtopology = NonNullable<Topology['subtopologies']>[number];

const subtopology = (subtopologyId: string, sourceTopics: string[], rest: Subtopology = {}): Subtopology => ({
  subtopologyId,
  sourceTopics,
  sourceTopicRegex: [],
  stateChangelogTopics: [],
  repartitionSinkTopics: [],
  repartitionSourceTopics: [],
  copartitionGroups: [],
  ...rest,
});

const topologyOf = (...subtopologies: Subtopology[]): Topology => ({ epoch: 0, subtopologies });
const plainTopology = topologyOf(subtopology('0', ['sg']));

class Member {
  readonly memberId: string;
  readonly #probe: Probe;
  readonly #groupId: string;
  readonly #joining: Request;
  memberEpoch = 0;
  endpointInformationEpoch = -1;
  tasks: Pick<StreamsGroupHeartbeatResponse, 'activeTasks' | 'standbyTasks' | 'warmupTasks'> = {
    activeTasks: [],
    standbyTasks: [],
    warmupTasks: [],
  };

  constructor(probe: Probe, groupId: string, memberId: string, joining: Request = {}) {
    this.#probe = probe;
    this.#groupId = groupId;
    this.memberId = memberId;
    this.#joining = {
      rebalanceTimeoutMs: 300_000,
      topology: plainTopology,
      activeTasks: [],
      standbyTasks: [],
      warmupTasks: [],
      processId: `process of ${memberId}`,
      clientTags: [],
      ...joining,
    };
  }

  join(what = 'joins', request: Request = {}): Promise<StreamsGroupHeartbeatResponse> {
    this.tasks = { activeTasks: [], standbyTasks: [], warmupTasks: [] };
    return this.beat(what, { memberEpoch: 0, ...this.#joining, ...request });
  }

  async beat(what: string, request: Request = {}, quiet = false): Promise<StreamsGroupHeartbeatResponse> {
    const { memberId, memberEpoch, endpointInformationEpoch } = this;
    const answer = (await this.#probe.ask(
      `${memberId} ${what}`,
      StreamsGroupHeartbeat,
      0,
      { groupId: this.#groupId, memberId, memberEpoch, endpointInformationEpoch, ...request },
      { quiet },
    ))!;
    if (answer.errorCode === 0) {
      this.memberEpoch = answer.memberEpoch;
      this.endpointInformationEpoch = answer.endpointInformationEpoch;
      for (const kind of ['activeTasks', 'standbyTasks', 'warmupTasks'] as const)
        if (answer[kind]) this.tasks[kind] = answer[kind];
    }
    return answer;
  }

  reports(what = 'reports what it has', quiet = false): Promise<StreamsGroupHeartbeatResponse> {
    return this.beat(what, structuredClone(this.tasks) as Request, quiet);
  }

  leave(what = 'leaves'): Promise<StreamsGroupHeartbeatResponse> {
    return this.beat(what, { memberEpoch: -1 });
  }
}

async function rounds(members: readonly Member[], count = 3): Promise<void> {
  for (let round = 1; round <= count; round++) for (const member of members) await member.reports(`reports in round ${round}`);
}

const describeGroup = (probe: Probe, what: string, ...groupIds: string[]) =>
  probe.ask(what, StreamsGroupDescribe, 0, { groupIds, includeAuthorizedOperations: true });

export const streamsGroupScenarios: readonly Scenario[] = [
  {
    name: 'streams groups: heartbeats that are refused',
    async run(probe) {
      await coordinatorReady(probe);
      await makeTopic(probe, 'sg', { partitions: 3 });
      const groupId = 'sgr';
      const member = new Member(probe, groupId, 'm');
      const join = (what: string, request: Request = {}) => member.join(what, request);
      await join('an empty group id', { groupId: '' });
      await join('no member id', { memberId: '' });
      await join('an epoch below -2', { memberEpoch: -3 });
      await join('leaves as static without an instance id', { memberEpoch: -2 });
      await join('has an empty instance id', { instanceId: '' });
      await join('has an instance id', { instanceId: 'i' });
      await join('has an empty rack', { rackId: '' });
      await join('has no rebalance timeout', { rebalanceTimeoutMs: -1 });
      await join('has a rebalance timeout of 0', { rebalanceTimeoutMs: 0 });
      await join('has no topology', { topology: null });
      await join('has a topology of a later epoch', { topology: { ...plainTopology, epoch: 5 } });
      await join('has a topology of a bad epoch', { topology: { ...plainTopology, epoch: -1 } });
      await join('has no tasks', { activeTasks: null });
      await join('has no standby tasks', { standbyTasks: null });
      await join('has no warm-up tasks', { warmupTasks: null });
      await join('has tasks', { activeTasks: [{ subtopologyId: '0', partitions: [0] }] });
      await join('has standby tasks', { standbyTasks: [{ subtopologyId: '0', partitions: [0] }] });
      await join('has no process id', { processId: null });
      await join('has an empty process id', { processId: '' });
      await join('has no tags', { clientTags: null });
      await join('a topology of bad topics', { topology: topologyOf(subtopology('0', ['a b'])) });
      await join('a topology of two subtopologies of one name', {
        topology: topologyOf(subtopology('0', ['sg']), subtopology('0', ['sg'])),
      });
      await join('a pattern', { topology: topologyOf(subtopology('0', [], { sourceTopicRegex: ['sg.*'] })) });
      await join('what is no pattern', { topology: topologyOf(subtopology('0', [], { sourceTopicRegex: ['('] })) });
      const bad = (rest: Subtopology) => ({ topology: topologyOf(subtopology('0', ['sg'], rest)) });
      await join(
        'a repartition topic with partitions',
        bad({ repartitionSourceTopics: [{ name: 'sgr-r', partitions: 1, replicationFactor: 0, topicConfigs: [] }] }),
      );
      await join(
        'a changelog topic with partitions',
        bad({ stateChangelogTopics: [{ name: 'sgr-c', partitions: 2, replicationFactor: 0, topicConfigs: [] }] }),
      );
      await join('copartitions that are not there', {
        groupId: 'sgr-copartitions',
        ...bad({ copartitionGroups: [{ sourceTopics: [7], sourceTopicRegex: [], repartitionSourceTopics: [] }] }),
      });
      await member.beat('of an unknown group, epoch 5', { memberEpoch: 5, groupId: 'sgr-unknown' });
      await member.beat('of an unknown group, leaving', { memberEpoch: -1, groupId: 'sgr-unknown' });
      await describeGroup(probe, 'whatever was made', groupId);
      const good = new Member(probe, 'sgr-good', 'good');
      await good.join();
      await good.beat('an unknown member', { memberId: 'other', memberEpoch: 3 });
      await good.beat('an unknown member leaves', { memberId: 'other', memberEpoch: -1 });
      await good.beat('a future epoch', { memberEpoch: good.memberEpoch + 5 });
      await good.beat('an older epoch', { memberEpoch: good.memberEpoch - 1 });
      await good.beat('tasks of nothing', {
        activeTasks: [{ subtopologyId: '9', partitions: [0] }],
        standbyTasks: [],
        warmupTasks: [],
      });
      await good.beat('tasks without the others', { activeTasks: [] });
      await good.beat('a topology in between', { topology: plainTopology });
      await good.leave();
      await good.leave('leaves again');
    },
  },
  {
    name: 'streams groups: one member',
    async run(probe) {
      await coordinatorReady(probe);
      await makeTopic(probe, 'sg', { partitions: 3 });
      const groupId = 'sg-one';
      const member = new Member(probe, groupId, 'one', {
        userEndpoint: { host: 'localhost', port: 8080 },
        clientTags: [{ key: 'k', value: 'v' }],
      });
      await member.join();
      await describeGroup(probe, 'joined', groupId);
      await rounds([member]);
      await member.beat('says nothing new');
      await member.beat('tells its offsets', {
        taskOffsets: [{ subtopologyId: '0', partition: 0, offset: 5 }],
        taskEndOffsets: [{ subtopologyId: '0', partition: 0, offset: 9 }],
      });
      await describeGroup(probe, 'with offsets', groupId);
      for (const types of [[], ['streams'], ['Streams'], ['consumer']])
        await probe.askSettled(`types ${types}`, ListGroups, 5, { statesFilter: [], typesFilter: types }, () => false, {
          look: (answer) =>
            void answer.groups.splice(0, answer.groups.length, ...answer.groups.filter((group) => group.groupId === groupId)),
        });
      const { memberId, memberEpoch } = member;
      for (const version of versionsOf(OffsetCommit as Api).filter((each) => each < 10)) {
        for (const generationIdOrMemberEpoch of [memberEpoch, memberEpoch - 1, memberEpoch + 1, -1])
          await probe.ask(`as epoch ${generationIdOrMemberEpoch}`, OffsetCommit, version, {
            groupId,
            memberId,
            generationIdOrMemberEpoch,
            topics: [{ name: 'sg', partitions: [{ partitionIndex: 0, committedOffset: 3, committedMetadata: '' }] }],
          });
      }
      for (const asked of [memberEpoch, memberEpoch - 1, memberEpoch + 1, -1])
        await probe.ask(`as epoch ${asked}`, OffsetFetch, 9, {
          groups: [{ groupId, memberId, memberEpoch: asked, topics: [{ name: 'sg', partitionIndexes: [0] }] }],
        });
      await probe.ask('of a streams group', DescribeGroups, 6, { groups: [groupId] });
      await probe.ask('of a streams group', ConsumerGroupHeartbeat, 1, {
        groupId,
        memberId: 'c',
        memberEpoch: 0,
        rebalanceTimeoutMs: 1000,
        subscribedTopicNames: ['sg'],
        topicPartitions: [],
      });
      await probe.ask('of a streams group', DeleteGroups, 2, { groupsNames: [groupId] });
      await member.join('joins again');
      await rounds([member], 2);
      await member.beat('asks for the end', { shutdownApplication: true });
      await member.reports();
      await member.leave();
      await describeGroup(probe, 'left', groupId);
      await describeGroup(probe, 'several', 'sg-unknown', '', groupId, groupId);
      await probe.ask('the empty one', DeleteGroups, 2, { groupsNames: [groupId] });
      await describeGroup(probe, 'deleted', groupId);
    },
  },
  {
    name: 'streams groups: internal topics',
    async run(probe) {
      await coordinatorReady(probe);
      await makeTopic(probe, 'sg', { partitions: 3 });
      const groupId = 'sg-internal';
      const topology = topologyOf(
        subtopology('0', ['sg'], { repartitionSinkTopics: ['sg-internal-repartition'] }),
        subtopology('1', [], {
          repartitionSourceTopics: [
            {
              name: 'sg-internal-repartition',
              partitions: 0,
              replicationFactor: 0,
              topicConfigs: [
                { key: 'cleanup.policy', value: 'delete' },
                { key: 'retention.ms', value: '-1' },
              ],
            },
          ],
          stateChangelogTopics: [
            {
              name: 'sg-internal-changelog',
              partitions: 0,
              replicationFactor: 0,
              topicConfigs: [{ key: 'cleanup.policy', value: 'compact' }],
            },
          ],
        }),
      );
      const member = new Member(probe, groupId, 'one', { topology });
      await member.join('joins');
      await eventually('the internal topics are there', async () => {
        const { errorCode, status } = await member.reports('reports', true);
        return errorCode === 0 && (status ?? []).length === 0 && (member.tasks.activeTasks ?? []).length === 2;
      });
      await member.reports();
      await describeGroup(probe, 'with internal topics', groupId);
      const { topics } = (await probe.ask(
        'the topics',
        Metadata,
        12,
        { topics: [{ name: 'sg-internal-repartition' }, { name: 'sg-internal-changelog' }] },
        { quiet: true },
      ))!;
      for (const { topicId, name } of topics) probe.name(topicId, `id of ${name}`);
      await probe.ask('the topics', Metadata, 12, { topics: topics.map(({ name }) => ({ name })) });
      for (const resourceName of ['sg-internal-repartition', 'sg-internal-changelog'])
        await probe.ask(resourceName, DescribeConfigs, 4, {
          resources: [
            { resourceType: 2, resourceName, configurationKeys: ['cleanup.policy', 'retention.ms', 'min.insync.replicas'] },
          ],
        });
      await member.leave();
    },
  },
  {
    name: 'streams groups: topologies that do not fit',
    async run(probe) {
      await coordinatorReady(probe);
      await makeTopic(probe, 'sg', { partitions: 3 });
      await makeTopic(probe, 'sg-two', { partitions: 2 });
      const missing = new Member(probe, 'sg-missing', 'm', { topology: topologyOf(subtopology('0', ['sg', 'sg-nowhere'])) });
      await missing.join('a topic is missing');
      await describeGroup(probe, 'a topic is missing', 'sg-missing');
      await missing.reports();
      await missing.leave();
      const uneven = new Member(probe, 'sg-uneven', 'm', {
        topology: topologyOf(
          subtopology('0', ['sg', 'sg-two'], {
            copartitionGroups: [{ sourceTopics: [0, 1], sourceTopicRegex: [], repartitionSourceTopics: [] }],
          }),
        ),
      });
      await uneven.join('topics of unlike partitions');
      await describeGroup(probe, 'topics of unlike partitions', 'sg-uneven');
      await uneven.leave();
      const [old, young] = [
        new Member(probe, 'sg-stale', 'old'),
        new Member(probe, 'sg-stale', 'young', { topology: topologyOf(subtopology('0', ['sg-two'])) }),
      ];
      await old.join('has the first topology');
      await old.reports();
      await young.join('has another topology');
      await rounds([old, young]);
      await describeGroup(probe, 'two topologies', 'sg-stale');
      await young.leave();
      await old.leave();
      const later = new Member(probe, 'sg-stale', 'later', { topology: topologyOf(subtopology('0', ['sg-two'])) });
      await later.join('comes when nobody is there');
      await describeGroup(probe, 'another topology', 'sg-stale');
      await later.leave();
    },
  },
  {
    name: 'streams groups: several members',
    async run(probe) {
      await coordinatorReady(probe);
      await makeTopic(probe, 'sg', { partitions: 3 });
      for (const standbys of ['0', '1']) {
        const groupId = `sg-several-${standbys}`;
        await configureGroup(probe, groupId, { 'streams.num.standby.replicas': standbys });
        const topology = topologyOf(
          subtopology('0', ['sg'], {
            stateChangelogTopics: [{ name: `${groupId}-changelog`, partitions: 0, replicationFactor: 0, topicConfigs: [] }],
          }),
        );
        const [a, b, c] = ['a', 'b', 'c'].map(
          (name) => new Member(probe, groupId, name, { topology, userEndpoint: { host: name, port: 1000 } }),
        ) as [Member, Member, Member];
        await a.beat(
          'joins',
          {
            memberEpoch: 0,
            rebalanceTimeoutMs: 300_000,
            topology,
            activeTasks: [],
            standbyTasks: [],
            warmupTasks: [],
            processId: 'process of a',
            clientTags: [],
            userEndpoint: { host: 'a', port: 1000 },
          },
          true,
        );
        await eventually('the changelog is there', async () => {
          const { errorCode, status } = await a.reports('reports', true);
          return errorCode === 0 && (status ?? []).length === 0 && (a.tasks.activeTasks ?? []).length > 0;
        });
        await b.join();
        await rounds([b, a]);
        await describeGroup(probe, 'two', groupId);
        await c.join();
        await rounds([c, b, a]);
        await describeGroup(probe, 'three', groupId);
        await b.leave();
        await rounds([a, c]);
        await describeGroup(probe, 'without b', groupId);
        await a.beat('an epoch ago', { memberEpoch: a.memberEpoch - 1, activeTasks: [], standbyTasks: [], warmupTasks: [] });
        await a.leave();
        await c.leave();
        await describeGroup(probe, 'nobody', groupId);
      }
    },
  },
  {
    name: 'streams groups: members that vanish',
    async run(probe) {
      await coordinatorReady(probe);
      await makeTopic(probe, 'sg', { partitions: 3 });
      const groupId = 'sg-vanish';
      await configureGroup(probe, groupId, { 'streams.session.timeout.ms': '1000', 'streams.heartbeat.interval.ms': '200' });
      const member = new Member(probe, groupId, 'm');
      await member.join();
      await member.reports();
      await eventually('it is gone', async () => {
        const answer = await probe.ask('state', StreamsGroupDescribe, 0, { groupIds: [groupId] }, { quiet: true });
        return answer!.groups[0]!.groupState === 'Empty';
      });
      await describeGroup(probe, 'it is gone', groupId);
      await member.beat('comes back');
      await member.join('joins again');
      await member.leave();
    },
  },
];
