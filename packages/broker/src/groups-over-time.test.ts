import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DescribeGroups,
  errorName,
  FindCoordinator,
  Heartbeat,
  JoinGroup,
  ListGroups,
  OffsetCommit,
  OffsetFetch,
  SyncGroup,
} from '@ottla/protocol';
import { type TestClient, TestNode, type TestNodeOptions } from './testing-node.ts';

const GROUP = 'readers';

async function started(options: TestNodeOptions = {}) {
  const node = await TestNode.start(options);
  const client = await node.connect();
  await client.createTopic('orders');
  await client.ask(FindCoordinator, { keyType: 0, coordinatorKeys: [GROUP] });
  return { node, client };
}

const joinRequest = (memberId = '', sessionTimeoutMs = 10_000) => ({
  groupId: GROUP,
  memberId,
  sessionTimeoutMs,
  rebalanceTimeoutMs: 20_000,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: Buffer.alloc(0) }],
});

/** As the only member: joined and in sync. */
async function join(client: TestClient): Promise<{ memberId: string; generationId: number }> {
  const { memberId } = await client.ask(JoinGroup, joinRequest());
  const { errorCode, generationId } = await client.ask(JoinGroup, joinRequest(memberId));
  assert.equal(errorName(errorCode), 'NONE');
  const assignments = [{ memberId, assignment: Buffer.from('all') }];
  const sync = { groupId: GROUP, generationId, memberId, assignments, protocolType: 'consumer', protocolName: 'range' };
  assert.equal(errorName((await client.ask(SyncGroup, sync)).errorCode), 'NONE');
  return { memberId, generationId };
}

const beat = async (client: TestClient, member: { memberId: string; generationId: number }) =>
  errorName((await client.ask(Heartbeat, { groupId: GROUP, ...member })).errorCode);

async function stateOf(client: TestClient): Promise<string> {
  return (await client.ask(DescribeGroups, { groups: [GROUP] }, 5)).groups[0]!.groupState;
}

async function commit(client: TestClient, offset: number, member = { memberId: '', generationId: -1 }): Promise<string> {
  const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0, committedOffset: offset }] }];
  const { generationId, memberId } = member;
  const request = { groupId: GROUP, generationIdOrMemberEpoch: generationId, memberId, topics };
  return errorName((await client.ask(OffsetCommit, request, 8)).topics[0]!.partitions[0]!.errorCode);
}

async function committed(client: TestClient): Promise<number> {
  const groups = [{ groupId: GROUP, topics: [{ name: 'orders', partitionIndexes: [0] }] }];
  return (await client.ask(OffsetFetch, { groups }, 8)).groups[0]!.topics[0]!.partitions[0]!.committedOffset;
}

test('a member that is silent for its session timeout is out, one that beats stays', async () => {
  const { node, client } = await started();
  const member = await join(client);
  for (let count = 0; count < 5; count++) {
    await node.advance(8_000);
    assert.equal(await beat(client, member), 'NONE');
  }
  await node.advance(9_000);
  assert.equal(await stateOf(client), 'Stable');
  await node.advance(2_000);
  assert.equal(await stateOf(client), 'Empty');
  assert.equal(await beat(client, member), 'UNKNOWN_MEMBER_ID');
  await node.stop();
});

test('a member whose session ran out while a second one joins leaves the group to it', async () => {
  const { node, client } = await started();
  await join(client);
  const second = await node.connect();
  const { memberId } = await second.ask(JoinGroup, joinRequest());
  const joining = second.later(JoinGroup, joinRequest(memberId));
  await node.advance(9_000);
  assert.equal(await stateOf(client), 'PreparingRebalance');
  const joined = await node.run(joining);
  assert.equal(errorName(joined.errorCode), 'NONE');
  assert.equal(joined.leader, memberId);
  assert.deepEqual(
    joined.members.map((each) => each.memberId),
    [memberId],
  );
  await node.stop();
});

test('a session timeout outside the bounds of the broker is refused', async () => {
  const { node, client } = await started({ settings: { 'group.max.session.timeout.ms': '60000' } });
  for (const ms of [5_999, 60_001])
    assert.equal(errorName((await client.ask(JoinGroup, joinRequest('', ms))).errorCode), 'INVALID_SESSION_TIMEOUT');
  await node.stop();
});

test('a group lives through a restart of the node: its member beats on with the same generation', async () => {
  const { node, client } = await started();
  const member = await join(client);
  assert.equal(await commit(client, 5, member), 'NONE');
  await node.restart();
  const after = await node.connect();
  assert.equal(await beat(after, member), 'NONE');
  assert.equal(await stateOf(after), 'Stable');
  assert.equal(await committed(after), 5);
  await node.advance(11_000);
  assert.equal(await stateOf(after), 'Empty');
  await node.stop();
});

test('offsets of an empty group expire after offsets.retention.minutes, and with them the group', async () => {
  const { node, client } = await started({
    settings: { 'offsets.retention.minutes': '1', 'offsets.retention.check.interval.ms': '5000' },
  });
  assert.equal(await commit(client, 7), 'NONE');
  await node.advance(50_000);
  assert.equal(await committed(client), 7);
  await node.advance(20_000);
  assert.equal(await committed(client), -1);
  await node.advance(10_000);
  assert.deepEqual((await client.ask(ListGroups, {})).groups, []);
  await node.stop();
});

test('offsets of a deleted topic are forgotten', async () => {
  const { node, client } = await started();
  await commit(client, 7);
  await client.deleteTopic('orders');
  await node.advance(100);
  await client.createTopic('orders');
  assert.equal(await committed(client), -1);
  await node.stop();
});

test('who waits in a rebalance when the node stops is told to look for another coordinator', async () => {
  const { node, client } = await started();
  await join(client);
  const second = await node.connect();
  const { memberId } = await second.ask(JoinGroup, joinRequest());
  const joining = second.later(JoinGroup, joinRequest(memberId));
  await node.advance(1_000);
  await node.stop();
  assert.equal(errorName((await node.run(joining)).errorCode), 'NOT_COORDINATOR');
  await node.start();
  await node.stop();
});

test('one line tells that the coordinators are loaded, however many partitions they have', async () => {
  const { node, client } = await started({ settings: { 'offsets.topic.num.partitions': '50' } });
  const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] }];
  for (let group = 0; group < 20; group++) {
    const { topics: answered } = await client.ask(OffsetCommit, { groupId: `of ${group}`, topics }, 8);
    assert.equal(answered[0]!.partitions[0]!.errorCode, 0);
  }
  node.logs.lines.length = 0;
  await node.restart();
  await node.advance(1_000);
  const loaded = node.logs.lines.filter(({ message }) => message === 'coordinators loaded');
  assert.deepEqual(
    loaded.map(({ level, fields }) => [level, fields['partitions'], fields['records']]),
    [['info', 50, 20]],
  );
  await node.stop();
});
