import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LeaderReplicas } from './leader-replicas.ts';

const maxLagMs = 100;

function leading(isr: number[] = [1, 2, 3], { logEndOffset = 0, replicas = [1, 2, 3] } = {}) {
  const epochs = new Map([1, 2, 3, 4].map((id) => [id, id * 10]));
  const rules = { maxLagMs, activeBrokerEpoch: (id: number) => epochs.get(id) };
  const begins = { brokerId: 1, leaderEpoch: 5, partitionEpoch: 7, replicas, isr, logEndOffset, nowMs: 0 };
  return { leader: new LeaderReplicas(rules, begins), begins, epochs };
}

function fetched(leader: LeaderReplicas, id: number, fetchOffset: number, leaderEnd: number, nowMs = 0, brokerEpoch = id * 10) {
  leader.replica(id)!.onFetch({ fetchOffset, logStartOffset: 0 }, brokerEpoch, leaderEnd, nowMs);
}

const members = (proposal: { isr: readonly { brokerId: number }[] } | undefined) => proposal?.isr.map(({ brokerId }) => brokerId);

test('nothing is committed before every member of the isr has fetched, and then what all have', () => {
  const { leader } = leading();
  const committed = (end: number) => leader.committedOffset(end, 1, () => 0);
  assert.equal(committed(10), -1);
  fetched(leader, 2, 10, 10);
  assert.equal(committed(10), -1);
  fetched(leader, 3, 4, 10);
  assert.equal(committed(10), 4);
});

test('with fewer in sync than min.insync.replicas nothing more is committed; more than there are replicas are not asked for', () => {
  const { leader } = leading([1, 2]);
  fetched(leader, 2, 10, 10);
  assert.equal(
    leader.committedOffset(10, 2, () => 1e9),
    10,
  );
  assert.equal(
    leader.committedOffset(10, 3, () => 1e9),
    -1,
  );
  assert.equal(
    leader.committedOffset(10, 4, () => 1e9),
    -1,
  );
});

test('a replica that keeps up and is about to join the isr is waited for, one that lags is not', () => {
  const { leader } = leading([1, 2]);
  fetched(leader, 2, 10, 10);
  fetched(leader, 3, 8, 8, 50);
  assert.equal(
    leader.committedOffset(10, 1, () => 100),
    8,
  );
  assert.equal(
    leader.committedOffset(10, 1, () => 151),
    10,
  );
});

test('a broker that is fenced, leaves, or has restarted since its fetch neither joins the isr nor is waited for', () => {
  const { leader, epochs } = leading([1, 2]);
  fetched(leader, 2, 10, 10);
  fetched(leader, 3, 8, 8, 50);
  epochs.delete(3);
  assert.equal(
    leader.committedOffset(10, 1, () => 100),
    10,
  );
  assert.equal(leader.expansionBy(3, 8), undefined);
  epochs.set(3, 31);
  assert.equal(leader.expansionBy(3, 8), undefined);
  assert.ok(leader.isStale(3, 30));
  fetched(leader, 3, 8, 8, 60, 31);
  assert.deepEqual(leader.expansionBy(3, 8)?.isr, [
    { brokerId: 1, brokerEpoch: 10 },
    { brokerId: 2, brokerEpoch: 20 },
    { brokerId: 3, brokerEpoch: 31 },
  ]);
});

test('only who has all that is committed, and all that was there when the epoch began, joins the isr', () => {
  const { leader } = leading([1], { logEndOffset: 6 });
  fetched(leader, 2, 5, 6);
  assert.equal(leader.expansionBy(2, 3), undefined);
  fetched(leader, 2, 6, 9);
  assert.equal(leader.expansionBy(2, 7), undefined);
  assert.deepEqual(members(leader.expansionBy(2, 6)), [1, 2]);
});

test('who has not had everything for too long leaves the isr, and who is a little behind all the time does not', () => {
  const { leader } = leading();
  for (let at = 1; at <= 20; at++) {
    fetched(leader, 2, at * 10 - 10, at * 10, at * 10);
    fetched(leader, 3, Math.min(3, at), at * 10, at * 10);
  }
  assert.deepEqual(members(leader.shrinking(200, 200)), [1, 2]);
  assert.equal(leading().leader.shrinking(0, maxLagMs), undefined);
});

test('while a change is on its way, who may be in the isr counts for what is committed, and nothing else is proposed', () => {
  const { leader } = leading([1, 2]);
  fetched(leader, 2, 10, 10);
  fetched(leader, 3, 9, 10);
  const proposal = leader.expansionBy(3, 9)!;
  leader.isr.propose(proposal);
  assert.equal(
    leader.committedOffset(10, 1, () => 1e9),
    9,
  );
  assert.equal(leader.shrinking(10, 1e9), undefined);
  assert.equal(leader.expansionBy(3, 9), undefined);
  assert.equal(leader.onAltered(proposal, { leaderEpoch: 5, partitionEpoch: 8, isr: [1, 2, 3] }), 'committed');
  assert.deepEqual(leader.isr.committed, [1, 2, 3]);

  const shrink = leader.shrinking(10, 1e9)!;
  leader.isr.propose(shrink);
  assert.deepEqual(leader.isr.maximal, [1, 2, 3]);
});

test('a change on its way stays so when the metadata log tells what an answer has told before', () => {
  const { leader, begins } = leading([1]);
  fetched(leader, 2, 10, 10);
  fetched(leader, 3, 8, 10);
  const first = leader.expansionBy(2, 8)!;
  leader.isr.propose(first);
  leader.onAltered(first, { leaderEpoch: 5, partitionEpoch: 8, isr: [1, 2] });
  const second = leader.expansionBy(3, 8)!;
  leader.isr.propose(second);
  leader.update({ ...begins, isr: [1, 2], partitionEpoch: 8 });
  assert.deepEqual(leader.isr.maximal, [1, 2, 3]);
  assert.equal(
    leader.committedOffset(10, 1, () => 1e9),
    8,
  );
  leader.update({ ...begins, isr: [1, 2, 3], partitionEpoch: 9 });
  assert.deepEqual([leader.isr.isInFlight, leader.isr.committed], [false, [1, 2, 3]]);
});

test('what the controller refuses is taken back, left to the metadata log, or tried again', () => {
  for (const [error, outcome, inFlight] of [
    ['INELIGIBLE_REPLICA', 'given up', false],
    ['OPERATION_NOT_ATTEMPTED', 'given up', false],
    ['FENCED_LEADER_EPOCH', 'given up', true],
    ['INVALID_UPDATE_VERSION', 'given up', true],
    ['NEW_LEADER_ELECTED', 'given up', true],
    ['UNKNOWN_TOPIC_ID', 'given up', true],
    ['NOT_CONTROLLER', 'try again', true],
    ['UNKNOWN_SERVER_ERROR', 'try again', true],
  ] as const) {
    const { leader, begins } = leading([1]);
    fetched(leader, 2, 0, 0);
    const proposal = leader.expansionBy(2, 0)!;
    leader.isr.propose(proposal);
    assert.equal(leader.onRefused(proposal, error), outcome, error);
    assert.equal(leader.isr.isInFlight, inFlight, error);
    leader.update({ ...begins, isr: [1], partitionEpoch: 9 });
    assert.equal(leader.isr.isInFlight, false);
    assert.equal(leader.onRefused(proposal, error), 'obsolete');
    assert.equal(leader.onAltered(proposal, { leaderEpoch: 5, partitionEpoch: 8, isr: [1, 2] }), 'obsolete');
  }
});

test('a replica that is added or removed is known, or forgotten; a new epoch forgets what it has not heard in it', () => {
  const { leader, begins } = leading([1, 2]);
  fetched(leader, 2, 5, 5);
  leader.update({ ...begins, replicas: [1, 2, 4], partitionEpoch: 8 });
  assert.equal(leader.replica(3), undefined);
  assert.equal(leader.replica(4)!.logEndOffset, -1);
  assert.equal(leader.replica(2)!.logEndOffset, 5);
  leader.update({ ...begins, replicas: [1, 2, 4], leaderEpoch: 6, partitionEpoch: 9, logEndOffset: 7 });
  assert.equal(leader.epochStartOffset, 7);
  assert.equal(leader.replica(2)!.logEndOffset, 5);
});

/** Commands of a random history, against what must hold whatever happens. */
test('in any history what is committed never retreats, is on every member of every isr that may be in force, and the isr has the leader', () => {
  const command = fc.oneof(
    fc.record({ kind: fc.constant('append' as const), count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({
      kind: fc.constant('fetch' as const),
      id: fc.integer({ min: 2, max: 3 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
    fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 120 }) }),
    fc.record({ kind: fc.constant('shrink' as const) }),
    fc.record({ kind: fc.constant('answer' as const), isAgreed: fc.boolean() }),
    fc.record({ kind: fc.constant('restart' as const), id: fc.integer({ min: 2, max: 3 }) }),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 80 }), fc.integer({ min: 1, max: 3 }), (commands, minIsr) => {
      const { leader, epochs } = leading();
      let logEnd = 0;
      let nowMs = 0;
      let highWatermark = 0;
      let partitionEpoch = 7;
      let pending: ReturnType<LeaderReplicas['shrinking']>;
      const ends = new Map([
        [2, 0],
        [3, 0],
      ]);
      const propose = (proposal: typeof pending) => {
        if (!proposal) return;
        assert.equal(pending, undefined);
        pending = proposal;
        leader.isr.propose(proposal);
      };
      for (const each of commands) {
        if (each.kind === 'append') logEnd += each.count;
        else if (each.kind === 'time') nowMs += each.ms;
        else if (each.kind === 'shrink') propose(leader.shrinking(logEnd, nowMs));
        else if (each.kind === 'restart') epochs.set(each.id, epochs.get(each.id)! + 1);
        else if (each.kind === 'fetch') {
          const end = ends.get(each.id)! + Math.round((logEnd - ends.get(each.id)!) * each.share);
          ends.set(each.id, end);
          fetched(leader, each.id, end, logEnd, nowMs, epochs.get(each.id)!);
          propose(leader.expansionBy(each.id, highWatermark));
        } else if (pending) {
          const isr = pending.isr.map(({ brokerId }) => brokerId);
          if (each.isAgreed) leader.onAltered(pending, { leaderEpoch: 5, partitionEpoch: ++partitionEpoch, isr });
          else leader.onRefused(pending, 'INELIGIBLE_REPLICA');
          pending = undefined;
        }
        highWatermark = Math.max(
          highWatermark,
          leader.committedOffset(logEnd, minIsr, () => nowMs),
        );
        assert.ok(highWatermark <= logEnd);
        assert.ok(leader.isr.committed.includes(1));
        const mayBeInForce = new Set([...leader.isr.committed, ...leader.isr.maximal]);
        for (const id of mayBeInForce)
          if (id !== 1) assert.ok(ends.get(id)! >= highWatermark, `broker ${id} lacks what is committed`);
      }
    }),
    { numRuns: 500 },
  );
});
