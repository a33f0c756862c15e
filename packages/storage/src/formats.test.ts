import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryFiles, SeededRandom } from '@ottla/runtime';
import fc from 'fast-check';
import { readCheckpoint, writeCheckpoint } from './checkpoint-file.ts';
import { readCleanShutdown } from './clean-shutdown.ts';
import { CorruptFileError } from './corrupt-file-error.ts';
import { IndexFile } from './index-file.ts';
import { LeaderEpochCache } from './leader-epoch-cache.ts';
import { readMetaProperties, writeMetaProperties } from './meta-properties.ts';
import { OffsetIndex } from './offset-index.ts';
import { fatedDirectoryName, parsePartitionDirectoryName } from './partition-directory.ts';
import { readPartitionMetadata } from './partition-metadata.ts';
import { decodeProducerSnapshot, encodeProducerSnapshot } from './producer-snapshot.ts';
import { parseSegmentFileName, segmentFileName } from './segment-files.ts';
import { TimeIndex } from './time-index.ts';

const text = (files: MemoryFiles, path: string) => new TextDecoder().decode(files.readFile(path));

test('checkpoint files are read as Kafka writes them, and damaged ones are refused', () => {
  const files = new MemoryFiles();
  files.makeDirectory('/d');
  assert.deepEqual(readCheckpoint(files, '/d/absent', 3), []);
  writeCheckpoint(files, '/d/c', [
    ['a', 0, 5],
    ['b', 1, 7],
  ]);
  assert.equal(text(files, '/d/c'), '0\n2\na 0 5\nb 1 7\n');
  assert.deepEqual(readCheckpoint(files, '/d/c', 3), [
    ['a', '0', '5'],
    ['b', '1', '7'],
  ]);
  files.writeFileDurably('/d/c', '');
  assert.deepEqual(readCheckpoint(files, '/d/c', 3), []);
  for (const damaged of [
    '1\n0\n',
    '0\n',
    '0\nx\n',
    '0\n2\na 0 5\n',
    '0\n0\na 0 5\n',
    '0\n1\na 0\n',
    '\0\0\0\0',
    '0\n1\na 0 5\n\n\n',
  ]) {
    files.writeFileDurably('/d/c', damaged);
    assert.throws(() => readCheckpoint(files, '/d/c', 3), CorruptFileError, JSON.stringify(damaged));
  }
});

test('meta.properties is written as Java writes properties, and read back', () => {
  const files = new MemoryFiles();
  files.makeDirectory('/d');
  assert.equal(readMetaProperties(files, '/d'), undefined);
  const meta = { clusterId: 'MkU3OEVBNTcwNTJENDM2Qg', nodeId: 7, directoryId: 'AQAAAAAAAAAAAAAAAAAAAQ' };
  writeMetaProperties(files, '/d', meta, Date.UTC(2026, 10, 1, 3, 4, 5));
  assert.equal(
    text(files, '/d/meta.properties'),
    '#\n#Sun Nov 01 03:04:05 UTC 2026\nnode.id=7\ndirectory.id=AQAAAAAAAAAAAAAAAAAAAQ\nversion=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\n',
  );
  assert.deepEqual(readMetaProperties(files, '/d'), meta);
  files.writeFileDurably('/d/meta.properties', '! comment\r\nversion = 1\r\n cluster.id: a\\:b\nnode.id 3\n');
  assert.deepEqual(readMetaProperties(files, '/d'), { clusterId: 'a:b', nodeId: 3, directoryId: undefined });
  for (const damaged of [
    '',
    'version=0\nbroker.id=1\n',
    'version=1\nnode.id=1\n',
    'version=1\ncluster.id=c\nnode.id=x\n',
    'version=1\ncluster.id=c\nnode.id=1\ndirectory.id=short\n',
  ]) {
    files.writeFileDurably('/d/meta.properties', damaged);
    assert.throws(() => readMetaProperties(files, '/d'), CorruptFileError);
  }
});

test('a marker of a clean stop counts, unless it is damaged', () => {
  const files = new MemoryFiles();
  files.makeDirectory('/d');
  assert.equal(readCleanShutdown(files, '/d'), undefined);
  for (const [content, brokerEpoch] of [
    ['{"version":0,"brokerEpoch":13}', 13],
    ['', -1],
  ] as const) {
    files.writeFileDurably('/d/.kafka_cleanshutdown', content);
    assert.deepEqual(readCleanShutdown(files, '/d'), { brokerEpoch });
  }
  for (const content of [
    'null',
    '{"version":0,"brokerEpoch":1',
    '{"versioo":0,"brokerEpoch":13}',
    '{"version":1,"brokerEpoch":13}',
  ]) {
    files.writeFileDurably('/d/.kafka_cleanshutdown', content);
    assert.equal(readCleanShutdown(files, '/d'), undefined);
  }
});

test('partition.metadata names the topic id or is refused', () => {
  const files = new MemoryFiles();
  files.makeDirectory('/d');
  files.writeFileDurably('/d/partition.metadata', 'version: 0\ntopic_id: czgjCwTYRjeP-FpebEOouQ\n');
  assert.deepEqual(readPartitionMetadata(files, '/d'), { topicId: 'czgjCwTYRjeP-FpebEOouQ' });
  for (const damaged of ['version: 1\ntopic_id: czgjCwTYRjeP-FpebEOouQ', 'version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA', 'x']) {
    files.writeFileDurably('/d/partition.metadata', damaged);
    assert.throws(() => readPartitionMetadata(files, '/d'), CorruptFileError);
  }
});

test('names of partition directories', () => {
  assert.deepEqual(parsePartitionDirectoryName('a-b-12'), { topic: 'a-b', partition: 12 });
  assert.deepEqual(parsePartitionDirectoryName(`a.b-0.${'0f'.repeat(16)}-stray`), { topic: 'a.b', partition: 0, fate: 'stray' });
  for (const name of ['a', 'a-', '-1', 'a-01', 'a-x', 'a b-1', 'a-99999999999'])
    assert.equal(parsePartitionDirectoryName(name), undefined, name);
  const long = fatedDirectoryName('t'.repeat(249), 17, 'delete', new SeededRandom(1));
  assert.equal(long.length, 255);
  assert.equal(parsePartitionDirectoryName(long)?.fate, 'delete');
});

test('names of segment files', () => {
  assert.equal(segmentFileName(123, '.timeindex'), '00000000000000000123.timeindex');
  assert.deepEqual(parseSegmentFileName('00000000000000000123.txnindex'), { offset: 123, suffix: '.txnindex' });
  for (const name of [
    '123.log',
    '00000000000000000123.log.deleted',
    '00000000000000000123-0000000001.checkpoint',
    '99999999999999999999.log',
  ]) {
    assert.equal(parseSegmentFileName(name), undefined, name);
  }
});

test('producer snapshots round-trip, and a flipped bit is noticed', () => {
  const entry = fc.record({
    producerId: fc.nat(),
    producerEpoch: fc.integer({ min: 0, max: 32767 }),
    coordinatorEpoch: fc.integer({ min: -1 }),
    lastTimestamp: fc.nat(),
    transactionFirstOffset: fc.integer({ min: -1 }),
    batch: fc.option(fc.record({ lastSequence: fc.nat(), lastOffset: fc.nat(), offsetDelta: fc.nat() })),
  });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 5 }), fc.nat(), (entries, flipped) => {
      const all = entries.map(({ batch, ...rest }) => ({
        ...rest,
        batches: batch ? [{ ...batch, timestamp: rest.lastTimestamp }] : [],
      }));
      const bytes = encodeProducerSnapshot(all);
      assert.equal(bytes.length, 10 + 46 * all.length);
      assert.deepEqual(decodeProducerSnapshot(bytes, 'x'), all);
      bytes[flipped % bytes.length]! ^= 1;
      assert.throws(() => decodeProducerSnapshot(bytes, 'x'), CorruptFileError);
    }),
  );
});

test('an offset index answers like a list, trimmed or with its zero tail', () => {
  const gaps = fc.array(fc.record({ offset: fc.integer({ min: 1, max: 50 }), position: fc.integer({ min: 1, max: 9000 }) }), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(gaps, fc.nat(2500), fc.boolean(), fc.boolean(), (steps, target, isTrimmed, isReread) => {
      const files = new MemoryFiles();
      const options = OffsetIndex.fileOptions({ files, path: '/0.index', maxBytes: 10 * 1024 });
      let file = IndexFile.create(options);
      const base = 1000;
      let index = new OffsetIndex(file, base);
      const entries: { offset: number; position: number }[] = [];
      for (const step of steps) {
        const last = entries.at(-1) ?? { offset: base - 1, position: 0 };
        const entry = { offset: last.offset + step.offset, position: last.position + step.position };
        entries.push(entry);
        index.append(entry.offset, entry.position);
      }
      if (isTrimmed) file.trim();
      else file.writeBehind();
      assert.equal(files.stat('/0.index')!.size, isTrimmed ? entries.length * 8 : 10 * 1024);
      if (isReread) index = new OffsetIndex((file = IndexFile.open(options)), base);
      const offset = base + target;
      const floor = entries.findLast((entry) => entry.offset <= offset);
      assert.equal(file.count, entries.length);
      assert.equal(index.lookup(offset), floor?.position ?? 0);
      assert.equal(index.indexedOffset(offset), floor?.offset ?? -1);
      assert.equal(index.offsetAtOrBehind(target), entries.find((entry) => entry.position >= target)?.offset);
      index.truncateTo(offset);
      file.writeBehind();
      assert.equal(IndexFile.open(options).count, entries.filter((entry) => entry.offset < offset).length);
    }),
  );
});

test('a time index keeps ascending timestamps and holds a slot back', () => {
  const files = new MemoryFiles();
  const options = TimeIndex.fileOptions({ files, path: '/0.timeindex', maxBytes: 50 });
  const index = new TimeIndex(IndexFile.create(options), 10);
  assert.equal(files.stat('/0.timeindex')!.size, 48);
  assert.deepEqual(index.lastEntry, { timestamp: -1, offset: 10 });
  for (const [timestamp, offset] of [
    [5, 12],
    [5, 13],
    [4, 14],
    [9, 15],
  ] as const)
    index.appendIfLater({ timestamp, offset });
  assert.equal(index.file.count, 2);
  assert.equal(index.isFull, false);
  index.appendIfLater({ timestamp: 10, offset: 16 });
  assert.equal(index.isFull, true);
  assert.deepEqual(
    [4, 5, 9, 99].map((timestamp) => index.lookup(timestamp).offset),
    [10, 12, 15, 16],
  );
  index.truncateTo(15);
  assert.deepEqual(index.lastEntry, { timestamp: 5, offset: 12 });
  const zeroTime = new TimeIndex(IndexFile.create({ ...options, path: '/1.timeindex' }), 0);
  zeroTime.appendIfLater({ timestamp: 0, offset: 0 });
  zeroTime.file.trim();
  assert.equal(IndexFile.open({ ...options, path: '/1.timeindex' }).count, 1);
});

test('an index of an impossible size is refused', () => {
  const files = new MemoryFiles();
  files.writeFileDurably('/0.index', new Uint8Array(15));
  assert.throws(() => IndexFile.open(OffsetIndex.fileOptions({ files, path: '/0.index', maxBytes: 80 })), CorruptFileError);
});

test('the epoch cache drops what contradicts a new epoch, and survives a restart', () => {
  const files = new MemoryFiles();
  files.makeDirectory('/d');
  const cache = LeaderEpochCache.open(files, '/d');
  cache.assign(1, 0);
  cache.assign(2, 10);
  cache.assign(2, 15);
  cache.assign(4, 20);
  assert.equal(files.stat('/d/leader-epoch-checkpoint'), undefined);
  cache.persist(21);
  assert.equal(text(files, '/d/leader-epoch-checkpoint'), '0\n3\n1 0\n2 10\n4 20\n');
  assert.deepEqual(
    [0, 9, 10, 25].map((offset) => cache.epochForOffset(offset)),
    [1, 1, 2, 4],
  );
  cache.assign(3, 12);
  cache.persist(13);
  assert.deepEqual(LeaderEpochCache.open(files, '/d').entries, [
    { epoch: 1, startOffset: 0 },
    { epoch: 2, startOffset: 10 },
    { epoch: 3, startOffset: 12 },
  ]);
  cache.truncateFromStart(11);
  assert.deepEqual(cache.entries, [
    { epoch: 2, startOffset: 11 },
    { epoch: 3, startOffset: 12 },
  ]);
  cache.truncateFromEnd(12);
  assert.deepEqual(cache.entries, [{ epoch: 2, startOffset: 11 }]);
  assert.equal(cache.epochForOffset(3), -1);
  files.writeFileDurably('/d/leader-epoch-checkpoint', '0\n2\n3 5\n2 9\n');
  assert.throws(() => LeaderEpochCache.open(files, '/d'), CorruptFileError);
});
