import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errors } from '@ottla/protocol';
import { IoError, type Timers } from '@ottla/runtime';
import type { PartitionWatcher } from '../replication/partition.ts';
import { Partitions } from '../replication/partitions.ts';
import { acknowledgeShared } from './acknowledge-shared.ts';
import { fetchShared } from './share-fetch.ts';
import { ShareSession } from './share-session.ts';
import { Shares } from './shares.ts';

const rules = {
  minBytes: 1,
  maxWaitMs: 500,
  maxBytes: 1_000,
  maxRecords: 10,
  batchSize: 10,
  isRecordLimit: false,
  releases: [],
};

/** One partition, of which the transaction index cannot be read. */
function brokenPartition() {
  const watchers = new Set<PartitionWatcher>();
  const partition = {
    endOffset: 0,
    releases: 0,
    endOffsetFor: () => partition.endOffset,
    read: () => ({ records: new Uint8Array(0), upperBoundOffset: 1, release: () => partition.releases++ }),
    abortedTransactions: () => {
      throw new IoError('the disk is broken', { code: 'EIO', path: 'x.txnindex' });
    },
    watch: (watcher: PartitionWatcher) => watchers.add(watcher),
    unwatch: (watcher: PartitionWatcher) => watchers.delete(watcher),
    watchers,
  };
  const share = {
    partition,
    sharing: { isReadCommitted: true },
    isLoading: false,
    nextFetchOffset: () => 0,
    likelyRecords: () => 1,
    watch: () => undefined,
    unwatch: () => undefined,
  };
  return { partition, shares: { open: () => share, partitionOf: () => undefined } as unknown as Shares };
}

const timers = { after: () => ({ cancel: () => undefined }) } as unknown as Timers;
const asked = [{ topic: 't', topicId: 'id', index: 0 }];

test('what a fetch that has waited fails with is told to whoever asked, not to whoever woke it', async () => {
  const { partition, shares } = brokenPartition();
  const connection = { onClosed: () => () => undefined };
  const answer = fetchShared({ shares, timers, connection }, new ShareSession('g', 'm'), asked, rules);
  partition.endOffset = 1;
  for (const watcher of partition.watchers) watcher.partitionChanged(partition as never);
  await assert.rejects(Promise.resolve(answer), /the disk is broken/);
  assert.equal(partition.releases, 1);
  assert.equal(partition.watchers.size, 0);
});

test('a fetch whose connection is gone already watches nothing', async () => {
  const { partition, shares } = brokenPartition();
  const connection = {
    onClosed: (callback: () => void) => {
      callback();
      return () => undefined;
    },
  };
  const answer = fetchShared({ shares, timers, connection }, new ShareSession('g', 'm'), asked, rules);
  assert.equal((await answer)[0]!.acquired.length, 0);
  assert.equal(partition.watchers.size, 0);
});

test('what a member asks for in vain is looked for once in a fetch, without an exception for each', () => {
  let opened = 0;
  const open = () => ((opened++ & 1) === 0 ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION');
  const many = Array.from({ length: 1_000 }, (_, index) => ({ topic: 't', topicId: 'id', index }));
  const connection = { onClosed: () => () => undefined };
  const shares = { open } as unknown as Shares;
  const answer = fetchShared({ shares, timers, connection }, new ShareSession('g', 'm'), many, rules);
  assert.ok(Array.isArray(answer), 'nobody waits for what is not there');
  assert.deepEqual(
    answer.slice(0, 2).map(({ errorCode }) => errorCode),
    [errors.UNKNOWN_TOPIC_ID.code, errors.UNKNOWN_TOPIC_OR_PARTITION.code],
  );
  assert.deepEqual([answer.length, opened], [1_000, 1_000]);
});

test('a share that cannot be opened has a reason', () => {
  const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ';
  const partitions = new Partitions({
    hasPartition: (topic, index) => topic === 't' && index < 2,
    topicName: (id) => (id === topicId ? 't' : undefined),
  });
  partitions.markOffline({ topic: 't', index: 1, topicId });
  const shares = new Shares({ partitions } as ConstructorParameters<typeof Shares>[0]);
  const open = (id: string, index: number) => shares.open('g', { topic: undefined, topicId: id, index });
  assert.equal(open('other', 0), 'UNKNOWN_TOPIC_ID');
  assert.equal(open(topicId, 0), 'NOT_LEADER_OR_FOLLOWER');
  assert.equal(open(topicId, 1), 'KAFKA_STORAGE_ERROR');
  assert.equal(open(topicId, 2), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(shares.size, 0);
});

test('acknowledgements of very many partitions are looked at some hundred at a time, and answered in their order', async () => {
  let turns = 0;
  const soon = (callback: () => void) => {
    turns++;
    setImmediate(callback);
  };
  const runtime = { clock: { monotonicMs: () => 0, nowMs: () => 0 }, timers: { ...timers, soon } };
  const shares = new Shares({ partitions: new Partitions() } as ConstructorParameters<typeof Shares>[0]);
  const batches = [{ firstOffset: 0, lastOffset: 0, acknowledgeTypes: [1] }];
  const many = Array.from({ length: 1_200 }, (_, index) => ({ topicId: 'id', index, batches }));
  const member = { groupId: 'g', memberId: 'm', epoch: 1 };
  const rules = { highestType: 4, isRenewAck: false };
  const acknowledged = await acknowledgeShared({ shares, runtime }, member, many, rules);
  assert.deepEqual(
    acknowledged.map(({ index }) => index),
    many.map(({ index }) => index),
  );
  assert.deepEqual([acknowledged[0]!.errorCode, turns], [errors.UNKNOWN_TOPIC_ID.code, 2]);
});
