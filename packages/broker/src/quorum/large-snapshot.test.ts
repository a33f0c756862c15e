import assert from 'node:assert/strict';
import { test } from 'node:test';
import { featureLevelRecord } from '@ottla/metadata';
import type { MetadataRecord } from '@ottla/protocol';
import { type MemoryRuntime, memoryRuntime } from '@ottla/runtime';
import { CorruptFileError } from '@ottla/storage';
import type { MetadataListener } from './metadata-listener.ts';
import { MetadataQuorum } from './metadata-quorum.ts';
import { snapshotBatches } from './snapshot-content.ts';
import { CorruptSnapshotError, SnapshotReader } from './snapshot-reader.ts';
import { loneVoter } from './testing-quorum.ts';

const configRecord = (resourceName: string, value: string): MetadataRecord => ({
  type: 'ConfigRecord',
  version: 0,
  value: { resourceType: 2, resourceName, name: 'x', value },
});

const records = (count: number): MetadataRecord[] =>
  Array.from({ length: count }, (_, index) => featureLevelRecord(`feature-${index}`, 1 + (index % 5)));

const bytesOf = (all: readonly MetadataRecord[], maxBatchBytes = 256 * 1024): Buffer =>
  Buffer.concat([...snapshotBatches(all, { lastContainedLogTimestampMs: 5, epoch: 1, nowMs: 0, maxBatchBytes })]);

const readerOf = (bytes: Uint8Array): SnapshotReader =>
  new SnapshotReader({ size: bytes.length, read: (position, length) => bytes.slice(position, position + length) });

async function withSnapshot(count: number, spoil = (bytes: Buffer): Buffer => bytes) {
  const runtime = memoryRuntime({ seed: 1 });
  const open = () => runtime.runUntil(MetadataQuorum.open({ runtime, ...loneVoter }));
  const path = '/data/__cluster_metadata-0/00000000000000100000-0000000001.checkpoint';
  runtime.files.makeDirectory('/data/__cluster_metadata-0');
  runtime.files.writeFileDurably(path, spoil(bytesOf(records(count))));
  return { runtime, open, path };
}

/** Writes down what it is told, in order. */
class Diary implements MetadataListener {
  readonly told: string[] = [];
  readonly slices: number[] = [];

  snapshot({ endOffset }: { endOffset: number }) {
    return {
      records: (slice: readonly MetadataRecord[]) => void this.slices.push(slice.length),
      end: () => void this.told.push(`snapshot to ${endOffset}`),
    };
  }

  batch({ baseOffset, records: heard }: { baseOffset: number; records: readonly MetadataRecord[] }): void {
    if (heard.length > 0) this.told.push(`batch at ${baseOffset}`);
  }
}

async function turnsOf(runtime: MemoryRuntime, work: Promise<unknown>): Promise<number> {
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns++;
    // A sync of the disk takes time, which does not pass while there are turns to take.
    if (!isDone && turns < 100) runtime.timers.soon(count);
  };
  runtime.timers.soon(count);
  await runtime.runUntil(
    work.finally(() => {
      isDone = true;
    }),
  );
  return turns;
}

test('a large snapshot is heard in slices, others have their turn between them, and what commits meanwhile comes behind it', async () => {
  const { runtime, open } = await withSnapshot(20_000);
  const quorum = await open();
  const diary = new Diary();
  const subscribed = quorum.subscribe(diary);
  const appended = quorum.append([featureLevelRecord('later', 1)]);
  assert.ok((await turnsOf(runtime, subscribed)) >= 19, 'a turn for each slice');
  await runtime.runUntil(appended);
  assert.equal(
    diary.slices.reduce((sum, length) => sum + length, 0),
    20_000,
  );
  assert.ok(diary.slices.every((length) => length <= 1000));
  assert.equal(diary.told[0], 'snapshot to 100000');
  assert.equal(diary.told.length, 2);
  assert.match(diary.told[1]!, /^batch at/);
  await runtime.runUntil(quorum.close());
});

test('writing one lets others have their turn, and stops with the node', async () => {
  const { runtime, open } = await withSnapshot(1);
  const quorum = await open();
  const big = Array.from({ length: 3000 }, (_, index) => configRecord(`topic-${index}`, 'y'.repeat(1000)));
  const turns = await turnsOf(runtime, quorum.writeSnapshot(big));
  assert.ok(turns > 10, `${turns} turns`);
  const names = (): string[] =>
    runtime.files.list('/data/__cluster_metadata-0').filter((name: string) => name.endsWith('.checkpoint'));
  const before = names();
  await runtime.runUntil(quorum.append([featureLevelRecord('later', 1)]));
  const writing = quorum.writeSnapshot(big);
  await runtime.runUntil(quorum.close());
  await runtime.runUntil(writing);
  assert.deepEqual(names(), before);
});

test('a node that begins is not there before it has seen that its newest snapshot is whole', async () => {
  const flipped = (bytes: Buffer): Buffer => {
    bytes[bytes.length >> 1]! ^= 4;
    return bytes;
  };
  for (const spoil of [flipped, (bytes: Buffer) => bytes.subarray(0, -20), (bytes: Buffer) => bytes.subarray(0, 3)]) {
    const { open, path } = await withSnapshot(20_000, spoil);
    await assert.rejects(open(), (error) => error instanceof CorruptFileError && error.path === path);
  }
});

test('what is damaged is said with its place, whatever the sizes of batches', () => {
  const long = Array.from({ length: 300 }, (_, index) => configRecord(`${index}`, 'v'.repeat(30_000)));
  assert.deepEqual([...readerOf(bytesOf(long, 5_000_000)).records()], long);
  const large = [...long, ...records(5000)];
  const bytes = bytesOf(large);
  assert.deepEqual([...readerOf(bytes).records()], large);
  assert.equal(readerOf(bytes).header.lastContainedLogTimestampMs, 5);
  const at = bytes.indexOf('feature-4000');
  const damaged = Buffer.from(bytes);
  damaged[at]! ^= 1;
  const reader = readerOf(damaged);
  const isNamed = (error: unknown): boolean => {
    const place = error instanceof CorruptSnapshotError ? /damaged at byte (\d+) of/.exec(error.message) : null;
    return place !== null && Number(place[1]) <= at && at - Number(place[1]) < 256 * 1024;
  };
  assert.throws(() => [...reader.records()], isNamed);
  assert.throws(() => [...reader.verify()], isNamed);
  assert.throws(() => [...readerOf(bytes.subarray(0, -1)).verify()], /does not end with a snapshot footer/);
  assert.throws(() => [...readerOf(Buffer.concat([bytes, bytes])).verify()], /comes behind its footer/);
});
