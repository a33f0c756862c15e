import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DeleteGroups,
  DescribeConfigs,
  errorName,
  FindCoordinator,
  ListGroups,
  OffsetCommit,
  StreamsGroupDescribe,
  StreamsGroupHeartbeat,
  type StreamsGroupHeartbeatRequest,
  UpdateFeatures,
  type Writable,
} from '@ottla/protocol';
import { type TestClient, TestNode, type TestNodeOptions } from './testing-node.ts';

const GROUP = 'counting';

async function started(options: TestNodeOptions = {}) {
  const settings = { 'group.streams.initial.rebalance.delay.ms': '0', 'group.streams.assignment.interval.ms': '0' };
  const node = await TestNode.start({ ...options, settings: { ...settings, ...options.settings } });
  const client = await node.connect();
  await client.createTopic('text', {}, { partitions: 2 });
  await client.ask(FindCoordinator, { keyType: 0, coordinatorKeys: [GROUP] });
  return { node, client };
}

const internal = (name: string, configs: Record<string, string>, replicationFactor = -1) => ({
  name,
  partitions: 0,
  replicationFactor,
  topicConfigs: Object.entries(configs).map(([key, value]) => ({ key, value })),
});

/** Words are split and counted. */
const topology = (words = internal('words', { 'cleanup.policy': 'delete', 'retention.ms': '-1' })) => ({
  epoch: 0,
  subtopologies: [
    { subtopologyId: '0', sourceTopics: ['text'], repartitionSinkTopics: ['words'] },
    {
      subtopologyId: '1',
      repartitionSourceTopics: [words],
      stateChangelogTopics: [internal('counts-changelog', { 'cleanup.policy': 'compact' })],
    },
  ],
});

const joining = (memberId: string, of = topology()): Writable<StreamsGroupHeartbeatRequest> => ({
  groupId: GROUP,
  memberId,
  memberEpoch: 0,
  rebalanceTimeoutMs: 30_000,
  processId: `process of ${memberId}`,
  topology: of,
  activeTasks: [],
  standbyTasks: [],
  warmupTasks: [],
});

type Member = { readonly memberId: string; memberEpoch: number; tasks: string[] };

async function beat(client: TestClient, member: Member): Promise<{ error: string; status: string[] }> {
  const { memberId, memberEpoch } = member;
  const owned = ['0', '1'].map((subtopologyId) => ({
    subtopologyId,
    partitions: member.tasks.filter((task) => task.startsWith(`${subtopologyId}_`)).map((task) => Number(task.slice(2))),
  }));
  const activeTasks = owned.filter(({ partitions }) => partitions.length > 0);
  const later = { groupId: GROUP, memberId, memberEpoch, activeTasks, standbyTasks: [], warmupTasks: [] };
  const answer = await client.ask(StreamsGroupHeartbeat, memberEpoch === 0 ? joining(memberId) : later);
  if (answer.errorCode === 0) {
    member.memberEpoch = answer.memberEpoch;
    member.tasks =
      answer.activeTasks?.flatMap(({ subtopologyId, partitions }) => partitions.map((at) => `${subtopologyId}_${at}`)) ??
      member.tasks;
  }
  return { error: errorName(answer.errorCode), status: (answer.status ?? []).map(({ statusDetail }) => statusDetail) };
}

const member = (memberId: string): Member => ({ memberId, memberEpoch: 0, tasks: [] });

async function describe(client: TestClient) {
  return (await client.ask(StreamsGroupDescribe, { groupIds: [GROUP], includeAuthorizedOperations: true })).groups[0]!;
}

test('internal topics are created for a group, which then gets its tasks, and goes on after a restart', async () => {
  const { node, client } = await started();
  const one = member('one');
  assert.deepEqual(await beat(client, one), {
    error: 'NONE',
    status: ['Internal topics are missing: words, counts-changelog'],
  });
  for (const state of ['NotReady', 'not_ready']) {
    assert.equal((await client.ask(ListGroups, { statesFilter: [state], typesFilter: [] })).groups.length, 1);
  }
  await node.advance(1_000);
  assert.deepEqual(await client.topicNames(), ['__consumer_offsets', 'counts-changelog', 'text', 'words']);
  const configs = await client.ask(DescribeConfigs, {
    resources: [{ resourceType: 2, resourceName: 'words', configurationKeys: ['retention.ms'] }],
  });
  assert.equal(configs.results[0]!.configs[0]!.value, '-1');
  assert.deepEqual(await beat(client, one), { error: 'NONE', status: [] });
  assert.deepEqual(one.tasks, ['0_0', '0_1', '1_0', '1_1']);
  const { groupState, groupEpoch, members, authorizedOperations, topology: described } = await describe(client);
  assert.deepEqual([groupState, groupEpoch, members.length], ['Stable', 3, 1]);
  assert.ok(authorizedOperations > 0);
  assert.equal(described?.subtopologies?.[1]?.repartitionSourceTopics[0]?.partitions, 2);

  await node.restart();
  const again = await node.connect();
  assert.equal((await describe(again)).groupState, 'Stable');
  assert.deepEqual(await beat(again, one), { error: 'NONE', status: [] });
  await node.advance(46_000);
  assert.equal((await describe(again)).groupState, 'Empty');
  const listed = await again.ask(ListGroups, { statesFilter: [], typesFilter: ['streams'] });
  assert.deepEqual(
    listed.groups.map(({ groupId, groupState: state, groupType }) => [groupId, state, groupType]),
    [[GROUP, 'Empty', 'streams']],
  );
  assert.equal((await again.ask(DeleteGroups, { groupsNames: [GROUP] })).results[0]!.errorCode, 0);
  assert.equal(errorName((await describe(again)).errorCode), 'GROUP_ID_NOT_FOUND');
  await node.stop();
});

test('a topic that cannot be created is told of, and not tried with every heartbeat', async () => {
  const { node, client } = await started();
  const words = internal('words', { 'cleanup.policy': 'rubbish' });
  const ask = async (memberId: string) => {
    const answer = await client.ask(StreamsGroupHeartbeat, joining(memberId, topology(words)));
    return answer.status?.map(({ statusDetail }) => statusDetail);
  };
  assert.deepEqual(await ask('one'), ['Internal topics are missing: words, counts-changelog']);
  await node.advance(100);
  const [told] = (await ask('one'))!;
  assert.match(told!, /^Internal topics are missing: words; Creation failed: words \(.*rubbish.*\)\.$/);
  await node.stop();
});

test('two members share, and a dynamic config brings standbys', async () => {
  const { node, client } = await started();
  const [one, two] = [member('one'), member('two')];
  await beat(client, one);
  await node.advance(1_000);
  for (let round = 0; round < 3; round++) for (const each of [one, two]) await beat(client, each);
  assert.deepEqual(
    [one.tasks, two.tasks],
    [
      ['0_0', '1_0'],
      ['0_1', '1_1'],
    ],
  );
  const offset = { partitionIndex: 0, committedOffset: 4 };
  const commit = async (memberEpoch: number): Promise<string> => {
    const topics = [{ name: 'text', partitions: [offset] }];
    const request = { groupId: GROUP, memberId: 'one', generationIdOrMemberEpoch: memberEpoch, topics };
    const { topics: answered } = await client.ask(OffsetCommit, request, 9);
    return errorName(answered[0]!.partitions[0]!.errorCode);
  };
  assert.equal(await commit(one.memberEpoch), 'NONE');
  assert.equal(await commit(one.memberEpoch + 1), 'STALE_MEMBER_EPOCH');
  assert.equal(await client.configure({ type: 32, name: GROUP }, { 'streams.num.standby.replicas': '1' }), 'NONE');
  for (let round = 0; round < 3; round++) for (const each of [one, two]) await beat(client, each);
  const { members } = await describe(client);
  assert.deepEqual(members.map(({ memberId, assignment }) => [memberId, assignment.standbyTasks[0]?.partitions]).sort(), [
    ['one', [1]],
    ['two', [0]],
  ]);
  await node.stop();
});

test('streams groups are refused where they are switched off', async () => {
  const { node, client } = await started({ settings: { 'group.coordinator.rebalance.protocols': 'classic,consumer' } });
  assert.equal((await beat(client, member('one'))).error, 'UNSUPPORTED_VERSION');
  assert.equal(errorName((await describe(client)).errorCode), 'UNSUPPORTED_VERSION');
  await node.restart({ 'group.coordinator.rebalance.protocols': 'classic,consumer,streams' });
  const again = await node.connect();
  assert.equal((await beat(again, member('one'))).error, 'NONE');
  const update = { feature: 'streams.version', maxVersionLevel: 0, upgradeType: 2 };
  const updated = await again.ask(UpdateFeatures, { featureUpdates: [update] });
  assert.equal(errorName(updated.errorCode), 'NONE');
  assert.equal((await beat(again, member('two'))).error, 'UNSUPPORTED_VERSION');
  await node.stop();
});
