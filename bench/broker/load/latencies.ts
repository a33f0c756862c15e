/**
 * A histogram of times with an error below 1 %: 128 buckets for each doubling, from 1 µs to about an hour, in 16 KiB however many
 * are recorded. Recording allocates nothing.
 */
const bucketsPerDoubling = 128;
const doublings = 32;

export class Latencies {
  readonly #counts = new Uint32Array(bucketsPerDoubling * doublings);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  record(ms: number): void {
    const bucket = Math.floor(Math.log2(Math.max(ms * 1000, 1)) * bucketsPerDoubling);
    this.#counts[Math.min(bucket, this.#counts.length - 1)]!++;
    this.#count++;
  }

  /** The time, in ms, that this share of them (0..1) did not exceed; NaN without any. */
  quantileMs(share: number): number {
    let left = Math.ceil(this.#count * share);
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      left -= this.#counts[bucket]!;
      if (left <= 0 && this.#count > 0) return 2 ** ((bucket + 0.5) / bucketsPerDoubling) / 1000;
    }
    return Number.NaN;
  }

  static together(all: readonly Latencies[]): Latencies {
    const sum = new Latencies();
    for (const one of all) {
      for (let bucket = 0; bucket < one.#counts.length; bucket++) sum.#counts[bucket]! += one.#counts[bucket]!;
      sum.#count += one.#count;
    }
    return sum;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#count = 0;
  }
}
