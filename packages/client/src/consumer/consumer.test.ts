import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startKafka } from '@ottla/testing';
import { Producer } from '../producer/producer.ts';
import { consumerOf, fill, log } from '../testing/consuming.ts';
import { SimulatedKafka } from '../testing/simulated-kafka.ts';
import { Consumer, type ConsumerRecord } from './consumer.ts';
import { jsonDeserializer } from './consumer-config.ts';

async function pollAll<K, V>(consumer: Consumer<K, V>, count: number): Promise<ConsumerRecord<K, V>[]> {
  const records: ConsumerRecord<K, V>[] = [];
  for (let empty = 0; records.length < count && empty < 3; ) {
    const some = await consumer.poll({ timeoutMs: 60_000 });
    if (some.length === 0) empty++;
    records.push(...some);
  }
  return records;
}

test('poll gives all records in order, maxPollRecords at a time', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await fill(kafka, 1000);
  await using consumer = consumerOf(kafka, { maxPollRecords: 300 });
  consumer.assign([log]);
  assert.equal((await consumer.poll({ timeoutMs: 60_000 })).length, 300);
  assert.equal(consumer.position(log), 300);
  const records = await pollAll(consumer, 700);
  assert.deepEqual(
    records.map(({ offset }) => offset),
    Array.from({ length: 700 }, (_, index) => index + 300),
  );
  assert.equal(records.at(-1)?.value, 'value 999');
});

test('iterating ends with the consumer, and its position is never ahead of the loop', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await fill(kafka, 20);
  const consumer = consumerOf(kafka);
  consumer.assign([log]);
  let count = 0;
  for await (const record of consumer) {
    assert.equal(consumer.position(log), record.offset + 1);
    // Not awaited: it waits for nobody who waits for the loop.
    if (++count === 15) void consumer.close();
  }
  assert.equal(count, 15);
});

test('seek moves, also while records are held', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await fill(kafka, 10);
  await using consumer = consumerOf(kafka, { maxPollRecords: 2 });
  consumer.assign([log]);
  await consumer.poll({ timeoutMs: 60_000 });
  consumer.seek(log, 7);
  assert.equal((await consumer.poll({ timeoutMs: 60_000 }))[0]?.offset, 7);
  consumer.seekToBeginning();
  assert.equal((await consumer.poll({ timeoutMs: 60_000 }))[0]?.offset, 0);
  consumer.seekToEnd([log]);
  assert.deepEqual(await consumer.poll({ timeoutMs: 300 }), []);
  assert.equal(consumer.position(log), 10);
  assert.throws(() => consumer.seek({ topic: 'log', partition: 9 }, 0), /not assigned/);
});

test('a paused partition gives nothing, until it is resumed', async () => {
  await using kafka = await startKafka({ topics: [{ name: 'log', partitions: 2 }] });
  await fill(kafka, 3, 'log', 0);
  await fill(kafka, 3, 'log', 1);
  await using consumer = consumerOf(kafka);
  consumer.assign([log, { topic: 'log', partition: 1 }]);
  consumer.pause([log]);
  assert.deepEqual(new Set((await pollAll(consumer, 3)).map(({ partition }) => partition)), new Set([1]));
  consumer.resume([log]);
  assert.deepEqual(new Set((await pollAll(consumer, 3)).map(({ partition }) => partition)), new Set([0]));
});

test('an offset outside the log starts over by autoOffsetReset, or is an error', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await fill(kafka, 5);
  await using resetting = consumerOf(kafka);
  resetting.assign([log]);
  resetting.seek(log, 1000);
  assert.equal((await resetting.poll({ timeoutMs: 60_000 }))[0]?.offset, 0);
  await using strict = consumerOf(kafka, { autoOffsetReset: 'none' });
  strict.assign([log]);
  strict.seek(log, 1000);
  await assert.rejects(strict.poll({ timeoutMs: 60_000 }), { name: 'OFFSET_OUT_OF_RANGE' });
});

test('by_duration begins where the time begins', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using producer = new Producer(kafka);
  await producer.send({ topic: 'log', value: 'old', timestamp: Date.now() - 3 * 3600_000 });
  await producer.send({ topic: 'log', value: 'new' });
  await using consumer = consumerOf(kafka, { autoOffsetReset: 'by_duration:PT1H' });
  consumer.assign([log]);
  assert.equal((await consumer.poll({ timeoutMs: 60_000 }))[0]?.value, 'new');
});

test('what a deserializer refuses is told, and can be sought past', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using producer = new Producer(kafka);
  await producer.sendAll(['{"a":1}', 'not json', '{"a":3}'].map((value) => ({ topic: 'log', value })));
  await using consumer = new Consumer({
    ...kafka,
    autoOffsetReset: 'earliest',
    valueDeserializer: jsonDeserializer,
    maxPollRecords: 1,
  });
  consumer.assign([log]);
  assert.deepEqual((await consumer.poll({ timeoutMs: 60_000 }))[0]?.value, { a: 1 });
  await assert.rejects(consumer.poll({ timeoutMs: 60_000 }), SyntaxError);
  await assert.rejects(consumer.poll({ timeoutMs: 60_000 }), SyntaxError);
  consumer.seek(log, 2);
  assert.deepEqual((await consumer.poll({ timeoutMs: 60_000 }))[0]?.value, { a: 3 });
});

test('what comes before a record that cannot be read is given first', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using producer = new Producer(kafka);
  await producer.sendAll(['{"a":1}', '{"a":2}', 'not json', '{"a":4}'].map((value) => ({ topic: 'log', value })));
  await using consumer = new Consumer({ ...kafka, autoOffsetReset: 'earliest', valueDeserializer: jsonDeserializer });
  consumer.assign([log]);
  const records = await consumer.poll({ timeoutMs: 60_000 });
  assert.deepEqual(
    records.map(({ value }) => value),
    [{ a: 1 }, { a: 2 }],
  );
  await assert.rejects(consumer.poll({ timeoutMs: 60_000 }), SyntaxError);
  assert.equal(consumer.position(log), 2);
});

test('a group goes on where it committed', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await fill(kafka, 10);
  const first = consumerOf(kafka, { groupId: 'g', maxPollRecords: 4 });
  first.subscribe(['log']);
  assert.equal((await first.poll({ timeoutMs: 60_000 })).length, 4);
  // Auto-commit: closing commits what was given out.
  await first.close();
  await using second = consumerOf(kafka, { groupId: 'g', enableAutoCommit: false });
  second.subscribe(['log']);
  assert.equal((await second.poll({ timeoutMs: 60_000 }))[0]?.offset, 4);
  await second.commit([{ ...log, offset: 6, metadata: 'note' }]);
  const [committed] = await second.committed();
  assert.deepEqual([committed?.offset, committed?.metadata], [6, 'note']);
});

test('a group and a producer outlive a restart of the broker', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const producer = simulation.producer();
  const consumer = simulation.consumer({ groupId: 'g' });
  consumer.subscribe(['log']);
  const seen: number[] = [];
  const sends: Promise<unknown>[] = [];
  for (let round = 0; round < 4; round++) {
    for (let each = 0; each < 25; each++) sends.push(producer.send({ topic: 'log', value: String(each) }));
    if (round === 1) await simulation.restart(20_000);
    for (const { offset } of await simulation.run(consumer.poll({ timeoutMs: 5000 }))) seen.push(offset);
  }
  await simulation.run(Promise.all(sends));
  while (seen.length < 100) {
    const records = await simulation.run(consumer.poll({ timeoutMs: 20_000 }));
    if (records.length === 0) break;
    for (const { offset } of records) seen.push(offset);
  }
  assert.deepEqual(seen, [...Array(100).keys()]);
  await simulation.run(Promise.all([consumer.close(), producer.close(), simulation.kafka.stop()]));
});

test('a call that cannot be meant is refused, not waited for', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  const consumer = consumerOf(kafka, { groupId: 'g' });
  await assert.rejects(consumer.poll(), /reads nothing yet: subscribe to topics, or assign partitions/);
  await assert.rejects(consumer[Symbol.asyncIterator]().next(), /reads nothing yet/);
  consumer.assign([log]);
  for (const offset of [-1, 1.5, Number.NaN]) {
    assert.throws(() => consumer.seek(log, offset), { name: 'INVALID_REQUEST', message: /whole number, 0 or more/ });
    await assert.rejects(consumer.commit([{ ...log, offset }]), { name: 'INVALID_REQUEST' });
    await assert.rejects(kafka.admin().alterConsumerGroupOffsets('g', [{ ...log, offset }]), { name: 'INVALID_REQUEST' });
  }
  const polled = consumer.poll({ timeoutMs: 10_000 });
  await consumer.close();
  assert.deepEqual(await polled, []);
  await assert.rejects(consumer.poll(), { name: 'ClientClosedError' });
});
