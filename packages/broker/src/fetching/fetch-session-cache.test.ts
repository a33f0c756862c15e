import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ZERO_UUID } from '@ottla/protocol';
import { SeededRandom } from '@ottla/runtime';
import type { FetchPartition } from './fetch-session.ts';
import { FetchSessionCache } from './fetch-session-cache.ts';

const partitions = (count: number, first = 0): FetchPartition[] =>
  Array.from({ length: count }, (_, at) => ({
    topic: 'orders',
    topicId: ZERO_UUID,
    index: first + at,
    fetchOffset: 0,
    maxBytes: 1,
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
    logStartOffset: -1,
  }));

test('sessions remember no more partitions than all may together, whatever comes and goes', () => {
  const clock = { nowMs: () => 0, monotonicMs: () => 0 };
  const cache = new FetchSessionCache({ clock, random: new SeededRandom(1), slots: 10, maxPartitions: 100 });
  const traits = { usesTopicIds: false, isFollower: false };
  const go = (session: { id: number; nextEpoch: number }, count: number, first: number, forgotten: FetchPartition[] = []) =>
    cache.start(
      { sessionId: session.id, sessionEpoch: session.nextEpoch, usesTopicIds: false },
      partitions(count, first),
      forgotten,
    ).kind;
  const a = cache.create(partitions(60), traits)!;
  assert.equal(cache.create(partitions(41), traits), undefined);
  const b = cache.create(partitions(40), traits)!;
  assert.equal(go(b, 1, 0), 'incremental');
  assert.equal(go(a, 1, 60), 'error');
  assert.equal(cache.size, 1);
  const c = cache.create(partitions(60), traits)!;
  assert.equal(go(c, 0, 0, partitions(30)), 'incremental');
  assert.equal(go(b, 30, 40), 'incremental');
  assert.equal(cache.create(partitions(1), traits), undefined);
  cache.start({ sessionId: b.id, sessionEpoch: -1, usesTopicIds: false }, [], []);
  assert.ok(cache.create(partitions(70), traits));
});
