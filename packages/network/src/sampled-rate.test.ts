import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SampledRate } from './sampled-rate.ts';

const windows = { samples: 11, windowMs: 1000 };

test('a burst up to ten seconds of the rate is no violation, the next one is', () => {
  const rate = new SampledRate(windows);
  for (let count = 0; count < 50; count++) rate.record(1, 0);
  assert.equal(rate.throttleMs(5, 0), 0);
  rate.record(1, 0);
  assert.equal(rate.throttleMs(5, 0), 200);
});

test('after its throttle time a rate is what it may be', () => {
  const rate = new SampledRate(windows);
  for (let nowMs = 0; nowMs < 10_000; nowMs += 100) rate.record(1, nowMs);
  assert.equal(rate.throttleMs(10, 9_999), 0);
  for (let count = 0; count < 5; count++) rate.record(1, 9_999);
  const throttleMs = rate.throttleMs(10, 10_000);
  assert.equal(throttleMs, 500);
  assert.equal(rate.throttleMs(10, 10_000 + throttleMs), 0);
});

test('what happened more than eleven windows ago is forgotten', () => {
  const rate = new SampledRate(windows);
  for (let count = 0; count < 1000; count++) rate.record(1, 0);
  assert.ok(rate.throttleMs(1, 10_999) > 0);
  assert.equal(rate.isEmpty(10_999), false);
  assert.equal(rate.throttleMs(1, 11_000), 0);
  assert.equal(rate.isEmpty(11_000), true);
});

test('no rate at all throttles without end', () => {
  const rate = new SampledRate(windows);
  assert.equal(rate.throttleMs(0, 0), 0);
  rate.record(1, 0);
  assert.equal(rate.throttleMs(0, 0), Number.POSITIVE_INFINITY);
});
