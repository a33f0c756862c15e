import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { combineBatches, type StateBatch } from './state-batches.ts';

type Numbers = readonly [firstOffset: number, lastOffset: number, deliveryState: number, deliveryCount: number];

const batchOf = ([firstOffset, lastOffset, deliveryState, deliveryCount]: Numbers): StateBatch => ({
  firstOffset,
  lastOffset,
  deliveryState,
  deliveryCount,
});

/** What is said of each offset. */
function byOffset(batches: readonly StateBatch[], startOffset = -1): Map<number, string> {
  const lives = new Map<number, StateBatch>();
  for (const batch of batches) {
    for (let offset = Math.max(batch.firstOffset, startOffset); offset <= batch.lastOffset; offset++) {
      const known = lives.get(offset);
      const isLater =
        known === undefined ||
        batch.deliveryCount > known.deliveryCount ||
        (batch.deliveryCount === known.deliveryCount && batch.deliveryState > known.deliveryState);
      if (isLater) lives.set(offset, batch);
    }
  }
  return new Map(
    [...lives]
      .sort(([left], [right]) => left - right)
      .map(([offset, each]) => [offset, `${each.deliveryState}/${each.deliveryCount}`]),
  );
}

const someBatches = fc.array(
  fc
    .tuple(fc.nat(40), fc.nat(15), fc.constantFrom(0, 2, 4), fc.integer({ min: 1, max: 4 }))
    .map(([firstOffset, more, deliveryState, deliveryCount]) =>
      batchOf([firstOffset, firstOffset + more, deliveryState, deliveryCount]),
    ),
  { maxLength: 12 },
);

test('a later report replaces an earlier one where they overlap', () => {
  const known = [batchOf([0, 9, 2, 1])];
  assert.deepEqual(combineBatches(known, [batchOf([5, 6, 0, 2])], -1), [
    batchOf([0, 4, 2, 1]),
    batchOf([5, 6, 0, 2]),
    batchOf([7, 9, 2, 1]),
  ]);
  assert.deepEqual(combineBatches(known, [batchOf([5, 12, 0, 1])], 7), [batchOf([7, 9, 2, 1]), batchOf([10, 12, 0, 1])]);
});

test('batches that touch and say the same become one', () => {
  assert.deepEqual(combineBatches([batchOf([0, 4, 2, 1])], [batchOf([5, 9, 2, 1])], -1), [batchOf([0, 9, 2, 1])]);
  assert.deepEqual(combineBatches([batchOf([0, 4, 2, 1])], [batchOf([6, 9, 2, 1])], -1).length, 2);
});

test('a batch of no records is nothing', () => {
  assert.deepEqual(combineBatches([], [batchOf([5, 4, 2, 1])], -1), []);
});

test("each offset comes out as Kafka's share coordinator has it", () => {
  const lines = readFileSync(new URL('../../vectors/share-state-batches.jsonl', import.meta.url), 'utf8')
    .trim()
    .split('\n');
  assert.equal(lines.length, 400);
  for (const line of lines) {
    const vector = JSON.parse(line) as { startOffset: number; known: Numbers[]; reported: Numbers[]; combined: Numbers[] };
    const combined = combineBatches(vector.known.map(batchOf), vector.reported.map(batchOf), vector.startOffset);
    // Kafka leaves some neighbours apart that are alike.
    assert.deepEqual(byOffset(combined), byOffset(vector.combined.map(batchOf)), line);
  }
});

test('combining is looking at each offset for itself', () =>
  fc.assert(
    fc.property(someBatches, someBatches, fc.integer({ min: -1, max: 50 }), (known, reported, startOffset) => {
      const combined = combineBatches(known, reported, startOffset);
      assert.deepEqual(byOffset(combined), byOffset([...known, ...reported], startOffset));
      for (const [index, batch] of combined.entries()) {
        const before = combined[index - 1];
        assert.ok(batch.firstOffset <= batch.lastOffset);
        if (before !== undefined) assert.ok(before.lastOffset < batch.firstOffset);
      }
    }),
    { numRuns: 3000 },
  ));

test('it does not matter in which order reports come', () =>
  fc.assert(
    fc.property(someBatches, someBatches, fc.integer({ min: -1, max: 50 }), (first, second, startOffset) => {
      const one = combineBatches(combineBatches([], first, startOffset), second, startOffset);
      assert.deepEqual(combineBatches(combineBatches([], second, startOffset), first, startOffset), one);
      assert.deepEqual(combineBatches(one, first, startOffset), one);
    }),
    { numRuns: 1000 },
  ));
