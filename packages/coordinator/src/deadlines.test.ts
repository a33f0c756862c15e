import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Deadlines } from './deadlines.ts';

test('deadlines come due as in a plain map, whatever was moved and cancelled', () =>
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('set', 'cancel', 'take'), fc.nat(6), fc.nat(30)), { maxLength: 80 }),
      (steps) => {
        const deadlines = new Deadlines<string>();
        const model = new Map<string, number>();
        for (const [what, keyNumber, atMs] of steps) {
          const key = `k${keyNumber}`;
          if (what === 'set') {
            deadlines.set(key, atMs, key);
            model.set(key, atMs);
          } else if (what === 'cancel') {
            deadlines.cancel(key);
            model.delete(key);
          } else {
            for (let due = deadlines.takeDue(atMs); due !== undefined; due = deadlines.takeDue(atMs)) {
              assert.equal(model.get(due), Math.min(...model.values()));
              assert.ok(model.get(due)! <= atMs);
              model.delete(due);
            }
          }
          assert.equal(deadlines.nextMs(), model.size === 0 ? undefined : Math.min(...model.values()));
          assert.equal(deadlines.size, model.size);
        }
      },
    ),
  ));
