import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorName, KafkaError, ZERO_UUID } from '@ottla/protocol';
import type { Timer, Timers } from '@ottla/runtime';
import type { Partition, PartitionWatcher } from '../replication/partition.ts';
import type { Partitions } from '../replication/partitions.ts';
import { readOrWait } from './delayed-fetch.ts';
import type { FetchPartition } from './fetch-session.ts';
import { type ReadRules, readPartitions } from './read-partitions.ts';

/** One partition that counts what is done to it. */
class CountingPartition {
  readonly name = 'orders-0';
  readonly topicId = ZERO_UUID;
  readonly watchers = new Set<PartitionWatcher>();
  bytes = 0;
  reads = 0;
  leaderEpoch = 0;
  readonly log = { logStartOffset: 0, logEndOffset: 0 };

  requireLeader(currentLeaderEpoch: number): void {
    if (currentLeaderEpoch > this.leaderEpoch) throw new KafkaError('UNKNOWN_LEADER_EPOCH');
  }
  requireFollower(): void {}
  endOffsetFor(): number {
    return this.log.logEndOffset;
  }
  bytesToRead(): number {
    return this.bytes;
  }
  read(_startOffset: number, maxBytes: number) {
    this.reads++;
    return { records: new Uint8Array(Math.min(this.bytes, maxBytes)), upperBoundOffset: 0 };
  }
  watch(watcher: PartitionWatcher): void {
    this.watchers.add(watcher);
  }
  unwatch(watcher: PartitionWatcher): void {
    this.watchers.delete(watcher);
  }
  append(bytes: number): void {
    this.bytes += bytes;
    this.log.logEndOffset++;
    this.#tell();
  }
  hear(leaderEpoch: number): void {
    this.leaderEpoch = leaderEpoch;
    this.#tell();
  }
  #tell(): void {
    for (const watcher of this.watchers) watcher.partitionChanged(this as unknown as Partition);
  }
}

function setUp() {
  const partition = new CountingPartition();
  const other = new CountingPartition();
  const replicas = [partition, other];
  const timers = new Map<Timer, () => void>();
  const delays: number[] = [];
  const closers = new Set<() => void>();
  const around = {
    partitions: {
      require: (_topic: string, index: number) => {
        if (!replicas[index]) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION');
        return replicas[index];
      },
      get: (_topic: string, index: number) => replicas[index],
      topicName: () => 'orders',
    } as unknown as Partitions,
    timers: {
      after: (ms: number, callback: () => void) => {
        delays.push(ms);
        const timer = { cancel: () => void timers.delete(timer) } as Timer;
        timers.set(timer, callback);
        return timer;
      },
    } as Timers,
    connection: {
      queuedByAll: 0,
      onClosed: (callback: () => void) => {
        closers.add(callback);
        return () => void closers.delete(callback);
      },
    },
  };
  const asked: [FetchPartition] = [
    {
      topic: 'orders',
      topicId: ZERO_UUID,
      index: 0,
      fetchOffset: 0,
      maxBytes: 1 << 30,
      currentLeaderEpoch: -1,
      lastFetchedEpoch: -1,
      logStartOffset: -1,
    },
  ];
  const rules: ReadRules = { bound: 'highWatermark', maxBytes: 1 << 30, replicaId: -1, releases: [] };
  const all = {
    partitions: () => asked,
    read: (limits: ReadRules) => readPartitions(around.partitions, asked, limits),
  };
  const fetch = (minBytes: number) => readOrWait(around, all, rules, { minBytes, maxWaitMs: 1000 });
  const follow = (currentLeaderEpoch: number) => {
    const ahead = { ...asked[0], currentLeaderEpoch };
    const read = (limits: ReadRules) => readPartitions(around.partitions, [ahead], limits);
    const following = { ...rules, bound: 'logEnd' as const, replicaId: 2 };
    return readOrWait(around, { partitions: () => [ahead], read }, following, { minBytes: 1, maxWaitMs: 1000 });
  };
  const followBoth = (epochs: readonly number[]) => {
    const both = epochs.map((currentLeaderEpoch, index) => ({ ...asked[0], index, currentLeaderEpoch }));
    const read = (limits: ReadRules) => readPartitions(around.partitions, both, limits);
    const following = { ...rules, bound: 'logEnd' as const, replicaId: 2 };
    return readOrWait(around, { partitions: () => both, read }, following, { minBytes: 1, maxWaitMs: 1000 });
  };
  return { partition, other, timers, delays, closers, fetch, follow, followBoth, connection: around.connection };
}

test('fetches that wait read nothing, not when they begin nor at any append, until their answer is made', async () => {
  const { partition, timers, closers, fetch } = setUp();
  partition.append(500);
  const waiting = Array.from({ length: 200 }, () => fetch(1000));
  partition.append(400);
  assert.deepEqual([partition.reads, partition.watchers.size], [0, 200]);
  partition.append(100);
  const ready = await Promise.all(waiting);
  assert.equal(partition.reads, 0);
  assert.deepEqual([partition.watchers.size, timers.size, closers.size], [0, 0, 0]);
  const [make] = ready;
  assert.ok(typeof make === 'function');
  assert.equal(make()[0]!.records.length, 1000);
  assert.equal(partition.reads, 1);
});

test('what is there already is read once, without a wait', () => {
  const { partition, fetch } = setUp();
  partition.append(500);
  for (const minBytes of [0, 1, 500]) assert.ok(Array.isArray(fetch(minBytes)));
  assert.equal(partition.reads, 3);
});

test('a wait ends with its connection, and leaves nothing behind', async () => {
  const { partition, timers, closers, fetch } = setUp();
  const waiting = Array.from({ length: 50 }, () => fetch(1));
  for (const close of closers) close();
  await Promise.all(waiting);
  assert.deepEqual([partition.reads, partition.watchers.size, timers.size, closers.size], [0, 0, 0, 0]);
});

test('answers get shorter the more bytes clients have yet to take', () => {
  const { partition, connection, fetch } = setUp();
  partition.append(50 << 20);
  const bytes = () => (fetch(1) as { records: Uint8Array }[])[0]!.records.length;
  assert.equal(bytes(), 50 << 20);
  connection.queuedByAll = 64 << 20;
  assert.equal(bytes(), 32 << 20);
  connection.queuedByAll = 128 << 20;
  assert.equal(bytes(), 256 << 10);
  connection.queuedByAll = 300 << 20;
  assert.equal(bytes(), 32 << 10);
});

test('a hundred readers that take nothing hold less than two budgets', () => {
  const { partition, connection, fetch } = setUp();
  partition.append(50 << 20);
  for (let reader = 0; reader < 100; reader++)
    connection.queuedByAll += (fetch(1) as { records: Uint8Array }[])[0]!.records.length;
  assert.ok(connection.queuedByAll < 160 << 20, `${connection.queuedByAll} bytes`);
});

test('a follower that knows a later epoch is answered when this broker has heard of it, and refused when it does not in time', async () => {
  const { partition, timers, follow } = setUp();
  const errorOf = (answer: Awaited<ReturnType<typeof follow>>) => {
    assert.ok(typeof answer === 'function');
    return errorName(answer()[0]!.errorCode);
  };
  const heard = follow(1);
  assert.ok(heard instanceof Promise);
  // It has nothing for the follower, who has to ask again to be heard.
  partition.hear(1);
  assert.equal(errorOf(await heard), 'NONE');
  const refused = follow(2);
  assert.ok(refused instanceof Promise);
  for (const expire of timers.values()) expire();
  assert.equal(errorOf(await refused), 'UNKNOWN_LEADER_EPOCH');
  assert.deepEqual([partition.watchers.size, timers.size], [0, 0]);
});

const errorsOf = (answer: Awaited<ReturnType<typeof readOrWait>>) => {
  assert.ok(typeof answer === 'function');
  return answer().map(({ errorCode, records }) => [errorName(errorCode), records.length]);
};

test('an answer that has to tell of each partition waits, though there are records, for this broker to hear of those it has not heard of', async () => {
  const { partition, other, timers, closers, followBoth } = setUp();
  partition.append(100);
  const following = followBoth([0, 1]);
  assert.ok(following instanceof Promise);
  partition.append(100);
  assert.equal(partition.watchers.size, 1, 'it was not answered');
  other.hear(1);
  const answer = await following;
  assert.deepEqual([other.watchers.size, timers.size, closers.size], [0, 0, 0]);
  assert.deepEqual(errorsOf(answer), [
    ['NONE', 200],
    ['NONE', 0],
  ]);
});

test('it waits for all that it has not heard of', async () => {
  const { partition, other, timers, followBoth } = setUp();
  const following = followBoth([1, 1]);
  partition.hear(1);
  partition.append(1);
  assert.equal(other.watchers.size, 1, 'it was not answered');
  other.hear(1);
  assert.deepEqual(errorsOf(await following), [
    ['NONE', 1],
    ['NONE', 0],
  ]);
  assert.equal(timers.size, 0);
});

test('it does not keep records waiting for long', async () => {
  const { partition, timers, delays, followBoth } = setUp();
  const following = followBoth([0, 1]);
  partition.append(100);
  partition.append(100);
  assert.deepEqual(delays, [1000, 100]);
  [...timers.values()].at(-1)!();
  assert.deepEqual(errorsOf(await following), [
    ['NONE', 200],
    ['UNKNOWN_LEADER_EPOCH', 0],
  ]);
  assert.equal(timers.size, 0);
});

test('nor what there is to tell of a partition that this broker does not have', async () => {
  const { timers, delays, followBoth } = setUp();
  const following = followBoth([0, 1, 0]);
  assert.deepEqual(delays, [1000, 100]);
  [...timers.values()].at(-1)!();
  assert.deepEqual(
    errorsOf(await following).map(([error]) => error),
    ['NONE', 'UNKNOWN_LEADER_EPOCH', 'UNKNOWN_TOPIC_OR_PARTITION'],
  );
});
