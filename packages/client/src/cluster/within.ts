import type { Timers } from '@ottla/runtime';

/** Ends as `outcome` does, or with `late` when the time is over: what it waits for goes on, and nobody hears of it any more. */
export function within<T>(timers: Timers, timeoutMs: number, outcome: Promise<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = timers.after(Math.max(0, timeoutMs), () => reject(late()));
    outcome.then(resolve, reject).finally(() => timer.cancel());
  });
}
