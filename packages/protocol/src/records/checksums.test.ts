import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { crc32, crc32c, portableCrc32c } from './crc32.ts';
import { readInt64, writeInt64 } from './int64.ts';
import { sizeOfVarint, sizeOfVarlong, writeVarint, writeVarlong } from './varints.ts';
import { xxh32 } from './xxh32.ts';

const digits = Buffer.from('123456789');

test('checksums give the values their authors publish', () => {
  assert.equal(crc32c(digits), 0xe306_9283);
  assert.equal(portableCrc32c(digits), 0xe306_9283);
  assert.equal(crc32(digits), 0xcbf4_3926);
  assert.equal(crc32c(new Uint8Array(0)), 0);
  assert.equal(xxh32(new Uint8Array(0)), 0x02cc_5d05);
  assert.equal(xxh32(Buffer.from('abc')), 0x32d1_53ff);
  assert.equal(xxh32(Buffer.from('Nobody inspects the spammish repetition')), 0xe229_3b2f);
});

test('crc-32c without the native binary is the same, and may be taken in pieces', () =>
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (bytes, cut) => {
      const whole = crc32c(bytes);
      assert.equal(portableCrc32c(bytes), whole);
      assert.equal(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut))), whole);
      assert.equal(portableCrc32c(bytes.subarray(cut), portableCrc32c(bytes.subarray(0, cut))), whole);
    }),
  ));

test('an int64 is a number, exact where numbers are', () => {
  const view = new DataView(new ArrayBuffer(8));
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      writeInt64(view, 0, value);
      assert.equal(view.getBigInt64(0), BigInt(value));
      assert.equal(readInt64(view, 0), value);
    }),
  );
  for (const [value, bits] of [
    [2 ** 63, 2n ** 63n - 1n],
    [-(2 ** 63), -(2n ** 63n)],
  ] as const) {
    writeInt64(view, 0, value);
    assert.equal(view.getBigInt64(0), bits);
    assert.equal(readInt64(view, 0), value);
  }
  assert.throws(() => writeInt64(view, 0, 2 ** 53), RangeError);
  assert.throws(() => writeInt64(view, 0, 0.5), RangeError);
});

test('varints take the bytes they say', () => {
  const bytes = new Uint8Array(10);
  fc.assert(fc.property(fc.integer(), (value) => assert.equal(writeVarint(bytes, 0, value), sizeOfVarint(value))));
  fc.assert(
    fc.property(fc.integer({ min: -(2 ** 51), max: 2 ** 51 }), (value) => {
      assert.equal(writeVarlong(bytes, 0, value), sizeOfVarlong(value));
    }),
  );
});
