import {
  AlterShareGroupOffsets,
  type Api,
  DeleteGroups,
  DeleteShareGroupOffsets,
  DeleteShareGroupState,
  DescribeGroups,
  DescribeShareGroupOffsets,
  FindCoordinator,
  InitializeShareGroupState,
  JoinGroup,
  ListGroups,
  OffsetCommit,
  Produce,
  ReadShareGroupState,
  ReadShareGroupStateSummary,
  ShareAcknowledge,
  ShareFetch,
  type ShareFetchResponse,
  ShareGroupDescribe,
  ShareGroupHeartbeat,
  type ShareGroupHeartbeatRequest,
  type ShareGroupHeartbeatResponse,
  type Writable,
  WriteShareGroupState,
  ZERO_UUID,
} from '@ottla/protocol';
import { eventually } from '../../processes.ts';
import type { Connection } from '../../targets/connection.ts';
import { versionsOf } from '../plain.ts';
import type { Probe } from '../probe.ts';
import { batch } from './batches.ts';
import { configureGroup } from './consumer-groups.ts';
import { coordinatorReady } from './groups.ts';
import { makeTopic, type Scenario, unknownId } from './scenario.ts';

type Request = Writable<ShareGroupHeartbeatRequest>;

const idOf = (name: string): string => Buffer.from(name.padEnd(16, '.')).toString('base64url');

class Member {
  readonly memberId: string;
  readonly #probe: Probe;
  readonly #groupId: string;
  readonly #joining: Request;
  memberEpoch = 0;
  partitions = 0;

  constructor(probe: Probe, groupId: string, name: string, joining: Request = {}) {
    this.#probe = probe;
    this.#groupId = groupId;
    this.memberId = idOf(name);
    probe.name(this.memberId, name);
    this.#joining = { subscribedTopicNames: ['sh'], ...joining };
  }

  join(what = 'joins'): Promise<ShareGroupHeartbeatResponse> {
    return this.beat(what, { memberEpoch: 0, ...this.#joining });
  }

  async beat(what: string, request: Request = {}, quiet = false): Promise<ShareGroupHeartbeatResponse> {
    const { memberId, memberEpoch } = this;
    const asked = { groupId: this.#groupId, memberId, memberEpoch, ...request };
    const answer = (await this.#probe.askSettled(what, ShareGroupHeartbeat, 1, asked, () => false, {
      quiet,
      look: withoutChoice,
    }))!;
    if (answer.errorCode === 0) {
      this.memberEpoch = answer.memberEpoch;
      if (answer.assignment)
        this.partitions = answer.assignment.topicPartitions.reduce((sum, { partitions }) => sum + partitions.length, 0);
    }
    return answer;
  }

  /** Partitions are assigned once the share coordinator knows them, which is a matter of time. */
  async joined(partitions: number): Promise<void> {
    await this.beat('joins', { memberEpoch: 0, ...this.#joining }, true);
    await this.has(partitions);
  }

  async has(partitions: number): Promise<void> {
    await eventually(`${partitions} partitions`, async () => {
      if (this.partitions === partitions) return true;
      await this.beat('waits', {}, true);
      return this.partitions === partitions;
    });
  }

  leave(what = 'leaves'): Promise<ShareGroupHeartbeatResponse> {
    return this.beat(what, { memberEpoch: -1 });
  }
}

/** Which partitions of a topic a member of several has hangs on the topic's id, which each broker draws for itself: how many is what counts. */
function withoutChoice({ assignment }: { readonly assignment: { topicPartitions: { partitions: number[] }[] } | null }): void {
  for (const { partitions } of assignment?.topicPartitions ?? []) partitions.splice(0, partitions.length, ...partitions.keys());
}

const describeGroup = (probe: Probe, what: string, ...groupIds: string[]) =>
  probe.askSettled(what, ShareGroupDescribe, 1, { groupIds, includeAuthorizedOperations: true }, () => false, {
    look: ({ groups }) => {
      for (const { members } of groups) for (const member of members) withoutChoice(member);
    },
  });

async function produce(probe: Probe, topicId: string, values: readonly string[], partition = 0): Promise<void> {
  const topicData = [{ topicId, partitionData: [{ index: partition, records: batch(values) }] }];
  await probe.ask('produce', Produce, 13, { acks: -1, timeoutMs: 5000, topicData }, { quiet: true });
}

type Batch = readonly [firstOffset: number, lastOffset: number, ...types: number[]];
type Asked = {
  readonly epoch?: number;
  readonly acks?: readonly Batch[];
  readonly partition?: number;
  readonly topicId?: string;
  readonly memberId?: string;
  readonly groupId?: string;
  readonly rest?: object;
  readonly partitions?: readonly number[];
};

const acknowledgementBatches = (acks: readonly Batch[]) =>
  acks.map(([firstOffset, lastOffset, ...acknowledgeTypes]) => ({ firstOffset, lastOffset, acknowledgeTypes }));

/** The share session of one member, on a connection of its own. */
class Session {
  readonly #probe: Probe;
  readonly #groupId: string;
  readonly #memberId: string;
  readonly #topicId: string;
  readonly #on: Connection;
  epoch = 0;

  constructor(probe: Probe, groupId: string, name: string, topicId: string, on: Connection) {
    this.#probe = probe;
    this.#groupId = groupId;
    this.#memberId = idOf(name);
    this.#topicId = topicId;
    this.#on = on;
    probe.name(this.#memberId, name);
  }

  static async open(probe: Probe, groupId: string, name: string, topicId: string): Promise<Session> {
    return new Session(probe, groupId, name, topicId, await probe.connect());
  }

  request({
    epoch = this.epoch,
    acks = [],
    partition = 0,
    topicId = this.#topicId,
    memberId = this.#memberId,
    groupId = this.#groupId,
    partitions,
    rest = {},
  }: Asked) {
    return {
      groupId,
      memberId,
      shareSessionEpoch: epoch,
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 10_000_000,
      maxRecords: 500,
      batchSize: 500,
      topics:
        (partitions ?? [partition]).length === 0
          ? []
          : [
              {
                topicId,
                partitions: (partitions ?? [partition]).map((partitionIndex) => ({
                  partitionIndex,
                  acknowledgementBatches: acknowledgementBatches(acks),
                })),
              },
            ],
      ...rest,
    };
  }

  async fetch(what: string, asked: Asked = {}, version = 2, quiet = false): Promise<ShareFetchResponse | null> {
    const answer = await this.#probe.ask(what, ShareFetch, version, this.request(asked), { on: this.#on, quiet });
    if (answer?.errorCode === 0 && asked.epoch === undefined) this.epoch++;
    return answer;
  }

  async acknowledge(what: string, asked: Asked = {}, version = 2): Promise<void> {
    const { groupId, memberId, shareSessionEpoch, topics } = this.request(asked);
    const answer = await this.#probe.ask(
      what,
      ShareAcknowledge,
      version,
      { groupId, memberId, shareSessionEpoch, topics, ...asked.rest },
      { on: this.#on },
    );
    if (answer?.errorCode === 0 && asked.epoch === undefined) this.epoch++;
  }

  /** Until records are there: the first fetch of a partition has it loaded, which is a matter of time. */
  async fetched(what: string, asked: Asked = {}): Promise<void> {
    await eventually(`${what} has come`, async () => {
      const answer = await this.fetch(what, asked, 2, true);
      return answer!.responses.some(({ partitions }) => partitions.some(({ acquiredRecords }) => acquiredRecords.length > 0));
    });
  }
}

async function shareCoordinatorReady(probe: Probe): Promise<void> {
  await coordinatorReady(probe);
  const key = `g:${unknownId}:0`;
  await eventually('the share coordinator is ready', async () => {
    const found = await probe.ask('find', FindCoordinator, 6, { keyType: 2, coordinatorKeys: [key] }, { quiet: true });
    const read = await probe.ask(
      'read',
      ReadShareGroupStateSummary,
      1,
      { groupId: 'g', topics: [{ topicId: unknownId, partitions: [{ partition: 0, leaderEpoch: 0 }] }] },
      { quiet: true },
    );
    return found!.coordinators[0]!.errorCode === 0 && ![14, 15, 16].includes(read!.results[0]!.partitions[0]!.errorCode);
  });
}

/** The first fetch of a partition has its leader load the state of the group, which is a matter of time. */
async function primed(probe: Probe, groupId: string, topicId: string): Promise<void> {
  await produce(probe, topicId, ['prime']);
  const session = await Session.open(probe, groupId, 'primer', topicId);
  await session.fetched('the first record');
  await session.fetch('accepts', { acks: [[0, 0, 1]] }, 2, true);
  await session.fetch('ends', { epoch: -1, partitions: [] }, 2, true);
}

/** A group with a member that has the only partition of a topic, read from its start: offset 1, behind what was used to begin with. */
async function sharing(
  probe: Probe,
  groupId: string,
  topic: string,
  configs: Readonly<Record<string, string>> = {},
): Promise<{ topicId: string; member: Member }> {
  await shareCoordinatorReady(probe);
  const topicId = await makeTopic(probe, topic, { partitions: 1 });
  await configureGroup(probe, groupId, { 'share.auto.offset.reset': 'earliest', ...configs });
  const member = new Member(probe, groupId, `m of ${groupId}`.slice(0, 16), { subscribedTopicNames: [topic] });
  await member.joined(1);
  await primed(probe, groupId, topicId);
  return { topicId, member };
}

export const shareGroupScenarios: readonly Scenario[] = [
  {
    name: 'share groups: heartbeats that are refused',
    async run(probe) {
      await shareCoordinatorReady(probe);
      await makeTopic(probe, 'sh', { partitions: 3 });
      const beat = (what: string, request: Request = {}) =>
        probe.ask(what, ShareGroupHeartbeat, 1, {
          groupId: 'shr',
          memberId: idOf('m'),
          memberEpoch: 0,
          subscribedTopicNames: ['sh'],
          ...request,
        });
      await beat('an empty group id', { groupId: '' });
      await beat('no member id', { memberId: '' });
      await beat('an epoch below -1', { memberEpoch: -2 });
      await beat('an empty rack', { rackId: '' });
      await beat('no subscription', { subscribedTopicNames: null });
      await beat('an unknown group, epoch 5', { memberEpoch: 5 });
      await beat('an unknown group, leaving', { memberEpoch: -1 });
      await describeGroup(probe, 'nothing was made', 'shr');
      await beat('an empty subscription', { subscribedTopicNames: [] });
      await beat('a member id that is no uuid', { memberId: 'm', groupId: 'shr-other' });
      await beat('a long member id', { memberId: 'm'.repeat(40), groupId: 'shr-other' });
      const member = new Member(probe, 'shr-good', 'good');
      await member.joined(3);
      await describeGroup(probe, 'joined', 'shr-good');
      await member.beat('a member that is not there', { memberId: idOf('other'), memberEpoch: 3 });
      await member.beat('a member that is not there leaves', { memberId: idOf('other'), memberEpoch: -1 });
      await member.beat('a future epoch', { memberEpoch: member.memberEpoch + 5 });
      await member.beat('an old epoch', { memberEpoch: Math.max(1, member.memberEpoch - 2) });
      await member.leave();
      await member.leave('leaves again');
      await describeGroup(probe, 'left', 'shr-good');
    },
  },
  {
    name: 'share groups: members',
    async run(probe) {
      await shareCoordinatorReady(probe);
      await makeTopic(probe, 'sh', { partitions: 3 });
      const groupId = 'sh-members';
      const [a, b] = ['a', 'b'].map((name) => new Member(probe, groupId, `${name} of members`)) as [Member, Member];
      await a.joined(3);
      await a.beat('says nothing new');
      await describeGroup(probe, 'one', groupId);
      await b.join();
      for (const member of [a, b, a, b]) await member.beat('in turn');
      await describeGroup(probe, 'two', groupId);
      await a.beat('wants nothing', { subscribedTopicNames: [] });
      for (const member of [a, b, a, b]) await member.beat('in turn');
      await describeGroup(probe, 'one wants something', groupId);
      for (const types of [[], ['share'], ['Share'], ['consumer']])
        await probe.askSettled(`types ${types}`, ListGroups, 5, { statesFilter: [], typesFilter: types }, () => false, {
          look: (answer) =>
            void answer.groups.splice(0, answer.groups.length, ...answer.groups.filter((group) => group.groupId === groupId)),
        });
      await probe.ask('of a share group', DescribeGroups, 6, { groups: [groupId] });
      await probe.ask('of a share group', JoinGroup, 9, {
        groupId,
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 10_000,
        protocolType: 'consumer',
        protocols: [{ name: 'range', metadata: new Uint8Array(1) }],
      });
      await probe.ask('of a share group', OffsetCommit, 9, {
        groupId,
        topics: [{ name: 'sh', partitions: [{ partitionIndex: 0, committedOffset: 1 }] }],
      });
      await probe.ask('of a share group', DeleteGroups, 2, { groupsNames: [groupId] });
      for (const member of [a, b]) await member.leave();
      await describeGroup(probe, 'nobody', groupId);
      await describeGroup(probe, 'several', groupId, 'sh-unknown', '', groupId);
      await probe.ask('the empty one', DeleteGroups, 2, { groupsNames: [groupId] });
      await describeGroup(probe, 'deleted', groupId);
    },
  },
  {
    name: 'share groups: members that vanish',
    async run(probe) {
      await shareCoordinatorReady(probe);
      await makeTopic(probe, 'sh', { partitions: 3 });
      const groupId = 'sh-vanish';
      await configureGroup(probe, groupId, { 'share.session.timeout.ms': '1000', 'share.heartbeat.interval.ms': '200' });
      const member = new Member(probe, groupId, 'm of vanish');
      await member.joined(3);
      await eventually('it is gone', async () => {
        const answer = await probe.ask('state', ShareGroupDescribe, 1, { groupIds: [groupId] }, { quiet: true });
        return answer!.groups[0]!.groupState === 'Empty';
      });
      await member.beat('comes back');
      await member.join('joins again');
      await member.leave();
      for (const [name, value] of Object.entries({
        'share.session.timeout.ms': '10',
        'share.record.lock.duration.ms': '1',
        'share.auto.offset.reset': 'whenever',
        'share.isolation.level': 'none',
      }))
        await configureGroup(probe, groupId, { [name]: value });
    },
  },
  {
    name: 'share groups: sessions',
    async run(probe) {
      const { topicId } = await sharing(probe, 'shs', 'shs');
      await produce(probe, topicId, ['a', 'b']);
      const session = await Session.open(probe, 'shs', 'session', topicId);
      for (const version of versionsOf(ShareFetch as Api)) {
        await session.fetch('no group', { groupId: null as never, epoch: 0 }, version);
        await session.fetch('an empty group', { groupId: '', epoch: 0 }, version);
        await session.fetch('no member', { memberId: null as never, epoch: 0 }, version);
        await session.fetch('an empty member', { memberId: '', epoch: 0 }, version);
        await session.fetch('no session, epoch 1', { epoch: 1 }, version);
        await session.fetch('no session, the end', { epoch: -1 }, version);
        await session.fetch('an epoch below -1', { epoch: -2 }, version);
        await session.fetch('acknowledging at the beginning', { epoch: 0, acks: [[1, 1, 1]] }, version);
      }
      for (const version of versionsOf(ShareAcknowledge as Api)) {
        await session.acknowledge('no group', { groupId: null as never, epoch: 1 }, version);
        await session.acknowledge('no member', { memberId: null as never, epoch: 1 }, version);
        await session.acknowledge('at the beginning', { epoch: 0, acks: [[1, 1, 1]] }, version);
        await session.acknowledge('no session', { epoch: 1, acks: [[1, 1, 1]] }, version);
        await session.acknowledge('no session, the end', { epoch: -1 }, version);
      }
      await session.fetch('the first');
      await session.fetch('nothing more');
      await session.fetch('an epoch again', { epoch: session.epoch - 1 });
      await session.fetch('an epoch too far', { epoch: session.epoch + 1 });
      for (const [what, asked] of Object.entries({
        'an unknown topic': { topicId: unknownId },
        'the zero topic': { topicId: ZERO_UUID },
        'an unknown partition': { partition: 7 },
      })) {
        const lost = await Session.open(probe, 'shs', what.slice(0, 16), topicId);
        await lost.fetch(`begins with ${what}`, asked);
      }
      await session.fetch('nothing asked for', { partitions: [] });
      await session.fetch('forgotten', {
        partitions: [],
        rest: {
          forgottenTopicsData: [
            { topicId, partitions: [0] },
            { topicId: unknownId, partitions: [0] },
          ],
        },
      });
      await session.fetch('and back', {});
      await session.acknowledge('an unknown topic', { topicId: unknownId, acks: [[1, 1, 1]] });
      await session.acknowledge('an unknown partition', { partition: 7, acks: [[1, 1, 1]] });
      await session.acknowledge('an epoch too far', { epoch: session.epoch + 1, acks: [[1, 1, 1]] });
      await session.fetch('no records wanted', { rest: { maxRecords: 0 } });
      await session.fetch('no batch size', { rest: { batchSize: 0 } });
      await session.fetch('ends', { epoch: -1, partitions: [] });
      await session.fetch('has ended', {});
    },
  },
  {
    name: 'share groups: records',
    async run(probe) {
      const { topicId } = await sharing(probe, 'shx', 'shx');
      const session = await Session.open(probe, 'shx', 'records', topicId);
      await produce(probe, topicId, ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
      await session.fetch('all');
      await session.fetch('again: they are acquired');
      await session.acknowledge('accepts', { acks: [[1, 1, 1]] });
      await session.acknowledge('accepts again', { acks: [[1, 1, 1]] });
      await session.acknowledge('releases', { acks: [[2, 2, 2]] });
      await session.acknowledge('rejects', { acks: [[3, 3, 3]] });
      await session.fetch('what was released');
      await session.acknowledge('each its own', { acks: [[4, 6, 1, 2, 3]] });
      await session.acknowledge('a gap that is a record', { acks: [[7, 7, 0]] });
      await session.acknowledge('a type that is none', { acks: [[8, 8, 9]] });
      await session.acknowledge('types that do not fit', { acks: [[8, 10, 1, 1]] });
      await session.acknowledge('no types', { acks: [[8, 8]] });
      await session.acknowledge('backwards', { acks: [[10, 8, 1]] });
      await session.acknowledge('overlapping', {
        acks: [
          [8, 9, 1],
          [9, 10, 1],
        ],
      });
      await session.acknowledge('not in order', {
        acks: [
          [9, 9, 1],
          [8, 8, 1],
        ],
      });
      await session.acknowledge('beyond the end', { acks: [[50, 51, 1]] });
      await session.acknowledge('before the start', { acks: [[-5, -3, 1]] });
      await session.acknowledge('renews without saying so', { acks: [[8, 8, 4]] });
      await session.acknowledge('renews', { acks: [[8, 8, 4]], rest: { isRenewAck: true } });
      await session.acknowledge('the rest, and what is not held', { acks: [[1, 10, 1]] });
      await session.fetch('accepts as it fetches', { acks: [[8, 8, 1]] });
      await session.fetch('accepts what it does not hold as it fetches', { acks: [[1, 1, 1]] });
      await session.fetch('renews as it fetches', { acks: [[9, 9, 4]], partitions: [0], rest: { isRenewAck: true } });
      await session.fetch('renews and fetches nothing', {
        acks: [[9, 9, 4]],
        rest: { isRenewAck: true, maxBytes: 0, minBytes: 0, maxRecords: 0, maxWaitMs: 0 },
      });
      for (const version of versionsOf(DescribeShareGroupOffsets as Api))
        await probe.ask('where it is', DescribeShareGroupOffsets, version, {
          groups: [{ groupId: 'shx', topics: [{ topicName: 'shx', partitions: [0] }] }],
        });
      const other = await Session.open(probe, 'shx', 'another', topicId);
      await other.fetch('another member finds');
      await other.fetch('another member finds');
      await other.acknowledge('another member accepts what it does not hold', { acks: [[9, 9, 1]] });
      await session.acknowledge('ends, and releases', { epoch: -1, partitions: [] });
      await other.fetched('another member finds what was released');
    },
  },
  {
    name: 'share groups: delivered again and again',
    async run(probe) {
      const { topicId } = await sharing(probe, 'shd', 'shd', { 'share.delivery.count.limit': '3' });
      const session = await Session.open(probe, 'shd', 'deliveries', topicId);
      await produce(probe, topicId, ['0', '1']);
      await session.fetch('first');
      for (const attempt of [2, 3, 4, 5]) {
        await session.acknowledge(`releases before attempt ${attempt}`, { acks: [[1, 1, 2]] });
        await session.fetch(`attempt ${attempt}`);
      }
      await session.acknowledge('the other one', { acks: [[2, 2, 1]] });
      await produce(probe, topicId, ['2', '3', '4', '5']);
      await session.fetch('one record at most', { rest: { maxRecords: 1, batchSize: 1, shareAcquireMode: 1 } });
      await session.fetch('two in batches of one', { rest: { maxRecords: 2, batchSize: 1 } });
      await session.fetch('the rest');
      for (const version of versionsOf(DescribeShareGroupOffsets as Api))
        await probe.ask('where it is', DescribeShareGroupOffsets, version, { groups: [{ groupId: 'shd', topics: null }] });
    },
  },
  {
    name: 'share groups: locks that expire',
    async run(probe) {
      const { topicId } = await sharing(probe, 'she', 'she', { 'share.record.lock.duration.ms': '1000' });
      const session = await Session.open(probe, 'she', 'locks', topicId);
      await produce(probe, topicId, ['0', '1']);
      await session.fetch('first');
      await new Promise((resolve) => setTimeout(resolve, 1500));
      await session.acknowledge('too late', { acks: [[1, 1, 1]] });
      await session.fetch('second');
      await session.acknowledge('in time', { acks: [[1, 2, 1]] });
      await session.fetch('nothing is left');
    },
  },
  {
    name: 'share groups: offsets',
    async run(probe) {
      await shareCoordinatorReady(probe);
      const topicId = await makeTopic(probe, 'sho', { partitions: 2 });
      await makeTopic(probe, 'sho-other', { partitions: 1 });
      const groupId = 'sho';
      await configureGroup(probe, groupId, { 'share.auto.offset.reset': 'earliest' });
      const describe = async (
        what: string,
        topics: { topicName: string; partitions: number[] }[] | null = null,
        ...groups: string[]
      ) => {
        for (const version of versionsOf(DescribeShareGroupOffsets as Api))
          await probe.ask(what, DescribeShareGroupOffsets, version, {
            groups: (groups.length > 0 ? groups : [groupId]).map((each) => ({ groupId: each, topics })),
          });
      };
      const alter = (what: string, topicName: string, ...partitions: [number, number][]) =>
        probe.ask(what, AlterShareGroupOffsets, 0, {
          groupId,
          topics: [
            { topicName, partitions: partitions.map(([partitionIndex, startOffset]) => ({ partitionIndex, startOffset })) },
          ],
        });
      const forget = (what: string, ...names: string[]) =>
        probe.ask(what, DeleteShareGroupOffsets, 0, { groupId, topics: names.map((topicName) => ({ topicName })) });
      await describe('an unknown group');
      await describe('no groups, several, an empty one', null, '', 'sho-unknown', 'sho-unknown');
      await alter('an unknown group', 'sho', [0, 0]);
      await forget('an unknown group', 'sho');
      const member = new Member(probe, groupId, 'm of offsets', { subscribedTopicNames: ['sho'] });
      await member.joined(2);
      await produce(probe, topicId, ['0', '1', '2', '3', '4']);
      const session = await Session.open(probe, groupId, 'offsets', topicId);
      await session.fetched('all');
      await session.acknowledge('some', {
        acks: [
          [0, 2, 1],
          [4, 4, 1],
        ],
      });
      // How far they are is stored with the next change: that is this one, or the end of a lock after 30 seconds.
      await session.acknowledge('and gives one back', { acks: [[3, 3, 2]] });
      await probe.askSettled(
        'until it is stored',
        DescribeShareGroupOffsets,
        1,
        { groups: [{ groupId, topics: null }] },
        ({ groups }) => groups[0]!.topics[0]!.partitions.every(({ startOffset }) => startOffset !== 3),
      );
      await describe('with a member');
      await describe('by name', [
        { topicName: 'sho', partitions: [0, 1] },
        { topicName: 'sho-unknown', partitions: [0] },
        { topicName: 'sho-other', partitions: [0] },
      ]);
      await alter('with a member', 'sho', [0, 1]);
      await forget('with a member', 'sho');
      await session.acknowledge('ends', { epoch: -1, partitions: [] });
      await member.leave();
      await describe('empty');
      await alter('empty', 'sho', [0, 1]);
      await describe('altered');
      await alter('beyond the end', 'sho', [0, 99]);
      await alter('below zero', 'sho', [0, -7]);
      await alter('an unknown partition', 'sho', [7, 0]);
      await alter('an unknown topic', 'sho-unknown', [0, 0]);
      await alter('a topic it has not', 'sho-other', [0, 0]);
      await alter('no partitions', 'sho');
      await probe.ask('no topics', AlterShareGroupOffsets, 0, { groupId, topics: [] });
      await probe.ask('an empty group id', AlterShareGroupOffsets, 0, { groupId: '', topics: [] });
      await describe('altered, all');
      await forget('an unknown topic', 'sho-unknown');
      await forget('both', 'sho', 'sho-other');
      await forget('again', 'sho');
      await forget('nothing');
      await probe.ask('an empty group id', DeleteShareGroupOffsets, 0, { groupId: '', topics: [] });
      await describe('deleted');
    },
  },
  {
    name: 'share groups: state',
    async run(probe) {
      await shareCoordinatorReady(probe);
      const topicId = await makeTopic(probe, 'sht', { partitions: 2 });
      const groupId = 'sht';
      const initialize = (what: string, rest: object = {}, topic = topicId) =>
        probe.ask(what, InitializeShareGroupState, 0, {
          groupId,
          topics: [{ topicId: topic, partitions: [{ partition: 0, stateEpoch: 1, startOffset: 10, ...rest }] }],
        });
      const write = async (what: string, rest: object = {}) => {
        for (const version of versionsOf(WriteShareGroupState as Api))
          await probe.ask(what, WriteShareGroupState, version, {
            groupId,
            topics: [
              {
                topicId,
                partitions: [
                  {
                    partition: 0,
                    stateEpoch: 1,
                    leaderEpoch: 0,
                    startOffset: -1,
                    deliveryCompleteCount: 1,
                    stateBatches: [],
                    ...rest,
                  },
                ],
              },
            ],
          });
      };
      const read = (what: string, rest: object = {}) =>
        probe.ask(what, ReadShareGroupState, 0, {
          groupId,
          topics: [{ topicId, partitions: [{ partition: 0, leaderEpoch: 0, ...rest }] }],
        });
      const summary = async (what: string, rest: object = {}) => {
        for (const version of versionsOf(ReadShareGroupStateSummary as Api))
          await probe.ask(what, ReadShareGroupStateSummary, version, {
            groupId,
            topics: [{ topicId, partitions: [{ partition: 0, leaderEpoch: 0, ...rest }] }],
          });
      };
      const remove = (what: string, rest: object = {}) =>
        probe.ask(what, DeleteShareGroupState, 0, { groupId, topics: [{ topicId, partitions: [{ partition: 0, ...rest }] }] });
      await summary('before there is any');
      await read('before there is any');
      await remove('before there is any');
      await write('before there is any');
      await initialize('an unknown topic', {}, unknownId);
      await initialize('an unknown partition', { partition: 9 });
      await initialize('a negative partition', { partition: -1 });
      await initialize('the first time');
      await initialize('again');
      await initialize('with an older epoch', { stateEpoch: 0 });
      await initialize('with a later epoch', { stateEpoch: 2, startOffset: -1 });
      await read('with a later leader', { leaderEpoch: 3 });
      await read('with an older leader', { leaderEpoch: 1 });
      await write('with an older state', { stateEpoch: 1, leaderEpoch: 3 });
      await write('with an older leader', { stateEpoch: 2, leaderEpoch: 1 });
      await write('with a later state', { stateEpoch: 5, leaderEpoch: 3 });
      const at = { stateEpoch: 2, leaderEpoch: 3 };
      await write('batches', {
        ...at,
        startOffset: 5,
        stateBatches: [{ firstOffset: 5, lastOffset: 9, deliveryState: 0, deliveryCount: 1 }],
      });
      await read('batches', { leaderEpoch: 3 });
      await write('overlapping ones', {
        ...at,
        stateBatches: [{ firstOffset: 7, lastOffset: 12, deliveryState: 2, deliveryCount: 1 }],
      });
      await read('overlapping ones', { leaderEpoch: 3 });
      await write('a later start', {
        ...at,
        startOffset: 8,
        stateBatches: [
          { firstOffset: 13, lastOffset: 13, deliveryState: 4, deliveryCount: 2 },
          { firstOffset: 14, lastOffset: 14, deliveryState: 4, deliveryCount: 2 },
        ],
      });
      await read('a later start', { leaderEpoch: 3 });
      await write('a negative count', {
        ...at,
        stateBatches: [{ firstOffset: 20, lastOffset: 21, deliveryState: 0, deliveryCount: -1 }],
      });
      await write('an unknown partition', { partition: 9, ...at });
      await read('at last', { leaderEpoch: 3 });
      await summary('at last', { leaderEpoch: 3 });
      await summary('with an older leader', { leaderEpoch: 1 });
      await summary('without a leader', { leaderEpoch: -1 });
      await initialize('anew', { stateEpoch: 7, startOffset: 2 });
      await read('anew', { leaderEpoch: 3 });
      await remove('it');
      await remove('again');
      await read('removed');
      const [none, empty] = [
        { groupId, topics: [] },
        { groupId: '', topics: [{ topicId, partitions: [{ partition: 0 }] }] },
      ];
      for (const request of [none, empty]) {
        await probe.ask(`group ${request.groupId}`, InitializeShareGroupState, 0, request);
        await probe.ask(`group ${request.groupId}`, ReadShareGroupState, 0, request);
        await probe.ask(`group ${request.groupId}`, WriteShareGroupState, 1, request);
        await probe.ask(`group ${request.groupId}`, ReadShareGroupStateSummary, 1, request);
        await probe.ask(`group ${request.groupId}`, DeleteShareGroupState, 0, request);
      }
    },
  },
];
