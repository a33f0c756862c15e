import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildBatch, errorName, FindCoordinator, OffsetCommit, OffsetFetch, Produce } from '@ottla/protocol';
import { type TestClient, TestNode } from './testing-node.ts';

const settings = { 'log.cleaner.backoff.ms': '1000', 'log.segment.delete.delay.ms': '1000' };
const compacted = { 'cleanup.policy': 'compact', 'internal.segment.bytes': '600', 'min.cleanable.dirty.ratio': '0.1' };

const bytesIn = (node: TestNode, directory: string): number =>
  node
    .list(directory)
    .filter((name) => name.endsWith('.log'))
    .reduce((total, name) => total + node.machine.files.stat(`${directory}/${name}`)!.size, 0);

async function produceKeyed(client: TestClient, records: readonly [string, string][]): Promise<void> {
  const batch = buildBatch({
    records: records.map(([key, value]) => ({
      timestamp: Date.UTC(2026, 0, 1),
      key: Buffer.from(key),
      value: Buffer.from(value),
    })),
  });
  const topicId = await client.topicId('state');
  const partitionData = [{ index: 0, records: new Uint8Array(batch) }];
  const request = { acks: -1, timeoutMs: 30_000, topicData: [{ name: 'state', topicId, partitionData }] };
  const { responses } = await client.ask(Produce, request);
  assert.equal(errorName(responses[0]!.partitionResponses[0]!.errorCode), 'NONE');
}

/** A fetch ends with its segment, and begins with the batch that holds its offset. */
async function valuesOf(client: TestClient): Promise<string[]> {
  const values = new Set<string>();
  const end = await client.offset('state', -1);
  for (let offset = await client.offset('state', -2); offset < end; offset++) {
    for (const value of await client.fetch('state', { offset })) values.add(value);
  }
  return [...values];
}

async function updates(client: TestClient, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await produceKeyed(client, [[`k${index % 4}`, `value ${index}`.padEnd(60)]]);
}

test('a compacted topic shrinks to the latest values, which a restart and a consumer from its start find', async () => {
  const node = await TestNode.start({ settings });
  const client = await node.client();
  await client.createTopic('state', compacted);
  await updates(client, 80);
  const before = bytesIn(node, '/data/state-0');
  await node.advance(5_000);
  assert.ok(bytesIn(node, '/data/state-0') < before / 4);
  assert.ok(
    node.logs.lines.some(({ message, fields }) => message === 'a log was compacted' && fields['partition'] === 'state-0'),
  );
  const latest = [76, 77, 78, 79].map((index) => `value ${index}`.padEnd(60));
  const values = await valuesOf(client);
  assert.deepEqual(values.slice(-4), latest);
  assert.ok(values.length < 16);
  assert.deepEqual([await client.offset('state', -2), await client.offset('state', -1)], [0, 80]);
  await node.restart();
  const again = await node.client();
  assert.deepEqual(await valuesOf(again), values);
  node.machine.crash();
  await node.start();
  assert.equal(await (await node.client()).offset('state', -1), 80);
  await node.stop();
});

test('without log.cleaner.enable nothing is compacted', async () => {
  const node = await TestNode.start({ settings: { ...settings, 'log.cleaner.enable': 'false' } });
  const client = await node.client();
  await client.createTopic('state', compacted);
  await updates(client, 40);
  const before = bytesIn(node, '/data/state-0');
  await node.advance(60_000);
  assert.equal(bytesIn(node, '/data/state-0'), before);
  await node.stop();
});

test('a topic is deleted, and the node stops, in the middle of a cleaning', async () => {
  const node = await TestNode.start({ settings: { ...settings, 'log.cleaner.io.max.bytes.per.second': '2000' } });
  const client = await node.client();
  await client.createTopic('state', compacted);
  await updates(client, 60);
  await node.advance(3_000);
  assert.equal(await client.deleteTopic('state'), 'NONE');
  const again = await node.connect();
  await again.createTopic('state', compacted);
  await updates(again, 60);
  await node.advance(3_000);
  await node.stop();
  const left = node.list('/data/state-0').filter((name) => /cleaned|swap/.test(name));
  assert.deepEqual(left, []);
  assert.deepEqual(node.logs.at('error'), []);
});

test('changed settings of the cleaner act at once', async () => {
  const node = await TestNode.start({ settings });
  const client = await node.client();
  await client.createTopic('state', { ...compacted, 'min.cleanable.dirty.ratio': '1' });
  await updates(client, 40);
  const before = bytesIn(node, '/data/state-0');
  await node.advance(10_000);
  assert.equal(bytesIn(node, '/data/state-0'), before);
  assert.equal(await client.configure({ type: 2, name: 'state' }, { 'min.cleanable.dirty.ratio': '0' }), 'NONE');
  await node.advance(3_000);
  assert.ok(bytesIn(node, '/data/state-0') < before / 2);
  await node.stop();
});

test('the offsets of groups are compacted, and found again after a restart', async () => {
  const node = await TestNode.start({ settings: { ...settings, 'offsets.topic.num.partitions': '1' } });
  const client = await node.client();
  await client.createTopic('orders');
  await client.ask(FindCoordinator, { keyType: 0, coordinatorKeys: ['readers'] });
  const offsets = { type: 2, name: '__consumer_offsets' };
  assert.equal(await client.configure(offsets, { 'segment.bytes': '1048576', 'internal.segment.bytes': '4000' }), 'NONE');
  const commit = async (groupId: string, committedOffset: number) => {
    const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0, committedOffset }] }];
    const { topics: answered } = await client.ask(
      OffsetCommit,
      { groupId, generationIdOrMemberEpoch: -1, memberId: '', topics },
      8,
    );
    assert.equal(errorName(answered[0]!.partitions[0]!.errorCode), 'NONE');
  };
  const committed = async (connection: TestClient, groupId: string): Promise<number> => {
    const topics = [{ name: 'orders', partitionIndexes: [0] }];
    const { groups } = await connection.ask(OffsetFetch, { groups: [{ groupId, topics }] }, 8);
    return groups[0]!.topics[0]!.partitions[0]!.committedOffset;
  };
  await commit('quiet', 17);
  for (let offset = 1; offset <= 300; offset++) await commit(`busy${offset % 3}`, offset);
  const before = bytesIn(node, '/data/__consumer_offsets-0');
  await node.advance(10_000);
  assert.ok(bytesIn(node, '/data/__consumer_offsets-0') < before / 3);
  const all = ['quiet', 'busy0', 'busy1', 'busy2'];
  for (const life of ['before', 'after'] as const) {
    const connection = life === 'before' ? client : await node.connect();
    const found = [];
    for (const groupId of all) found.push(await committed(connection, groupId));
    assert.deepEqual(found, [17, 300, 298, 299], life);
    if (life === 'before') await node.restart();
  }
  await node.stop();
});
