import type { BatchView } from '@ottla/protocol';
import type { CompletedTransaction, ProducerAppend, ProducerAppendOptions } from './producer-append.ts';
import type { ProducedBatch } from './producer-entry.ts';
import type { ProducerStates } from './producer-states.ts';
import type { Segment } from './segment.ts';

/**
 * What the batches that are not written yet will do to the producers: each is checked against the states and against what those
 * before it change. Forgotten with `clear`, true with `apply`.
 */
export class ProducerChanges {
  readonly #producers: ProducerStates;
  readonly #partitionName: string;
  readonly #appends = new Map<number, ProducerAppend>();
  readonly #completed: CompletedTransaction[] = [];

  constructor(producers: ProducerStates, partitionName: string) {
    this.#producers = producers;
    this.#partitionName = partitionName;
  }

  /**
   * Takes the batches in the buffer of `batch` up, one after the other; or none, when the first of a client repeats a batch, which it returns.
   * Throws what `ProducerAppend.add` throws: of several batches those before the one at fault have then been taken up.
   */
  add(batch: BatchView, options: ProducerAppendOptions): ProducedBatch | undefined {
    for (let start = 0; start < batch.buffer.length; start += batch.length) {
      const { producerId } = batch.moveTo(start);
      if (producerId < 0) continue;
      const append = this.#appends.get(producerId) ?? this.#producers.prepare(producerId, this.#partitionName);
      const duplicate = options.origin === 'client' ? append.duplicateOf(batch) : undefined;
      if (duplicate) return duplicate;
      const ended = append.add(batch, options);
      this.#appends.set(producerId, append);
      if (ended) this.#completed.push(ended);
    }
    return undefined;
  }

  /** The batches were not written after all. */
  clear(): void {
    if (this.#appends.size > 0) this.#appends.clear();
    this.#completed.length = 0;
  }

  /** The batches are in `segment`. */
  apply(segment: Segment, endOffset: number): void {
    const producers = this.#producers;
    for (const append of this.#appends.values()) producers.update(append);
    for (const transaction of this.#completed) {
      if (transaction.isAborted) segment.appendAborted(transaction, producers.lastStableOffsetAfter(transaction));
      producers.complete(transaction);
    }
    producers.advanceTo(endOffset);
    this.clear();
  }
}
