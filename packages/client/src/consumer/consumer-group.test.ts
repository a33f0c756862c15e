import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errors, Heartbeat, Metadata, SyncGroup } from '@ottla/protocol';
import { startKafka } from '@ottla/testing';
import { roundRobinAssignor } from '../assignors/round-robin-assignor.ts';
import { consumerOf, fill, pollUntil, until } from '../testing/consuming.ts';
import { interceptRequests } from '../testing/intercept-requests.ts';
import { SimulatedKafka } from '../testing/simulated-kafka.ts';
import type { Consumer } from './consumer.ts';

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

test('who loses its membership while it looks up what it was assigned is not told of that', async (context) => {
  const simulation = await SimulatedKafka.start(1, { topics: [{ name: 'log', partitions: 2 }] });
  const config = { groupId: 'g', heartbeatIntervalMs: 1000 };
  const one = simulation.consumer(config);
  one.subscribe(['log']);
  await simulation.run(pollUntil(one, () => one.assignment.length === 2));
  const held = Promise.withResolvers<void>();
  let lookups = 0;
  let isExpelled = false;
  interceptRequests(context, (api, send) => {
    // The first after this is of the one that has just come, and knows nothing of the topic.
    if (api === Metadata && lookups++ === 0) return held.promise.then(send);
    return api === Heartbeat && isExpelled ? { errorCode: errors.UNKNOWN_MEMBER_ID.code } : undefined;
  });
  const two = simulation.consumer(config);
  const told: string[] = [];
  two.subscribe(['log'], { onAssigned: () => void told.push(two.groupMetadata.memberId) });
  const joined = pollUntil(two, () => two.groupMetadata.generationId === 2);
  await simulation.run(Promise.all([joined, pollUntil(one, () => one.assignment.length === 1)]));
  const { memberId } = two.groupMetadata;
  assert.equal(told.length, 0);
  isExpelled = true;
  await simulation.world.advance(3000);
  isExpelled = false;
  held.resolve();
  const shared = () => one.assignment.length === 1 && two.assignment.length === 1;
  await simulation.run(Promise.all([pollUntil(one, shared), pollUntil(two, shared)]));
  assert.ok(told.length > 0 && !told.includes(memberId));
  await simulation.run(Promise.all([one.close(), two.close(), simulation.kafka.stop()]));
});
