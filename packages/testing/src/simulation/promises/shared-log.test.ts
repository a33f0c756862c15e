import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommittedLog } from './ledger.ts';
import { SharedLog, type ShareState } from './shared-log.ts';

const [available, acknowledged, archived] = [0, 2, 4];

function sharedLog(endOffset: number) {
  const log = new CommittedLog('orders', 0);
  log.endOffset = endOffset;
  const shared = new SharedLog('sharers', log);
  const take = (startOffset: number, ...batches: [first: number, last: number, state: number, count: number][]): string[] => {
    const stateBatches = batches.map(([firstOffset, lastOffset, deliveryState, deliveryCount]) => ({
      ...{ firstOffset, lastOffset, deliveryState, deliveryCount },
    }));
    const state: ShareState = { startOffset, stateBatches };
    return Array.from(shared.take(state), ({ offset, how, deliveryCount }) => `${offset} ${how} ${deliveryCount}`);
  };
  return { shared, take };
}

test('a group is done with what was acknowledged or archived, and is so once', () => {
  const { shared, take } = sharedLog(5);
  assert.deepEqual(take(0, [1, 2, acknowledged, 1], [3, 3, archived, 5]), [
    '1 acknowledged 1',
    '2 acknowledged 1',
    '3 archived 5',
  ]);
  assert.equal(shared.firstLeft, 0);
  assert.deepEqual(take(-1, [0, 0, acknowledged, 2], [2, 3, acknowledged, 1]), ['0 acknowledged 2']);
  assert.equal(shared.firstLeft, 4);
});

test('what lies before the start offset and was neither is passed over', () => {
  const { shared, take } = sharedLog(4);
  assert.deepEqual(take(0, [0, 0, available, 3], [1, 1, acknowledged, 1]), ['1 acknowledged 1']);
  assert.deepEqual(take(3), ['0 passed over 3', '2 passed over 0']);
  assert.equal(shared.firstLeft, 3);
  assert.deepEqual(take(4), ['3 passed over 0']);
  assert.equal(shared.firstLeft, undefined);
});
