import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FindCoordinator, InitProducerId, Produce } from '@ottla/protocol';
import { TestNode } from './testing-node.ts';

/** A little of everything, with pieces of packets in a random order of arrival and a power failure. */
async function life(seed: number): Promise<{ hash: string; events: number; values: string[] }> {
  const node = await TestNode.start({ seed, wires: { maxLatencyMs: 20, fragmentation: 0.5 }, machine: { tornWrites: true } });
  const one = await node.connect({ host: 'one' });
  const other = await node.connect({ host: 'other' });
  await one.createTopic('orders', { 'flush.messages': '5' }, { partitions: 2 });
  const { producerId } = await one.ask(InitProducerId, { transactionalId: null, transactionTimeoutMs: 1 });
  const requests = [];
  for (let sequence = 0; sequence < 20; sequence++) {
    const idempotent = { producerId, producerEpoch: 0, baseSequence: sequence };
    requests.push([one, await one.produceRequest('orders', [`one ${sequence}`], idempotent)] as const);
    requests.push([other, await other.produceRequest('orders', [`other ${sequence}`], { codec: 'gzip' })] as const);
  }
  await node.run(Promise.all(requests.map(([client, request]) => client.later(Produce, request))));
  await one.ask(FindCoordinator, { keyType: 0, coordinatorKeys: ['readers'] });
  await node.advance(10_000);
  node.machine.crash();
  await node.start();
  const after = await node.client();
  await after.produce('orders', ['after'], { partition: 1 });
  const values = [...(await after.fetch('orders')), ...(await after.fetch('orders', { partition: 1 }))];
  await node.stop();
  return { hash: node.world.trace.hash, events: node.world.trace.events, values };
}

test('the same seed makes the same things happen to the whole node, and another seed others', async () => {
  const first = await life(42);
  assert.ok(first.events > 500, `${first.events} events`);
  assert.deepEqual(await life(42), first);
  assert.notEqual((await life(43)).hash, first.hash);
});
