import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Timer, Timers } from '@ottla/runtime';
import { RefusedSnapshot } from './refused-snapshot.ts';

/** Pauses that pass when they are told to. */
function setUp() {
  const pending = new Map<Timer, { readonly ms: number; readonly callback: () => void }>();
  const after = (ms: number, callback: () => void): Timer => {
    const timer: Timer = { cancel: () => void pending.delete(timer) };
    pending.set(timer, { ms, callback });
    return timer;
  };
  const refused = new RefusedSnapshot({ after } as Timers);
  let fetches = 0;
  /** How long it is left alone. */
  const refuse = (endOffset: number): number => {
    refused.begin({ endOffset, epoch: 1 }, () => void fetches++);
    assert.equal(pending.size, 1);
    return [...pending.values()][0]!.ms;
  };
  const pass = (): void => {
    const [timer, { callback }] = [...pending][0]!;
    pending.delete(timer);
    callback();
  };
  const refuseAgain = (endOffset: number): number => {
    pass();
    return refuse(endOffset);
  };
  return { refused, pending, refuse, pass, refuseAgain, fetches: () => fetches };
}

test('a snapshot that is refused again and again is fetched less and less often, but once a minute', () => {
  const { refuse, refuseAgain, fetches } = setUp();
  const pauses = [refuse(10), ...Array.from({ length: 8 }, () => refuseAgain(10))];
  assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  assert.equal(fetches(), 8);
});

test('another snapshot, or another leader, is asked soon', () => {
  const { refused, pending, refuse, refuseAgain, pass, fetches } = setUp();
  refuse(10);
  for (let time = 0; time < 9; time++) refuseAgain(10);
  assert.equal(refuseAgain(20), 1000);
  assert.equal(refuseAgain(20), 2000);
  refused.onNewLeader();
  assert.deepEqual(
    [...pending.values()].map(({ ms }) => ms),
    [1000],
  );
  const before = fetches();
  pass();
  assert.equal(fetches(), before + 1);
  assert.equal(refuse(20), 1000);
});

test('who stops waits for nothing', () => {
  const { refused, pending, refuse } = setUp();
  refuse(10);
  refused.close();
  refused.onNewLeader();
  assert.equal(pending.size, 0);
});
