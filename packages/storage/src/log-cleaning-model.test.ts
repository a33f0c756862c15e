import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { appendKeyed, clean, type Keyed, type Survivor, survivorsIn } from './cleaner-fixture.ts';
import type { Log } from './log.ts';
import { endTransaction, openLog, startMs, testRuntime } from './log-fixture.ts';

type Step =
  | { do: 'append'; records: [string, string | null][]; codec: 'none' | 'gzip' | 'zstd'; producerId: number }
  | { do: 'transaction'; records: [string, string | null][]; ends: 'commit' | 'abort'; producerId: number }
  | { do: 'roll' }
  | { do: 'clean'; keys: number }
  | { do: 'wait'; ms: number }
  | { do: 'reopen'; isClean: boolean };

const key = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const value = fc.option(fc.string({ maxLength: 12 }), { freq: 3 });
const records = fc.array(fc.tuple(key, value), { minLength: 1, maxLength: 5 });
const codec = fc.constantFrom('none' as const, 'gzip' as const, 'zstd' as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('append' as const), records, codec, producerId: fc.integer({ min: -1, max: 2 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('transaction' as const),
      records,
      ends: fc.constantFrom('commit' as const, 'abort' as const),
      producerId: fc.integer({ min: 10, max: 11 }),
    }),
  },
  { weight: 4, arbitrary: fc.constant({ do: 'roll' as const }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('clean' as const), keys: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(1500) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('reopen' as const), isClean: fc.boolean() }) },
);

const deleteRetentionMs = 1000;
const config = {
  cleanupPolicy: ['compact'],
  deleteRetentionMs,
  fileDeleteDelayMs: 0,
  segmentBytes: 700,
  indexIntervalBytes: 150,
};

test('compaction keeps the latest record of each key at its offset, and what a log knows of its producers', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const runtime = testRuntime();
      let log = openLog(runtime, { config });
      /** Every record of no aborted transaction, ever. */
      const written: Survivor[] = [];
      const aborted = new Set<number>();
      const sequences = new Map<number, number>();

      const appendRecords = (values: readonly Keyed[], producerId: number, options: object): number => {
        const baseSequence = sequences.get(producerId) ?? 0;
        const producer = producerId < 0 ? {} : { producerId, producerEpoch: 0, baseSequence };
        sequences.set(producerId, baseSequence + values.length);
        return appendKeyed(log, values, { ...options, ...producer, timestamp: runtime.nowMs }).firstOffset;
      };
      const perform = (action: Step) => {
        runtime.nowMs += 3;
        switch (action.do) {
          case 'append': {
            const { codec, producerId } = action;
            const first = appendRecords(action.records, producerId, { codec });
            action.records.forEach(([name, text], index) => void written.push([first + index, name, text]));
            break;
          }
          case 'transaction': {
            const { producerId, ends } = action;
            const first = appendRecords(action.records, producerId, { isTransactional: true });
            action.records.forEach(([name, text], index) => {
              if (ends === 'commit') written.push([first + index, name, text]);
              else aborted.add(first + index);
            });
            const marker = endTransaction(ends, { producerId, producerEpoch: 0 });
            log.append(marker, { leaderEpoch: 0, origin: 'coordinator' });
            break;
          }
          case 'roll':
            log.roll();
            break;
          case 'wait':
            runtime.nowMs += action.ms;
            break;
          case 'clean':
            cleanAndCompare(action.keys);
            break;
          case 'reopen': {
            const before = [survivorsIn(log), producersOf(log), log.logEndOffset];
            const { recoveryPoint, firstDirtyOffset } = log;
            if (action.isClean) log.close();
            else log.abandon();
            log = openLog(runtime, { config, cleanShutdown: action.isClean, recoveryPoint });
            log.firstDirtyOffset = firstDirtyOffset;
            assert.deepEqual([survivorsIn(log), producersOf(log), log.logEndOffset], before);
            break;
          }
        }
      };
      const cleanAndCompare = (keys: number): void => {
        const before = survivorsIn(log);
        const producers = log.activeProducers();
        const { logEndOffset } = log;
        const stableEnd = log.lastStableOffset;
        const { endOffset } = clean(log, runtime, { dedupeBufferBytes: 24 * (keys + 2) });
        const after = survivorsIn(log);
        assert.deepEqual(log.activeProducers(), producers);
        assert.deepEqual([log.logEndOffset, log.lastStableOffset], [logEndOffset, stableEnd]);

        const known = new Map(before.map((record) => [record[0], record]));
        for (const record of after) assert.deepEqual(record, known.get(record[0]), 'nothing is made up, moved or changed');
        const offsets = new Set(after.map(([offset]) => offset));
        for (const record of before)
          if (record[0] >= endOffset) assert.ok(offsets.has(record[0]) || aborted.has(record[0]), 'what is dirty stays');
        for (const offset of offsets) assert.ok(offset >= endOffset || !aborted.has(offset), 'aborted data goes');

        const latest = new Map<string | null, Survivor>();
        for (const record of written) latest.set(record[1], record);
        for (const record of latest.values()) {
          // A tombstone may be gone once its time is over, and then there is nothing else of its key either.
          if (record[2] !== null) assert.ok(offsets.has(record[0]), 'the latest value of a key stays');
          else if (!offsets.has(record[0]))
            assert.ok(
              after.every(([offset, name]) => name !== record[1] || aborted.has(offset)),
              'a deleted key stays deleted',
            );
        }
      };
      for (const action of steps) perform(action);

      // With memory for all keys, one record a key is all that is left below the active segment.
      log.roll();
      const { endOffset } = clean(log, runtime);
      assert.equal(endOffset, log.logEndOffset);
      cleanAndCompare(100);
      log.firstDirtyOffset = 0;
      clean(log, runtime);
      const keys = survivorsIn(log).map(([, name]) => name);
      assert.equal(new Set(keys).size, keys.length);
      // Long after, no tombstone is left.
      for (let round = 0; round < 2; round++) {
        runtime.nowMs += deleteRetentionMs;
        appendRecords([['end', `${round}`]], -1, {});
        log.roll();
        clean(log, runtime);
      }
      assert.ok(survivorsIn(log).every(([, , text]) => text !== null));
      assert.ok(runtime.nowMs > startMs);
      log.close();
    }),
    { numRuns: 150 },
  );
});

const producersOf = (log: Log) => log.activeProducers().sort((left, right) => left.producerId - right.producerId);
