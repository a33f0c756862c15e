import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linearRegex } from './linear-regex.ts';

test('an expression matches the whole of a text', () => {
  assert.equal(linearRegex('orders-[0-9]{1,3}').matches('orders-17'), true);
  assert.equal(linearRegex('orders').matches('orders-17'), false);
});

test('an expression that would take long to compile is refused by its length', () => {
  assert.equal(linearRegex('a'.repeat(10_000)).programSize() > 5_000, true);
  assert.throws(() => linearRegex('a'.repeat(10_001)), /it has 10001 characters, more than 10000/);
  assert.throws(() => linearRegex('a{1000}'.repeat(72)), /it has 504 characters, more than 500/);
});
