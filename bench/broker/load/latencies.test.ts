import assert from 'node:assert';
import { test } from 'node:test';
import { Latencies } from './latencies.ts';

test('quantiles are true to one per cent, from microseconds to minutes', () => {
  for (const scaleMs of [0.01, 1, 1000]) {
    const latencies = new Latencies();
    for (let index = 1; index <= 1000; index++) latencies.record(index * scaleMs);
    for (const share of [0.001, 0.5, 0.99, 1]) {
      const exact = 1000 * share * scaleMs;
      assert.ok(Math.abs(latencies.quantileMs(share) / exact - 1) < 0.01, `${latencies.quantileMs(share)} for ${exact}`);
    }
  }
});

test('histograms add up', () => {
  const [one, other] = [new Latencies(), new Latencies()];
  for (let index = 0; index < 99; index++) one.record(1);
  other.record(100);
  const both = Latencies.together([one, other]);
  assert.equal(both.count, 100);
  assert.ok(both.quantileMs(0.99) < 1.01 && both.quantileMs(1) > 99);
  assert.ok(Number.isNaN(new Latencies().quantileMs(0.5)));
});
