import type { Runtime, Timer } from '@ottla/runtime';
import { SteadyClock } from '../steady-clock.ts';

/** The one timer by which raft is called when the time has come that it asked for, and the clock by which it counts. */
export class WakeTimer {
  readonly clock: SteadyClock;
  readonly #timers: Runtime['timers'];
  readonly #wake: () => void;
  #timer: Timer | undefined;
  /** When the timer comes, and when it is wanted: that moves on with every answer, and the timer need not move along each time. */
  #atMs = Number.POSITIVE_INFINITY;
  #wantedMs = Number.POSITIVE_INFINITY;

  constructor(runtime: Pick<Runtime, 'clock' | 'timers'>, wake: () => void) {
    this.clock = new SteadyClock(runtime.clock);
    this.#timers = runtime.timers;
    this.#wake = wake;
  }

  /** Instead of what was asked for before; null: not at all. A timer that comes earlier is left to come: one call too many does no harm. */
  wakeAt(atMs: number | null): void {
    const wantedMs = atMs ?? Number.POSITIVE_INFINITY;
    if (this.#timer && this.#atMs <= wantedMs) {
      this.#wantedMs = wantedMs;
      return;
    }
    this.cancel();
    this.#wantedMs = wantedMs;
    if (wantedMs < Number.POSITIVE_INFINITY) this.#start(wantedMs);
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#wantedMs = Number.POSITIVE_INFINITY;
  }

  #start(atMs: number): void {
    this.#atMs = atMs;
    this.#timer = this.#timers.after(Math.max(1, atMs - this.clock.nowMs), () => {
      this.#timer = undefined;
      if (this.#wantedMs <= this.clock.nowMs) this.#wake();
      else if (this.#wantedMs < Number.POSITIVE_INFINITY) this.#start(this.#wantedMs);
    });
  }
}
