import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ConsumerGroupDescribe,
  ConsumerGroupHeartbeat,
  errorName,
  FindCoordinator,
  Heartbeat,
  IncrementalAlterConfigs,
  JoinGroup,
  LeaveGroup,
  ListGroups,
  OffsetCommit,
  readAssignment,
  SyncGroup,
  UpdateFeatures,
  writeSubscription,
} from '@ottla/protocol';
import { type TestClient, TestNode, type TestNodeOptions } from './testing-node.ts';

const GROUP = 'readers';

async function started(options: TestNodeOptions = {}) {
  const node = await TestNode.start(options);
  const client = await node.connect();
  await client.createTopic('orders', {}, { partitions: 2 });
  await client.ask(FindCoordinator, { keyType: 0, coordinatorKeys: [GROUP] });
  return { node, client };
}

type Fields = Partial<Parameters<typeof ConsumerGroupHeartbeat.request.write>[1]>;

const joining: Fields = { rebalanceTimeoutMs: 20_000, subscribedTopicNames: ['orders'], topicPartitions: [] };

/** What came of it, as an epoch and the partitions that the member was told it has. */
async function beat(client: TestClient, memberId: string, memberEpoch: number, fields: Fields = {}): Promise<string> {
  const request = { groupId: GROUP, memberId, memberEpoch, ...(memberEpoch === 0 && joining), ...fields };
  const answer = await client.ask(ConsumerGroupHeartbeat, request, 1);
  if (answer.errorCode !== 0) return errorName(answer.errorCode);
  const assigned = answer.assignment?.topicPartitions.flatMap(({ partitions }) => partitions);
  return assigned === undefined ? `${answer.memberEpoch}` : `${answer.memberEpoch} [${assigned}]`;
}

async function described(client: TestClient) {
  return (await client.ask(ConsumerGroupDescribe, { groupIds: [GROUP] }, 1)).groups[0]!;
}

test('members join, share, are silent and gone, through a restart', async () => {
  const { node, client } = await started();
  assert.equal(await beat(client, 'a', 0), '2 [0,1]');
  await node.advance(1_000);
  assert.equal(await beat(client, 'b', 0), '3 []');
  assert.equal(await beat(client, 'a', 2), '2 [0]');
  const topicId = (await described(client)).members[0]!.targetAssignment.topicPartitions[0]!.topicId;
  assert.equal(await beat(client, 'a', 2, { topicPartitions: [{ topicId, partitions: [0] }] }), '3');
  assert.equal(await beat(client, 'b', 3), '3 [1]');
  await node.restart();
  const again = await node.connect();
  const { groupState, groupEpoch, members } = await described(again);
  assert.deepEqual([groupState, groupEpoch, members.length], ['Stable', 3, 2]);
  // Their sessions began anew, and only one of them is still there.
  await node.advance(40_000);
  assert.equal(await beat(again, 'a', 3), '3');
  await node.advance(10_000);
  assert.equal((await described(again)).members.length, 1);
  assert.equal(await beat(again, 'a', 3), '4 [0,1]');
  assert.equal(await beat(again, 'b', 3), 'UNKNOWN_MEMBER_ID');
  assert.equal(await beat(again, 'a', -1), '-1');
  assert.deepEqual(
    (await again.ask(ListGroups, { typesFilter: ['consumer'] }, 5)).groups.map((group) => group.groupState),
    ['Empty'],
  );
});

test('a regular expression finds its topics a moment later, and those that come', async () => {
  const { node, client } = await started();
  const regex = { subscribedTopicNames: null, subscribedTopicRegex: 'or.*|paid' };
  assert.equal(await beat(client, 'a', 0, regex), '1 []');
  await node.advance(0);
  assert.equal(await beat(client, 'a', 1), '2 [0,1]');
  assert.equal(await beat(client, 'b', 0, { ...regex, subscribedTopicRegex: 'or[' }), 'INVALID_REGULAR_EXPRESSION');
  await client.createTopic('paid');
  await node.advance(10_001);
  assert.equal(await beat(client, 'a', 2), '2');
  await node.advance(0);
  assert.equal(await beat(client, 'a', 2), '3 [0,1,0]');
});

test('what a request must have is asked for before the group is', async () => {
  const { client } = await started();
  const invalid: [string, number, Fields][] = [
    ['', 0, {}],
    ['a', 0, { groupId: '' }],
    ['a', 0, { instanceId: '' }],
    ['a', 0, { rackId: ' ' }],
    ['a', 0, { rebalanceTimeoutMs: -1 }],
    ['a', 0, { topicPartitions: null }],
    ['a', 0, { subscribedTopicNames: null }],
    ['a', -2, {}],
    ['a', -3, {}],
  ];
  for (const [memberId, epoch, fields] of invalid) assert.equal(await beat(client, memberId, epoch, fields), 'INVALID_REQUEST');
  assert.equal(await beat(client, 'a', 0, { serverAssignor: 'x' }), 'UNSUPPORTED_ASSIGNOR');
  assert.equal(await beat(client, 'a', 1), 'GROUP_ID_NOT_FOUND');
  assert.equal(errorName((await described(client)).errorCode), 'GROUP_ID_NOT_FOUND');
  // v0: the coordinator makes the id.
  const answer = await client.ask(ConsumerGroupHeartbeat, { groupId: GROUP, memberId: '', memberEpoch: 0, ...joining }, 0);
  assert.match(answer.memberId!, /^[A-Za-z0-9_-]{22}$/);
});

test('a group’s own configs count, within the bounds of the broker', async () => {
  const { node, client } = await started();
  const set = async (name: string, value: string): Promise<string> => {
    const resources = [{ resourceType: 32, resourceName: GROUP, configs: [{ name, configOperation: 0, value }] }];
    return errorName((await client.ask(IncrementalAlterConfigs, { resources })).responses[0]!.errorCode);
  };
  assert.equal(await set('consumer.session.timeout.ms', '50000'), 'NONE');
  assert.equal(await set('consumer.heartbeat.interval.ms', '7000'), 'NONE');
  assert.equal(await set('consumer.session.timeout.ms', '90000'), 'INVALID_CONFIG');
  const request = { groupId: GROUP, memberId: 'a', memberEpoch: 0, ...joining };
  assert.equal((await client.ask(ConsumerGroupHeartbeat, request, 1)).heartbeatIntervalMs, 7000);
  await node.advance(49_000);
  assert.equal((await described(client)).members.length, 1);
  await node.advance(1_001);
  assert.equal((await described(client)).members.length, 0);
});

test('with group.version 0 the protocol is not served', async () => {
  const { client } = await started();
  const down = { featureUpdates: [{ feature: 'group.version', maxVersionLevel: 0, upgradeType: 2 }] };
  assert.equal((await client.ask(UpdateFeatures, down, 1)).errorCode, 0);
  assert.equal(await beat(client, 'a', 0), 'UNSUPPORTED_VERSION');
  assert.equal(errorName((await described(client)).errorCode), 'UNSUPPORTED_VERSION');
});

test('a classic group goes over to the new protocol and back, and its members never wait', async () => {
  const { node, client } = await started();
  const classic = new ClassicConsumer(client);
  await classic.join();
  assert.deepEqual(classic.assigned, [0, 1]);
  // A consumer of the new protocol comes: the group is one of it from now on.
  assert.equal(await beat(client, 'n', 0), '2 []');
  assert.equal(await classic.heartbeat(), 'REBALANCE_IN_PROGRESS');
  await classic.join();
  assert.equal(classic.assigned.length, 1);
  assert.equal(await classic.heartbeat(), 'NONE');
  assert.match(await beat(client, 'n', 2), /^2 \[[01]\]$/);
  assert.equal(await classic.commit(0, 7), 'NONE');
  const { groupState, members } = await described(client);
  assert.equal(groupState, 'Stable');
  assert.deepEqual(members.map(({ memberType }) => memberType).sort(), [0, 1]);
  // It goes: the group is a classic one again.
  assert.equal(await beat(client, 'n', -1), '-1');
  assert.equal((await client.ask(ListGroups, { typesFilter: ['classic'] }, 5)).groups.length, 1);
  assert.equal(await classic.heartbeat(), 'REBALANCE_IN_PROGRESS');
  await classic.join();
  assert.deepEqual(classic.assigned, [0, 1]);
  // A silent classic member of a consumer group is out, too.
  await beat(client, 'm', 0);
  await node.advance(15_000);
  assert.equal(await classic.heartbeat(), 'UNKNOWN_MEMBER_ID');
  assert.equal(await beat(client, 'm', 0), '5 [0,1]');
  await client.ask(LeaveGroup, { groupId: GROUP, members: [{ memberId: 'm' }] }, 4);
  assert.equal((await described(client)).groupState, 'Empty');
});

/** Joins as a client does that knows the range assignor: alone it takes everything. */
class ClassicConsumer {
  readonly #client: TestClient;
  #memberId = '';
  #generationId = -1;
  assigned: number[] = [];

  constructor(client: TestClient) {
    this.#client = client;
  }

  async join(): Promise<void> {
    const metadata = writeSubscription({ topics: ['orders'], userData: null }, 0);
    const request = {
      groupId: GROUP,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 20_000,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata }],
    };
    let answer = await this.#client.ask(JoinGroup, { ...request, memberId: this.#memberId });
    if (errorName(answer.errorCode) === 'MEMBER_ID_REQUIRED') {
      answer = await this.#client.ask(JoinGroup, { ...request, memberId: answer.memberId });
    }
    assert.equal(errorName(answer.errorCode), 'NONE');
    this.#memberId = answer.memberId;
    this.#generationId = answer.generationId;
    // version 0, one topic with both partitions, no user data
    const everything = Buffer.from(
      `0000 00000001 0006${Buffer.from('orders').toString('hex')} 00000002 00000000 00000001 ffffffff`.replaceAll(' ', ''),
      'hex',
    );
    const assignments = answer.members.map(({ memberId }) => ({ memberId, assignment: everything }));
    const sync = await this.#client.ask(SyncGroup, {
      groupId: GROUP,
      memberId: this.#memberId,
      generationId: this.#generationId,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments,
    });
    assert.equal(errorName(sync.errorCode), 'NONE');
    this.assigned = readAssignment(sync.assignment).assignedPartitions.flatMap(({ partitions }) => partitions);
  }

  async heartbeat(): Promise<string> {
    const request = { groupId: GROUP, memberId: this.#memberId, generationId: this.#generationId };
    return errorName((await this.#client.ask(Heartbeat, request)).errorCode);
  }

  async commit(partitionIndex: number, committedOffset: number): Promise<string> {
    const topics = [{ name: 'orders', partitions: [{ partitionIndex, committedOffset }] }];
    const request = { groupId: GROUP, memberId: this.#memberId, generationIdOrMemberEpoch: this.#generationId, topics };
    return errorName((await this.#client.ask(OffsetCommit, request, 8)).topics[0]!.partitions[0]!.errorCode);
  }
}
