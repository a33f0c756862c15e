import assert from 'node:assert/strict';
import { test } from 'node:test';
import { xxh3 } from './xxh3.ts';

/** Computed by hash4j, which Kafka's brokers use. One on each side of every length where the algorithm changes. */
const expected: readonly (readonly [length: number, hash: bigint])[] = [
  [0, 3244421341483603138n],
  [1, -1880780507307867236n],
  [3, -3321473543421733656n],
  [4, 1348417989153678113n],
  [8, 7853224663528329848n],
  [9, -7290900200154566711n],
  [16, 5037098795463618914n],
  [17, -3046262762942613961n],
  [32, 4418000888114503738n],
  [33, -2121404241470232824n],
  [64, 1249502653514405323n],
  [65, -6758810117986970067n],
  [96, 5794358936912118128n],
  [97, -8694220437113865615n],
  [128, 156588471651921417n],
  [129, -1872239496005839507n],
  [240, -1345009373253934444n],
  [241, -6058157765811168331n],
  [1074, 8709327124852904063n],
  [2036, 6833054555525542523n],
];

test('xxh3 agrees with hash4j on both sides of every change of algorithm', () => {
  for (const [length, hash] of expected) assert.equal(xxh3(pseudoRandom(length)), hash, `${length} bytes`);
});

function pseudoRandom(length: number): Uint8Array {
  let state = length;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1103515245) + 12345) | 0;
    return (state >>> 16) & 255;
  });
}
