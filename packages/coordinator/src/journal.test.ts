import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Journal } from './journal.ts';

test('a rollback puts back what stood there, newest change first', () => {
  const journal = new Journal();
  const map = new Map([['a', 1]]);
  journal.advance(10);
  journal.set(map, 'a', 2);
  journal.set(map, 'b', 1);
  journal.advance(11);
  journal.delete(map, 'a');
  journal.rollback(11);
  assert.deepEqual(sorted(map), [
    ['a', 2],
    ['b', 1],
  ]);
  journal.rollback(10);
  assert.deepEqual(sorted(map), [['a', 1]]);
  assert.equal(journal.nextOffset, 10);
});

test('a journal is the same as keeping a copy of the map at every offset', () =>
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('set', 'delete', 'commit', 'rollback'), fc.nat(4), fc.nat(9)), { maxLength: 60 }),
      (steps) => {
        const journal = new Journal();
        const map = new Map<number, number>();
        // history[n]: the map before the record at offset committed + n.
        let history = [new Map(map)];
        let committed = 0;
        for (const [what, key, amount] of steps) {
          const next = committed + history.length - 1;
          if (what === 'commit') {
            const endOffset = committed + (amount % history.length);
            journal.commit(endOffset);
            history = history.slice(endOffset - committed);
            committed = endOffset;
          } else if (what === 'rollback') {
            const offset = committed + (amount % history.length);
            journal.rollback(offset);
            history = history.slice(0, offset - committed + 1);
          } else {
            journal.advance(next);
            if (what === 'set') journal.set(map, key, amount);
            else journal.delete(map, key);
            journal.advance(next + 1);
            history.push(new Map(map));
          }
          assert.deepEqual(sorted(map), sorted(history.at(-1)!));
          assert.deepEqual(sorted(new Map(journal.committedEntries(map))), sorted(history[0]!));
          for (let each = 0; each <= 4; each++) assert.equal(journal.committed(map, each), history[0]!.get(each));
        }
      },
    ),
  ));

function sorted<K>(map: ReadonlyMap<K, number>): [K, number][] {
  return [...map].sort(([left], [right]) => (left < right ? -1 : 1));
}
