import { KafkaError } from '@ottla/protocol';
import type { Clock, Timers } from '@ottla/runtime';
import { Signal } from '../cluster/signal.ts';

/**
 * The commits of one consumer, in the order it asked for them and one at a time: an earlier one that is tried again would undo a later one
 * that went well meanwhile.
 */
export class CommitOrder {
  readonly #clock: Clock;
  readonly #timers: Timers;
  /** Settles after all that were asked for; undefined when they have. */
  #last: Promise<unknown> | undefined;

  constructor({ clock, timers }: { readonly clock: Clock; readonly timers: Timers }) {
    this.#clock = clock;
    this.#timers = timers;
  }

  /** Commits at once or when the earlier ones have ended, in what is left of the time. REQUEST_TIMED_OUT when they take all of it. */
  async take(timeoutMs: number, commit: (remainingMs: number) => Promise<void>): Promise<void> {
    const deadlineMs = this.#clock.monotonicMs() + timeoutMs;
    const before = this.#last;
    const committing = (async () => {
      if (before) await this.#waitFor(before, timeoutMs);
      await commit(deadlineMs - this.#clock.monotonicMs());
    })();
    // Whoever comes next waits for those before too, should this one have lost its patience.
    const last = Promise.allSettled([before, committing]);
    this.#last = last;
    void last.then(() => {
      if (this.#last === last) this.#last = undefined;
    });
    await committing;
  }

  async #waitFor(before: Promise<unknown>, timeoutMs: number): Promise<void> {
    const turn = new Signal(this.#timers);
    let hasCome = false;
    void before.then(() => {
      hasCome = true;
      turn.notify();
    });
    await turn.wait(timeoutMs);
    if (!hasCome) throw new KafkaError('REQUEST_TIMED_OUT', 'an earlier commit of this consumer has not been answered yet');
  }
}
