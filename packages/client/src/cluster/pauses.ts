import type { Timer, Timers } from '@ottla/runtime';
import { ClientClosedError } from '../client-closed-error.ts';

/** Waits that all end, with ClientClosedError, when the client closes. */
export class Pauses {
  readonly #timers: Timers;
  readonly #client: string;
  readonly #waiting = new Map<Timer, (error: Error) => void>();
  #closed = false;

  constructor(timers: Timers, client: string) {
    this.#timers = timers;
    this.#client = client;
  }

  get closed(): boolean {
    return this.#closed;
  }

  pause(delayMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new ClientClosedError(this.#client));
      const timer = this.#timers.after(Math.max(0, delayMs), () => {
        this.#waiting.delete(timer);
        resolve();
      });
      this.#waiting.set(timer, reject);
    });
  }

  assertOpen(): void {
    if (this.#closed) throw new ClientClosedError(this.#client);
  }

  close(): void {
    this.#closed = true;
    for (const [timer, reject] of this.#waiting) {
      timer.cancel();
      reject(new ClientClosedError(this.#client));
    }
    this.#waiting.clear();
  }
}
