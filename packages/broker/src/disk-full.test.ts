import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DescribeLogDirs, DescribeTopicPartitions, errorName, Metadata } from '@ottla/protocol';
import type { FileOperation } from '@ottla/runtime';
import { TestNode } from './testing-node.ts';

async function withFaults(settings: Record<string, string> = {}) {
  const fault: { of: (operation: FileOperation) => string | undefined } = { of: () => undefined };
  const machine = { fault: (operation: FileOperation) => fault.of(operation) };
  return { node: await TestNode.start({ settings, machine }), fault };
}

const writes = ({ kind }: FileOperation): boolean => kind === 'write' || kind === 'makeDirectory';

for (const code of ['ENOSPC', 'EDQUOT', 'EROFS']) {
  test(`while the whole disk answers ${code}, nothing is acknowledged, reading goes on, and service returns by itself`, async () => {
    const { node, fault } = await withFaults();
    const client = await node.client();
    await client.createTopic('orders');
    await client.produce('orders', ['before']);
    fault.of = (operation) => (writes(operation) ? code : undefined);
    for (let round = 0; round < 5; round++) {
      assert.equal((await client.produce('orders', ['refused'])).error, 'KAFKA_STORAGE_ERROR');
      assert.equal(await client.createTopic('refused'), 'KAFKA_STORAGE_ERROR');
      assert.deepEqual(await client.fetch('orders'), ['before']);
      await node.advance(7_000);
    }
    assert.deepEqual(await client.topicNames(), ['orders']);
    fault.of = () => undefined;
    await node.advance(6_000);
    assert.equal((await client.produce('orders', ['after'])).baseOffset, 1);
    assert.equal(await client.createTopic('refused'), 'NONE');
    assert.equal((await client.produce('refused', ['taken'])).error, 'NONE');
    assert.deepEqual(await client.fetch('orders'), ['before', 'after']);
    assert.ok(!node.logs.at('error').includes('fatal'));
    await node.restart();
    const again = await node.client();
    assert.deepEqual(await again.topicNames(), ['orders', 'refused']);
    assert.deepEqual(await again.fetch('orders'), ['before', 'after']);
    await node.stop();
  });
}

test('a topic whose replicas find no room is served when there is some', async () => {
  const { node, fault } = await withFaults({ 'log.dirs': '/data', 'metadata.log.dir': '/meta' });
  const client = await node.client();
  fault.of = (operation) => (writes(operation) && operation.path.startsWith('/data') ? 'ENOSPC' : undefined);
  assert.equal(await client.createTopic('orders'), 'NONE');
  assert.equal((await client.produce('orders', ['refused'])).error, 'KAFKA_STORAGE_ERROR');
  await node.advance(10_000);
  fault.of = () => undefined;
  await node.advance(2_000);
  assert.equal((await client.produce('orders', ['taken'])).error, 'NONE');
  assert.ok(!node.logs.at('error').includes('fatal'));
  await node.stop();
});

for (const code of ['ENOSPC', 'EDQUOT', 'EROFS']) {
  test(`a directory that answers ${code} after a kill is offline alone, and whole at the next start`, async () => {
    const { node, fault } = await withFaults({ 'log.dirs': '/a,/b' });
    let client = await node.client();
    await client.createTopic('orders', {}, { partitions: 2 });
    for (const partition of [0, 1]) await client.produce('orders', ['kept'], { partition });
    const [inA, inB] = node.list('/a').includes('orders-0') ? [0, 1] : [1, 0];
    node.machine.kill();
    fault.of = (operation) => (writes(operation) && operation.path.startsWith('/b/') ? code : undefined);
    await node.start();
    client = await node.client();
    assert.deepEqual(await client.fetch('orders', { partition: inA }), ['kept']);
    assert.equal((await client.produce('orders', ['more'], { partition: inA })).error, 'NONE');
    assert.equal((await client.produce('orders', ['refused'], { partition: inB })).error, 'KAFKA_STORAGE_ERROR');
    const { results } = await client.ask(DescribeLogDirs, { topics: null });
    assert.deepEqual(
      results.map(({ logDir, errorCode }) => [logDir, errorName(errorCode)]),
      [
        ['/a', 'NONE'],
        ['/b', 'KAFKA_STORAGE_ERROR'],
      ],
    );
    assert.ok(node.logs.at('error').some((message) => message.includes('has no room')));
    fault.of = () => undefined;
    await node.restart();
    client = await node.client();
    assert.deepEqual(await client.fetch('orders', { partition: inB }), ['kept']);
    assert.equal((await client.produce('orders', ['again'], { partition: inB })).error, 'NONE');
    await node.stop();
  });
}

test('a node whose metadata log lies in the directory that has no room after a kill says what to do', async () => {
  const { node, fault } = await withFaults({ 'log.dirs': '/a,/b', 'metadata.log.dir': '/b' });
  const client = await node.client();
  await client.createTopic('orders', {}, { partitions: 2 });
  for (const partition of [0, 1]) await client.produce('orders', ['kept'], { partition });
  node.machine.kill();
  fault.of = (operation) => (writes(operation) && operation.path.startsWith('/b/orders') ? 'ENOSPC' : undefined);
  await assert.rejects(node.start(), {
    name: 'LogDirectoryError',
    message: /the metadata log lies in \/b, which cannot be used: .*\/b\/orders-.*make room/,
  });
  fault.of = () => undefined;
  await node.startAgain();
  const again = await node.client();
  for (const partition of [0, 1]) assert.deepEqual(await again.fetch('orders', { partition }), ['kept']);
  await node.stop();
});

test('a directory that fails is told as Kafka tells it, and the others serve on', async () => {
  const { node, fault } = await withFaults({ 'log.dirs': '/a,/b', 'metadata.log.dir': '/meta' });
  let client = await node.client();
  await client.createTopic('orders', {}, { partitions: 2 });
  for (const partition of [0, 1]) await client.produce('orders', ['kept'], { partition });
  fault.of = ({ path }) => (path.startsWith('/b') ? 'EIO' : undefined);
  assert.equal((await client.produce('orders', ['lost'], { partition: 1 })).error, 'KAFKA_STORAGE_ERROR');
  assert.equal((await client.produce('orders', ['more'], { partition: 0 })).error, 'NONE');
  await node.advance(100);
  const { topics } = await client.ask(Metadata, { topics: [{ name: 'orders' }] });
  assert.deepEqual(
    topics[0]!.partitions
      .map(({ partitionIndex, errorCode, leaderId, isrNodes, offlineReplicas }) => [
        partitionIndex,
        errorName(errorCode),
        leaderId,
        isrNodes,
        offlineReplicas,
      ])
      .sort(),
    [
      [0, 'NONE', 1, [1], []],
      [1, 'LEADER_NOT_AVAILABLE', -1, [], [1]],
    ],
  );
  const described = await client.ask(DescribeTopicPartitions, { topics: [{ name: 'orders' }], cursor: null });
  assert.deepEqual(
    described.topics[0]!.partitions.map(({ eligibleLeaderReplicas, offlineReplicas }) => [
      eligibleLeaderReplicas,
      offlineReplicas,
    ]),
    [
      [[], []],
      [[1], [1]],
    ],
  );
  const { results } = await client.ask(DescribeLogDirs, { topics: null });
  assert.deepEqual(
    results.map(({ logDir, errorCode, totalBytes }) => [logDir, errorName(errorCode), Number(totalBytes) < 0]),
    [
      ['/a', 'NONE', false],
      ['/b', 'KAFKA_STORAGE_ERROR', true],
    ],
  );
  assert.ok(!node.logs.at('error').includes('fatal'));
  // It is still broken at the next start, and whole at the one after.
  await node.restart();
  client = await node.client();
  assert.deepEqual(await client.fetch('orders', { partition: 0 }), ['kept', 'more']);
  assert.equal((await client.produce('orders', ['lost'], { partition: 1 })).error, 'KAFKA_STORAGE_ERROR');
  fault.of = () => undefined;
  await node.restart();
  client = await node.client();
  assert.deepEqual(await client.fetch('orders', { partition: 1 }), ['kept']);
  assert.equal((await client.produce('orders', ['again'], { partition: 1 })).error, 'NONE');
  fault.of = ({ path }) => (path.startsWith('/a') || path.startsWith('/b') ? 'EIO' : undefined);
  await node.advance(6_000);
  assert.ok(node.logs.at('error').includes('all log directories have failed: the node cannot go on'));
  assert.ok(node.logs.at('error').includes('fatal'));
  fault.of = () => undefined;
  await node.stop();
});
