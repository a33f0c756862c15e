import type { Timer, Timers } from '@ottla/runtime';
import { type SnapshotId, snapshotName } from './snapshot-files.ts';

/** Before a snapshot that was refused is fetched once more. Nothing is asked of the leader meanwhile. */
const shortestPauseMs = 1_000;
const longestPauseMs = 60_000;

/** The leader's snapshot cannot be read. It is as large as ever, and seldom mended: the same one is left alone longer each time. */
export class RefusedSnapshot {
  readonly #timers: Timers;
  #name: string | undefined;
  #pauseMs = 0;
  #pending: { readonly timer: Timer; readonly fetchAgain: () => void } | undefined;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  begin(id: SnapshotId, fetchAgain: () => void): void {
    const name = snapshotName(id);
    this.#pauseMs = name === this.#name ? Math.min(2 * this.#pauseMs, longestPauseMs) : shortestPauseMs;
    this.#name = name;
    this.#wait(fetchAgain);
  }

  /** Another leader may have a better one. */
  onNewLeader(): void {
    this.#name = undefined;
    if (this.#pending) this.#wait(this.#pending.fetchAgain, shortestPauseMs);
  }

  close(): void {
    this.#pending?.timer.cancel();
    this.#pending = undefined;
  }

  #wait(fetchAgain: () => void, pauseMs = this.#pauseMs): void {
    this.close();
    const timer = this.#timers.after(pauseMs, () => {
      this.#pending = undefined;
      fetchAgain();
    });
    this.#pending = { timer, fetchAgain };
  }
}
