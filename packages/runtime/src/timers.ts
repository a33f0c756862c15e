export interface Timer {
  cancel(): void;
}

export interface Timers {
  /** Calls back once after `delayMs` (0 or more). A pending timer keeps the process alive. */
  after(delayMs: number, callback: () => void): Timer;
  /** Calls back when the current turn of the event loop has handled its I/O: where the work of one turn is committed together. */
  soon(callback: () => void): void;
}

/** Lets what waits for the event loop go first: whoever does something long must not look dead meanwhile. */
export function nextTurn(timers: Timers): Promise<void> {
  return new Promise((resolve) => timers.soon(resolve));
}

/** A promise that resolves after `delayMs`. */
export function sleep(timers: Timers, delayMs: number): Promise<void> {
  return new Promise((resolve) => void timers.after(delayMs, resolve));
}
