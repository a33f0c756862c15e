import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogConfig } from './log-config.ts';
import { append, batchOf, openLog, startMs, testRuntime, valuesIn } from './log-fixture.ts';

const batchBytes = batchOf(['x'.repeat(100)]).length;
const day = 24 * 60 * 60 * 1000;

/** Six segments of two batches, one an hour. */
function sixSegments(config: Partial<LogConfig>) {
  const runtime = testRuntime();
  const log = openLog(runtime, { config: { segmentBytes: batchBytes * 2, ...config } });
  for (let index = 0; index < 12; index++) append(log, batchOf(['x'.repeat(100)], { timestamp: startMs + index * 1000 }));
  assert.equal(log.segments.length, 6);
  const retain = (options: { highWatermark?: number; nowMs?: number } = {}) =>
    log.deleteOldSegments({ highWatermark: log.logEndOffset, nowMs: startMs + 12_000, ...options });
  return { runtime, log, retain };
}

test('by size: as many segments go as leave at least retention.bytes', () => {
  const { log, retain } = sixSegments({ retentionBytes: batchBytes * 7 });
  assert.equal(retain(), 2);
  assert.deepEqual([log.logStartOffset, log.sizeBytes], [4, batchBytes * 8]);
  assert.equal(retain(), 0);
});

test('by time: segments go once their largest timestamp is older than retention.ms', () => {
  const { log, retain } = sixSegments({ retentionMs: 5_000 });
  assert.equal(retain({ nowMs: startMs + 8_000 }), 1);
  assert.equal(log.logStartOffset, 2);
  assert.equal(retain({ nowMs: startMs + 8_001 }), 1);
});

test('records from the future keep their segment', () => {
  const { log, retain } = sixSegments({ retentionMs: 1, segmentBytes: batchBytes * 2 });
  const ahead = openLog(testRuntime(), { config: { retentionMs: 1, messageTimestampAfterMaxMs: 9 * day } });
  append(ahead, batchOf(['x'], { timestamp: startMs + 8 * day }));
  assert.equal(ahead.deleteOldSegments({ highWatermark: 1, nowMs: startMs + 7 * day }), 0);
  assert.equal(retain({ nowMs: startMs + day }), 6);
  assert.equal(log.logEndOffset, 12);
});

test('by log start offset: also for compacted topics, and for a topic with an empty policy', () => {
  for (const cleanupPolicy of [['delete'], ['compact'], []]) {
    const { log, retain } = sixSegments({
      cleanupPolicy,
      retentionMs: cleanupPolicy.includes('delete') ? -1 : 0,
      retentionBytes: cleanupPolicy.includes('delete') ? -1 : 0,
    });
    log.advanceLogStartOffset(5);
    assert.equal(retain(), 2);
    assert.equal(log.segments[0]!.baseOffset, 4);
    assert.deepEqual(valuesIn(log).map(([offset]) => offset)[0], 5);
    assert.deepEqual(log.epochs, [{ epoch: 0, startOffset: 5 }]);
  }
});

test('nothing at or behind the high watermark goes', () => {
  const { log, retain } = sixSegments({ retentionMs: 0 });
  assert.equal(retain({ highWatermark: 5, nowMs: startMs + day }), 2);
  assert.equal(log.logStartOffset, 4);
});

test('when all segments go, an empty one takes over at the log end', () => {
  const { runtime, log, retain } = sixSegments({ retentionMs: 0 });
  assert.equal(retain({ nowMs: startMs + day }), 6);
  assert.deepEqual([log.logStartOffset, log.logEndOffset, log.segments.length, log.sizeBytes], [12, 12, 1, 0]);
  assert.equal(retain({ nowMs: startMs + 2 * day }), 0);
  assert.equal(append(log, batchOf(['next'])).firstOffset, 12);
  log.close();
  const reopened = openLog(runtime);
  assert.deepEqual([reopened.logStartOffset, reopened.logEndOffset], [12, 13]);
});

test('the files of a deleted segment, its snapshot among them, stay under another name until the delay is over', () => {
  const { runtime, log, retain } = sixSegments({ retentionBytes: batchBytes * 8, fileDeleteDelayMs: 500 });
  const deleted = () => runtime.files.list(log.directory).filter((name) => name.endsWith('.deleted'));
  retain({ nowMs: startMs });
  assert.deepEqual(deleted(), [
    '00000000000000000000.index.deleted',
    '00000000000000000000.log.deleted',
    '00000000000000000000.timeindex.deleted',
    '00000000000000000002.index.deleted',
    '00000000000000000002.log.deleted',
    '00000000000000000002.snapshot.deleted',
    '00000000000000000002.timeindex.deleted',
  ]);
  log.runTasks(startMs + 499);
  assert.equal(deleted().length, 7);
  log.runTasks(startMs + 500);
  assert.equal(deleted().length, 0);
});

test('the log start may not pass the high watermark', () => {
  const { log } = sixSegments({});
  log.onHighWatermark(6);
  assert.throws(() => log.advanceLogStartOffset(7), { name: 'OFFSET_OUT_OF_RANGE' });
  assert.equal(log.advanceLogStartOffset(6), true);
  assert.equal(log.advanceLogStartOffset(3), false);
});
