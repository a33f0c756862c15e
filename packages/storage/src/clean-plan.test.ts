import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dirtiest, dirtOf, groupSegments, type PlannedLog } from './clean-plan.ts';
import { defaultLogConfig, type LogConfig } from './log-config.ts';

const nowMs = 1_000_000;

/** Segments of 100 bytes every ten offsets, the last of them active; written at 1000 ms a segment. */
function plannedLog(
  segments: number,
  { config, ...log }: Partial<Omit<PlannedLog, 'config'>> & { config?: Partial<LogConfig> } = {},
): PlannedLog {
  return {
    config: { ...defaultLogConfig, cleanupPolicy: ['compact'], ...config },
    cleanerSegments: Array.from({ length: segments }, (_, index) => ({
      baseOffset: index * 10,
      sizeBytes: 100,
      firstTimestamp: (index + 1) * 1000,
      largestTimestamp: (index + 1) * 1000 + 999,
    })),
    logStartOffset: 0,
    logEndOffset: segments * 10,
    lastStableOffset: segments * 10,
    firstDirtyOffset: undefined,
    ...log,
  };
}

test('a log never cleaned is all dirty, up to the active segment', () => {
  assert.deepEqual(dirtOf(plannedLog(4), nowMs), {
    firstDirtyOffset: 0,
    upperBoundOffset: 30,
    dirtyBytes: 300,
    dirtyRatio: 1,
    isOverdue: false,
  });
  assert.equal(dirtOf(plannedLog(1), nowMs).dirtyRatio, 0);
});

test('the dirty ratio counts whole segments on both sides of the checkpoint', () => {
  const { dirtyBytes, dirtyRatio } = dirtOf(plannedLog(5, { firstDirtyOffset: 30 }), nowMs);
  assert.deepEqual([dirtyBytes, dirtyRatio], [100, 0.25]);
  assert.equal(dirtOf(plannedLog(5, { firstDirtyOffset: 25 }), nowMs).dirtyRatio, 200 / 500);
});

test('a checkpoint outside of the log is worth nothing', () => {
  assert.equal(dirtOf(plannedLog(4, { firstDirtyOffset: 5, logStartOffset: 20 }), nowMs).firstDirtyOffset, 20);
  assert.equal(dirtOf(plannedLog(4, { firstDirtyOffset: 50 }), nowMs).firstDirtyOffset, 0);
});

test('nothing is cleaned from the segment on that holds the last stable offset', () => {
  assert.equal(dirtOf(plannedLog(4, { lastStableOffset: 17 }), nowMs).upperBoundOffset, 10);
  assert.equal(dirtOf(plannedLog(4, { lastStableOffset: 20 }), nowMs).upperBoundOffset, 20);
});

test('min.compaction.lag.ms holds back the first young segment and all behind it', () => {
  const log = plannedLog(4, { config: { minCompactionLagMs: 5000 } });
  assert.equal(dirtOf(log, 7000).upperBoundOffset, 10);
  assert.equal(dirtOf(log, 6000).upperBoundOffset, 0);
  assert.equal(dirtOf(log, 60_000).upperBoundOffset, 30);
});

test('the dirtiest log goes first, if it is dirty enough or has waited for too long', () => {
  const half = plannedLog(5, { firstDirtyOffset: 20 });
  const dirtier = plannedLog(6, { firstDirtyOffset: 20 });
  assert.equal(dirtiest([half], nowMs), undefined); // more than the ratio, not as much
  assert.equal(dirtiest([half, dirtier], nowMs)?.log, dirtier);
  assert.equal(dirtiest([plannedLog(5, { config: { cleanupPolicy: ['delete'] } })], nowMs), undefined);
  const late = plannedLog(5, { firstDirtyOffset: 30, config: { maxCompactionLagMs: 3000 } });
  assert.equal(dirtiest([late], 7000), undefined);
  assert.equal(dirtiest([late], 7001)?.log, late);
  assert.equal(dirtiest([plannedLog(1, { config: { maxCompactionLagMs: 1 } })], nowMs), undefined);
});

test('neighbours are joined while they fit into one segment, one index and 31 bits', () => {
  const segment = (baseOffset: number, sizeBytes = 10, indexBytes = 1) => ({ baseOffset, sizeBytes, indexBytes });
  const bases = (groups: { baseOffset: number }[][]) => groups.map((group) => group.map(({ baseOffset }) => baseOffset));
  const limits = { segmentBytes: 25, segmentIndexBytes: 100, endOffset: 60 };
  const five = [0, 10, 20, 30, 40].map((base) => segment(base));
  assert.deepEqual(bases(groupSegments(five, limits)), [[0, 10], [20, 30], [40]]);
  assert.deepEqual(bases(groupSegments(five, { ...limits, segmentIndexBytes: 1 })), [[0], [10], [20], [30], [40]]);
  assert.deepEqual(bases(groupSegments([segment(0, 90), segment(10)], limits)), [[0], [10]]);
  const far = [segment(0, 1), segment(10, 1), segment(2 ** 31, 1)];
  assert.deepEqual(bases(groupSegments(far, { ...limits, endOffset: 2 ** 31 + 5 })), [[0, 10], [2 ** 31]]);
  const edge = [segment(0, 1), segment(10, 1)];
  assert.deepEqual(bases(groupSegments(edge, { ...limits, endOffset: 2 ** 31 })), [[0, 10]]);
  assert.deepEqual(bases(groupSegments(edge, { ...limits, endOffset: 2 ** 31 + 1 })), [[0], [10]]);
});
