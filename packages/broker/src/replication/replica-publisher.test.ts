import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorName, ListOffsets, Metadata, ZERO_UUID } from '@ottla/protocol';
import { TestNode } from '../testing-node.ts';

const latest = -1;

async function readyPartitions(client: Awaited<ReturnType<TestNode['client']>>, topic: string, count: number): Promise<number> {
  const partitions = Array.from({ length: count }, (_, partitionIndex) => ({
    partitionIndex,
    currentLeaderEpoch: -1,
    timestamp: latest,
  }));
  const { topics } = await client.ask(ListOffsets, { replicaId: -1, topics: [{ name: topic, partitions }] });
  const errors = topics[0]!.partitions.map(({ errorCode }) => errorName(errorCode));
  const ready = errors.filter((error) => error === 'NONE').length;
  // What is not there yet is an error that clients retry.
  const others = new Set(errors.filter((error) => error !== 'NONE'));
  for (const error of others) assert.ok(['NOT_LEADER_OR_FOLLOWER', 'UNKNOWN_TOPIC_OR_PARTITION'].includes(error), error);
  return ready;
}

test('of very many new partitions the first are there at once, and the others follow while everybody is served', async () => {
  const node = await TestNode.start();
  const client = await node.client();
  assert.equal(await client.createTopic('few', {}, { partitions: 64 }), 'NONE');
  assert.equal(await readyPartitions(client, 'few', 64), 64);

  assert.equal(await client.createTopic('many', {}, { partitions: 1_000 }), 'NONE');
  const counts: number[] = [];
  while (counts.at(-1) !== 1_000 && counts.length < 1_000) counts.push(await readyPartitions(client, 'many', 1_000));
  assert.ok(counts[0]! >= 64 && counts[0]! < 1_000, `${counts}`);
  assert.equal(counts.at(-1), 1_000);
  assert.equal((await client.produce('many', ['x'], { partition: 999 })).error, 'NONE');
  await node.stop();
});

test('partitions that are still to come are forgotten with their topic, and found again by a restart', async () => {
  const node = await TestNode.start();
  let client = await node.client();
  assert.equal(await client.createTopic('gone', {}, { partitions: 1_000 }), 'NONE');
  assert.equal(await client.deleteTopic('gone'), 'NONE');
  assert.equal(await client.createTopic('kept', {}, { partitions: 1_000 }), 'NONE');
  await node.restart();
  client = await node.client();
  assert.equal(await readyPartitions(client, 'kept', 1_000), 1_000);
  const { topics } = await client.ask(Metadata, {
    topics: [{ name: 'gone', topicId: ZERO_UUID }],
    allowAutoTopicCreation: false,
  });
  assert.equal(errorName(topics[0]!.errorCode), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.deepEqual(node.logs.at('error'), []);
  await node.stop();
});
