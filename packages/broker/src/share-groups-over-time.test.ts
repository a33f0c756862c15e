import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AlterShareGroupOffsets,
  DeleteGroups,
  DeleteShareGroupOffsets,
  DescribeShareGroupOffsets,
  errorName,
  FindCoordinator,
  ListGroups,
  ShareGroupDescribe,
  ShareGroupHeartbeat,
  UpdateFeatures,
} from '@ottla/protocol';
import { type TestClient, TestNode, type TestNodeOptions } from './testing-node.ts';

const GROUP = 'sharers';
const settings = {
  'share.coordinator.state.topic.num.partitions': '2',
  'share.coordinator.state.topic.replication.factor': '1',
  'share.coordinator.state.topic.min.isr': '1',
};

async function started({ settings: more, ...options }: TestNodeOptions = {}) {
  const node = await TestNode.start({ ...options, settings: { ...settings, ...more } });
  const client = await node.connect();
  await client.createTopic('orders', {}, { partitions: 2 });
  await client.ask(FindCoordinator, { keyType: 0, coordinatorKeys: [GROUP] });
  return { node, client };
}

type Beat = { memberEpoch?: number; topics?: string[] | null; groupId?: string; rackId?: string };

async function beat(
  client: TestClient,
  memberId: string,
  { memberEpoch = 0, topics = null, groupId = GROUP, rackId }: Beat = {},
) {
  const request = { groupId, memberId, memberEpoch, subscribedTopicNames: topics, rackId: rackId ?? null };
  const { errorCode, assignment, ...response } = await client.ask(ShareGroupHeartbeat, request);
  const partitions = assignment?.topicPartitions.flatMap(({ partitions }) => partitions).sort();
  return { error: errorName(errorCode), memberEpoch: response.memberEpoch, partitions, response };
}

/** Joins, and comes again until there is something to share. */
async function join(node: TestNode, client: TestClient, memberId: string, topics = ['orders']) {
  let { memberEpoch, partitions } = await beat(client, memberId, { topics });
  for (let count = 0; count < 3; count++) {
    await node.advance(1_500);
    const answer = await beat(client, memberId, { memberEpoch });
    assert.equal(answer.error, 'NONE');
    memberEpoch = answer.memberEpoch;
    partitions = answer.partitions ?? partitions;
  }
  return { memberEpoch, partitions };
}

async function describe(client: TestClient, groupId = GROUP) {
  const { groups } = await client.ask(ShareGroupDescribe, { groupIds: [groupId] });
  const { errorCode, groupState, members, groupEpoch, assignmentEpoch } = groups[0]!;
  return {
    error: errorName(errorCode),
    groupState,
    groupEpoch,
    assignmentEpoch,
    members: members.map(({ memberId }) => memberId),
  };
}

async function offsets(client: TestClient, topics: { topicName: string; partitions: number[] }[] | null = null) {
  const { groups } = await client.ask(DescribeShareGroupOffsets, { groups: [{ groupId: GROUP, topics }] });
  assert.equal(groups[0]!.errorCode, 0);
  return Object.fromEntries(
    groups[0]!.topics.flatMap(({ topicName, partitions }) =>
      partitions.map(({ partitionIndex, startOffset, lag }) => [`${topicName}-${partitionIndex}`, [startOffset, lag]]),
    ),
  );
}

async function alter(client: TestClient, startOffset: number, topicName = 'orders', groupId = GROUP) {
  const partitions = [0, 7].map((partitionIndex) => ({ partitionIndex, startOffset }));
  const response = await client.ask(AlterShareGroupOffsets, { groupId, topics: [{ topicName, partitions }] });
  if (response.errorCode !== 0) return errorName(response.errorCode);
  return response.responses[0]!.partitions.map(({ errorCode }) => errorName(errorCode)).join(' ');
}

async function deleteGroup(client: TestClient, groupId = GROUP) {
  return errorName((await client.ask(DeleteGroups, { groupsNames: [groupId] })).results[0]!.errorCode);
}

test('members share partitions once these are initialized, and go as they come', async () => {
  const { node, client } = await started();
  const first = await beat(client, 'one', { topics: ['orders'] });
  assert.equal(first.memberEpoch, 2);
  // Nothing is given out before the share coordinator knows of it.
  assert.deepEqual(first.partitions, []);
  assert.deepEqual(await join(node, client, 'one'), { memberEpoch: 3, partitions: [0, 1] });
  const { partitions } = await join(node, client, 'two');
  assert.equal(partitions!.length, 1);
  const { error, groupState, members } = await describe(client);
  assert.deepEqual({ error, groupState, members }, { error: 'NONE', groupState: 'Stable', members: ['one', 'two'] });
  const { groups } = await client.ask(ListGroups, { statesFilter: ['stable'], typesFilter: ['share'] });
  assert.deepEqual(groups, [{ groupId: GROUP, protocolType: 'share', groupState: 'Stable', groupType: 'share' }]);
  assert.equal((await beat(client, 'one', { memberEpoch: -1 })).memberEpoch, -1);
  assert.equal((await beat(client, 'one', { memberEpoch: -1 })).error, 'UNKNOWN_MEMBER_ID');
  assert.deepEqual((await describe(client)).members, ['two']);
  // A member that is silent is out.
  await node.advance(46_000);
  assert.equal((await describe(client)).groupState, 'Empty');
  await node.stop();
});

test('what a group is outlives a kill, with everybody in it', async () => {
  const { node, client } = await started();
  const { memberEpoch } = await join(node, client, 'one');
  await node.machine.kill();
  await node.start();
  const again = await node.client();
  assert.deepEqual((await describe(again)).members, ['one']);
  assert.equal((await beat(again, 'one', { memberEpoch })).error, 'NONE');
  assert.deepEqual(await offsets(again), { 'orders-0': [-1, -1], 'orders-1': [-1, -1] });
  await node.advance(44_000);
  assert.equal((await describe(again)).groupState, 'Stable');
  await node.stop();
});

test('offsets are altered and deleted while nobody is there', async () => {
  const { node, client } = await started();
  await client.produce('orders', ['a', 'b', 'c']);
  const { memberEpoch } = await join(node, client, 'one');
  assert.equal(await alter(client, 1), 'NON_EMPTY_GROUP');
  assert.equal(await deleteGroup(client), 'NON_EMPTY_GROUP');
  await beat(client, 'one', { memberEpoch: -1 });
  assert.ok(memberEpoch > 0);
  assert.equal(await alter(client, 1), 'NONE UNKNOWN_TOPIC_OR_PARTITION');
  assert.deepEqual(await offsets(client), { 'orders-0': [1, 2], 'orders-1': [-1, -1] });
  assert.deepEqual(await offsets(client, [{ topicName: 'nowhere', partitions: [0] }]), { 'nowhere-0': [-1, -1] });
  const topics = [{ topicName: 'orders' }, { topicName: 'nowhere' }];
  const { responses } = await client.ask(DeleteShareGroupOffsets, { groupId: GROUP, topics });
  assert.deepEqual(responses.map(({ topicName, errorCode }) => `${topicName} ${errorName(errorCode)}`).sort(), [
    'nowhere UNKNOWN_TOPIC_OR_PARTITION',
    'orders NONE',
  ]);
  assert.deepEqual(await offsets(client), {});
  assert.equal(await deleteGroup(client), 'NONE');
  assert.equal(await deleteGroup(client), 'GROUP_ID_NOT_FOUND');
  assert.equal((await describe(client)).error, 'GROUP_ID_NOT_FOUND');
  await node.stop();
});

test('a group begins with offsets that are set for it, and a deleted one leaves none behind', async () => {
  const { node, client } = await started();
  await client.produce('orders', ['a', 'b', 'c']);
  assert.equal(await alter(client, 2), 'NONE UNKNOWN_TOPIC_OR_PARTITION');
  assert.deepEqual(await offsets(client), { 'orders-0': [2, 1] });
  assert.equal((await describe(client)).groupState, 'Empty');
  const { partitions } = await join(node, client, 'one');
  assert.deepEqual(partitions, [0, 1]);
  assert.deepEqual(await offsets(client), { 'orders-0': [2, 1], 'orders-1': [-1, -1] });
  await beat(client, 'one', { memberEpoch: -1 });
  assert.equal(await deleteGroup(client), 'NONE');
  await join(node, client, 'one');
  assert.deepEqual(await offsets(client), { 'orders-0': [-1, -1], 'orders-1': [-1, -1] });
  await node.stop();
});

test('topics that grow, come later and go', async () => {
  const { node, client } = await started();
  const { memberEpoch } = await join(node, client, 'one', ['later', 'orders']);
  await client.createTopic('later');
  let member = { memberEpoch, partitions: [] as number[] | undefined };
  for (let count = 0; count < 3; count++) {
    member = { ...member, ...(await beat(client, 'one', { memberEpoch: member.memberEpoch })) };
    await node.advance(2_000);
  }
  assert.deepEqual(Object.keys(await offsets(client)).sort(), ['later-0', 'orders-0', 'orders-1']);
  await client.deleteTopic('orders');
  for (let count = 0; count < 3; count++) {
    const answer = await beat(client, 'one', { memberEpoch: member.memberEpoch });
    member = { memberEpoch: answer.memberEpoch, partitions: answer.partitions ?? member.partitions };
    await node.advance(2_000);
  }
  assert.deepEqual(member.partitions, [0]);
  assert.deepEqual(Object.keys(await offsets(client)), ['later-0']);
  await node.stop();
});

test('requests that make no sense, and members that are not', async () => {
  const { node, client } = await started({ settings: { 'group.share.max.size': '2' } });
  const error = async (...asked: Parameters<typeof beat>) => (await beat(...asked)).error;
  assert.equal(await error(client, '', { topics: ['orders'] }), 'INVALID_REQUEST');
  assert.equal(await error(client, 'x'.repeat(37), { topics: ['orders'] }), 'INVALID_REQUEST');
  assert.equal(await error(client, 'one', { groupId: '', topics: ['orders'] }), 'INVALID_REQUEST');
  assert.equal(await error(client, 'one', { rackId: '', topics: ['orders'] }), 'INVALID_REQUEST');
  assert.equal(await error(client, 'one'), 'INVALID_REQUEST');
  assert.equal(await error(client, 'one', { topics: [] }), 'INVALID_REQUEST');
  assert.equal(await error(client, 'one', { memberEpoch: -2 }), 'INVALID_REQUEST');
  assert.equal(await error(client, 'one', { memberEpoch: 1 }), 'GROUP_ID_NOT_FOUND');
  assert.equal(await error(client, 'one', { memberEpoch: -1 }), 'GROUP_ID_NOT_FOUND');
  const { memberEpoch } = await join(node, client, 'one');
  assert.equal(await error(client, 'one', { memberEpoch: memberEpoch + 1 }), 'FENCED_MEMBER_EPOCH');
  assert.equal(await error(client, 'one', { memberEpoch: memberEpoch - 1 }), 'NONE');
  assert.equal(await error(client, 'one', { memberEpoch: memberEpoch - 2 }), 'FENCED_MEMBER_EPOCH');
  assert.equal(await error(client, 'two', { memberEpoch }), 'UNKNOWN_MEMBER_ID');
  assert.equal(await error(client, 'two', { topics: ['orders'] }), 'NONE');
  assert.equal(await error(client, 'three', { topics: ['orders'] }), 'GROUP_MAX_SIZE_REACHED');
  assert.equal(await alter(client, 0, 'orders', ''), 'INVALID_GROUP_ID');
  await node.stop();
});

test('where share groups are not enabled nobody gets in', async () => {
  const { node, client } = await started();
  const featureUpdates = [{ feature: 'share.version', maxVersionLevel: 0, upgradeType: 2 }];
  const { errorCode } = await client.ask(UpdateFeatures, { timeoutMs: 10_000, featureUpdates, validateOnly: false });
  assert.equal(errorName(errorCode), 'NONE');
  assert.equal((await beat(client, 'one', { topics: ['orders'] })).error, 'UNSUPPORTED_VERSION');
  assert.equal((await describe(client)).error, 'UNSUPPORTED_VERSION');
  assert.equal(await alter(client, 0), 'UNSUPPORTED_VERSION');
  await node.stop();
});
