import { type Clock, nextTurn, type Timers } from '@ottla/runtime';

/** So many are begun before others have their turn, */
const AT_A_TIME = 500;
/** or what has begun by then: some works write a file each. */
const STEP_MS = 10;

/** Does a work that is asked for many items at once, some at a time: in between, the broker does its other work. Results are in the items' order. */
export async function inSteps<Item, Result>(
  items: readonly Item[],
  { clock, timers }: { readonly clock: Pick<Clock, 'monotonicMs'>; readonly timers: Timers },
  work: (item: Item) => Result | Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  while (results.length < items.length) {
    if (results.length > 0) await nextTurn(timers);
    const endMs = clock.monotonicMs() + STEP_MS;
    const step: (Result | Promise<Result>)[] = [];
    do step.push(work(items[results.length + step.length]!));
    while (results.length + step.length < items.length && step.length < AT_A_TIME && clock.monotonicMs() < endMs);
    for (const result of await Promise.all(step)) results.push(result);
  }
  return results;
}
