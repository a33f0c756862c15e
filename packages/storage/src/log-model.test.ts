import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Log } from './log.ts';
import { append, batchOf, openLog, startMs, testRuntime, valuesIn } from './log-fixture.ts';

/** A log is an array under append, truncation, retention and reopening. */
type Model = { startOffset: number; endOffset: number; values: [number, string][] };

type Step =
  | { do: 'append'; sizes: number[]; epochStep: number }
  | { do: 'appendIdempotent'; producerId: number; size: number; repeat: boolean }
  | { do: 'truncate'; share: number }
  | { do: 'truncateFully'; offset: number }
  | { do: 'advanceStart'; share: number }
  | { do: 'deleteOld' }
  | { do: 'roll' }
  | { do: 'flush' }
  | { do: 'releaseMemory' }
  | { do: 'reopen'; isClean: boolean }
  | { do: 'read'; share: number; maxBytes: number };

const share = fc.double({ min: 0, max: 1, noNaN: true });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      sizes: fc.array(fc.nat(150), { minLength: 1, maxLength: 4 }),
      epochStep: fc.nat(1),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('appendIdempotent' as const),
      producerId: fc.integer({ min: 1, max: 3 }),
      size: fc.nat(80),
      repeat: fc.boolean(),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('truncate' as const), share }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('truncateFully' as const), offset: fc.nat(100) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('advanceStart' as const), share }) },
  { weight: 5, arbitrary: fc.constant({ do: 'deleteOld' as const }) },
  { weight: 5, arbitrary: fc.constant({ do: 'roll' as const }) },
  { weight: 5, arbitrary: fc.constant({ do: 'flush' as const }) },
  { weight: 5, arbitrary: fc.constant({ do: 'releaseMemory' as const }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('reopen' as const), isClean: fc.boolean() }) },
  { weight: 15, arbitrary: fc.record({ do: fc.constant('read' as const), share, maxBytes: fc.nat(900) }) },
);

const config = { segmentBytes: 1500, indexIntervalBytes: 200, fileDeleteDelayMs: 0 };

test('a log is an array under append, truncate, roll, delete and reopen', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
      const runtime = testRuntime();
      let log = openLog(runtime, { config });
      const model: Model = { startOffset: 0, endOffset: 0, values: [] };
      const sequences = new Map<number, { next: number; last?: { offset: number; size: number } }>();
      const producerAt = new Map<number, number>();
      let epoch = 0;
      let count = 0;

      const at = (portion: number) => model.startOffset + Math.floor(portion * (model.endOffset - model.startOffset));
      const appended = (values: readonly string[], firstOffset: number) => {
        assert.equal(firstOffset, model.endOffset);
        model.values.push(...values.map((value, index): [number, string] => [firstOffset + index, value]));
        // They take the place of what a truncation may have dropped.
        for (const index of values.keys()) producerAt.delete(firstOffset + index);
        model.endOffset += values.length;
      };
      const perform = (action: Step) => {
        runtime.nowMs += 5;
        switch (action.do) {
          case 'append': {
            epoch += action.epochStep;
            const values = action.sizes.map((size) => `${count++}`.padEnd(size, 'x'));
            appended(values, append(log, batchOf(values, { timestamp: runtime.nowMs }), epoch).firstOffset);
            break;
          }
          case 'appendIdempotent': {
            const producer = sequences.get(action.producerId) ?? { next: 0 };
            sequences.set(action.producerId, producer);
            if (action.repeat && producer.last) {
              const repeated = batchOf(['r'.repeat(producer.last.size)], {
                producerId: action.producerId,
                producerEpoch: 0,
                baseSequence: producer.next - 1,
              });
              const result = append(log, repeated, epoch);
              assert.deepEqual([result.duplicate, result.firstOffset], [true, producer.last.offset]);
              break;
            }
            const value = `${count++}`.padEnd(action.size, 'y');
            const batch = batchOf([value], {
              producerId: action.producerId,
              producerEpoch: 0,
              baseSequence: producer.next,
              timestamp: runtime.nowMs,
            });
            const { firstOffset } = append(log, batch, epoch);
            appended([value], firstOffset);
            producerAt.set(firstOffset, action.producerId);
            producer.next++;
            producer.last = { offset: firstOffset, size: action.size };
            break;
          }
          case 'truncate':
            truncateModel(model, at(action.share), log);
            sequences.clear();
            for (const { producerId, lastSequence } of log.activeProducers())
              sequences.set(producerId, { next: lastSequence + 1 });
            break;
          case 'truncateFully':
            log.truncateFullyAndStartAt(action.offset);
            Object.assign(model, { startOffset: action.offset, endOffset: action.offset, values: [] });
            sequences.clear();
            break;
          case 'advanceStart':
            log.advanceLogStartOffset(at(action.share));
            model.startOffset = log.logStartOffset;
            break;
          case 'deleteOld':
            log.deleteOldSegments({ highWatermark: log.logEndOffset, nowMs: runtime.nowMs });
            assert.equal(log.logStartOffset, model.startOffset);
            log.runTasks(runtime.nowMs);
            break;
          case 'roll':
            log.roll();
            break;
          case 'flush':
            log.flush();
            assert.equal(log.recoveryPoint, model.endOffset);
            break;
          case 'releaseMemory':
            log.releaseMemory();
            break;
          case 'reopen': {
            const { recoveryPoint, logStartOffset, epochs } = log;
            const producers = log.activeProducers();
            if (action.isClean) log.close();
            else log.abandon();
            log = openLog(runtime, { config, cleanShutdown: action.isClean, recoveryPoint, logStartOffset });
            // A truncation inside a batch leaves a gap at the end, which only memory knows of.
            assert.ok(log.logEndOffset <= model.endOffset && log.logEndOffset > (model.values.at(-1)?.[0] ?? -1));
            model.endOffset = log.logEndOffset;
            const held = epochs.filter((entry) => entry.startOffset < model.endOffset);
            // After a crash the epochs of records are known again, but not one whose records a truncation took.
            if (!action.isClean) assert.deepEqual(epochsOf(model.values, log.epochs), epochsOf(model.values, held));
            else if (model.startOffset < model.endOffset) assert.deepEqual(log.epochs, held);
            for (const before of producers) {
              const after = log.activeProducers().find((producer) => producer.producerId === before.producerId);
              if (after) {
                assert.deepEqual(after, before);
                continue;
              }
              // A restart may cost the memory of a producer whose records all lie below the log start.
              assert.ok(model.values.every(([offset]) => producerAt.get(offset) !== before.producerId));
              sequences.delete(before.producerId);
            }
            // Or bring it back, of one whose records a truncation made the log forget while they lie there still, below its start.
            for (const { producerId, lastSequence } of log.activeProducers()) {
              if (producers.some((before) => before.producerId === producerId)) continue;
              assert.ok(model.values.every(([offset]) => producerAt.get(offset) !== producerId));
              sequences.set(producerId, { next: lastSequence + 1 });
            }
            break;
          }
          case 'read': {
            const startOffset = at(action.share);
            const expected = model.values.filter(([offset]) => offset >= startOffset);
            assert.deepEqual(valuesIn(log, { startOffset, maxBytes: action.maxBytes }), expected);
            break;
          }
        }
        model.values = model.values.filter(([offset]) => offset >= model.startOffset);
        assert.deepEqual([log.logStartOffset, log.logEndOffset], [model.startOffset, model.endOffset], action.do);
      };
      for (const action of steps) perform(action);
      assert.deepEqual(valuesIn(log), model.values);
      const newest = model.values.at(-1);
      if (newest) assert.ok(log.offsetForTimestamp(startMs));
      log.close();
    }),
    { numRuns: 400 },
  );
});

function epochsOf(values: Model['values'], epochs: Log['epochs']): (number | undefined)[] {
  return values.map(([offset]) => epochs.findLast((entry) => entry.startOffset <= offset)?.epoch);
}

/** The whole batch that holds the offset goes, but the next record still gets the offset asked for. */
function truncateModel(model: Model, offset: number, log: Log): void {
  const isCut = log.truncateTo(offset);
  assert.equal(isCut, offset < model.endOffset);
  model.endOffset = Math.min(model.endOffset, offset);
  model.startOffset = Math.min(model.startOffset, offset);
  const left = valuesIn(log);
  const below = model.values.filter(([valueOffset]) => valueOffset < offset);
  assert.deepEqual(left, below.slice(0, left.length));
  assert.ok(below.length - left.length < 4, 'no more than one batch is lost');
  model.values = left;
}
