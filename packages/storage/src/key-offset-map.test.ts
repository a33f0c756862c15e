import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyDigest } from './key-digest.ts';
import { KeyOffsetMap, mapSizeFor } from './key-offset-map.ts';

const hex = ({ words }: KeyDigest): string => Buffer.from(words.buffer).toString('hex');

test('a digest is the SipHash-2-4 of 128 bits', () => {
  const digest = new KeyDigest(Uint8Array.from({ length: 16 }, (_, index) => index));
  const input = Uint8Array.from({ length: 64 }, (_, index) => index);
  const known: [number, string][] = [
    [0, 'a3817f04ba25a8e66df67214c7550293'],
    [1, 'da87c1d86b99af44347659119b22fc45'],
  ];
  for (const [length, expected] of known) {
    digest.update(input.subarray(0, length));
    assert.equal(hex(digest), expected, `${length} bytes`);
  }
});

test('it remembers the latest offset of each key, like a Map that refuses what is too much', () => {
  const key = fc.uint8Array({ maxLength: 20 });
  const puts = fc.array(fc.tuple(key, fc.nat()), { maxLength: 120, size: 'max' });
  fc.assert(
    fc.property(puts, fc.integer({ min: 1, max: 60 }), (entries, capacity) => {
      const map = new KeyOffsetMap({ slots: capacity + 3, capacity, secret: new Uint8Array(16).fill(7) });
      const model = new Map<string, number>();
      for (const [bytes, offset] of entries) {
        const name = Buffer.from(bytes).toString('hex');
        const fits = model.has(name) || model.size < capacity;
        assert.equal(map.put(bytes, offset), fits);
        if (fits) model.set(name, offset);
      }
      assert.equal(map.size, model.size);
      for (const [bytes] of entries) assert.equal(map.get(bytes), model.get(Buffer.from(bytes).toString('hex')) ?? -1);
    }),
  );
});

test('the map takes what the configs allow, and no more than there can be keys', () => {
  assert.deepEqual(mapSizeFor({ keys: 1e9, bufferBytes: 2400, loadFactor: 0.9 }), { capacity: 90, slots: 100 });
  assert.deepEqual(mapSizeFor({ keys: 9, bufferBytes: 2400, loadFactor: 0.9 }), { capacity: 9, slots: 10 });
  assert.deepEqual(mapSizeFor({ keys: 0, bufferBytes: 2400, loadFactor: 0.9 }), { capacity: 1, slots: 2 });
  assert.deepEqual(mapSizeFor({ keys: 1e9, bufferBytes: 2400, loadFactor: 1 }), { capacity: 99, slots: 100 });
  assert.deepEqual(mapSizeFor({ keys: 1e9, bufferBytes: 2400, loadFactor: 0 }), { capacity: 1, slots: 100 });
});
