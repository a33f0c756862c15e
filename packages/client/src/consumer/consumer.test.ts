import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorName, errors, Heartbeat, JoinGroup, OffsetCommit, SyncGroup } from '@ottla/protocol';
import { type Kafka, startKafka } from '@ottla/testing';
import { roundRobinAssignor } from '../assignors/round-robin-assignor.ts';
import { Producer } from '../producer/producer.ts';
import { interceptRequests } from '../testing/intercept-requests.ts';
import { SimulatedKafka } from '../testing/simulated-kafka.ts';
import type { TopicPartition } from '../topic-partition.ts';
import { Consumer, type ConsumerRecord } from './consumer.ts';
import { type ConsumerConfig, jsonDeserializer, stringDeserializer } from './consumer-config.ts';

const log: TopicPartition = { topic: 'log', partition: 0 };

function consumerOf(kafka: Kafka, config: Partial<ConsumerConfig<string, string>> = {}): Consumer<string, string> {
  return new Consumer({
    ...kafka,
    autoOffsetReset: 'earliest',
    keyDeserializer: stringDeserializer,
    valueDeserializer: stringDeserializer,
    ...config,
  });
}

async function fill(kafka: Kafka, count: number, topic = 'log', partition?: number): Promise<void> {
  await using producer = new Producer(kafka);
  await producer.sendAll(Array.from({ length: count }, (_, index) => ({ topic, value: `value ${index}`, partition })));
}

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

test('members share the partitions, and take over from who leaves', async () => {
  await using kafka = await startKafka({ topics: [{ name: 'log', partitions: 4 }] });
  const assigned = new Map<string, number>();
  const member = (name: string): Consumer<string, string> => {
    const consumer = consumerOf(kafka, { groupId: 'g', heartbeatIntervalMs: 50, partitionAssignors: [roundRobinAssignor] });
    consumer.subscribe(['log'], { onAssigned: (partitions) => void assigned.set(name, partitions.length) });
    return consumer;
  };
  const seen: string[] = [];
  const run = async (consumer: Consumer<string, string>): Promise<void> => {
    for await (const { value } of consumer) seen.push(value!);
  };
  const one = member('one');
  const other = member('other');
  const loops = [run(one), run(other)];
  await until(() => assigned.get('one') === 2 && assigned.get('other') === 2);
  await fill(kafka, 100, 'log');
  await until(() => seen.length === 100);
  await other.close();
  await until(() => assigned.get('one') === 4);
  await fill(kafka, 10, 'log', 3);
  await until(() => seen.length === 110);
  assert.equal(new Set(seen).size, 100);
  await one.close();
  await Promise.all(loops);
  const [group] = await kafka.admin().describeConsumerGroups(['g']);
  assert.equal(group?.state, 'Empty');
});

test('a group takes up partitions that are added to its topic', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using consumer = consumerOf(kafka, { groupId: 'g', metadataMaxAgeMs: 100 });
  let assigned = 0;
  consumer.subscribe(['log'], { onAssigned: (partitions) => void (assigned = partitions.length) });
  await until(async () => {
    await consumer.poll({ timeoutMs: 50 });
    return assigned === 1;
  });
  await kafka.admin().createPartitions({ log: 3 });
  await until(async () => {
    await consumer.poll({ timeoutMs: 50 });
    return assigned === 3;
  });
});

test('a group takes up a topic that is created after its members subscribed', async () => {
  await using kafka = await startKafka({ settings: { 'auto.create.topics.enable': 'false' } });
  await using consumer = consumerOf(kafka, { groupId: 'g' });
  consumer.subscribe(['later']);
  assert.deepEqual(await consumer.poll({ timeoutMs: 300 }), []);
  await kafka.admin().createTopics([{ name: 'later' }]);
  await until(async () => {
    await consumer.poll({ timeoutMs: 100 });
    return consumer.assignment.length === 1;
  });
});

test('a static member stays when it closes, and comes back as the same', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  for (let life = 0; life < 2; life++) {
    const consumer = consumerOf(kafka, { groupId: 'g', groupInstanceId: 'one' });
    consumer.subscribe(['log']);
    await until(async () => {
      await consumer.poll({ timeoutMs: 50 });
      return consumer.assignment.length === 1;
    });
    await consumer.close();
    const [group] = await kafka.admin().describeConsumerGroups(['g']);
    assert.deepEqual([group?.state, group?.members.map(({ groupInstanceId }) => groupInstanceId)], ['Stable', ['one']]);
  }
});

test('close works at any moment', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  for (const afterMs of [0, 1, 5, 20, 60]) {
    const consumer = consumerOf(kafka, { groupId: 'g' });
    consumer.subscribe(['log']);
    const polling = consumer.poll({ timeoutMs: 10_000 });
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await consumer.close();
    assert.deepEqual(await polling, []);
    await assert.rejects(consumer.poll(), { name: 'ClientClosedError' });
  }
  const lonely = new Consumer({ bootstrapServers: '127.0.0.1:1', groupId: 'g' });
  lonely.subscribe(['log']);
  const polling = lonely.poll({ timeoutMs: 10_000 });
  await lonely.close();
  assert.deepEqual(await polling, []);
});

for (let seed = 1; seed <= 5; seed++) {
  test(`a group reads on through broken connections: seed ${seed}`, async () => {
    const simulation = await SimulatedKafka.start(seed, { topics: ['log'] });
    const { world } = simulation;
    const producer = simulation.producer();
    const consumer = simulation.consumer({ groupId: 'g', maxPollRecords: 7 });
    consumer.subscribe(['log']);
    const seen: number[] = [];
    for (let round = 0; round < 30; round++) {
      await simulation.run(producer.sendAll(Array.from({ length: 10 }, () => ({ topic: 'log', value: 'x' }))));
      if (world.random.below(3) === 0) simulation.cutConnections();
      for (const { offset } of await simulation.run(consumer.poll({ timeoutMs: 200 }))) seen.push(offset);
    }
    while (seen.length < 300) {
      const records = await simulation.run(consumer.poll({ timeoutMs: 10_000 }));
      if (records.length === 0) break;
      for (const { offset } of records) seen.push(offset);
    }
    assert.deepEqual(seen, [...Array(300).keys()]);
    await simulation.run(Promise.all([consumer.close(), producer.close(), simulation.kafka.stop()]));
  });
}

test('who closes while it joins is assigned nothing any more', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const { world } = simulation;
  const assigned: string[] = [];
  for (let waitMs = 0; waitMs < 400; waitMs += 10) {
    const consumer = simulation.consumer({ groupId: `g${waitMs}` });
    let state = 'open';
    consumer.subscribe(['log'], {
      onAssigned: () => void assigned.push(`in generation ${consumer.groupMetadata.generationId} while ${state}`),
    });
    const polled = consumer.poll({ timeoutMs: 60_000 });
    await world.advance(waitMs);
    state = 'closing';
    await simulation.run(Promise.all([consumer.close(), polled]));
  }
  assert.deepEqual([...new Set(assigned)], ['in generation 1 while open']);
  await simulation.run(simulation.kafka.stop());
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

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadlineMs = Date.now() + 60_000; Date.now() < deadlineMs; ) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail('it did not come to be within a minute');
}

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

/** Polls on and on, as an application does, until the condition holds. */
async function pollUntil(consumer: Consumer, condition: () => boolean): Promise<void> {
  for (let round = 0; round < 1000 && !condition(); round++) await consumer.poll({ timeoutMs: 500 });
  assert.ok(condition(), 'it did not come to be');
}

test('who lost its group commits nothing any more, in a transaction or without', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const producer = simulation.producer({ transactionalId: 'late' });
  await simulation.run(producer.initTransactions());
  await simulation.run(producer.transaction(() => void producer.send({ topic: 'log', value: 'once' })));
  const config = { groupId: 'g', enableAutoCommit: false, maxPollIntervalMs: 10_000 };
  const late = simulation.consumer(config);
  late.subscribe(['log']);
  assert.equal((await simulation.run(late.poll({ timeoutMs: 10_000 }))).length, 1);
  const next = { ...log, offset: 1 };

  // It works on its record for so long that it leaves its group, which gives the partition to another.
  const other = simulation.consumer(config);
  other.subscribe(['log']);
  await simulation.run(pollUntil(other, () => other.assignment.length > 0));
  await simulation.world.advance(5000);
  const sent = producer.transaction(() => producer.sendOffsetsToTransaction([next], late.groupMetadata));
  await assert.rejects(simulation.run(sent), { name: 'UNKNOWN_MEMBER_ID' });
  assert.deepEqual(await simulation.run(other.committed([log])), []);

  // An empty group would take what comes from nobody.
  await simulation.run(other.close());
  await assert.rejects(simulation.run(late.commit([next])), { name: 'UNKNOWN_MEMBER_ID' });
  const again = producer.transaction(() => producer.sendOffsetsToTransaction([next], late.groupMetadata));
  await assert.rejects(simulation.run(again), { name: 'UNKNOWN_MEMBER_ID' });
  assert.deepEqual(await simulation.run(late.committed([log])), []);
  await simulation.run(Promise.all([late.close(), producer.close(), simulation.kafka.stop()]));
});

test('who subscribes commits nothing before it has joined, who was assigned its partitions needs no group', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const member = simulation.consumer({ groupId: 'g' });
  member.subscribe(['log']);
  const { generationId, memberId } = member.groupMetadata;
  assert.deepEqual([generationId, memberId], [-1, '']);
  await assert.rejects(simulation.run(member.commit([{ ...log, offset: 1 }])), { name: 'UNKNOWN_MEMBER_ID', message: /poll/ });
  const simple = simulation.consumer({ groupId: 'g', groupInstanceId: 'one' });
  simple.assign([log]);
  await simulation.run(simple.commit([{ ...log, offset: 2 }]));
  assert.deepEqual(
    (await simulation.run(simple.committed())).map(({ offset }) => offset),
    [2],
  );
  await simulation.run(Promise.all([member.close(), simple.close(), simulation.kafka.stop()]));
});

for (const [event, isLost] of [
  ['onRevoked', false],
  ['onLost', true],
] as const) {
  test(`a listener whose ${event} fails keeps no partition that is another's`, async () => {
    const simulation = await SimulatedKafka.start(1, { topics: [{ name: 'log', partitions: 2 }] });
    const config = { groupId: 'g', maxPollIntervalMs: 10_000 };
    const one = simulation.consumer(config);
    let failures = 0;
    one.subscribe(['log'], {
      [event]: () => {
        if (failures++ === 0) throw new Error('no room for this');
      },
    });
    await simulation.run(pollUntil(one, () => one.assignment.length === 2));
    const other = simulation.consumer(config);
    other.subscribe(['log']);
    if (isLost) await simulation.run(pollUntil(other, () => other.assignment.length === 2));
    const shares = pollUntil(other, () => other.assignment.length === 1);
    await assert.rejects(simulation.run(pollUntil(one, () => false)), /no room for this/);
    await simulation.run(pollUntil(one, () => one.assignment.length > 0));
    await simulation.run(shares);
    assert.equal(failures, 1);
    const all = [...one.assignment, ...other.assignment].map(({ partition }) => partition);
    assert.deepEqual(all.sort(), [0, 1]);
    await simulation.run(Promise.all([one.close(), other.close(), simulation.kafka.stop()]));
  });
}

test('a listener that fails does not keep its consumer from leaving the group', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const one = simulation.consumer({ groupId: 'g' });
  one.subscribe(['log'], {
    onRevoked: () => {
      throw new Error('no room for this');
    },
  });
  await simulation.run(pollUntil(one, () => one.assignment.length === 1));
  await simulation.run(one.close());
  const other = simulation.consumer({ groupId: 'g' });
  other.subscribe(['log']);
  const beganMs = simulation.world.time.nowMs;
  await simulation.run(pollUntil(other, () => other.assignment.length === 1));
  assert.ok(simulation.world.time.nowMs - beganMs < 10_000, 'it waited for the session of the one that had closed');
  await simulation.run(Promise.all([other.close(), simulation.kafka.stop()]));
});

test('who closes after its partitions were lost is told that they were', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const told: string[] = [];
  const one = simulation.consumer({ groupId: 'g', maxPollIntervalMs: 10_000 });
  one.subscribe(['log'], { onRevoked: () => void told.push('revoked'), onLost: () => void told.push('lost') });
  await simulation.run(pollUntil(one, () => one.assignment.length === 1));
  await simulation.world.advance(20_000);
  await simulation.run(one.close());
  assert.deepEqual(told, ['lost']);
  await simulation.run(simulation.kafka.stop());
});

test('who leaves for not polling knows it, also when its coordinator cannot be told', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const told: string[] = [];
  const one = simulation.consumer({ groupId: 'g', maxPollIntervalMs: 10_000 });
  one.subscribe(['log'], { onRevoked: () => void told.push('revoked'), onLost: () => void told.push('lost') });
  await simulation.run(pollUntil(one, () => one.assignment.length === 1));
  await simulation.world.advance(8_000);
  await simulation.restart(10_000);
  const generation = one.groupMetadata.generationId;
  await simulation.run(pollUntil(one, () => one.groupMetadata.generationId !== generation));
  assert.deepEqual(told, ['lost']);
  await simulation.run(pollUntil(one, () => one.assignment.length === 1));
  await simulation.run(Promise.all([one.close(), simulation.kafka.stop()]));
});

/** OffsetCommit's answer for the one partition. */
function refuseCommit(name: ErrorName): unknown {
  return { topics: [{ name: 'log', partitions: [{ partitionIndex: 0, errorCode: errors[name].code }] }] };
}

test('a commit that is tried again does not undo a later one', async (context) => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const retryBackoffMs = 3_000;
  const consumer = simulation.consumer({ groupId: 'g', retryBackoffMs, retryBackoffMaxMs: retryBackoffMs });
  consumer.assign([log]);
  let refusals = 0;
  interceptRequests(context, (api) => (api === OffsetCommit && refusals++ === 0 ? refuseCommit('NOT_COORDINATOR') : undefined));
  const first = consumer.commit([{ ...log, offset: 10 }]);
  await simulation.world.advance(100);
  const second = consumer.commit([{ ...log, offset: 20 }]);
  const third = consumer.commit([{ ...log, offset: 30 }]);
  await simulation.run(Promise.all([first, second, third]));
  const [committed] = await simulation.run(consumer.committed());
  assert.equal(committed?.offset, 30);
  await simulation.run(Promise.all([consumer.close(), simulation.kafka.stop()]));
});

test('a commit waits no longer than its time for an earlier one', async (context) => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const { time } = simulation.world;
  const consumer = simulation.consumer({ groupId: 'g', defaultApiTimeoutMs: 30_000 });
  consumer.assign([log]);
  interceptRequests(context, (api) => (api === OffsetCommit ? refuseCommit('NOT_COORDINATOR') : undefined));
  const beganMs = time.nowMs;
  const first = assert.rejects(consumer.commit([{ ...log, offset: 10 }]), { name: 'NOT_COORDINATOR' });
  await simulation.world.advance(100);
  const second = assert.rejects(consumer.commit([{ ...log, offset: 20 }]), { name: 'NOT_COORDINATOR' });
  await simulation.run(Promise.all([first, second]));
  assert.ok(time.nowMs - beganMs < 40_000);
  const closing = consumer.commit([{ ...log, offset: 30 }]);
  await Promise.all([assert.rejects(closing, { name: 'ClientClosedError' }), simulation.run(consumer.close())]);
  assert.ok(time.nowMs - beganMs < 50_000);
  await simulation.run(simulation.kafka.stop());
});

test('a refused commit of an old generation costs nobody the new one', async (context) => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const retryBackoffMs = 10_000;
  const config = { groupId: 'g', enableAutoCommit: false, retryBackoffMs, retryBackoffMaxMs: retryBackoffMs };
  const one = simulation.consumer(config);
  const told: string[] = [];
  one.subscribe(['log'], {
    onAssigned: () => void told.push(`assigned ${one.groupMetadata.generationId}`),
    onRevoked: () => void told.push('revoked'),
    onLost: () => void told.push('lost'),
  });
  await simulation.run(pollUntil(one, () => told.length === 1));
  let refusals = 0;
  interceptRequests(context, (api) => (api === OffsetCommit && refusals++ === 0 ? refuseCommit('NOT_COORDINATOR') : undefined));
  const committed = assert.rejects(one.commit([{ ...log, offset: 0 }]), { name: 'ILLEGAL_GENERATION' });
  const other = simulation.consumer(config);
  other.subscribe(['log']);
  const joined = pollUntil(other, () => other.groupMetadata.generationId === 2);
  await simulation.run(Promise.all([joined, pollUntil(one, () => told.length === 3)]));
  const { memberId } = one.groupMetadata;
  await simulation.run(committed);
  for (let round = 0; round < 20; round++)
    await simulation.run(Promise.all([one, other].map((each) => each.poll({ timeoutMs: 500 }))));
  assert.deepEqual(told, ['assigned 1', 'revoked', 'assigned 2']);
  assert.equal(one.groupMetadata.memberId, memberId);
  await simulation.run(Promise.all([one.close(), other.close(), simulation.kafka.stop()]));
});

test('who missed a generation joins again as the member that it was', async (context) => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const one = simulation.consumer({ groupId: 'g' });
  one.subscribe(['log']);
  await simulation.run(pollUntil(one, () => one.assignment.length === 1));
  const before = one.groupMetadata;
  let beats = 0;
  interceptRequests(context, (api) =>
    api === Heartbeat && beats++ === 0 ? { errorCode: errors.ILLEGAL_GENERATION.code } : undefined,
  );
  const beganMs = simulation.world.time.nowMs;
  await simulation.run(pollUntil(one, () => one.groupMetadata.generationId !== before.generationId));
  assert.equal(one.groupMetadata.memberId, before.memberId);
  assert.ok(simulation.world.time.nowMs - beganMs < 10_000);
  await simulation.run(Promise.all([one.close(), simulation.kafka.stop()]));
});

test('topics that are subscribed to while partitions are given up count', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log', 'other'] });
  const consumer = simulation.consumer({ groupId: 'g' });
  consumer.subscribe(['log'], { onRevoked: () => consumer.subscribe(['other']) });
  await simulation.run(pollUntil(consumer, () => consumer.assignment.length === 1));
  consumer.subscribe(['log'], { onRevoked: () => consumer.subscribe(['other']) });
  await simulation.run(pollUntil(consumer, () => consumer.assignment[0]?.topic === 'other'));
  await simulation.run(Promise.all([consumer.close(), simulation.kafka.stop()]));
});

test('who closes while it gives up its partitions commits as a member, and joins no more', async (context) => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const consumer = simulation.consumer({ groupId: 'g', enableAutoCommit: false });
  let closing: Promise<void> | undefined;
  let committed: unknown;
  const onRevoked = async (): Promise<void> => {
    closing ??= consumer.close();
    await new Promise<void>((resolve) => void simulation.runtime.timers.after(100, resolve));
    committed = await consumer.commit([{ ...log, offset: 7 }]).then(
      () => 'committed',
      (error: unknown) => error,
    );
  };
  consumer.subscribe(['log'], { onRevoked });
  await simulation.run(pollUntil(consumer, () => consumer.assignment.length === 1));
  let joins = 0;
  interceptRequests(context, (api) => void (api === JoinGroup && joins++));
  consumer.subscribe(['log'], { onRevoked });
  await simulation.run(consumer.poll({ timeoutMs: 5_000 }));
  await simulation.run(closing!);
  assert.equal(committed, 'committed');
  assert.equal(joins, 0);
  await simulation.run(simulation.kafka.stop());
});

for (const when of ['onAssigned', 'onRevoked', 'onRevoked of the close itself'] as const) {
  test(`a listener may wait for the close of its consumer: ${when}`, async () => {
    const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
    const { time } = simulation.world;
    const consumer = simulation.consumer({ groupId: 'g' });
    const close = () => consumer.close();
    const listener = when === 'onAssigned' ? { onAssigned: close } : { onRevoked: close };
    consumer.subscribe(['log'], listener);
    const beganMs = time.nowMs;
    await simulation.run(pollUntil(consumer, () => consumer.assignment.length === 1));
    if (when === 'onRevoked') {
      consumer.subscribe(['log'], listener);
      await simulation.run(consumer.poll({ timeoutMs: 1000 }));
    }
    await simulation.run(consumer.close());
    assert.ok(time.nowMs - beganMs < 20_000, `after ${time.nowMs - beganMs} ms`);
    await simulation.run(simulation.kafka.stop());
  });
}

test('commits that nobody has waited for are taken before the member joins again', async (context) => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const consumer = simulation.consumer({ groupId: 'g', enableAutoCommit: false });
  consumer.subscribe(['log']);
  await simulation.run(pollUntil(consumer, () => consumer.assignment.length === 1));
  const requests: string[] = [];
  interceptRequests(context, (api) => {
    if (api === OffsetCommit) requests.push('commit');
    if (api === JoinGroup) requests.push('join');
  });
  const commits = [1, 2, 3].map((offset) => consumer.commit([{ ...log, offset }]));
  consumer.subscribe(['log']);
  await simulation.run(Promise.all([...commits, pollUntil(consumer, () => consumer.groupMetadata.generationId === 2)]));
  assert.deepEqual(requests, ['commit', 'commit', 'join']);
  assert.equal((await simulation.run(consumer.committed()))[0]?.offset, 3);
  void consumer.commit([{ ...log, offset: 4 }]).catch(() => {});
  const last = consumer.commit([{ ...log, offset: 5 }]);
  await simulation.run(Promise.all([last, consumer.close()]));
  await simulation.run(simulation.kafka.stop());
});

test('a coordinator that vanishes before it assigns is waited for as for any answer, not as for members that join', async (context) => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const { wires, time } = simulation.world;
  let gaveUpAtMs = 0;
  interceptRequests(context, (api, send) => {
    if (api !== SyncGroup || gaveUpAtMs > 0) return undefined;
    wires.setDown('broker', true);
    return send().finally(() => {
      gaveUpAtMs = time.nowMs;
    });
  });
  const consumer = simulation.consumer({ groupId: 'g' });
  consumer.subscribe(['log']);
  const polled = pollUntil(consumer, () => consumer.assignment.length === 1);
  await simulation.world.advance(40_000);
  assert.ok(gaveUpAtMs > 30_000, `it gave up after ${gaveUpAtMs} ms`);
  wires.setDown('broker', false);
  await simulation.run(polled);
  await simulation.run(Promise.all([consumer.close(), simulation.kafka.stop()]));
});
