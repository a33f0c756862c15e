import assert from 'node:assert/strict';
import { test } from 'node:test';
import { selectInRack } from './rack-aware-replica-selector.ts';

const replica = (brokerId: number, rack: string | null, logEndOffset = 10, lastCaughtUpMs = 0) => ({
  brokerId,
  rack,
  logEndOffset,
  lastCaughtUpMs,
});

test('a consumer reads in its rack: at the leader if that is there, else at the replica that is furthest', () => {
  const others = [replica(2, 'b', 8, 5), replica(3, 'b', 9, 1), replica(4, 'b', 9, 2), replica(5, 'c', 10)];
  assert.equal(selectInRack('a', replica(1, 'a'), others), undefined);
  assert.equal(selectInRack('b', replica(1, 'a'), others), 4);
  assert.equal(selectInRack('b', replica(1, 'b'), others), undefined);
  assert.equal(selectInRack('d', replica(1, 'a'), others), undefined);
});
