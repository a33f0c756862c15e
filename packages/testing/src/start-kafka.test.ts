import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Consumer, Producer, stringDeserializer } from '@ottla/client';
import { silentLogger } from '@ottla/runtime';
import { startKafka } from './start-kafka.ts';

test('a started Kafka has the topics asked for, and takes and gives records', async () => {
  await using kafka = await startKafka({
    topics: ['one', { name: 'three', partitions: 3, configs: { 'retention.ms': '1000' } }],
  });
  const topics = await kafka.admin().listTopics();
  assert.deepEqual(
    topics.map(({ name, partitions }) => [name, partitions]),
    [
      ['one', 1],
      ['three', 3],
    ],
  );
  const { bootstrapServers } = kafka;
  await using producer = new Producer({ bootstrapServers });
  await producer.send({ topic: 'one', value: 'hello' });
  await using consumer = new Consumer({ bootstrapServers, autoOffsetReset: 'earliest', valueDeserializer: stringDeserializer });
  consumer.assign([{ topic: 'one', partition: 0 }]);
  const [record] = await consumer.poll({ timeoutMs: 60_000 });
  assert.equal(record?.value, 'hello');
});

test('two Kafkas at a time do not know of each other', async () => {
  await using one = await startKafka({ topics: ['here'] });
  await using other = await startKafka();
  assert.notEqual(one.clusterId, other.clusterId);
  assert.deepEqual(await other.admin().listTopics(), []);
});

test('several nodes are one cluster, and stop together', async () => {
  const kafka = await startKafka({ nodes: 3, topics: [{ name: 'safe', partitions: 3 }] });
  assert.equal(kafka.bootstrapServers.split(',').length, 3);
  const [topic] = await kafka.admin().describeTopics(['safe']);
  assert.deepEqual(
    topic?.partitions.map(({ replicas }) => replicas.length),
    [3, 3, 3],
  );
  const { bootstrapServers } = kafka;
  const producer = new Producer({ bootstrapServers, acks: 'all' });
  await producer.send({ topic: 'safe', value: 'on three' });
  await producer.close();
  await kafka.stop();
});

test('settings reach the broker', async () => {
  await using kafka = await startKafka({ settings: { 'num.partitions': '7' } });
  const [topic] = await kafka.admin().createTopics([{ name: 'wide' }]);
  assert.equal(topic?.partitions, 7);
});

test('a wrong setting is refused by name', async () => {
  await assert.rejects(startKafka({ settings: { 'num.partitions': 'many' } }), /num\.partitions/);
});

test('a setting that is unknown or does nothing yet is told, and nothing else is', async () => {
  const told: string[] = [];
  const { write } = process.stderr;
  process.stderr.write = (text: unknown) => told.push(String(text)) > 0;
  try {
    await using kafka = await startKafka({ settings: { 'num.partitons': '7', 'connections.max.reauth.ms': '2' } });
    await kafka.admin().createTopics([{ name: 'tiered', configs: { 'local.retention.ms': '1' } }]);
    await using quiet = await startKafka({ settings: { 'num.partitons': '7' }, logger: silentLogger });
    assert.ok(quiet.bootstrapServers);
  } finally {
    process.stderr.write = write;
  }
  assert.equal(told.length, 3, told.join(''));
  assert.match(told[0]!, /^ottla: .*WARN .*num\.partitons/);
  assert.match(told[1]!, /connections\.max\.reauth\.ms/);
  assert.match(told[2]!, /local\.retention\.ms/);
});

test('a Kafka can be spread into the options of a client', async () => {
  await using kafka = await startKafka();
  assert.deepEqual({ ...kafka }, { bootstrapServers: kafka.bootstrapServers });
});

test('a Kafka in a directory remembers', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottla-testing-'));
  try {
    const first = await startKafka({ files: directory, topics: ['kept'] });
    const producer = new Producer({ bootstrapServers: first.bootstrapServers });
    await producer.send({ topic: 'kept', value: 'still here' });
    await producer.close();
    await first.stop();

    await using second = await startKafka({ files: directory });
    assert.equal(second.clusterId, first.clusterId);
    await using consumer = new Consumer({ ...second, autoOffsetReset: 'earliest', valueDeserializer: stringDeserializer });
    consumer.assign([{ topic: 'kept', partition: 0 }]);
    const [record] = await consumer.poll({ timeoutMs: 60_000 });
    assert.equal(record?.value, 'still here');
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
