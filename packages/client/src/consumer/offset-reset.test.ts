import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOffsetReset } from './offset-reset.ts';

test('policies are places, none, or a duration back from now', () => {
  assert.equal(parseOffsetReset('none'), undefined);
  assert.equal(parseOffsetReset('earliest')?.(0), 'earliest');
  assert.deepEqual(parseOffsetReset('by_duration:PT1H30M')?.(10_000_000), { timestamp: 10_000_000 - 5_400_000 });
  assert.deepEqual(parseOffsetReset('by_duration:P1DT0.5S')?.(100_000_000), { timestamp: 100_000_000 - 86_400_500 });
  for (const wrong of ['', 'first', 'by_duration:', 'by_duration:P', 'by_duration:1h']) {
    assert.throws(() => parseOffsetReset(wrong), { name: 'INVALID_CONFIG' });
  }
});
