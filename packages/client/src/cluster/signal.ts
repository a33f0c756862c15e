import type { Timer, Timers } from '@ottla/runtime';

/** Something may have changed: wakes whoever waits, and nobody's call is lost between a look and the wait that follows it. */
export class Signal {
  readonly #timers: Timers;
  readonly #waiters = new Set<() => void>();

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  notify(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }

  /** Until `notify`, or the time is over. */
  wait(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      let timer: Timer | undefined;
      const wake = (): void => {
        timer?.cancel();
        this.#waiters.delete(wake);
        resolve();
      };
      this.#waiters.add(wake);
      if (timeoutMs < Number.POSITIVE_INFINITY) timer = this.#timers.after(Math.max(0, timeoutMs), wake);
    });
  }
}
