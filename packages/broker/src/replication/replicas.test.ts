import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestReplicas } from '../testing-replicas.ts';

test('what is acknowledged with acks=all is on every replica of the isr, and consumers see it', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2, 3]);
  const client = await cluster.client(1);
  assert.equal(await client.produce('t', ['a', 'b']), 0);
  for (const id of [1, 2, 3]) assert.deepEqual(cluster.broker(id).values('t'), ['a', 'b']);
  assert.deepEqual(await client.fetch('t'), ['a', 'b']);
  assert.equal(cluster.broker(1).partition('t').highWatermark, 2);
  await cluster.advance(1_000);
  assert.equal(cluster.broker(2).partition('t').highWatermark, 2);
});

test('who falls behind leaves the isr, and comes back when it has caught up', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2, 3]);
  const client = await cluster.client(1);
  await client.produce('t', ['a']);
  cluster.world.wires.cut('broker1', 'broker3');
  const waiting = client.produceLater('t', ['b'], { timeoutMs: 120_000 });
  await cluster.advance(10_000);
  assert.equal(cluster.broker(1).partition('t').highWatermark, 1);
  await cluster.until('the isr shrinks', () => cluster.state('t').isr.length === 2);
  assert.deepEqual([...cluster.state('t').isr].sort(), [1, 2]);
  assert.equal(await cluster.run(waiting), 1);
  cluster.world.wires.heal();
  await cluster.until('the isr expands', () => cluster.state('t').isr.length === 3);
  assert.deepEqual(cluster.broker(3).values('t'), ['a', 'b']);
});

test('below min.insync.replicas nothing is acknowledged, and the high watermark stays', async () => {
  const cluster = await TestReplicas.start({ brokers: 2 });
  await cluster.createTopic('t', [1, 2], { 'min.insync.replicas': '2' });
  const client = await cluster.client(1);
  assert.equal(await client.produce('t', ['a']), 0);
  cluster.world.wires.cut('broker1', 'broker2');
  const waiting = client.produceLater('t', ['b'], { timeoutMs: 120_000 });
  await cluster.until('the isr shrinks', () => cluster.state('t').isr.length === 1);
  await cluster.advance(100);
  assert.equal(await client.produce('t', ['c']), 'NOT_ENOUGH_REPLICAS');
  assert.equal(await client.produce('t', ['c'], { acks: 1 }), 2);
  assert.equal(cluster.broker(1).partition('t').highWatermark, 1);
  assert.deepEqual(await client.fetch('t'), ['a']);
  assert.equal(await cluster.run(waiting), 'REQUEST_TIMED_OUT');
  cluster.world.wires.heal();
  await cluster.until('the isr expands', () => cluster.state('t').isr.length === 2);
  await cluster.until('all is committed', () => cluster.broker(1).partition('t').highWatermark === 3);
  assert.deepEqual(await client.fetch('t'), ['a', 'b', 'c']);
});

test('a follower that has what the new leader has not cuts it off', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2, 3]);
  const client = await cluster.client(1);
  await client.produce('t', ['a']);
  cluster.world.wires.cut('broker1', 'broker2');
  cluster.world.wires.cut('broker1', 'broker3');
  assert.equal(await client.produce('t', ['lost'], { acks: 1 }), 1);
  cluster.broker(1).isDeaf = true;
  cluster.fence(1);
  await cluster.until('another leads', () => cluster.state('t').leader !== 1);
  const { leader } = cluster.state('t');
  const other = await cluster.client(leader);
  await cluster.advance(100);
  assert.equal(await other.produce('t', ['b', 'c']), 1);
  // The old leader does not know yet: what it takes is never acknowledged by all.
  const waiting = client.produceLater('t', ['never'], { timeoutMs: 300_000 });
  await cluster.advance(1_000);
  cluster.broker(1).isDeaf = false;
  cluster.world.wires.heal();
  cluster.broker(1).hear();
  assert.equal(await cluster.run(waiting), 'NOT_LEADER_OR_FOLLOWER');
  await cluster.until('it follows', () => cluster.broker(1).values('t').includes('c'));
  assert.deepEqual(cluster.broker(1).values('t'), ['a', 'b', 'c']);
});

test('a leader that lost its power comes back as a follower, without what was not acknowledged', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2, 3], { 'min.insync.replicas': '2' });
  const client = await cluster.client(1);
  for (let at = 0; at < 10; at++) assert.equal(await client.produce('t', [`${at}`]), at);
  cluster.broker(1).crash();
  cluster.fence(1);
  await cluster.until('another leads', () => cluster.state('t').leader > 1);
  const other = await cluster.client(cluster.state('t').leader);
  await cluster.advance(100);
  assert.equal(await other.produce('t', ['x']), 10);
  await cluster.broker(1).start();
  await cluster.until('it is back in the isr', () => cluster.state('t').isr.length === 3);
  const expected = [...Array.from({ length: 10 }, (_, at) => `${at}`), 'x'];
  for (const id of [1, 2, 3]) assert.deepEqual(cluster.broker(id).values('t'), expected);
});
