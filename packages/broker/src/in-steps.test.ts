import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock, Timers } from '@ottla/runtime';
import { inSteps } from './in-steps.ts';

function turnsOf(msOfAnItem: number) {
  let nowMs = 0;
  const seen = { turns: 0 };
  const timers: Timers = {
    after: () => assert.fail('nothing waits for a time'),
    soon: (callback) => {
      seen.turns++;
      setImmediate(callback);
    },
  };
  const clock: Pick<Clock, 'monotonicMs'> = { monotonicMs: () => nowMs };
  const takeTime = (): void => {
    nowMs += msOfAnItem;
  };
  return { seen, runtime: { timers, clock }, takeTime };
}

test('a work for very many items lets others have their turn, and keeps the order', async () => {
  const items = Array.from({ length: 1_700 }, (_, index) => index);
  const { seen, runtime } = turnsOf(0);
  let underWay = 0;
  let most = 0;
  const results = await inSteps(items, runtime, async (item) => {
    most = Math.max(most, ++underWay);
    await Promise.resolve();
    underWay--;
    return item * 2;
  });
  const doubled = items.map((item) => item * 2);
  assert.deepEqual(results, doubled);
  assert.deepEqual([most, seen.turns], [500, 3]);
  assert.deepEqual(await inSteps([], runtime, () => assert.fail('there is nothing to do')), []);
});

test('when each item takes its time, the turns of others come after as much time', async () => {
  const { seen, runtime, takeTime } = turnsOf(4);
  const items = Array.from({ length: 10 }, (_, index) => index);
  const results = await inSteps(items, runtime, (item) => {
    takeTime();
    return item;
  });
  assert.deepEqual(results, items);
  assert.equal(seen.turns, 3); // steps of three, three, three and one
});
