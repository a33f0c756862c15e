import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Timers } from '@ottla/runtime';
import { inSteps } from './in-steps.ts';

test('a work for very many items lets others have their turn, and keeps the order', async () => {
  const items = Array.from({ length: 1_700 }, (_, index) => index);
  let turns = 0;
  const timers: Timers = {
    after: () => assert.fail('nothing waits for a time'),
    soon: (callback) => {
      turns++;
      setImmediate(callback);
    },
  };
  let underWay = 0;
  let most = 0;
  const results = await inSteps(items, timers, async (item) => {
    most = Math.max(most, ++underWay);
    await Promise.resolve();
    underWay--;
    return item * 2;
  });
  const doubled = items.map((item) => item * 2);
  assert.deepEqual(results, doubled);
  assert.deepEqual([most, turns], [500, 3]);
  assert.deepEqual(await inSteps([], timers, () => assert.fail('there is nothing to do')), []);
});
