import assert from 'node:assert';
import { test } from 'node:test';
import { startKafka } from '@ottla/testing';
import { BenchTopic, newProducerIds } from '../bench-topic.ts';
import { fetchLoad } from './fetch-load.ts';
import { followLoad } from './follow-load.ts';
import { type ProduceLoad, produceLoad } from './produce-load.ts';

const sending = {
  acks: -1,
  recordBytes: 100,
  batchBytes: 1000,
  codec: 'none',
  inFlight: 5,
  requests: 60,
  warmRequests: 6,
  maxSeconds: 60,
} as const;

async function node() {
  const kafka = await startKafka();
  const port = Number(kafka.bootstrapServers.split(':')[1]);
  return { bootstrap: kafka.bootstrapServers, port, [Symbol.asyncDispose]: () => kafka[Symbol.asyncDispose]() };
}

const shapes: Record<string, Partial<ProduceLoad>> = {
  'a batch for one partition a request': { spread: 'one partition a request', connections: 1 },
  'on several connections': { spread: 'one partition a request', connections: 4 },
  'a batch for each partition in every request': { spread: 'all partitions a request', connections: 2 },
  'one record a request': { spread: 'one partition a request', connections: 2, batchBytes: 1 },
  'compressed, with acks=1': { spread: 'one partition a request', connections: 1, codec: 'lz4', acks: 1 },
  'at a fixed rate': { spread: 'one partition a request', connections: 2, requestsPerSecond: 500 },
};

for (const [shape, load] of Object.entries(shapes)) {
  test(`what a producer sends is all acknowledged, stored and consumed: ${shape}`, async () => {
    await using broker = await node();
    await using topic = await BenchTopic.create(broker, 3);
    const { topicId, partitions } = topic;
    const produced = await produceLoad({ ...sending, port: broker.port, topicId, partitions, ...load } as ProduceLoad);
    assert.equal(produced.requests, sending.requests);
    assert.ok(produced.recordsAcknowledged > produced.records && produced.ackP99Ms >= produced.ackP50Ms);
    await topic.assertStored(produced.recordsAcknowledged);

    const records = produced.recordsAcknowledged;
    const consumed = await fetchLoad({ port: broker.port, topicId, partitions, connections: 2, records, maxSeconds: 60 });
    assert.equal(consumed.records, records);
  });
}

test('with producer ids the sequences continue, and the broker checks them', async () => {
  await using broker = await node();
  await using topic = await BenchTopic.create(broker, 3);
  const { topicId, partitions } = topic;
  const load: ProduceLoad = {
    ...sending,
    port: broker.port,
    topicId,
    partitions,
    connections: 2,
    spread: 'all partitions a request',
  };
  const producers = await newProducerIds(broker.port, 2);
  const produced = await produceLoad({ ...load, producers });
  await topic.assertStored(produced.recordsAcknowledged);
  await assert.rejects(
    produceLoad({ ...load, producers: [producers[0]!, { producerId: 123456, producerEpoch: 7 }], acks: 2 }),
    /partition \d answered error 21/, // INVALID_REQUIRED_ACKS
  );
});

test('a consumer at the tail reads what is produced meanwhile, and no latency is longer end to end than it can be', async () => {
  await using broker = await node();
  await using topic = await BenchTopic.create(broker, 1);
  const result = await followLoad({ ...sending, port: broker.port, topicId: topic.topicId });
  assert.equal(result.requests, sending.requests);
  assert.ok(result.endToEndP50Ms > 0 && result.endToEndP99Ms >= result.endToEndP50Ms);
  assert.ok(result.endToEndP99Ms <= result.seconds * 1000);
  await topic.assertStored(result.recordsAcknowledged);
});

test('a load ends when its time is over, with what it did until then', async () => {
  await using broker = await node();
  await using topic = await BenchTopic.create(broker, 1);
  const endless = { ...sending, requests: 1e9, warmRequests: 1, maxSeconds: 0.1, batchBytes: 1 };
  const result = await produceLoad({
    ...{ ...endless, port: broker.port, topicId: topic.topicId },
    ...{ partitions: 1, connections: 1, spread: 'one partition a request' },
  });
  assert.ok(result.requests > 0 && result.requests < 1e9);
  await topic.assertStored(result.recordsAcknowledged);
});
