export type RateWindows = {
  /** `quota.window.num` */
  readonly samples: number;
  /** `quota.window.size.seconds` */
  readonly windowMs: number;
};

/**
 * How often something happened a second, by Kafka's measure: counts in windows, the oldest of which fall away. A rate is taken over at least
 * all windows but the one at hand, so that a burst after a silence does not count as if it had always been so.
 */
export class SampledRate {
  readonly #windows: RateWindows;
  /** The newest last. */
  #samples: { startMs: number; count: number }[] = [];

  constructor(windows: RateWindows) {
    this.#windows = windows;
  }

  record(count: number, nowMs: number): void {
    const newest = this.#samples.at(-1);
    if (newest && nowMs - newest.startMs < this.#windows.windowMs) newest.count += count;
    else this.#samples.push({ startMs: nowMs, count });
    this.#forgetOld(nowMs);
  }

  isEmpty(nowMs: number): boolean {
    this.#forgetOld(nowMs);
    return this.#samples.length === 0;
  }

  /** How long nothing more should happen for the rate to be back at `perSecond`; 0 while it is not above it. */
  throttleMs(perSecond: number, nowMs: number): number {
    this.#forgetOld(nowMs);
    const { samples, windowMs } = this.#windows;
    const elapsedMs = nowMs - (this.#samples[0]?.startMs ?? nowMs);
    const missingWindows = samples - 1 - Math.floor(elapsedMs / windowMs);
    const overMs = Math.max(1, elapsedMs + Math.max(0, missingWindows) * windowMs);
    const rate = (this.#samples.reduce((sum, { count }) => sum + count, 0) / overMs) * 1000;
    return rate > perSecond ? Math.round(((rate - perSecond) / perSecond) * overMs) : 0;
  }

  #forgetOld(nowMs: number): void {
    const { samples, windowMs } = this.#windows;
    while (this.#samples.length > 0 && nowMs - this.#samples[0]!.startMs >= samples * windowMs) this.#samples.shift();
  }
}
