import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FetcherSession } from './fetcher-session.ts';

const asks = (topicId: string, index: number, fetchOffset: number) => ({
  topicId,
  index,
  currentLeaderEpoch: 0,
  fetchOffset,
  lastFetchedEpoch: 0,
  logStartOffset: 0,
  maxBytes: 100,
});

const offsetsIn = (part: ReturnType<FetcherSession['next']>) =>
  (part.topics ?? []).flatMap(({ topicId, partitions }) =>
    (partitions ?? []).map(({ partition, fetchOffset }) => `${topicId}-${partition}@${fetchOffset}`),
  );

test('the first request names everything, the next ones only what changed', () => {
  const session = new FetcherSession();
  session.want('a0', asks('a', 0, 5));
  session.want('a1', asks('a', 1, 6));
  const first = session.next();
  assert.deepEqual([first.sessionId, first.sessionEpoch, offsetsIn(first)], [0, 0, ['a-0@5', 'a-1@6']]);
  session.answered(77);
  session.want('a1', asks('a', 1, 9));
  session.forget('a0');
  session.want('b0', asks('b', 0, 0));
  const second = session.next();
  assert.deepEqual([second.sessionId, second.sessionEpoch, offsetsIn(second)], [77, 1, ['a-1@9', 'b-0@0']]);
  assert.deepEqual(second.forgottenTopicsData, [{ topicId: 'a', partitions: [0] }]);
  session.answered(77);
  const third = session.next();
  assert.deepEqual([third.sessionEpoch, offsetsIn(third), third.forgottenTopicsData], [2, [], []]);
});

test('without a session every request names everything, and asks the leader to keep nothing', () => {
  const session = new FetcherSession({ isKept: false });
  session.want('a0', asks('a', 0, 5));
  for (let request = 0; request < 3; request++) {
    const part = session.next();
    assert.deepEqual([part.sessionId, part.sessionEpoch, offsetsIn(part)], [0, -1, ['a-0@5']]);
    session.answered(0);
  }
});

test('a failure begins anew and ends the session, unless the leader has none; a leader without room for one is told all each time', () => {
  const session = new FetcherSession();
  session.want('a0', asks('a', 0, 5));
  session.next();
  session.answered(77);
  session.next();
  session.failed({ isGone: false });
  const again = session.next();
  assert.deepEqual([again.sessionId, again.sessionEpoch, offsetsIn(again)], [77, 0, ['a-0@5']]);
  session.failed({ isGone: true });
  assert.equal(session.next().sessionId, 0);
  session.answered(0);
  const full = session.next();
  assert.deepEqual([full.sessionId, full.sessionEpoch, offsetsIn(full)], [0, 0, ['a-0@5']]);
});

test('whatever is wanted, forgotten, lost and answered, the leader of a session knows what the fetcher wants', () => {
  const command = fc.record({
    kind: fc.constantFrom('want', 'want', 'forget', 'send', 'lose'),
    index: fc.integer({ min: 0, max: 4 }),
    offset: fc.integer({ min: 0, max: 9 }),
  });
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const session = new FetcherSession();
      const wanted = new Map<number, number>();
      let known = new Map<number, number>();
      for (const { kind, index, offset } of commands) {
        if (kind === 'want') {
          session.want(`${index}`, asks('t', index, offset));
          wanted.set(index, offset);
        } else if (kind === 'forget') {
          session.forget(`${index}`);
          wanted.delete(index);
        } else {
          const part = session.next();
          if (kind === 'lose') {
            session.failed({ isGone: offset < 5 });
            continue;
          }
          if (part.sessionEpoch === 0) known = new Map();
          for (const { partitions } of part.topics ?? [])
            for (const each of partitions ?? []) known.set(each.partition!, each.fetchOffset!);
          for (const { partitions } of part.forgottenTopicsData ?? []) for (const each of partitions ?? []) known.delete(each);
          session.answered(1);
          assert.deepEqual(new Map([...known].sort()), new Map([...wanted].sort()));
        }
      }
    }),
  );
});
