import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compressionCodecs } from '@ottla/protocol';
import { startKafka } from '@ottla/testing';
import { Consumer } from '../consumer/consumer.ts';
import { stringDeserializer } from '../consumer/consumer-config.ts';
import { SimulatedKafka } from '../testing/simulated-kafka.ts';
import { Producer } from './producer.ts';
import { ProducerBatch } from './producer-batch.ts';

async function valuesOf(bootstrapServers: string, topic: string, count: number): Promise<(string | null)[]> {
  await using consumer = new Consumer({ bootstrapServers, autoOffsetReset: 'earliest', valueDeserializer: stringDeserializer });
  consumer.assign([{ topic, partition: 0 }]);
  const values: (string | null)[] = [];
  while (values.length < count) for (const { value } of await consumer.poll({ timeoutMs: 5000 })) values.push(value);
  return values;
}

test('records keep the order of the calls, also across the wait for metadata', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using producer = new Producer(kafka);
  const sends = [
    producer.sendAll([
      { topic: 'log', value: 'a' },
      { topic: 'log', value: 'b' },
    ]),
    producer.send({ topic: 'log', value: 'c' }),
  ];
  await Promise.all(sends);
  assert.deepEqual(await valuesOf(kafka.bootstrapServers, 'log', 3), ['a', 'b', 'c']);
});

test('send tells where a record went, and headers, keys, nulls and times arrive', async () => {
  await using kafka = await startKafka({ topics: [{ name: 'log', partitions: 3 }] });
  await using producer = new Producer(kafka);
  const timestamp = Date.now() - 1000;
  const first = await producer.send({ topic: 'log', key: 'k', value: 'v', headers: { a: 'b', none: null }, timestamp });
  const second = await producer.send({ topic: 'log', key: 'k', value: null });
  assert.deepEqual(first, { topic: 'log', partition: first.partition, offset: 0, timestamp });
  assert.deepEqual([second.partition, second.offset], [first.partition, 1]);
  await using consumer = new Consumer({ ...kafka, autoOffsetReset: 'earliest' });
  consumer.assign([first]);
  const [record, tombstone] = await consumer.poll({ timeoutMs: 60_000 });
  assert.equal(Buffer.from(record!.key!).toString(), 'k');
  assert.equal(record!.timestamp, timestamp);
  assert.deepEqual(
    record!.headers.map(({ key, value }) => [key, value && Buffer.from(value).toString()]),
    [
      ['a', 'b'],
      ['none', null],
    ],
  );
  assert.equal(tombstone!.value, null);
});

test('every codec is written and read', async () => {
  await using kafka = await startKafka({ topics: [...compressionCodecs] });
  for (const compressionType of compressionCodecs) {
    await using producer = new Producer({ ...kafka, compressionType });
    const values = Array.from({ length: 1000 }, (_, index) => `value ${index}`);
    await producer.sendAll(values.map((value) => ({ topic: compressionType, value })));
    assert.deepEqual(await valuesOf(kafka.bootstrapServers, compressionType, 1000), values);
  }
});

test('a batch that the broker finds too large is split, and its records arrive in order', async () => {
  await using kafka = await startKafka({ topics: [{ name: 'small', partitions: 1, configs: { 'max.message.bytes': '500' } }] });
  await using producer = new Producer(kafka);
  const values = Array.from({ length: 300 }, (_, index) => `value ${index}`);
  const ranges = await producer.sendAll(values.map((value) => ({ topic: 'small', value })));
  assert.equal(ranges.at(-1)!.lastOffset, 299);
  await assert.rejects(producer.send({ topic: 'small', value: 'x'.repeat(1000) }), { name: 'MESSAGE_TOO_LARGE' });
  // The refused record left a gap in the sequence, which must not stop what follows.
  const after = await producer.send({ topic: 'small', value: 'after' });
  assert.equal(after.offset, 300);
  assert.deepEqual(await valuesOf(kafka.bootstrapServers, 'small', 301), [...values, 'after']);
});

test('more than bufferMemory holds waits for its turn', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using producer = new Producer({ ...kafka, bufferMemory: 200_000 });
  const sends = Array.from({ length: 30 }, (_, index) => producer.send({ topic: 'log', value: String(index).padEnd(50_000) }));
  const offsets = (await Promise.all(sends)).map(({ offset }) => offset);
  assert.deepEqual(offsets, [...offsets.keys()]);
});

test('what cannot be sent is refused at once, by name', async () => {
  await using kafka = await startKafka({ topics: ['log'], settings: { 'auto.create.topics.enable': 'false' } });
  await using producer = new Producer({ ...kafka, maxBlockMs: 300 });
  await assert.rejects(producer.send({ topic: 'log', value: 'x'.repeat(2_000_000) }), { name: 'MESSAGE_TOO_LARGE' });
  await assert.rejects(producer.send({ topic: 'none', value: 'x' }), { name: 'UNKNOWN_TOPIC_OR_PARTITION' });
  await assert.rejects(
    producer.send({ topic: 'log', value: 'x', partition: 1 }),
    /there is no partition log-1: the topic has 1, counted from 0/,
  );
  assert.throws(() => new Producer({ ...kafka, acks: 1, enableIdempotence: true }), { name: 'INVALID_CONFIG' });
});

test('close delivers what was sent, and refuses what comes after', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  const producer = new Producer({ ...kafka, lingerMs: 10_000 });
  const sent = producer.send({ topic: 'log', value: 'last' });
  await producer.close();
  assert.equal((await sent).offset, 0);
  await assert.rejects(producer.send({ topic: 'log', value: 'late' }), { name: 'ClientClosedError' });
});

test('acks 0 and 1 work without idempotence', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using careless = new Producer({ ...kafka, acks: 0 });
  assert.equal((await careless.send({ topic: 'log', value: 'maybe' })).offset, -1);
  await using quick = new Producer({ ...kafka, acks: 1 });
  assert.ok((await quick.send({ topic: 'log', value: 'leader' })).offset >= 0);
});

for (let seed = 1; seed <= 10; seed++) {
  test(`connections that break write no record twice and lose none: seed ${seed}`, async () => {
    const simulation = await SimulatedKafka.start(seed, { topics: ['log'] });
    const { world } = simulation;
    const producer = simulation.producer({ batchSize: 200 });
    const values: string[] = [];
    const sends: Promise<unknown>[] = [];
    for (let round = 0; round < 80; round++) {
      for (let each = 0; each < world.random.below(20); each++) {
        const value = `value ${values.length}`;
        values.push(value);
        sends.push(producer.send({ topic: 'log', value }));
      }
      await world.advance(world.random.below(60));
      if (world.random.below(4) === 0) simulation.cutConnections();
    }
    await simulation.run(Promise.all(sends));
    const consumer = simulation.consumer();
    consumer.assign([{ topic: 'log', partition: 0 }]);
    const seen: string[] = [];
    while (seen.length < values.length) {
      const records = await simulation.run(consumer.poll({ timeoutMs: 5000 }));
      for (const { value } of records) seen.push(Buffer.from(value!).toString());
      if (records.length === 0) break;
    }
    assert.deepEqual(seen, values);
    await simulation.run(Promise.all([consumer.close(), producer.close(), simulation.kafka.stop()]));
  });
}

test('closing without a broker gives up in time, and everybody who sent hears of it', async () => {
  const producer = new Producer({ bootstrapServers: '127.0.0.1:1' });
  const sends = [1, 2, 3].map((value) => producer.send({ topic: 'log', value: String(value) }));
  const ends = Promise.allSettled(sends);
  await producer.close({ timeoutMs: 100 });
  for (const end of await ends) assert.equal(end.status === 'rejected' && end.reason.name, 'ClientClosedError');
});

test('closing in time also ends sends that wait for memory', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const producer = simulation.producer({ bufferMemory: 10_000 });
  await simulation.run(producer.send({ topic: 'log', value: 'first' }));
  simulation.world.wires.cut('client', 'broker');
  const sends = Array.from({ length: 10 }, () => producer.send({ topic: 'log', value: 'x'.repeat(5000) }));
  const ends = Promise.allSettled(sends);
  await simulation.run(producer.close({ timeoutMs: 100 }));
  for (const end of await simulation.run(ends)) assert.equal(end.status === 'rejected' && end.reason.name, 'ClientClosedError');
});

test('what is not delivered within deliveryTimeoutMs fails, and what comes later arrives', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const producer = simulation.producer({ deliveryTimeoutMs: 3000, requestTimeoutMs: 1000, socketConnectionSetupTimeoutMs: 500 });
  await simulation.run(producer.send({ topic: 'log', value: 'first' }));
  simulation.world.wires.cut('client', 'broker');
  const lost = producer.send({ topic: 'log', value: 'lost' });
  await assert.rejects(simulation.run(lost), { name: /REQUEST_TIMED_OUT|NETWORK_EXCEPTION/ });
  const waiting = producer.send({ topic: 'log', value: 'waiting' });
  await assert.rejects(
    simulation.run(waiting),
    /^REQUEST_TIMED_OUT: 1 record for log-0 not delivered .*; the last problem: .*broker/,
  );
  simulation.world.wires.heal();
  const later = await simulation.run(producer.send({ topic: 'log', value: 'later' }));
  assert.ok(later.offset >= 1);
  await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
});

test('what is no record is refused by the call that sends it, and leaves no trace', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using producer = new Producer(kafka);
  const wrong: [object, RegExp][] = [
    [{ topic: 'log', value: 'x', timestamp: -5 }, /^a record's timestamp must be whole milliseconds since 1970, not -5$/],
    [{ topic: 'log', value: 'x', timestamp: new Date() }, /timestamp must be .*, not a Date$/],
    [{ topic: 'log', value: { total: 12 } }, /^a record's value must be text, bytes \(a Uint8Array\) or null, not a Object$/],
    [{ topic: 'log' }, /value must be .* or null, not undefined$/],
    [{ topic: 'log', value: 'x', key: 7 }, /key must be .*, not 7$/],
    [{ topic: 'log', value: 'x', headers: { a: 1 } }, /header a must be .*, not 1$/],
    [{ topic: 'log', value: 'x', partition: -1 }, /partition must be a whole number, 0 or more, not -1$/],
    [{ topic: '', value: 'x' }, /topic must be the name of a topic/],
  ];
  await producer.send({ topic: 'log', value: 'first' });
  for (const [record, message] of wrong)
    await assert.rejects(producer.send(record as never), { name: 'INVALID_REQUEST', message }, String(message));
  assert.equal((await producer.send({ topic: 'log', value: 'second' })).offset, 1);
});

test('a batch that cannot be built fails alone', async (t) => {
  await using kafka = await startKafka({ topics: ['good', 'bad'] });
  await using producer = new Producer(kafka);
  await Promise.all(['good', 'bad'].map((topic) => producer.send({ topic, value: 'before' })));
  const { get: build } = Object.getOwnPropertyDescriptor(ProducerBatch.prototype, 'bytes')!;
  const getter = t.mock.getter(ProducerBatch.prototype, 'bytes', function (this: ProducerBatch) {
    if (this.topic === 'bad') throw new RangeError('it does not fit');
    return build!.call(this);
  });
  const [good, bad] = await Promise.allSettled(['good', 'bad'].map((topic) => producer.send({ topic, value: 'x' })));
  assert.equal(good!.status, 'fulfilled');
  assert.equal(bad!.status === 'rejected' && bad!.reason.message, 'it does not fit');
  getter.mock.restore();
  assert.equal((await producer.send({ topic: 'bad', value: 'after' })).offset, 1);
});

test('a record that a broker closes the connection upon fails with the reason', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'], settings: { 'socket.request.max.bytes': '10000' } });
  const producer = simulation.producer({ deliveryTimeoutMs: 7000, requestTimeoutMs: 5000 });
  await assert.rejects(simulation.run(producer.send({ topic: 'log', value: 'x'.repeat(20_000) })), {
    // The first when the time is over between two attempts.
    name: /^(REQUEST_TIMED_OUT|NETWORK_EXCEPTION)$/,
    message: /^1 record for log-0 not delivered within deliveryTimeoutMs = 7000; the last problem: .*closed/,
  });
  await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
});

test('flush does not wait for what is sent after it', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const producer = simulation.producer({ bufferMemory: 10_000 });
  let isOver = false;
  const sendOn = async (): Promise<void> => {
    while (!isOver) await producer.send({ topic: 'log', value: 'x'.repeat(5000) });
  };
  const sending = Array.from({ length: 8 }, sendOn);
  await simulation.world.advance(1000);
  let isFlushed = false;
  const flushing = producer.flush().then(() => {
    isFlushed = true;
  });
  await simulation.world.advance(5000);
  assert.ok(isFlushed);
  isOver = true;
  await simulation.run(Promise.all([flushing, ...sending]));
  await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
});

test('whoever sends without a broker hears of it within maxBlockMs, however many there are', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const { world } = simulation;
  const known = simulation.producer({ maxBlockMs: 2000 });
  await simulation.run(known.send({ topic: 'log', value: 'first' }));
  world.wires.cut('client', 'broker');
  for (const producer of [known, simulation.producer({ maxBlockMs: 2000 })]) {
    const beganMs = world.time.nowMs;
    const sends = Array.from({ length: 50 }, () => producer.send({ topic: 'unknown', value: 'x' }));
    for (const end of await simulation.run(Promise.allSettled(sends)))
      assert.match(end.status === 'rejected' ? end.reason.name : end.status, /^(REQUEST_TIMED_OUT|NETWORK_EXCEPTION)$/);
    assert.ok(world.time.nowMs - beganMs <= 2100, `${world.time.nowMs - beganMs} ms`);
  }
  await simulation.run(Promise.all([known.close({ timeoutMs: 0 }), simulation.kafka.stop()]));
});

test('a record for a partition that is yet to come waits for it, whatever breaks meanwhile', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: [{ name: 'log', partitions: 1 }] });
  const producer = simulation.producer();
  await simulation.run(producer.send({ topic: 'log', value: 'first' }));
  const sent = producer.send({ topic: 'log', partition: 1, value: 'second' });
  await simulation.world.advance(100);
  await simulation.restart(5000);
  const admin = simulation.kafka.admin();
  await simulation.run(admin.createPartitions({ log: 2 }));
  assert.deepEqual((await simulation.run(sent)).partition, 1);
  await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
});

test('what was given to send may be used again at once', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using producer = new Producer(kafka);
  const value = Buffer.from('value');
  const sent = producer.send({ topic: 'log', key: value, value, headers: { header: value } });
  value.fill('x');
  await sent;
  await using consumer = new Consumer({ ...kafka, autoOffsetReset: 'earliest' });
  consumer.assign([{ topic: 'log', partition: 0 }]);
  const [record] = await consumer.poll({ timeoutMs: 60_000 });
  const texts = [record!.key, record!.value, record!.headers[0]!.value].map((bytes) => Buffer.from(bytes!).toString());
  assert.deepEqual(texts, ['value', 'value', 'value']);
});

test('acks 0 does not run ahead of a connection that takes nothing, and goes on with the next one', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const { world } = simulation;
  const producer = simulation.producer({ acks: 0, bufferMemory: 400_000, requestTimeoutMs: 5000 });
  await simulation.run(producer.send({ topic: 'log', value: 'first' }));
  world.wires.cut('client', 'broker');
  let sentCount = 0;
  const value = 'x'.repeat(50_000);
  const sends = Array.from({ length: 100 }, () => producer.send({ topic: 'log', value }).then(() => sentCount++));
  await world.advance(4000);
  assert.ok(sentCount < 20, `${sentCount} of 100 count as sent`);
  await world.advance(4000);
  world.wires.heal();
  await simulation.run(Promise.all(sends));
  await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
});

test('a topic that is not written to any more stays deleted, and is made again when it is', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const { world, kafka } = simulation;
  const producer = simulation.producer({ metadataMaxAgeMs: 1000, metadataMaxIdleMs: 5000 });
  await simulation.run(producer.send({ topic: 'gone', value: 'first' }));
  const writeFor = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second++) {
      await simulation.run(producer.send({ topic: 'log', value: 'again' }));
      await world.advance(1000);
    }
  };
  await writeFor(7);
  const admin = kafka.admin();
  await simulation.run(admin.deleteTopics(['gone']));
  await writeFor(7);
  const names = async () => (await simulation.run(admin.listTopics())).map(({ name }) => name);
  assert.deepEqual(await names(), ['log']);
  await simulation.run(producer.send({ topic: 'gone', value: 'second' }));
  assert.deepEqual(await names(), ['gone', 'log']);
  await simulation.run(Promise.all([producer.close(), kafka.stop()]));
});

test('a topic that is made long after a record was sent to it is found', async () => {
  const settings = { 'auto.create.topics.enable': 'false' };
  const simulation = await SimulatedKafka.start(1, { topics: ['log'], settings });
  const producer = simulation.producer({ metadataMaxIdleMs: 5000 });
  const sent = producer.send({ topic: 'later', value: 'first' });
  await simulation.world.advance(20_000);
  await simulation.run(simulation.kafka.admin().createTopics([{ name: 'later' }]));
  assert.equal((await simulation.run(sent)).offset, 0);
  await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
});
