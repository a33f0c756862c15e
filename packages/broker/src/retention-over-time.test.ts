import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestNode } from './testing-node.ts';

const MINUTE = 60_000;
const settings = { 'log.retention.check.interval.ms': '10000' };
const kilobyte = 'x'.repeat(1_000);

const segmentsIn = (node: TestNode, directory = '/data/orders-0'): string[] =>
  node.list(directory).filter((name) => name.endsWith('.log'));

test('segments older than retention.ms go, first out of sight and then off the disk', async () => {
  const node = await TestNode.start({ settings });
  const client = await node.client();
  const configs = { 'retention.ms': String(10 * MINUTE), 'segment.ms': String(MINUTE), 'file.delete.delay.ms': '30000' };
  await client.createTopic('orders', configs);
  await client.produce('orders', ['old']);
  await node.advance(5 * MINUTE);
  await client.produce('orders', ['young']);
  assert.deepEqual(segmentsIn(node), ['00000000000000000000.log', '00000000000000000001.log']);
  await node.advance(4 * MINUTE);
  // A read ends with its segment.
  assert.deepEqual(await client.fetch('orders'), ['old']);
  await node.advance(MINUTE + 12_000);
  assert.equal(await client.offset('orders', -2), 1);
  assert.deepEqual(await client.fetch('orders', { offset: 1 }), ['young']);
  assert.deepEqual(segmentsIn(node), ['00000000000000000001.log']);
  const leftovers = () => node.list('/data/orders-0').filter((name) => name.endsWith('.deleted'));
  assert.ok(leftovers().length > 0);
  await node.advance(32_000);
  assert.deepEqual(leftovers(), []);
  await node.restart();
  assert.equal(await (await node.client()).offset('orders', -2), 1);
  await node.stop();
});

test('the oldest segments go while a partition is larger than retention.bytes', async () => {
  const node = await TestNode.start({ settings });
  const client = await node.client();
  await client.createTopic('orders', { 'retention.bytes': '5000', 'internal.segment.bytes': '2500' });
  for (let count = 0; count < 12; count++) await client.produce('orders', [kilobyte]);
  assert.equal(segmentsIn(node).length, 6);
  await node.advance(12_000);
  // As many as can go without falling below the limit.
  assert.equal(segmentsIn(node).length, 3);
  assert.equal(await client.offset('orders', -2), 6);
  assert.equal(await client.offset('orders', -1), 12);
  await node.stop();
});

test("a topic's own retention without limit goes before the broker's", async () => {
  const node = await TestNode.start({ settings: { ...settings, 'log.retention.ms': '60000', 'log.roll.ms': '30000' } });
  const client = await node.client();
  await client.createTopic('orders', { 'retention.ms': '-1' });
  await client.createTopic('passing');
  for (const topic of ['orders', 'passing']) await client.produce(topic, ['old']);
  await node.advance(3 * MINUTE);
  assert.deepEqual([await client.offset('orders', -2), await client.offset('passing', -2)], [0, 1]);
  await node.stop();
});

test('a topic changed to compact keeps its segments, however old they are', async () => {
  const node = await TestNode.start({ settings });
  const client = await node.client();
  await client.createTopic('orders', { 'retention.ms': '60000', 'segment.ms': '30000' });
  await client.produce('orders', ['old']);
  assert.equal(await client.configure({ type: 2, name: 'orders' }, { 'cleanup.policy': 'compact' }), 'NONE');
  await node.advance(5 * MINUTE);
  assert.equal(await client.offset('orders', -2), 0);
  assert.equal(await client.configure({ type: 2, name: 'orders' }, { 'cleanup.policy': 'delete' }), 'NONE');
  await node.advance(15_000);
  assert.equal(await client.offset('orders', -2), 1);
  await node.stop();
});

test("a deleted topic's directories are gone after file.delete.delay.ms, and a new one of its name starts empty at once", async () => {
  const node = await TestNode.start();
  const client = await node.client();
  await client.createTopic('orders', { 'file.delete.delay.ms': '20000' });
  await client.produce('orders', ['first life']);
  assert.equal(await client.deleteTopic('orders'), 'NONE');
  const ofOrders = () => node.list('/data').filter((name) => name.startsWith('orders-'));
  assert.equal(ofOrders().length, 1);
  assert.match(ofOrders()[0]!, /^orders-0\.[0-9a-f]{32}-delete$/);
  const again = await node.connect();
  assert.equal(await again.createTopic('orders'), 'NONE');
  assert.deepEqual(await again.fetch('orders'), []);
  assert.equal((await again.produce('orders', ['second life'])).baseOffset, 0);
  await node.advance(22_000);
  assert.deepEqual(ofOrders(), ['orders-0']);
  assert.deepEqual(await again.fetch('orders'), ['second life']);
  await node.stop();
});

test('directories of deleted topics that a stopped node left are removed by the next start', async () => {
  const node = await TestNode.start({ settings: { 'log.segment.delete.delay.ms': '20000' } });
  const client = await node.client();
  await client.createTopic('orders');
  await client.deleteTopic('orders');
  await node.restart();
  assert.equal(node.list('/data').filter((name) => name.startsWith('orders-')).length, 1);
  await node.advance(22_000);
  assert.deepEqual(
    node.list('/data').filter((name) => name.startsWith('orders-')),
    [],
  );
  await node.stop();
});

test('records are flushed to disk after flush.ms, and survive a power failure from then on', async () => {
  const node = await TestNode.start();
  const client = await node.client();
  await client.createTopic('orders', { 'flush.ms': '5000' });
  await client.produce('orders', ['safe']);
  await node.advance(7_000);
  await client.produce('orders', ['lost']);
  node.machine.crash();
  await node.start();
  assert.deepEqual(await (await node.client()).fetch('orders'), ['safe']);
  await node.stop();
});
