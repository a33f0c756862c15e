import type { Runtime, Timer } from '@ottla/runtime';

/**
 * The time as raft sees it: it begins with the wall clock's and goes on evenly, so that a clock that is set does not make leaders look silent.
 * And the one timer by which raft is called when the time has come that it asked for.
 */
export class WakeTimer {
  readonly #runtime: Pick<Runtime, 'clock' | 'timers'>;
  readonly #wake: () => void;
  readonly #offsetMs: number;
  #timer: Timer | undefined;
  /** When the timer comes, and when it is wanted: that moves on with every answer, and the timer need not move along each time. */
  #atMs = Number.POSITIVE_INFINITY;
  #wantedMs = Number.POSITIVE_INFINITY;

  constructor(runtime: Pick<Runtime, 'clock' | 'timers'>, wake: () => void) {
    this.#runtime = runtime;
    this.#wake = wake;
    this.#offsetMs = runtime.clock.nowMs() - Math.floor(runtime.clock.monotonicMs());
  }

  get nowMs(): number {
    return this.#offsetMs + Math.floor(this.#runtime.clock.monotonicMs());
  }

  /** What is to be added to its times to have those of the wall clock. */
  get wallClockLeadMs(): number {
    return this.#runtime.clock.nowMs() - this.nowMs;
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
    this.#timer = this.#runtime.timers.after(Math.max(1, atMs - this.nowMs), () => {
      this.#timer = undefined;
      if (this.#wantedMs <= this.nowMs) this.#wake();
      else if (this.#wantedMs < Number.POSITIVE_INFINITY) this.#start(this.#wantedMs);
    });
  }
}
