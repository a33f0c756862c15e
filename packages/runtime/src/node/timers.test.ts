import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeRuntime, SeededRandom, sleep } from '../index.ts';

const { timers, random, clock } = nodeRuntime();

test('a timer fires once after its delay, and not when cancelled', async () => {
  const startMs = clock.monotonicMs();
  timers.after(5, () => assert.fail('it was cancelled')).cancel();
  await sleep(timers, 20);
  assert.ok(clock.monotonicMs() - startMs >= 19);
});

test('a delay beyond what setTimeout takes neither fires at once nor warns', async () => {
  const timer = timers.after(2 ** 33, () => assert.fail('that was too soon'));
  await sleep(timers, 10);
  timer.cancel();
});

test('soon comes after promises and before later timers', async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    timers.after(0, () => {
      timers.after(5, () => resolve(void order.push('timer')));
      timers.soon(() => order.push('soon'));
      void Promise.resolve().then(() => order.push('promise'));
    });
  });
  assert.deepEqual(order, ['promise', 'soon', 'timer']);
});

for (const [name, numbers] of Object.entries({ 'of the system': random, 'from a seed': new SeededRandom('x') })) {
  test(`random numbers ${name} lie in their ranges and are spread out`, () => {
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 2000; i++) {
      const fraction = numbers.fraction();
      assert.ok(fraction >= 0 && fraction < 1);
      counts[numbers.below(10)]!++;
    }
    for (const count of counts) assert.ok(count > 130 && count < 270, String(counts));
    assert.equal(numbers.below(1), 0);
    assert.equal(numbers.bytes(16).length, 16);
    assert.notDeepEqual(numbers.bytes(16), numbers.bytes(16));
  });
}
