import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DescribeProducers, errorName, Fetch, InitProducerId, Produce } from '@ottla/protocol';
import { TestNode, valuesIn } from './testing-node.ts';

test('acks 0 is not answered, and 1 and all are', async () => {
  const node = await TestNode.start();
  const client = await node.client();
  await client.createTopic('orders');
  client.connection.sendNoResponse(Produce, await client.produceRequest('orders', ['unanswered'], { acks: 0 }));
  assert.equal((await client.produce('orders', ['leader'], { acks: 1 })).baseOffset, 1);
  assert.equal((await client.produce('orders', ['all'], { acks: -1 })).baseOffset, 2);
  assert.equal((await client.produce('orders', ['two'], { acks: 2 })).error, 'INVALID_REQUIRED_ACKS');
  assert.deepEqual(await client.fetch('orders'), ['unanswered', 'leader', 'all']);
  await node.stop();
});

test('an acks 0 append that fails closes the connection, for there is no other way to tell', async () => {
  const node = await TestNode.start();
  const client = await node.client();
  await client.createTopic('orders', { 'max.message.bytes': '100' });
  client.connection.sendNoResponse(Produce, await client.produceRequest('orders', ['x'.repeat(200)], { acks: 0 }));
  await node.advance(100);
  assert.equal(client.connection.closed, true);
  await node.stop();
});

test('pipelined batches are appended and answered in the order they were sent', async () => {
  const node = await TestNode.start({ wires: { maxLatencyMs: 5, fragmentation: 0.9 } });
  const client = await node.client();
  await client.createTopic('orders');
  const requests = [];
  for (let sequence = 0; sequence < 50; sequence++)
    requests.push(
      await client.produceRequest('orders', [`${sequence}`], { producerId: 5, producerEpoch: 0, baseSequence: sequence }),
    );
  const answers = await node.run(Promise.all(requests.map((request) => client.later(Produce, request))));
  assert.deepEqual(
    answers.map(({ responses }) => responses[0]!.partitionResponses[0]!.baseOffset),
    requests.map((_, index) => index),
  );
  await node.stop();
});

/** A node that counts, and can fail, the writes to the logs of partitions. */
async function withCountedWrites() {
  const writes = { ofLogs: 0, fail: false };
  const isLog = (path: string) => /orders-\d\/\d+\.log$/.test(path);
  const node = await TestNode.start({
    wires: { fragmentation: 0 },
    machine: {
      fault: ({ kind, path }) => {
        if (kind !== 'write' || !isLog(path)) return undefined;
        writes.ofLogs++;
        return writes.fail ? 'ENOSPC' : undefined;
      },
    },
  });
  const client = await node.client();
  assert.equal(await client.createTopic('orders', {}, { partitions: 2 }), 'NONE');
  await client.produce('orders', ['first'], { partition: 0 });
  await client.produce('orders', ['first'], { partition: 1 });
  return { node, client, writes };
}

test('batches that arrive together are one write to each partition, and are answered each', async () => {
  const { node, client, writes } = await withCountedWrites();
  const requests = [];
  for (let at = 0; at < 10; at++) requests.push(await client.produceRequest('orders', [`${at}`], { partition: at % 2 }));
  writes.ofLogs = 0;
  const answers = await node.run(Promise.all(requests.map((request) => client.later(Produce, request))));
  assert.equal(writes.ofLogs, 2);
  assert.deepEqual(
    answers.map(({ responses }) => responses[0]!.partitionResponses[0]!.baseOffset),
    [1, 1, 2, 2, 3, 3, 4, 4, 5, 5],
  );
  assert.deepEqual(await client.fetch('orders', { partition: 1 }), ['first', '1', '3', '5', '7', '9']);
  await node.stop();
});

test('a request behind a produce request of the same turn sees what it wrote', async () => {
  const { node, client } = await withCountedWrites();
  const produced = client.later(Produce, await client.produceRequest('orders', ['second'], { partition: 0 }));
  const fetched = client.later(Fetch, await client.fetchRequest('orders', { partition: 0, maxWaitMs: 0 }));
  const again = client.later(Produce, await client.produceRequest('orders', ['third'], { partition: 0 }));
  assert.deepEqual(valuesIn(await node.run(fetched)), ['first', 'second']);
  await node.run(Promise.all([produced, again]));
  await node.stop();
});

test('when the write of a turn fails, no batch of it is acknowledged, and other partitions are', async () => {
  const { node, client, writes } = await withCountedWrites();
  const batch = (baseSequence: number) =>
    client.produceRequest('orders', [`${baseSequence}`], { producerId: 5, producerEpoch: 0, baseSequence });
  const requests = [await batch(0), await batch(1), await batch(2)];
  const ask = async () => {
    const answers = await node.run(Promise.all(requests.map((request) => client.later(Produce, request))));
    return answers.map(({ responses }) => errorName(responses[0]!.partitionResponses[0]!.errorCode));
  };
  writes.fail = true;
  assert.deepEqual(await ask(), ['KAFKA_STORAGE_ERROR', 'KAFKA_STORAGE_ERROR', 'KAFKA_STORAGE_ERROR']);
  writes.fail = false;
  assert.deepEqual(await ask(), ['NONE', 'NONE', 'NONE']);
  assert.deepEqual(await client.fetch('orders', { partition: 0 }), ['first', '0', '1', '2']);
  await node.stop();
});

test('acks all needs min.insync.replicas, acks 1 does not', async () => {
  const node = await TestNode.start();
  const client = await node.client();
  await client.createTopic('orders');
  // A single replica is all there can be, so a greater minimum asks for no more than that.
  assert.equal(await client.configure({ type: 2, name: 'orders' }, { 'min.insync.replicas': '2' }), 'NONE');
  assert.equal((await client.produce('orders', ['x'])).error, 'NONE');
  await node.stop();
});

test('a producer that is silent for producer.id.expiration.ms is forgotten', async () => {
  const settings = { 'producer.id.expiration.ms': '60000', 'producer.id.expiration.check.interval.ms': '1000' };
  const node = await TestNode.start({ settings });
  const client = await node.client();
  await client.createTopic('orders');
  const { producerId } = await client.ask(InitProducerId, { transactionalId: null, transactionTimeoutMs: 1 });
  const idempotent = { producerId, producerEpoch: 0 };
  const known = async () => {
    const { topics } = await client.ask(DescribeProducers, { topics: [{ name: 'orders', partitionIndexes: [0] }] });
    return topics[0]!.partitions[0]!.activeProducers.map((producer) => producer.producerId);
  };
  await client.produce('orders', ['one'], { ...idempotent, baseSequence: 0 });
  await node.advance(50_000);
  assert.deepEqual(await known(), [producerId]);
  await client.produce('orders', ['two'], { ...idempotent, baseSequence: 1 });
  await node.advance(50_000);
  assert.deepEqual(await known(), [producerId]);
  await node.advance(15_000);
  assert.deepEqual(await known(), []);
  // Forgotten, it may begin anew at any sequence.
  assert.equal((await client.produce('orders', ['late'], { ...idempotent, baseSequence: 7 })).error, 'NONE');
  await node.stop();
});

test('producer.id.expiration.ms can change while the broker runs', async () => {
  const node = await TestNode.start({ settings: { 'producer.id.expiration.check.interval.ms': '1000' } });
  const client = await node.client();
  await client.createTopic('orders');
  await client.produce('orders', ['one'], { producerId: 9, producerEpoch: 0, baseSequence: 0 });
  assert.equal(await client.configure({ type: 4, name: '' }, { 'producer.id.expiration.ms': '20000' }), 'NONE');
  await node.advance(22_000);
  const { topics } = await client.ask(DescribeProducers, { topics: [{ name: 'orders', partitionIndexes: [0] }] });
  assert.deepEqual(topics[0]!.partitions[0]!.activeProducers, []);
  await node.stop();
});

test('producers of a partition that is named again and again are not told without end', async () => {
  const node = await TestNode.start();
  const client = await node.client();
  await client.createTopic('orders');
  await client.produce('orders', ['one'], { producerId: 9, producerEpoch: 0, baseSequence: 0 });
  const { topics } = await client.ask(DescribeProducers, {
    topics: [{ name: 'orders', partitionIndexes: new Array<number>(10_002).fill(0) }],
  });
  const { partitions } = topics[0]!;
  assert.deepEqual(
    [0, 1, 10_000, 10_001].map((at) => [errorName(partitions[at]!.errorCode), partitions[at]!.activeProducers.length]),
    [
      ['NONE', 1],
      ['NONE', 1],
      ['NONE', 1],
      ['INVALID_REQUEST', 0],
    ],
  );
  await node.stop();
});

test('producer ids are never given twice, whatever happens to the node', async () => {
  const node = await TestNode.start();
  const given = new Set<number>();
  for (const end of ['stop', 'kill', 'crash', 'stop'] as const) {
    const client = await node.client();
    for (let count = 0; count < 20; count++) {
      const { errorCode, producerId } = await client.ask(InitProducerId, { transactionalId: null, transactionTimeoutMs: 1 });
      assert.equal(errorName(errorCode), 'NONE');
      assert.ok(!given.has(producerId), `${producerId} was given before`);
      given.add(producerId);
    }
    if (end === 'stop') await node.stop();
    else node.machine[end]();
    await node.start();
  }
  await node.stop();
});
