import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorName, Fetch } from '@ottla/protocol';
import { TestNode, valuesIn } from '../testing-node.ts';

async function nodeWithTopic(settings: Record<string, string> = {}) {
  const node = await TestNode.start({ settings });
  const reader = await node.connect();
  const writer = await node.connect();
  assert.equal(await writer.createTopic('orders', {}, { partitions: 3 }), 'NONE');
  return { node, reader, writer };
}

/** Whether a promise is settled after some virtual time. */
async function settledAfter(node: TestNode, ms: number, promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => void (settled = true);
  promise.then(settle, settle);
  await node.advance(ms);
  return settled;
}

test('a fetch at the end of a log waits for max wait and then answers with nothing', async () => {
  const { node, reader } = await nodeWithTopic();
  const beganMs = node.world.time.nowMs;
  const polling = reader.later(Fetch, await reader.fetchRequest('orders', { maxWaitMs: 5_000 }));
  assert.equal(await settledAfter(node, 4_900, polling), false);
  assert.deepEqual(valuesIn(await node.run(polling)), []);
  const tookMs = node.world.time.nowMs - beganMs;
  assert.ok(tookMs >= 5_000 && tookMs < 5_100, `took ${tookMs} ms`);
  await node.stop();
});

test('a waiting fetch is woken by a produce to its partition, and by no other', async () => {
  const { node, reader, writer } = await nodeWithTopic();
  const polling = reader.later(Fetch, await reader.fetchRequest('orders', { partition: 1, maxWaitMs: 60_000 }));
  await node.advance(1_000);
  await writer.produce('orders', ['elsewhere'], { partition: 0 });
  assert.equal(await settledAfter(node, 1_000, polling), false);
  await writer.produce('orders', ['here'], { partition: 1 });
  assert.equal(await settledAfter(node, 100, polling), true);
  assert.deepEqual(valuesIn(await polling), ['here']);
  await node.stop();
});

test('a fetch waits until min bytes have come together', async () => {
  const { node, reader, writer } = await nodeWithTopic();
  const polling = reader.later(Fetch, await reader.fetchRequest('orders', { minBytes: 300, maxWaitMs: 60_000 }));
  await node.advance(100);
  await writer.produce('orders', ['a'.repeat(100)]);
  assert.equal(await settledAfter(node, 1_000, polling), false);
  await writer.produce('orders', ['b'.repeat(100)]);
  assert.equal(await settledAfter(node, 100, polling), true);
  assert.deepEqual(valuesIn(await polling), ['a'.repeat(100), 'b'.repeat(100)]);
  await node.stop();
});

test('a waiting fetch hears of the deletion of its topic', async () => {
  const { node, reader, writer } = await nodeWithTopic();
  const polling = reader.later(Fetch, await reader.fetchRequest('orders', { maxWaitMs: 60_000 }));
  await node.advance(100);
  await writer.deleteTopic('orders');
  assert.equal(await settledAfter(node, 100, polling), true);
  const { responses } = await polling;
  const code = responses[0]!.partitions[0]!.errorCode;
  assert.ok(
    ['UNKNOWN_TOPIC_ID', 'NOT_LEADER_OR_FOLLOWER', 'UNKNOWN_TOPIC_OR_PARTITION'].includes(errorName(code)),
    errorName(code),
  );
  await node.stop();
});

test('a waiting fetch whose client left costs nothing: the next one is served', async () => {
  const { node, reader, writer } = await nodeWithTopic();
  reader.later(Fetch, await reader.fetchRequest('orders', { maxWaitMs: 60_000 })).catch(() => {});
  await node.advance(100);
  await reader.connection.close();
  await node.advance(100);
  await writer.produce('orders', ['x']);
  assert.deepEqual(await writer.fetch('orders'), ['x']);
  assert.deepEqual(node.logs.at('error'), []);
  await node.stop();
});

test('a session remembers partitions over many requests and answers only with news', async () => {
  const { node, reader, writer } = await nodeWithTopic();
  const topicId = await reader.topicId('orders');
  const at = (partition: number, fetchOffset: number) => ({ partition, fetchOffset, partitionMaxBytes: 1 << 20 });
  const common = { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 20 };
  const first = await reader.ask(Fetch, {
    ...common,
    sessionId: 0,
    sessionEpoch: 0,
    topics: [{ topic: 'orders', topicId, partitions: [at(0, 0), at(1, 0), at(2, 0)] }],
  });
  const { sessionId } = first;
  assert.notEqual(sessionId, 0);
  assert.equal(first.responses[0]!.partitions.length, 3);

  const offsets = [0, 0, 0];
  for (let epoch = 1; epoch <= 50; epoch++) {
    const written = epoch % 4;
    if (written < 3) await writer.produce('orders', [`record ${epoch}`], { partition: written });
    const before = (epoch - 1) % 4;
    const moved = epoch > 1 && before < 3 ? [{ topic: 'orders', topicId, partitions: [at(before, offsets[before]!)] }] : [];
    const answer = await reader.ask(Fetch, { ...common, sessionId, sessionEpoch: epoch, topics: moved });
    assert.equal(answer.errorCode, 0);
    assert.equal(answer.sessionId, sessionId);
    assert.deepEqual(valuesIn(answer), written < 3 ? [`record ${epoch}`] : []);
    assert.deepEqual(
      answer.responses.flatMap(({ partitions }) => partitions.map(({ partitionIndex }) => partitionIndex)),
      written < 3 ? [written] : [],
    );
    if (written < 3) offsets[written]!++;
  }

  // A partition that is taken out is heard of no more, also when it has data.
  await writer.produce('orders', ['unheard'], { partition: 1 });
  const without = await reader.ask(Fetch, {
    ...common,
    sessionId,
    sessionEpoch: 51,
    topics: [{ topic: 'orders', topicId, partitions: [at(2, offsets[2]!)] }],
    forgottenTopicsData: [{ topic: 'orders', topicId, partitions: [1] }],
  });
  assert.deepEqual(valuesIn(without), []);
  const stale = await reader.ask(Fetch, { ...common, sessionId, sessionEpoch: 51, topics: [] });
  assert.equal(errorName(stale.errorCode), 'INVALID_FETCH_SESSION_EPOCH');
  const unknown = await reader.ask(Fetch, { ...common, sessionId: sessionId + 1, sessionEpoch: 1, topics: [] });
  assert.equal(errorName(unknown.errorCode), 'FETCH_SESSION_ID_NOT_FOUND');
  await node.stop();
});

test('a broker without room for sessions answers without one', async () => {
  const { node, reader } = await nodeWithTopic({ 'max.incremental.fetch.session.cache.slots': '0' });
  const request = { ...(await reader.fetchRequest('orders')), sessionId: 0, sessionEpoch: 0 };
  assert.equal((await reader.ask(Fetch, request)).sessionId, 0);
  await node.stop();
});

test('sessions of readers that went away make room for new ones', async () => {
  const { node, reader } = await nodeWithTopic({ 'max.incremental.fetch.session.cache.slots': '2' });
  const open = async () =>
    (await reader.ask(Fetch, { ...(await reader.fetchRequest('orders')), sessionId: 0, sessionEpoch: 0 })).sessionId;
  const first = await open();
  const second = await open();
  assert.equal(await open(), 0);
  await node.advance(121_000);
  const third = await open();
  assert.ok(third !== 0 && third !== first && third !== second);
  await node.stop();
});

test('fetch.max.bytes bounds an answer, though never below one batch', async () => {
  const { node, reader, writer } = await nodeWithTopic({ 'fetch.max.bytes': '1024' });
  for (const value of ['a', 'b', 'c']) await writer.produce('orders', [value.repeat(600)]);
  assert.deepEqual(await reader.fetch('orders'), ['a'.repeat(600)]);
  await node.stop();
});
