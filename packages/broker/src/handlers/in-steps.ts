import type { Timers } from '@ottla/runtime';

/** So many are begun before others have their turn. */
const AT_A_TIME = 500;

/** Does a work that is asked for many items at once, some at a time: in between, the broker does its other work. Results are in the items' order. */
export async function inSteps<Item, Result>(
  items: readonly Item[],
  timers: Timers,
  work: (item: Item) => Result | Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (let start = 0; start < items.length; start += AT_A_TIME) {
    if (start > 0) await new Promise<void>((resolve) => timers.soon(resolve));
    results.push(...(await Promise.all(items.slice(start, start + AT_A_TIME).map(work))));
  }
  return results;
}
