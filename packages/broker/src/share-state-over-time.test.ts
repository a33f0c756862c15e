import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Api,
  DeleteShareGroupState,
  errorName,
  FindCoordinator,
  InitializeShareGroupState,
  ReadShareGroupState,
  ReadShareGroupStateSummary,
  type Writable,
  WriteShareGroupState,
} from '@ottla/protocol';
import { type TestClient, TestNode, type TestNodeOptions } from './testing-node.ts';

const TOPIC = '__share_group_state';
const settings = {
  'share.coordinator.state.topic.num.partitions': '1',
  'share.coordinator.state.topic.replication.factor': '1',
  'share.coordinator.state.topic.min.isr': '1',
};

async function started({ settings: more, ...options }: TestNodeOptions = {}) {
  const node = await TestNode.start({ ...options, settings: { ...settings, ...more } });
  const client = await node.connect();
  await client.createTopic('orders');
  return { node, client };
}

type OnePartition = { results: { partitions: { errorCode: number }[] }[] };

type ResultOf<Response extends OnePartition> = Response['results'][number]['partitions'][number];

/** Asks about partition 0 of the topic. */
async function one<Request, Response extends OnePartition>(
  client: TestClient,
  api: Api<Request, Response>,
  fields: object = {},
  topic = 'orders',
): Promise<Omit<ResultOf<Response>, 'errorCode'> & { error: string }> {
  const topics = [{ topicId: await client.topicId(topic), partitions: [{ partition: 0, ...fields }] }];
  const { results } = await client.ask(api, { groupId: 'g', topics } as unknown as Writable<Request>);
  const { errorCode, ...result } = results[0]!.partitions[0]! as ResultOf<Response>;
  return { ...result, error: errorName(errorCode) };
}

async function find(client: TestClient, key?: string, version?: number): Promise<string> {
  const coordinatorKeys = [key ?? `g:${await client.topicId('orders')}:0`];
  const { coordinators } = await client.ask(FindCoordinator, { keyType: 2, coordinatorKeys }, version);
  return errorName(coordinators[0]!.errorCode);
}

const codeOf = async (...asked: Parameters<typeof one>): Promise<string> => (await one(...asked)).error;

test('looking the coordinator up makes its topic as Kafka makes it, and state outlives a restart', async () => {
  const { node, client } = await started();
  assert.equal(await codeOf(client, InitializeShareGroupState, { stateEpoch: 2, startOffset: 5 }), 'NOT_COORDINATOR');
  assert.equal(await find(client), 'NONE');
  const { configs } = await client.describe({ type: 2, name: TOPIC });
  assert.equal(configs['cleanup.policy'], 'delete');
  assert.equal(configs['retention.ms'], '-1');
  assert.equal(configs['compression.type'], 'producer');
  assert.equal(configs['segment.bytes'], '104857600');
  assert.equal(configs['min.insync.replicas'], '1');
  assert.equal(await codeOf(client, InitializeShareGroupState, { stateEpoch: 2, startOffset: 5 }), 'NONE');
  const stateBatches = [{ firstOffset: 5, lastOffset: 9, deliveryState: 2, deliveryCount: 1 }];
  const change = { stateEpoch: 2, leaderEpoch: 0, startOffset: 5, deliveryCompleteCount: 5, stateBatches };
  assert.equal(await codeOf(client, WriteShareGroupState, change), 'NONE');
  await node.restart();
  const again = await node.client();
  assert.deepEqual(await one(again, ReadShareGroupState, { leaderEpoch: 1 }), {
    error: 'NONE',
    errorMessage: null,
    partition: 0,
    stateEpoch: 2,
    startOffset: 5,
    stateBatches,
  });
  assert.equal(await codeOf(again, WriteShareGroupState, { ...change, leaderEpoch: 0 }), 'FENCED_LEADER_EPOCH');
  assert.deepEqual(await one(again, ReadShareGroupStateSummary, { leaderEpoch: 1 }), {
    error: 'NONE',
    errorMessage: null,
    partition: 0,
    stateEpoch: 2,
    leaderEpoch: 1,
    startOffset: 5,
    deliveryCompleteCount: 5,
  });
  assert.equal(await codeOf(again, DeleteShareGroupState), 'NONE');
  assert.equal(await codeOf(again, ReadShareGroupState, { leaderEpoch: 1 }), 'INVALID_REQUEST');
  await node.stop();
});

test('a key that names no share partition finds no coordinator', async () => {
  const { node, client } = await started();
  const topicId = await client.topicId('orders');
  for (const key of [
    '',
    'g',
    'g:0',
    `:${topicId}:0`,
    `  :${topicId}:0`,
    `g:${topicId}:x`,
    'g:no-id:0',
    `g:${topicId}:4294967296`,
  ]) {
    assert.equal(await find(client, key), 'INVALID_REQUEST', key);
  }
  assert.equal(await find(client, `a:b:${topicId}:0`), 'NONE');
  assert.equal(await find(client, `a:b:${topicId}:0`, 5), 'INVALID_REQUEST');
  await node.stop();
});

test('requests that name nothing are answered with nothing', async () => {
  const { node, client } = await started();
  await find(client);
  const topicId = await client.topicId('orders');
  for (const request of [
    { groupId: 'g', topics: [] },
    { groupId: 'g', topics: [{ topicId, partitions: [] }] },
    { groupId: '', topics: [{ topicId, partitions: [{ partition: 0 }] }] },
  ]) {
    for (const api of [InitializeShareGroupState, ReadShareGroupState, WriteShareGroupState, DeleteShareGroupState]) {
      assert.deepEqual((await client.ask(api as Api<object, OnePartition>, request)).results, []);
    }
    assert.deepEqual((await client.ask(ReadShareGroupStateSummary, request)).results, []);
  }
  await node.stop();
});

test('the log is pruned up to what a restart needs, also when a partition is cold', async () => {
  const { node, client } = await started({ settings: { 'share.coordinator.snapshot.update.records.per.snapshot': '3' } });
  await client.createTopic('cold');
  await find(client);
  await codeOf(client, InitializeShareGroupState, { stateEpoch: 1, startOffset: 0 }, 'cold');
  await codeOf(client, InitializeShareGroupState, { stateEpoch: 1, startOffset: 0 });
  for (let offset = 1; offset <= 9; offset++) {
    const change = { stateEpoch: 1, leaderEpoch: 0, startOffset: offset, stateBatches: [] };
    assert.equal(await codeOf(client, WriteShareGroupState, change), 'NONE');
  }
  assert.equal(await client.offset(TOPIC, -2), 0);
  // The cold one is too young for the first round, gets its snapshot in the second, and the third prunes.
  await node.advance(301_000);
  assert.equal(await client.offset(TOPIC, -2), 0);
  await node.advance(602_000);
  const later = await node.connect();
  assert.equal((await later.offset(TOPIC, -2)) >= 9, true);
  await node.machine.kill();
  await node.start();
  const again = await node.client();
  assert.equal((await one(again, ReadShareGroupStateSummary)).startOffset, 9);
  assert.equal((await one(again, ReadShareGroupStateSummary, {}, 'cold')).startOffset, 0);
  await node.stop();
});

test('deleting a topic deletes what was kept of it', async () => {
  const { node, client } = await started();
  await find(client);
  await codeOf(client, InitializeShareGroupState, { stateEpoch: 1, startOffset: 0 });
  assert.equal(await client.deleteTopic('orders'), 'NONE');
  assert.equal(await codeOf(client, ReadShareGroupStateSummary), 'UNKNOWN_TOPIC_OR_PARTITION');
  await node.advance(1000);
  assert.equal(await client.offset(TOPIC, -1), 2);
  await node.stop();
});
