/** The short form of `npm run torture kill`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAsItShouldBe, tortureByKilling } from './kill-torture.ts';

test('a node that is killed three times under load keeps what it acknowledged, once and in order', async () => {
  const figures = await tortureByKilling({
    times: 3,
    producer: 'ottla',
    seed: 1,
    partitions: 3,
    recordsPerSecond: 10_000,
    valueBytes: 200,
    lifeMs: [300, 800],
    report: () => {},
  });
  assert.deepEqual(figures.failures, []);
  assert.ok(isAsItShouldBe(figures), JSON.stringify(figures));
  assert.ok(figures.acknowledged === figures.sent && figures.sent > 1000, `${figures.sent} sent`);
});
