import { KafkaError } from '@ottla/protocol';
import type { Clock, Timers } from '@ottla/runtime';
import { ItemsError } from '../admin/each-item.ts';
import type { Membership, OffsetToCommit } from '../admin/group-offsets.ts';
import { Signal } from '../cluster/signal.ts';
import { within } from '../cluster/within.ts';
import { partitionName } from '../topic-partition.ts';

/** What is sent together: of each partition what was asked for last. */
type Batch = {
  /** Undefined: as nobody. */
  readonly membership: Membership | undefined;
  readonly offsets: Map<string, OffsetToCommit>;
  deadlineMs: number;
  readonly outcome: PromiseWithResolvers<void>;
};

/** Tries until it is done, or for so long. */
type Send = (offsets: readonly OffsetToCommit[], membership: Membership | undefined, timeoutMs: number) => Promise<void>;

/**
 * The commits of one consumer, in the order it asked for them and one at a time: an earlier one that is tried again would undo a later one
 * that went well meanwhile. Those that are asked for while one is under way go together, so that however many there are, one waits.
 */
export class CommitOrder {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #send: Send;
  /** More than one only where the membership has changed. */
  readonly #waiting: Batch[] = [];
  #isSending = false;
  readonly #ended: Signal;

  constructor({ clock, timers }: { readonly clock: Clock; readonly timers: Timers }, send: Send) {
    this.#clock = clock;
    this.#timers = timers;
    this.#send = send;
    this.#ended = new Signal(timers);
  }

  /** Resolves when these offsets are committed, or later ones of the same partitions. REQUEST_TIMED_OUT when nobody knows in time. */
  async commit(offsets: readonly OffsetToCommit[], membership: Membership | undefined, timeoutMs: number): Promise<void> {
    const batch = this.#batchFor(membership);
    for (const offset of offsets) batch.offsets.set(partitionName(offset), offset);
    batch.deadlineMs = Math.max(batch.deadlineMs, this.#clock.monotonicMs() + timeoutMs);
    if (!this.#isSending) void this.#sendAll();
    try {
      await within(this.#timers, timeoutMs, batch.outcome.promise, lateCommit);
    } catch (error) {
      const own = error instanceof ItemsError ? failuresOf(error, offsets) : error;
      if (own !== undefined) throw own;
    }
  }

  /** Until nothing is under way, or the time is over. */
  async end(timeoutMs: number): Promise<void> {
    const deadlineMs = this.#clock.monotonicMs() + timeoutMs;
    for (let leftMs = timeoutMs; this.#isSending && leftMs > 0; leftMs = deadlineMs - this.#clock.monotonicMs())
      await this.#ended.wait(leftMs);
  }

  #batchFor(membership: Membership | undefined): Batch {
    const last = this.#waiting.at(-1);
    if (last && last.membership === membership) return last;
    const batch = { membership, offsets: new Map(), deadlineMs: 0, outcome: Promise.withResolvers<void>() };
    // Who has lost patience does not look any more.
    batch.outcome.promise.catch(() => {});
    this.#waiting.push(batch);
    return batch;
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    for (let batch = this.#waiting.shift(); batch; batch = this.#waiting.shift()) {
      const { offsets, membership, deadlineMs, outcome } = batch;
      const leftMs = deadlineMs - this.#clock.monotonicMs();
      if (leftMs <= 0) outcome.reject(lateCommit());
      else await this.#send([...offsets.values()], membership, leftMs).then(outcome.resolve, outcome.reject);
    }
    this.#isSending = false;
    this.#ended.notify();
  }
}

const lateCommit = (): KafkaError =>
  new KafkaError(
    'REQUEST_TIMED_OUT',
    'the commit, or an earlier one of this consumer, was not answered in time: it may yet happen',
  );

/** What went wrong with these; undefined: nothing. */
function failuresOf({ failures }: ItemsError, offsets: readonly OffsetToCommit[]): ItemsError | undefined {
  const own = offsets.flatMap((offset) => {
    const name = partitionName(offset);
    const failure = failures.get(name);
    return failure ? [[name, failure] as const] : [];
  });
  return own.length > 0 ? new ItemsError(new Map(own)) : undefined;
}
