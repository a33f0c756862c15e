import type { Clock } from '../clock.ts';
import type { VirtualTime } from './virtual-time.ts';

/** The clock of a simulated machine. What it shows can be wrong; what it measures is not, as of a monotonic clock. */
export class MachineClock implements Clock {
  readonly #time: VirtualTime;
  /** What the wall clock showed at `#sinceMs`, and how fast it has run since. */
  #shownMs: number;
  #sinceMs: number;
  #rate = 1;

  constructor(time: VirtualTime, shownMs: number) {
    this.#time = time;
    this.#shownMs = shownMs;
    this.#sinceMs = time.nowMs;
  }

  nowMs(): number {
    return Math.floor(this.#exactMs);
  }

  monotonicMs(): number {
    return this.#time.nowMs;
  }

  /** Somebody sets the wall clock: forwards, or backwards if negative. */
  jump(ms: number): void {
    this.#shownMs += ms;
  }

  /** From now on the wall clock runs that many times as fast as it should. */
  runAt(rate: number): void {
    this.#shownMs = this.#exactMs;
    this.#sinceMs = this.#time.nowMs;
    this.#rate = rate;
  }

  get #exactMs(): number {
    return this.#shownMs + (this.#time.nowMs - this.#sinceMs) * this.#rate;
  }
}
