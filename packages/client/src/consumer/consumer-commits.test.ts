import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorName, errors, JoinGroup, OffsetCommit } from '@ottla/protocol';
import { log, pollUntil } from '../testing/consuming.ts';
import { interceptRequests } from '../testing/intercept-requests.ts';
import { SimulatedKafka } from '../testing/simulated-kafka.ts';

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
