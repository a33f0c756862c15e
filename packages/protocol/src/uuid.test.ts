import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isUuid, uuidFromBytes, uuidToBytes, ZERO_UUID } from './index.ts';

test('an id is the base64url of its bytes', () =>
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      const uuid = uuidFromBytes(bytes);
      assert.equal(uuid, Buffer.from(bytes).toString('base64url'));
      assert.deepEqual(uuidToBytes(uuid), bytes);
      assert.ok(isUuid(uuid));
    }),
  ));

test('no id is all zeros', () => {
  assert.equal(uuidFromBytes(new Uint8Array(16)), ZERO_UUID);
  assert.deepEqual(uuidToBytes(ZERO_UUID), new Uint8Array(16));
});

test('what is not an id is refused', () => {
  for (const text of ['', 'short', 'x'.repeat(23), '!'.repeat(22), 'é'.repeat(22)]) {
    assert.throws(() => uuidToBytes(text), TypeError);
    assert.equal(isUuid(text), false);
  }
  assert.equal(isUuid(`${'A'.repeat(21)}B`), false, 'bits beyond the 128th');
});
