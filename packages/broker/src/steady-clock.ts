import type { Clock } from '@ottla/runtime';

/**
 * Begins with the wall clock's time and goes on evenly from there: whoever sets the clock makes nobody look silent, and lets no session last. In
 * whole milliseconds.
 */
export class SteadyClock {
  readonly #clock: Clock;
  readonly #offsetMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#offsetMs = clock.nowMs() - Math.floor(clock.monotonicMs());
  }

  get nowMs(): number {
    return this.#offsetMs + Math.floor(this.#clock.monotonicMs());
  }

  /** What is to be added to its times to have those of the wall clock. */
  get wallClockLeadMs(): number {
    return this.#clock.nowMs() - this.nowMs;
  }
}
