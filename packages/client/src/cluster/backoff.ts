import type { Random } from '@ottla/runtime';

/** Kafka's waiting between attempts: doubled each time up to a limit, give or take a fifth. */
export class Backoff {
  readonly #random: Random;
  readonly #initialMs: number;
  readonly #maxMs: number;

  constructor(random: Random, { initialMs, maxMs }: { initialMs: number; maxMs: number }) {
    this.#random = random;
    this.#initialMs = initialMs;
    this.#maxMs = maxMs;
  }

  /** After so many failures in a row, at least one. */
  delayMs(failures: number): number {
    const jitter = 0.8 + 0.4 * this.#random.fraction();
    return Math.min(this.#maxMs, this.#initialMs * 2 ** Math.min(failures - 1, 30) * jitter);
  }
}
