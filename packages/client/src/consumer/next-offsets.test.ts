import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextOffsets } from './next-offsets.ts';

test('behind the last record of each partition, in the epoch it is of', () => {
  const read = [
    { topic: 'a', partition: 0, offset: 0, leaderEpoch: 1 },
    { topic: 'a', partition: 1, offset: 7, leaderEpoch: 2 },
    { topic: 'a', partition: 0, offset: 4, leaderEpoch: 3 },
    { topic: 'a', partition: 0, offset: 3, leaderEpoch: 1 },
  ];
  assert.deepEqual(nextOffsets(read), [
    { topic: 'a', partition: 0, offset: 5, leaderEpoch: 3 },
    { topic: 'a', partition: 1, offset: 8, leaderEpoch: 2 },
  ]);
  assert.deepEqual(nextOffsets([]), []);
});
