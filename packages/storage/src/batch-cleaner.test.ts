import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BatchOptions, BatchView, buildBatch, buildLegacyMessageSet } from '@ottla/protocol';
import { type CleaningRound, cleanBatch } from './batch-cleaner.ts';
import { CleanedTransactions } from './cleaned-transactions.ts';
import { endTransaction, startMs } from './log-fixture.ts';

const bytes = (value: string | null) => (value === null ? null : new TextEncoder().encode(value));

/** A round in which these are the latest offsets of their keys, and all others stand before offset 100. */
function round(latest: Record<string, number> = {}, options: Partial<CleaningRound> = {}): CleaningRound {
  return {
    offsets: { get: (key) => latest[new TextDecoder().decode(key)] ?? -1 },
    latestOffset: 99,
    upperBoundOffset: 100,
    producers: new Map(),
    nowMs: startMs,
    deleteRetentionMs: 1000,
    ...options,
  };
}

const segment = { transactions: new CleanedTransactions(), keepsLegacyTombstones: true };

function batch(records: readonly (readonly [string | null, string | null, number?])[], options: BatchOptions = {}): BatchView {
  return new BatchView(
    buildBatch({
      ...options,
      records: records.map(([key, value, timestamp = startMs]) => ({ key: bytes(key), value: bytes(value), timestamp })),
    }),
  );
}

const cleaned = (view: BatchView, known: CleaningRound): BatchView => new BatchView(cleanBatch(view, known, segment)!);

test('a batch of which nothing goes is the same bytes', () => {
  const whole = batch(
    [
      ['a', '1'],
      ['b', '2'],
    ],
    { baseOffset: 5 },
  );
  assert.deepEqual(cleanBatch(whole, round({ a: 5, b: 6 }), segment), whole.bytes);
});

test('a record behind what the map has seen stays, whatever it is', () => {
  const mixed = batch(
    [
      ['a', '1'],
      [null, '2'],
      ['a', null],
    ],
    { baseOffset: 10 },
  );
  const kept = cleaned(mixed, round({ a: 50 }, { latestOffset: 10 }));
  assert.deepEqual(
    [...kept.records()].map(({ offset }) => offset),
    [11, 12],
  );
  assert.equal(kept.lastOffset, 12);
});

test('times stay: of each record, or that of the append', () => {
  const own = cleaned(
    batch(
      [
        ['a', '1', 700],
        ['b', null, 300],
        ['c', '3', 500],
      ],
      { baseOffset: 0 },
    ),
    round({ a: 9 }),
  );
  assert.deepEqual([own.maxTimestamp, own.deleteHorizonMs, own.timestampType], [500, startMs + 1000, 'CreateTime']);
  assert.deepEqual(
    [...own.records()].map(({ timestamp }) => timestamp),
    [300, 500],
  );
  const appended = cleaned(
    batch(
      [
        ['a', '1', 700],
        ['b', '2', 300],
      ],
      { logAppendTimeMs: 900 },
    ),
    round({ a: 9 }),
  );
  assert.deepEqual([appended.maxTimestamp, appended.timestampType], [900, 'LogAppendTime']);
  assert.deepEqual(
    [...appended.records()].map(({ timestamp }) => timestamp),
    [900],
  );
});

test('a delete horizon, once set, stays as it is until its time', () => {
  const first = cleaned(
    batch([
      ['a', null, 300],
      ['b', '1', 400],
    ]),
    round(),
  );
  const second = cleaned(first, round({ b: 5 }, { nowMs: startMs + 999 }));
  assert.equal(second.deleteHorizonMs, startMs + 1000);
  assert.deepEqual(
    [...second.records()].map(({ key, timestamp }) => [String.fromCharCode(...key!), timestamp]),
    [['a', 300]],
  );
  assert.equal(cleanBatch(second, round({}, { nowMs: startMs + 1000 }), segment), undefined);
});

test('what stays empty keeps its header', () => {
  const data = batch(
    [
      ['a', '1', 700],
      ['a', '2', 800],
    ],
    { baseOffset: 8, producerId: 4, producerEpoch: 1, baseSequence: 3, codec: 'gzip' },
  );
  const producers = new Map([[4, { lastDataOffset: 9, producerEpoch: 1 }]]);
  const kept = cleaned(data, round({ a: 50 }, { producers }));
  assert.deepEqual(
    [
      kept.baseOffset,
      kept.lastOffset,
      kept.recordsCount,
      kept.producerId,
      kept.producerEpoch,
      kept.lastSequence,
      kept.maxTimestamp,
    ],
    [8, 9, 0, 4, 1, 4, 800],
  );
  assert.deepEqual([kept.codec, kept.isCrcValid()], ['none', true]);
  assert.equal(cleanBatch(data, round({ a: 50 }), segment), undefined);
  assert.equal(cleaned(data, round({ a: 50 }, { upperBoundOffset: 10 })).recordsCount, 0);
  assert.equal(cleaned(kept, round({}, { producers })).recordsCount, 0);
});

test('the only marker of a producer without data stays, empty, for its epoch', () => {
  const marker = new BatchView(endTransaction('commit', { producerId: 4, producerEpoch: 7 }));
  const producers = new Map([[4, { lastDataOffset: -1, producerEpoch: 7 }]]);
  const horizon = cleaned(marker, round({}, { producers }));
  assert.deepEqual([horizon.recordsCount, horizon.deleteHorizonMs], [1, startMs + 1000]);
  const later = { nowMs: startMs + 1000 };
  const kept = cleaned(horizon, round({}, { ...later, producers }));
  assert.deepEqual([kept.recordsCount, kept.isControl, kept.producerEpoch], [0, true, 7]);
  assert.equal(cleanBatch(horizon, round({}, later), segment), undefined);
  assert.equal(cleanBatch(kept, round({}, later), segment), undefined);
});

for (const magic of [0, 1] as const) {
  for (const codec of ['none', 'gzip'] as const) {
    test(`sets of magic ${magic} stay what they are: ${codec}`, () => {
      const records = ['a', 'b', 'c'].map((key, index) => ({
        offset: 20 + index,
        key: bytes(key),
        value: index === 2 ? null : bytes('v'),
      }));
      const set = buildLegacyMessageSet({ magic, codec, records });
      const kept = (known: CleaningRound, keepsLegacyTombstones: boolean) => {
        const offsets: number[] = [];
        for (let start = 0; start < set.length; ) {
          const view = new BatchView(set, start);
          const left = cleanBatch(new BatchView(view.bytes), known, { ...segment, keepsLegacyTombstones });
          if (left) {
            const again = new BatchView(left);
            again.ensureCrc();
            assert.deepEqual([again.magic, again.codec], [magic, codec]);
            offsets.push(...[...again.records()].map(({ offset }) => offset));
          }
          start = view.end;
        }
        return offsets;
      };
      assert.deepEqual(kept(round({ a: 30 }), true), [21, 22]);
      assert.deepEqual(kept(round({ b: 30 }), false), [20]);
      assert.deepEqual(kept(round({ a: 30, b: 30, c: 30 }), true), []);
    });
  }
}
