import {
  type Api,
  ConsumerGroupDescribe,
  ConsumerGroupHeartbeat,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  CreatePartitions,
  DeleteGroups,
  DescribeGroups,
  Heartbeat,
  IncrementalAlterConfigs,
  JoinGroup,
  LeaveGroup,
  ListGroups,
  OffsetCommit,
  OffsetDelete,
  OffsetFetch,
  SyncGroup,
  type Writable,
  writeSubscription,
} from '@ottla/protocol';
import { eventually } from '../../processes.ts';
import { versionsOf } from '../plain.ts';
import type { Probe } from '../probe.ts';
import { coordinatorReady } from './groups.ts';
import { makeTopic, type Scenario, unknownId } from './scenario.ts';

type Request = Writable<ConsumerGroupHeartbeatRequest>;
type TopicPartitions = readonly { readonly topicId: string; readonly partitions: readonly number[] }[];

const GROUP = 32;

export async function configureGroup(probe: Probe, groupId: string, configs: Readonly<Record<string, string>>): Promise<void> {
  await probe.ask(`configure ${groupId}`, IncrementalAlterConfigs, 1, {
    resources: [
      {
        resourceType: GROUP,
        resourceName: groupId,
        configs: Object.entries(configs).map(([name, value]) => ({ name, configOperation: 0, value })),
      },
    ],
  });
}

/** A member as its client would be it: it reports what it was given. */
class Member {
  readonly memberId: string;
  readonly #probe: Probe;
  readonly #groupId: string;
  readonly #joining: Request;
  memberEpoch = 0;
  owned: TopicPartitions = [];

  constructor(probe: Probe, groupId: string, memberId: string, joining: Request = {}) {
    this.#probe = probe;
    this.#groupId = groupId;
    this.memberId = memberId;
    this.#joining = { rebalanceTimeoutMs: 300_000, subscribedTopicNames: ['cg'], topicPartitions: [], ...joining };
  }

  async join(what = 'joins'): Promise<void> {
    this.owned = [];
    await this.beat(what, { memberEpoch: 0, ...this.#joining });
  }

  async beat(what: string, request: Request = {}, quiet = false): Promise<ConsumerGroupHeartbeatResponse> {
    const answer = (await this.#probe.ask(
      `${this.memberId} ${what}`,
      ConsumerGroupHeartbeat,
      1,
      { groupId: this.#groupId, memberId: this.memberId, memberEpoch: this.memberEpoch, ...request },
      { quiet },
    ))!;
    if (answer.errorCode === 0) {
      this.memberEpoch = answer.memberEpoch;
      if (answer.assignment) this.owned = answer.assignment.topicPartitions;
    }
    return answer;
  }

  /** It has given up what it was not to keep, and taken what it was given. */
  reports(what = 'reports what it has'): Promise<ConsumerGroupHeartbeatResponse> {
    return this.beat(what, {
      topicPartitions: this.owned.map(({ topicId, partitions }) => ({ topicId, partitions: [...partitions] })),
    });
  }

  async leave(what = 'leaves', memberEpoch = -1): Promise<void> {
    await this.#probe.ask(`${this.memberId} ${what}`, ConsumerGroupHeartbeat, 1, {
      groupId: this.#groupId,
      memberId: this.memberId,
      memberEpoch,
      ...(this.#joining.instanceId === undefined ? {} : { instanceId: this.#joining.instanceId }),
    });
  }
}

/** The order of the rounds is the same for both brokers, so that each answer can be compared. */
async function rounds(members: readonly Member[], count = 3): Promise<void> {
  for (let round = 1; round <= count; round++) for (const member of members) await member.reports(`reports in round ${round}`);
}

async function describeGroup(probe: Probe, what: string, ...groupIds: string[]): Promise<void> {
  for (const version of versionsOf(ConsumerGroupDescribe as Api))
    for (const includeAuthorizedOperations of version === 0 ? [false] : [false, true])
      await probe.ask(`${what}, operations ${includeAuthorizedOperations}`, ConsumerGroupDescribe, version, {
        groupIds,
        includeAuthorizedOperations,
      });
}

async function isEmpty(probe: Probe, groupId: string): Promise<void> {
  await eventually(`${groupId} is empty`, async () => {
    const answer = await probe.ask('state', ConsumerGroupDescribe, 1, { groupIds: [groupId] }, { quiet: true });
    return answer!.groups[0]!.groupState === 'Empty';
  });
}

export const consumerGroupScenarios: readonly Scenario[] = [
  {
    name: 'consumer groups: heartbeats that are refused',
    async run(probe) {
      await coordinatorReady(probe);
      const topicId = await makeTopic(probe, 'cg', { partitions: 3 });
      for (const version of versionsOf(ConsumerGroupHeartbeat as Api)) {
        const groupId = `cgr-${version}`;
        const beat = (what: string, request: Request = {}) =>
          probe.ask(what, ConsumerGroupHeartbeat, version, { groupId, memberId: 'm', memberEpoch: 0, ...request });
        const join = (what: string, request: Request = {}) =>
          beat(what, { rebalanceTimeoutMs: 10_000, subscribedTopicNames: ['cg'], topicPartitions: [], ...request });
        await join('an empty group id', { groupId: '' });
        if (version >= 1) await join('no member id', { memberId: '' });
        await join('an epoch below -2', { memberEpoch: -3 });
        await join('leaving as static without an instance id', { memberEpoch: -2 });
        await join('no rebalance timeout', { rebalanceTimeoutMs: -1 });
        await join('a rebalance timeout of 0', { rebalanceTimeoutMs: 0 });
        await join('no topic partitions', { topicPartitions: null });
        await join('topic partitions', { topicPartitions: [{ topicId, partitions: [0] }] });
        await join('no subscription', { subscribedTopicNames: null });
        await join('an empty instance id', { instanceId: '' });
        await join('an empty rack', { rackId: '' });
        await join('an unknown assignor', { serverAssignor: 'sticky' });
        await join('an empty assignor', { serverAssignor: '' });
        if (version >= 1) {
          await join('an empty pattern alone', { subscribedTopicNames: null, subscribedTopicRegex: '' });
          for (const subscribedTopicRegex of ['[', '(', '(?=a)', '(a)\\1', 'a{1001}'])
            await join(`the pattern ${subscribedTopicRegex}`, { subscribedTopicNames: null, subscribedTopicRegex });
        }
        await beat('an unknown group, epoch 5', { memberEpoch: 5 });
        await beat('an unknown group, leaving', { memberEpoch: -1 });
        await beat('an unknown group, leaving as static', { memberEpoch: -2, instanceId: 'i' });
        await describeGroup(probe, 'nothing was made', groupId);
        const joined = await join('joins', version === 0 ? { memberId: '' } : {});
        if (version === 0) probe.name(joined!.memberId!, 'member');
        const memberId = joined!.memberId!;
        await beat('a member that is not there, epoch 5', { memberId: 'other', memberEpoch: 5 });
        await beat('a member that is not there leaves', { memberId: 'other', memberEpoch: -1 });
        await beat('a static member that is not there leaves', { memberId: 'other', memberEpoch: -2, instanceId: 'i' });
        await beat('a future epoch', { memberId, memberEpoch: joined!.memberEpoch + 5 });
        await beat('an older epoch', { memberId, memberEpoch: joined!.memberEpoch - 1 });
        await beat('an older epoch with partitions', {
          memberId,
          memberEpoch: joined!.memberEpoch - 1,
          topicPartitions: [{ topicId, partitions: [0, 1, 2] }],
        });
        await beat('partitions it does not have', {
          memberId,
          memberEpoch: joined!.memberEpoch,
          topicPartitions: [{ topicId: unknownId, partitions: [7] }],
        });
        await beat('an unknown assignor', { memberId, memberEpoch: joined!.memberEpoch, serverAssignor: 'sticky' });
        await beat('leaves as a static member', { memberId, memberEpoch: -2, instanceId: 'i' });
        await beat('leaves', { memberId, memberEpoch: -1 });
        await beat('leaves again', { memberId, memberEpoch: -1 });
        await describeGroup(probe, 'at last', groupId);
        await join('a long group id', { groupId: 'x'.repeat(300), memberId: 'm' });
      }
    },
  },
  {
    name: 'consumer groups: one member',
    async run(probe) {
      await coordinatorReady(probe);
      await makeTopic(probe, 'cg', { partitions: 3 });
      await makeTopic(probe, 'cg-more', { partitions: 1 });
      const groupId = 'cg-one';
      const member = new Member(probe, groupId, 'one');
      await member.join();
      await describeGroup(probe, 'joined', groupId);
      await member.beat('says nothing new');
      await member.reports();
      await member.beat('says nothing new again');
      await member.beat('asks for everything', {
        rebalanceTimeoutMs: 300_000,
        subscribedTopicNames: ['cg'],
        topicPartitions: [],
      });
      await member.beat('wants another topic', { subscribedTopicNames: ['cg', 'cg-more', 'cg-unknown'] });
      await rounds([member]);
      await describeGroup(probe, 'with two topics', groupId);
      await member.beat('wants nothing', { subscribedTopicNames: [] });
      await rounds([member], 2);
      await describeGroup(probe, 'with none', groupId);
      await member.beat('wants one again', { subscribedTopicNames: ['cg-more'], serverAssignor: 'range' });
      await rounds([member]);
      await describeGroup(probe, 'by range', groupId);
      await probe.ask('more', CreatePartitions, 3, {
        topics: [{ name: 'cg-more', count: 3, assignments: null }],
        timeoutMs: 5000,
      });
      await eventually('the new partitions are assigned', async () => {
        const { errorCode } = await member.beat(
          'reports',
          { topicPartitions: member.owned.map(({ topicId, partitions }) => ({ topicId, partitions: [...partitions] })) },
          true,
        );
        return errorCode === 0 && member.owned.some(({ partitions }) => partitions.length === 3);
      });
      await member.reports();
      await describeGroup(probe, 'with new partitions', groupId);
      await member.beat('other timeouts', { rebalanceTimeoutMs: 20_000 });
      await member.beat('a rack', { rackId: 'r1' });
      await describeGroup(probe, 'with a rack', groupId);
      await member.join('joins again');
      await member.reports();
      await member.leave();
      await describeGroup(probe, 'left', groupId);
      await describeGroup(probe, 'several', groupId, 'cg-unknown', '', groupId);
    },
  },
  {
    name: 'consumer groups: offsets, and what other protocols do to them',
    async run(probe) {
      await coordinatorReady(probe);
      const topicId = await makeTopic(probe, 'cg', { partitions: 3 });
      const groupId = 'cg-offsets';
      const member = new Member(probe, groupId, 'one');
      await member.join();
      await member.reports();
      const { memberId, memberEpoch } = member;
      for (const version of versionsOf(OffsetCommit as Api)) {
        const commit = (what: string, request: object) =>
          probe.ask(what, OffsetCommit, version, {
            groupId,
            memberId,
            generationIdOrMemberEpoch: memberEpoch,
            topics: [
              {
                ...(version >= 10 ? { topicId } : { name: 'cg' }),
                partitions: [{ partitionIndex: 0, committedOffset: version, committedMetadata: 'm' }],
              },
            ],
            ...request,
          });
        await commit('commits', {});
        await commit('an older epoch', { generationIdOrMemberEpoch: memberEpoch - 1 });
        await commit('a future epoch', { generationIdOrMemberEpoch: memberEpoch + 1 });
        await commit('no epoch', { generationIdOrMemberEpoch: -1 });
        await commit('no epoch, no member', { generationIdOrMemberEpoch: -1, memberId: '' });
        await commit('a member that is not there', { memberId: 'nobody' });
      }
      for (const version of versionsOf(OffsetFetch as Api)) {
        const fetch = (what: string, request: object) =>
          version >= 8
            ? probe.ask(what, OffsetFetch, version, {
                groups: [
                  {
                    groupId,
                    topics: [{ ...(version >= 10 ? { topicId } : { name: 'cg' }), partitionIndexes: [0, 1] }],
                    ...request,
                  },
                ],
              })
            : probe.ask(what, OffsetFetch, version, { groupId, topics: [{ name: 'cg', partitionIndexes: [0, 1] }] });
        await fetch('fetches', {});
        if (version >= 9) {
          await fetch('as a member', { memberId, memberEpoch });
          await fetch('as a member of an older epoch', { memberId, memberEpoch: memberEpoch - 1 });
          await fetch('as a member of a future epoch', { memberId, memberEpoch: memberEpoch + 1 });
          await fetch('as nobody', { memberId: 'nobody', memberEpoch: 1 });
          await fetch('without an epoch', { memberId, memberEpoch: -1 });
        }
      }
      await probe.ask('a subscribed topic', OffsetDelete, 0, {
        groupId,
        topics: [{ name: 'cg', partitions: [{ partitionIndex: 0 }] }],
      });
      await probe.ask('another topic', OffsetDelete, 0, {
        groupId,
        topics: [{ name: 'cg-more', partitions: [{ partitionIndex: 0 }] }],
      });
      await probe.askInEachVersion('of a consumer group', DescribeGroups, { groups: [groupId] });
      for (const states of [[], ['Stable'], ['stable'], ['Empty']])
        for (const types of [[], ['consumer'], ['Consumer'], ['classic'], ['nonsense']])
          await probe.askSettled(
            `states ${states} types ${types}`,
            ListGroups,
            5,
            { statesFilter: states, typesFilter: types },
            () => false,
            {
              look: (answer) =>
                void answer.groups.splice(0, answer.groups.length, ...answer.groups.filter((group) => group.groupId === groupId)),
            },
          );
      await probe.ask('of a consumer group', DeleteGroups, 2, { groupsNames: [groupId] });
      const joining = {
        groupId,
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 10_000,
        protocols: [{ name: 'range', metadata: writeSubscription({ topics: ['cg'] }, 3) }],
      };
      await probe.ask('a classic member of another type', JoinGroup, 9, { ...joining, protocolType: 'other' });
      await probe.ask('a classic member that is known', JoinGroup, 9, { ...joining, protocolType: 'consumer', memberId });
      await probe.ask('a classic member that is unknown', JoinGroup, 9, {
        ...joining,
        protocolType: 'consumer',
        memberId: 'nobody',
      });
      await probe.ask('by a member of the other protocol', Heartbeat, 4, { groupId, memberId, generationId: memberEpoch });
      await probe.ask('by nobody', Heartbeat, 4, { groupId, memberId: 'nobody', generationId: memberEpoch });
      await probe.ask('by a member of the other protocol', SyncGroup, 5, {
        groupId,
        memberId,
        generationId: memberEpoch,
        protocolType: 'consumer',
        protocolName: 'range',
      });
      await probe.ask('by nobody', SyncGroup, 5, {
        groupId,
        memberId: 'nobody',
        generationId: memberEpoch,
        protocolType: 'consumer',
        protocolName: 'range',
      });
      await probe.ask('nobody', LeaveGroup, 5, {
        groupId,
        members: [{ memberId: 'nobody' }, { memberId: '', groupInstanceId: 'nobody' }],
      });
      await probe.ask('a member of the other protocol', LeaveGroup, 5, { groupId, members: [{ memberId }] });
      await describeGroup(probe, 'after all that', groupId);
      await member.beat('after all that');
      await member.leave();
      await probe.ask('a topic nobody subscribes to', OffsetDelete, 0, {
        groupId,
        topics: [{ name: 'cg', partitions: [{ partitionIndex: 0 }, { partitionIndex: 2 }] }],
      });
      await probe.ask('commit without a member', OffsetCommit, 9, {
        groupId,
        topics: [{ name: 'cg', partitions: [{ partitionIndex: 1, committedOffset: 3, committedMetadata: null }] }],
      });
      await probe.ask('delete', DeleteGroups, 2, { groupsNames: [groupId] });
      await describeGroup(probe, 'deleted', groupId);
    },
  },
  {
    name: 'consumer groups: several members',
    async run(probe) {
      await coordinatorReady(probe);
      await makeTopic(probe, 'cg', { partitions: 3 });
      for (const serverAssignor of ['uniform', 'range']) {
        const groupId = `cg-several-${serverAssignor}`;
        const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => new Member(probe, groupId, name, { serverAssignor })) as [
          Member,
          Member,
          Member,
          Member,
        ];
        await a.join();
        await a.reports();
        await b.join();
        await describeGroup(probe, 'b has come', groupId);
        await b.reports('waits');
        await a.beat('hears of it');
        await describeGroup(probe, 'a must give up', groupId);
        await b.reports('still waits');
        await a.reports();
        await b.reports('has what is free');
        await describeGroup(probe, 'two', groupId);
        await c.join();
        await rounds([c, b, a]);
        await d.join();
        await rounds([d, c, b, a]);
        await describeGroup(probe, 'four', groupId);
        await b.leave();
        await rounds([a, c, d]);
        await describeGroup(probe, 'three', groupId);
        await a.beat('an epoch ago', { memberEpoch: a.memberEpoch - 1, topicPartitions: [] });
        await a.beat('a future epoch', { memberEpoch: a.memberEpoch + 1 });
        for (const member of [a, c, d]) await member.leave();
        await describeGroup(probe, 'none', groupId);
      }
    },
  },
  {
    name: 'consumer groups: static members',
    async run(probe) {
      await coordinatorReady(probe);
      await makeTopic(probe, 'cg', { partitions: 3 });
      const groupId = 'cg-static';
      const first = new Member(probe, groupId, 'first', { instanceId: 'i' });
      const other = new Member(probe, groupId, 'other', { instanceId: 'j' });
      await first.join();
      await first.reports();
      await other.join();
      await rounds([first, other]);
      const second = new Member(probe, groupId, 'second', { instanceId: 'i' });
      await second.join('comes while the first is there');
      await first.beat('as another instance', { instanceId: 'k' });
      await second.beat('with an epoch', { instanceId: 'i', memberEpoch: first.memberEpoch });
      await first.leave('goes for a while', -2);
      await describeGroup(probe, 'the first is away', groupId);
      await first.beat('after it went', { instanceId: 'i' });
      await second.join('comes in its place');
      await second.reports();
      await describeGroup(probe, 'the second is there', groupId);
      await first.beat('comes back', { instanceId: 'i' });
      await first.leave('goes again', -2);
      await first.leave('leaves for good', -1);
      await second.leave('leaves for good', -1);
      await describeGroup(probe, 'the second has left', groupId);
      await probe.ask('static members', LeaveGroup, 5, {
        groupId,
        members: [
          { memberId: '', groupInstanceId: 'j' },
          { memberId: '', groupInstanceId: 'i' },
        ],
      });
      await describeGroup(probe, 'all have left', groupId);
    },
  },
  {
    name: 'consumer groups: members that vanish',
    async run(probe) {
      await coordinatorReady(probe);
      await makeTopic(probe, 'cg', { partitions: 3 });
      const groupId = 'cg-vanish';
      await configureGroup(probe, groupId, { 'consumer.session.timeout.ms': '1000', 'consumer.heartbeat.interval.ms': '200' });
      const member = new Member(probe, groupId, 'm');
      await member.join();
      await member.reports();
      await isEmpty(probe, groupId);
      await describeGroup(probe, 'it is gone', groupId);
      await member.beat('comes back');
      await member.join('joins again');
      await member.leave();
      for (const [name, value] of Object.entries({
        'consumer.session.timeout.ms': '10',
        'consumer.heartbeat.interval.ms': '90000000',
        'consumer.nonsense': '1',
      }))
        await configureGroup(probe, groupId, { [name]: value });
    },
  },
  {
    name: 'consumer groups: patterns',
    async run(probe) {
      await coordinatorReady(probe);
      await makeTopic(probe, 'cgp-a', { partitions: 2 });
      await makeTopic(probe, 'cgp-b', { partitions: 1 });
      const groupId = 'cg-patterns';
      const member = new Member(probe, groupId, 'm', { subscribedTopicNames: null, subscribedTopicRegex: 'cgp-.*' });
      await member.beat(
        'joins',
        { memberEpoch: 0, rebalanceTimeoutMs: 300_000, topicPartitions: [], subscribedTopicRegex: 'cgp-.*' },
        true,
      );
      const settled = (partitions: number) =>
        eventually('the pattern is resolved', async () => {
          const { errorCode } = await member.beat(
            'reports',
            { topicPartitions: member.owned.map(({ topicId, partitions: owned }) => ({ topicId, partitions: [...owned] })) },
            true,
          );
          return errorCode === 0 && member.owned.reduce((sum, { partitions: owned }) => sum + owned.length, 0) === partitions;
        });
      await settled(3);
      await describeGroup(probe, 'resolved', groupId);
      await member.beat('wants other topics', { subscribedTopicRegex: 'cgp-b|nothing' }, true);
      await settled(1);
      await describeGroup(probe, 'resolved anew', groupId);
      await member.beat('wants a name besides', { subscribedTopicNames: ['cgp-a'] }, true);
      await settled(3);
      await member.beat('does not want the pattern any more', { subscribedTopicRegex: '' }, true);
      await settled(2);
      await describeGroup(probe, 'without the pattern', groupId);
      await member.beat('wants what is no pattern', { subscribedTopicRegex: '(' });
      await member.leave();
    },
  },
  {
    name: 'consumer groups: from one protocol to the other',
    async run(probe) {
      await coordinatorReady(probe);
      await makeTopic(probe, 'cm', { partitions: 4 });
      const groupId = 'cg-migrates';
      const classic = (memberId: string, owned: number[] = []) => ({
        groupId,
        memberId,
        sessionTimeoutMs: 300_000,
        rebalanceTimeoutMs: 300_000,
        protocolType: 'consumer',
        protocols: [
          {
            name: 'range',
            metadata: writeSubscription(
              { topics: ['cm'], ownedPartitions: owned.length > 0 ? [{ topic: 'cm', partitions: owned }] : [] },
              3,
            ),
          },
        ],
      });
      const first = await probe.ask('the old one', JoinGroup, 9, classic(''), { quiet: true });
      const memberId = first!.memberId;
      probe.name(memberId, 'the old one');
      const joined = await probe.ask('the old one joins', JoinGroup, 9, classic(memberId));
      await probe.ask('the old one syncs', SyncGroup, 5, {
        groupId,
        memberId,
        generationId: joined!.generationId,
        protocolType: 'consumer',
        protocolName: 'range',
        assignments: [
          {
            memberId,
            assignment: Buffer.from('0003000000010002636d00000004000000000000000100000002000000030000000000', 'hex').subarray(
              0,
              34,
            ),
          },
        ],
      });
      const member = new Member(probe, groupId, 'new', { subscribedTopicNames: ['cm'] });
      await member.join('joins the old one');
      await describeGroup(probe, 'both', groupId);
      await probe.ask('both', DescribeGroups, 6, { groups: [groupId] });
      await probe.ask('of the old one', Heartbeat, 4, { groupId, memberId, generationId: joined!.generationId });
      await member.leave();
      await probe.ask('of the old one, alone again', Heartbeat, 4, { groupId, memberId, generationId: joined!.generationId });
      await describeGroup(probe, 'the old one', groupId);
      await probe.ask('the old one', DescribeGroups, 6, { groups: [groupId] });
      await probe.ask('the old one', LeaveGroup, 5, { groupId, members: [{ memberId }] });
      await member.join('joins the empty group');
      await member.reports();
      await describeGroup(probe, 'the new one', groupId);
      await member.leave();
      await describeGroup(probe, 'nobody', groupId);
    },
  },
];
