import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Assignor, rangeAssignor, roundRobinAssignor } from './assignors.ts';

const members = (subscriptions: Record<string, string[]>) =>
  Object.entries(subscriptions).map(([memberId, topics]) => ({ memberId, groupInstanceId: null, topics }));

function assigned(
  assignor: Assignor,
  subscriptions: Record<string, string[]>,
  counts: Record<string, number>,
): Record<string, string> {
  const assignment = assignor.assign(members(subscriptions), new Map(Object.entries(counts)));
  return Object.fromEntries(
    [...assignment].map(([memberId, partitions]) => [
      memberId,
      partitions.map(({ topic, partition }) => `${topic}${partition}`).join(' '),
    ]),
  );
}

test('range gives neighbouring partitions, the first members one more', () => {
  assert.deepEqual(assigned(rangeAssignor, { c1: ['a', 'b'], c0: ['a', 'b'] }, { a: 3, b: 3 }), {
    c0: 'a0 a1 b0 b1',
    c1: 'a2 b2',
  });
});

test('round robin deals out all partitions of all topics', () => {
  assert.deepEqual(assigned(roundRobinAssignor, { c0: ['a', 'b'], c1: ['a', 'b'] }, { a: 3, b: 3 }), {
    c0: 'a0 a2 b1',
    c1: 'a1 b0 b2',
  });
});

test('round robin passes over members that do not subscribe', () => {
  const subscriptions = { c0: ['a'], c1: ['a', 'b'], c2: ['a', 'b', 'c'] };
  assert.deepEqual(assigned(roundRobinAssignor, subscriptions, { a: 1, b: 2, c: 3 }), {
    c0: 'a0',
    c1: 'b0',
    c2: 'b1 c0 c1 c2',
  });
});

test('static members come first, by instance id', () => {
  const assignment = rangeAssignor.assign(
    [
      { memberId: 'a-dynamic', groupInstanceId: null, topics: ['t'] },
      { memberId: 'z', groupInstanceId: 'two', topics: ['t'] },
      { memberId: 'y', groupInstanceId: 'one', topics: ['t'] },
    ],
    new Map([['t', 3]]),
  );
  assert.deepEqual(
    [...assignment].map(([memberId, [first]]) => [memberId, first?.partition]),
    [
      ['a-dynamic', 2],
      ['z', 1],
      ['y', 0],
    ],
  );
});

for (const assignor of [rangeAssignor, roundRobinAssignor]) {
  test(`${assignor.name} gives every partition to one member that subscribes to it`, () => {
    const topics = ['a', 'b', 'c'];
    const subscriptions = fc.dictionary(fc.constantFrom('m0', 'm1', 'm2', 'm3'), fc.uniqueArray(fc.constantFrom(...topics)), {
      minKeys: 1,
    });
    const counts = fc.record({ a: fc.nat(7), b: fc.nat(7), c: fc.nat(7) });
    fc.assert(
      fc.property(subscriptions, counts, (subscribed, count) => {
        const assignment = assignor.assign(members(subscribed), new Map(Object.entries(count)));
        const given = [...assignment].flatMap(([memberId, partitions]) => {
          for (const { topic } of partitions) assert.ok(subscribed[memberId]!.includes(topic));
          return partitions.map(({ topic, partition }) => `${topic}${partition}`);
        });
        const wanted = topics.filter((topic) => Object.values(subscribed).some((list) => list.includes(topic)));
        const all = wanted.flatMap((topic) =>
          Array.from({ length: count[topic as 'a'] }, (_, partition) => `${topic}${partition}`),
        );
        assert.deepEqual(given.sort(), all.sort());
      }),
    );
  });
}
