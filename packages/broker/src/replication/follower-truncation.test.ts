import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { truncationOffset } from './follower-truncation.ts';

/** A log is the epoch of each of its records. */
class EpochLog {
  records: number[];
  highWatermark = 0;
  constructor(records: number[]) {
    this.records = records;
  }
  get logEndOffset(): number {
    return this.records.length;
  }
  get latestEpoch(): number {
    return this.records.at(-1) ?? -1;
  }
  endOffsetForEpoch(epoch: number): { leaderEpoch: number; endOffset: number } {
    if (this.records.length === 0 || epoch < 0) return { leaderEpoch: -1, endOffset: -1 };
    if (epoch === this.latestEpoch) return { leaderEpoch: epoch, endOffset: this.logEndOffset };
    const next = this.records.findIndex((each) => each > epoch);
    if (next < 0) return { leaderEpoch: -1, endOffset: -1 };
    return { leaderEpoch: next === 0 ? epoch : this.records[next - 1]!, endOffset: next };
  }
}

/** What the leader says to a fetch: a diverging epoch, nothing, or that it cannot tell. */
function diverging(leader: EpochLog, follower: EpochLog): { epoch: number; endOffset: number } | undefined {
  const { leaderEpoch, endOffset } = leader.endOffsetForEpoch(follower.latestEpoch);
  if (leaderEpoch < 0) return { epoch: -1, endOffset: -1 };
  const isBehind = leaderEpoch < follower.latestEpoch || endOffset < follower.logEndOffset;
  return isBehind ? { epoch: leaderEpoch, endOffset } : undefined;
}

test('a follower ends up with a beginning of its leader’s log, never cuts what both have, and gets there step by step', () => {
  const epochs = fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 8 }).map((list) => list.sort((a, b) => a - b));
  fc.assert(
    fc.property(epochs, epochs, epochs, fc.integer({ min: 9, max: 12 }), (common, ofLeader, ofFollower, newest) => {
      const shared = common.length;
      const last = common.at(-1) ?? 0;
      // Two leaders never wrote in the same epoch: odd ones here, even ones there.
      const leader = new EpochLog([...common, ...ofLeader.map((epoch) => last + 1 + 2 * epoch), last + 30 + newest]);
      const follower = new EpochLog([...common, ...ofFollower.map((epoch) => last + 2 + 2 * epoch)]);
      for (let step = 0; follower.logEndOffset > 0; step++) {
        assert.ok(step < 30);
        const parted = diverging(leader, follower);
        if (!parted) break;
        const offset = truncationOffset(follower, parted);
        assert.ok(offset < follower.logEndOffset, 'each step cuts something');
        follower.records.length = offset;
      }
      assert.ok(follower.logEndOffset >= shared, 'what both have stays');
      assert.deepEqual(follower.records, leader.records.slice(0, follower.logEndOffset));
    }),
    { numRuns: 1000 },
  );
});

test('a leader that knows nothing of epochs leaves what is committed', () => {
  const log = new EpochLog([1, 1, 1, 2]);
  log.highWatermark = 2;
  assert.equal(truncationOffset(log, { epoch: -1, endOffset: -1 }), 2);
  assert.equal(truncationOffset(log, { epoch: -1, endOffset: 3 }), 3);
});
