import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ZERO_UUID } from '@ottla/protocol';
import { SeededRandom } from '@ottla/runtime';
import { StickyPartitioner } from './sticky-partitioner.ts';

function topicOf(leaders: number[]) {
  const partitions = leaders.map((leaderId, partition) => ({
    partition,
    leaderId,
    leaderEpoch: 0,
    replicas: [],
    isr: [],
    offlineReplicas: [],
  }));
  return { name: 'log', topicId: ZERO_UUID, isInternal: false, partitions };
}

const key = (text: string): Uint8Array => new TextEncoder().encode(text);

test('keys go where every Kafka client puts them', () => {
  const partitioner = new StickyPartitioner(new SeededRandom(1), { batchSize: 100, queueLength: () => 0 });
  // Apache Kafka's murmur2 of "21" is -973932308.
  assert.equal(partitioner.partitionFor(topicOf([1, 1, 1, 1, 1]), key('21'), 10), (-973932308 & 0x7fffffff) % 5);
});

test('without a key it stays for batchSize bytes, and visits all partitions in time', () => {
  const partitioner = new StickyPartitioner(new SeededRandom(1), { batchSize: 100, queueLength: () => 0 });
  const topic = topicOf([1, 1, 1]);
  const visited = new Set<number>();
  for (let stay = 0; stay < 50; stay++) {
    const places = Array.from({ length: 10 }, () => partitioner.partitionFor(topic, null, 10));
    assert.equal(new Set(places).size, 1);
    visited.add(places[0]!);
  }
  assert.deepEqual([...visited].sort(), [0, 1, 2]);
});

test('it keeps away from partitions without a leader, and from long queues', () => {
  const random = new SeededRandom(2);
  const partitioner = new StickyPartitioner(random, { batchSize: 1, queueLength: (_, partition) => (partition === 0 ? 99 : 0) });
  const counts = [0, 0, 0];
  for (let index = 0; index < 1000; index++) counts[partitioner.partitionFor(topicOf([1, -1, 1]), null, 1)]!++;
  assert.equal(counts[1], 0);
  assert.ok(counts[0]! < 50, `${counts[0]} of 1000 went to the longest queue`);
});
