import type { VirtualTime } from './virtual-time.ts';

/**
 * Between a simulated machine and its process: a process that is stopped (SIGSTOP) hears of nothing until it goes on, and then of all
 * that happened meanwhile, in order, each as an event of its own, so that whoever looks on sees what each of them did.
 */
export class ProcessGate {
  readonly #time: VirtualTime;
  readonly #onPass: () => void;
  readonly #waiting: (() => void)[] = [];
  #isPaused = false;
  #hasEnded = false;

  /** `onPass` is called before each thing that reaches the process. */
  constructor(time: VirtualTime, onPass: () => void) {
    this.#time = time;
    this.#onPass = onPass;
  }

  /** What happens now reaches the process at once. */
  get isOpen(): boolean {
    return !this.#isPaused && this.#waiting.length === 0;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  pass(callback: () => void): void {
    if (this.#hasEnded) return;
    if (this.isOpen) {
      this.#onPass();
      callback();
    } else this.#waiting.push(callback);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#time.after(0, () => this.#letOnePass());
  }

  /** The process is no more. */
  end(): void {
    this.#hasEnded = true;
    this.#waiting.length = 0;
  }

  #letOnePass(): void {
    if (this.#isPaused) return;
    const next = this.#waiting[0];
    if (!next) return;
    // Leaves the line only afterwards: what it causes comes behind what waits already.
    this.#onPass();
    try {
      next();
    } finally {
      this.#waiting.shift();
      if (this.#waiting.length > 0) this.#time.after(0, () => this.#letOnePass());
    }
  }
}
