import type { Timer, Timers } from '../timers.ts';

/** setTimeout takes at most 2^31 - 1 ms and fires at once beyond it; a longer wait goes in legs. */
const longestLegMs = 0x7fff_ffff;

export const nodeTimers: Timers = {
  after(delayMs: number, callback: () => void): Timer {
    if (delayMs > longestLegMs) return new LongTimer(delayMs, callback);
    return new NodeTimer(setTimeout(callback, delayMs));
  },

  soon(callback: () => void): void {
    setImmediate(callback);
  },
};

class NodeTimer implements Timer {
  readonly #timeout: NodeJS.Timeout;
  constructor(timeout: NodeJS.Timeout) {
    this.#timeout = timeout;
  }
  cancel(): void {
    clearTimeout(this.#timeout);
  }
}

class LongTimer implements Timer {
  readonly #callback: () => void;
  #remainingMs: number;
  #timeout: NodeJS.Timeout | undefined;

  constructor(delayMs: number, callback: () => void) {
    this.#remainingMs = delayMs;
    this.#callback = callback;
    this.#nextLeg();
  }

  #nextLeg(): void {
    const legMs = Math.min(this.#remainingMs, longestLegMs);
    this.#remainingMs -= legMs;
    this.#timeout = setTimeout(() => (this.#remainingMs > 0 ? this.#nextLeg() : this.#callback()), legMs);
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }
}
