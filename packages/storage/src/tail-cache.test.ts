import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FileOperation, MemoryFiles } from '@ottla/runtime';
import fc from 'fast-check';
import type { Log } from './log.ts';
import { append, batchOf, openLog, testRuntime, valuesIn } from './log-fixture.ts';
import type { LogRead, ReadRequest } from './log-reader.ts';
import { ReadBuffers } from './read-buffers.ts';
import { TailCache } from './tail-cache.ts';

const MiB = 1 << 20;

function tailed(options: { maxBytes?: number; config?: object; tails?: TailCache } = {}) {
  const operations: FileOperation[] = [];
  const files = new MemoryFiles({ fault: (operation) => void operations.push(operation) });
  const tails = options.tails ?? new TailCache({ maxBytes: options.maxBytes ?? 4 * MiB });
  const log = openLog(testRuntime(files), { tails, config: { ...options.config } });
  const reads = () => operations.filter(({ kind }) => kind === 'read').length;
  return { log, tails, reads };
}

function readFrom(log: Log, startOffset: number, maxBytes = MiB): LogRead {
  return log.read({ startOffset, endOffset: log.logEndOffset, maxBytes, minOneBatch: true });
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

test('who reads at the end of a log gets what is appended from memory, from then on', () => {
  const { log, tails, reads } = tailed();
  append(log, batchOf(['old']));
  assert.equal(tails.usedBytes, 0, 'nobody has read');
  readFrom(log, 0);
  append(log, batchOf(['new']));
  append(log, batchOf(['newer']));
  const before = reads();
  const { records, upperBoundOffset, isFirstBatchCut } = readFrom(log, 1);
  assert.equal(log.measure({ startOffset: 1, endOffset: 3, maxBytes: MiB, minOneBatch: true }), records.length);
  assert.equal(reads(), before);
  assert.deepEqual([upperBoundOffset, isFirstBatchCut], [3, false]);
  assert.match(text(records), /new.*newer/s);
  assert.deepEqual(valuesIn(log), [[0, 'old'], [1, 'new'], [2, 'newer']]); // biome-ignore format: one line
  assert.ok(reads() > before, 'what was there before comes from the file');
});

test('an empty read at the end is a reader too', () => {
  const { log, reads } = tailed();
  append(log, batchOf(['a']));
  readFrom(log, 1);
  append(log, batchOf(['b']));
  const before = reads();
  assert.equal(readFrom(log, 1).records.length > 0, true);
  assert.equal(reads(), before);
});

test('bytes that a reader holds stay as they are, whatever comes after, and are used again once released', () => {
  const { log, tails } = tailed({ maxBytes: MiB });
  readFrom(log, 0);
  const held: { read: LogRead; copy: string }[] = [];
  const fill = (count: number, hold: boolean) => {
    for (let index = 0; index < count; index++) {
      append(log, batchOf([`${index}`.padEnd(20_000, String.fromCharCode(97 + (index % 26)))]));
      const read = readFrom(log, log.logEndOffset - 1);
      if (hold) held.push({ read, copy: text(read.records) });
      else read.release!();
      assert.ok(tails.usedBytes <= MiB);
    }
  };
  fill(60, true);
  for (const { read, copy } of held) assert.equal(text(read.records), copy);
  for (const { read } of held) {
    read.release!();
    read.release!();
  }
  fill(60, false);
  const buffers = new Set<ArrayBufferLike>();
  for (let index = 0; index < 60; index++) {
    append(log, batchOf(['x'.repeat(20_000)]));
    const read = readFrom(log, log.logEndOffset - 1);
    buffers.add(read.records.buffer);
    read.release!();
  }
  assert.ok(buffers.size <= 5, `${buffers.size} buffers for a cache of four`);
});

test('the tails of a node share their memory, and the oldest gives way', () => {
  const tails = new TailCache({ maxBytes: MiB });
  const logs = Array.from({ length: 40 }, () => tailed({ tails }));
  for (const { log } of logs) readFrom(log, 0);
  for (let round = 0; round < 30; round++) {
    for (const { log } of logs) {
      append(log, batchOf(['v'.repeat(10_000)]));
      readFrom(log, log.logEndOffset - 1).release?.();
      assert.ok(tails.usedBytes <= MiB);
    }
  }
  for (const { log } of logs) assert.equal(valuesIn(log).length, 30);
});

test('a tail that nobody reads any more gives its memory back, and so does one at rest', () => {
  const { log, tails } = tailed({ maxBytes: 8 * MiB });
  readFrom(log, 0);
  for (let index = 0; index < 100; index++) append(log, batchOf(['v'.repeat(20_000)]));
  assert.equal(tails.usedBytes, 0);
  readFrom(log, 100);
  append(log, batchOf(['w']));
  readFrom(log, 100);
  log.releaseMemory();
  assert.ok(tails.usedBytes > 0, 'it was read since');
  log.releaseMemory();
  assert.equal(tails.usedBytes, 0);
});

test('without memory for it a log reads from its files', () => {
  for (const maxBytes of [0, 1000]) {
    const { log, tails } = tailed({ maxBytes });
    readFrom(log, 0);
    append(log, batchOf(['a']));
    assert.deepEqual(valuesIn(log), [[0, 'a']]);
    assert.equal(tails.usedBytes, 0);
  }
});

test('what memory gives is what the files would, under any sequence of appends, truncations, rolls and reads', () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const steps = fc.array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constant('append' as const),
          sizes: fc.array(fc.nat(12_000), { minLength: 1, maxLength: 3 }),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('stage' as const),
          sizes: fc.array(fc.nat(12_000), { minLength: 1, maxLength: 4 }),
        }),
      },
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constant('read' as const),
          share,
          end: share,
          maxBytes: fc.nat(60_000),
          minOneBatch: fc.boolean(),
        }),
      },
      { weight: 3, arbitrary: fc.constant({ do: 'tail' as const }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('truncate' as const), share }) },
      { weight: 1, arbitrary: fc.constant({ do: 'roll' as const }) },
      { weight: 1, arbitrary: fc.constant({ do: 'releaseMemory' as const }) },
    ),
    { maxLength: 40, size: 'max' },
  );
  fc.assert(
    fc.property(steps, (actions) => {
      const tails = new TailCache({ maxBytes: 300 * 1024 });
      const logs = [openLog(testRuntime(), { tails }), openLog(testRuntime())] as const;
      const [withTail, without] = logs;
      for (const log of logs) append(log, batchOf(['first']));
      let count = 0;
      for (const action of actions) {
        const { logEndOffset } = without;
        switch (action.do) {
          case 'append':
          case 'stage': {
            const batches = action.sizes.map((size) => [`${count++}`, 'v'.repeat(size)]);
            for (const log of logs) {
              for (const values of batches) {
                if (action.do === 'append') append(log, batchOf(values));
                else log.stage(batchOf(values), { leaderEpoch: 0, origin: 'client' });
              }
              log.commitStaged();
            }
            break;
          }
          case 'tail':
            readFrom(withTail, logEndOffset);
            break;
          case 'truncate': {
            const offset = Math.floor(action.share * logEndOffset);
            for (const log of logs) log.truncateTo(offset);
            break;
          }
          case 'roll':
            for (const log of logs) if (log.segments.at(-1)!.sizeBytes > 0) log.roll();
            break;
          case 'releaseMemory':
            withTail.releaseMemory();
            break;
          case 'read': {
            const startOffset = Math.floor(action.share * logEndOffset);
            const bounds = [logEndOffset, batchBorder(without, Math.floor(action.end * logEndOffset))];
            for (const endOffset of bounds) {
              const request: ReadRequest = { startOffset, endOffset, maxBytes: action.maxBytes, minOneBatch: action.minOneBatch };
              const [cached, read] = [withTail.read(request), without.read(request)];
              const common = Math.min(cached.records.length, read.records.length);
              // A chunk may end earlier, and a segment where a chunk does not.
              if (request.minOneBatch && startOffset < endOffset) assert.ok(common > 0 || read.records.length === 0);
              assert.equal(text(cached.records.subarray(0, common)), text(read.records.subarray(0, common)));
              assert.equal(cached.isFirstBatchCut, read.isFirstBatchCut);
              cached.release?.();
            }
            break;
          }
        }
        assert.ok(tails.usedBytes <= tails.maxBytes);
      }
      for (const startOffset of [0, without.logEndOffset >> 1])
        assert.deepEqual(valuesIn(withTail, { startOffset, maxBytes: 5000 }), valuesIn(without, { startOffset, maxBytes: 5000 }));
    }),
    { numRuns: 40 },
  );
});

/** The base offset of the batch that holds `offset`. */
function batchBorder(log: Log, offset: number): number {
  const { records } = log.read({ startOffset: offset, endOffset: log.logEndOffset, maxBytes: 1, minOneBatch: true });
  return records.length < 8 ? log.logEndOffset : Number(Buffer.from(records).readBigInt64BE(0));
}

test('buffers come back by size, and no more of them than asked for are kept', () => {
  const buffers = new ReadBuffers({ maxFreeBytes: 100_000 });
  const small = buffers.lease(1);
  const large = buffers.lease(70_000);
  assert.deepEqual([small.buffer.length, large.buffer.length], [1024, 128 * 1024]);
  assert.equal(buffers.lease(5 * MiB).release, undefined);
  large.release!();
  assert.equal(buffers.freeBytes, 0, 'it would be too much');
  small.release!();
  small.release!();
  assert.equal(buffers.freeBytes, 1024);
  assert.equal(buffers.lease(1024).buffer, small.buffer);
  assert.notEqual(buffers.lease(1024).buffer, small.buffer);
  assert.equal(buffers.lease(1025).buffer.length, 2048);
});
