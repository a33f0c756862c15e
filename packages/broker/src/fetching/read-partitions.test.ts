import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError, ZERO_UUID } from '@ottla/protocol';
import type { Partitions } from '../replication/partitions.ts';
import type { SessionPartition } from './fetch-session.ts';
import { readPartitions, readSessionPartitions } from './read-partitions.ts';

function setUp() {
  const partition = {
    name: 'orders-0',
    topicId: ZERO_UUID,
    isLeader: true,
    leaderEpoch: 3,
    highWatermark: 7,
    lastStableOffset: 7,
    reads: 0,
    log: { logStartOffset: 0, logEndOffset: 7, latestEpoch: 3, endOffsetForEpoch: () => ({ leaderEpoch: 3, endOffset: 7 }) },
    endOffsetFor: () => partition.highWatermark,
    requireLeader: (epoch: number) => {
      if (epoch !== -1 && epoch !== partition.leaderEpoch) throw new KafkaError('FENCED_LEADER_EPOCH', 'as it should');
    },
    read: () => {
      partition.reads++;
      return { records: new Uint8Array(0), upperBoundOffset: 0 };
    },
  };
  const known: SessionPartition = {
    topic: 'orders',
    topicId: ZERO_UUID,
    index: 0,
    fetchOffset: 7,
    maxBytes: 1000,
    currentLeaderEpoch: 3,
    lastFetchedEpoch: 3,
    logStartOffset: -1,
    sentHighWatermark: 7,
    sentLogStartOffset: 0,
    turn: 1,
    quietAt: undefined,
    replica: undefined,
  };
  const partitions = { require: () => partition, get: () => partition, topicName: () => 'orders' } as unknown as Partitions;
  const rules = { bound: 'highWatermark' as const, maxBytes: 1000, replicaId: -1, releases: [] };
  return { partition, known, read: () => readSessionPartitions(partitions, [known], rules) };
}

test('a partition whose fetcher has all and knows all is neither read nor answered', () => {
  const { partition, read } = setUp();
  assert.deepEqual(read(), []);
  assert.equal(partition.reads, 0);
});

test('whatever a fetcher of a session does not know yet is answered', () => {
  const changes: Record<string, (world: ReturnType<typeof setUp>) => void> = {
    'a record': ({ partition }) => void (partition.highWatermark = partition.log.logEndOffset = 8),
    'a high watermark that it was not told': ({ known }) => void (known.sentHighWatermark = 6),
    'a recovery from an error': ({ known }) => void (known.sentHighWatermark = -1),
    'deleted records': ({ partition }) => void (partition.log.logStartOffset = 2),
    'a newer leader epoch': ({ partition }) => void (partition.leaderEpoch = 4),
    'an epoch after the last one it has read': ({ partition }) => void (partition.log.latestEpoch = 4),
    'a position that is not the end': ({ known }) => void (known.fetchOffset = 5),
    'another leader': ({ partition }) => void (partition.isLeader = false),
    'a topic that it knows by its id only': ({ known }) => void (known.topic = undefined),
  };
  for (const [what, change] of Object.entries(changes)) {
    const world = setUp();
    change(world);
    assert.equal(world.read().length, 1, what);
  }
});

test('what was read before a read that fails is not forgotten', () => {
  const released: number[] = [];
  let reads = 0;
  const { partition, known } = setUp();
  const failing = {
    ...partition,
    read: () => {
      const index = ++reads;
      if (index === 3) throw new Error('as it should');
      return { records: new Uint8Array(10), upperBoundOffset: 0, release: () => void released.push(index) };
    },
  };
  const partitions = { require: () => failing, get: () => failing, topicName: () => 'orders' } as unknown as Partitions;
  const releases: (() => void)[] = [];
  const rules = { bound: 'highWatermark' as const, maxBytes: 1000, replicaId: -1, releases };
  assert.throws(() => readPartitions(partitions, [known, known, known], rules), /as it should/);
  for (const release of releases) release();
  assert.deepEqual(released, [1, 2]);
});
