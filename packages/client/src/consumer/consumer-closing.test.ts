import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JoinGroup } from '@ottla/protocol';
import { startKafka } from '@ottla/testing';
import { consumerOf, log, pollUntil } from '../testing/consuming.ts';
import { interceptRequests } from '../testing/intercept-requests.ts';
import { SimulatedKafka } from '../testing/simulated-kafka.ts';
import { Consumer } from './consumer.ts';

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
