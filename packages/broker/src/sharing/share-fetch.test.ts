import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IoError, type Timers } from '@ottla/runtime';
import type { PartitionWatcher } from '../replication/partition.ts';
import { fetchShared } from './share-fetch.ts';
import { ShareSession } from './share-session.ts';
import type { Shares } from './shares.ts';

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
