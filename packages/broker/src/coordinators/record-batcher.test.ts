import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodedPieces } from './record-batcher.ts';

const encode = (size: number) => ({ key: new Uint8Array(size), value: null });

test('records that belong together are one piece, others each their own', () => {
  const sizes = (isAtomic: boolean) =>
    encodedPieces([10, 20, 30], encode, { isAtomic, maxBytes: 500 })?.map((piece) => piece.map(({ key }) => key.length));
  assert.deepEqual(sizes(true), [[10, 20, 30]]);
  assert.deepEqual(sizes(false), [[10], [20], [30]]);
});

test('what cannot fit into a batch is not encoded to its end', () => {
  let encoded = 0;
  const counted = (size: number) => {
    encoded++;
    return encode(size);
  };
  const many = Array.from({ length: 100_000 }, () => 100);
  assert.equal(encodedPieces(many, counted, { isAtomic: true, maxBytes: 10_000 }), undefined);
  assert.ok(encoded <= 100, `${encoded} are encoded`);
  assert.equal(encodedPieces([100, 20_000, 100], counted, { isAtomic: false, maxBytes: 10_000 }), undefined);
  assert.equal(encodedPieces(many, counted, { isAtomic: false, maxBytes: 10_000 })?.length, many.length);
});
