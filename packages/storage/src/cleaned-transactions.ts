import type { BatchView } from '@ottla/protocol';
import { readEndTransactionMarker } from './end-transaction-marker.ts';
import type { AbortedTransaction } from './transaction-index.ts';

/** What a walk over a log's batches, in order, has to remember to know which belong to aborted transactions. */
export class CleanedTransactions {
  /** Producers with data of a transaction that is not aborted, and whose marker has not been met. */
  readonly #ongoingCommitted = new Set<number>();
  readonly #ongoingAborted = new Map<number, { readonly aborted: AbortedTransaction; hasData: boolean }>();
  /** By first offset, ascending. */
  #waiting: AbortedTransaction[] = [];
  readonly #onAbortedWithData: (aborted: AbortedTransaction) => void;

  /** Hears of each aborted transaction that still has data, when its marker is met: the new segment's index must list it. */
  constructor(onAbortedWithData: (aborted: AbortedTransaction) => void = () => {}) {
    this.#onAbortedWithData = onAbortedWithData;
  }

  /** All those with data in the stretch that is walked next; one may be given again. */
  add(transactions: readonly AbortedTransaction[]): void {
    this.#waiting = [...this.#waiting, ...transactions].sort((left, right) => left.firstOffset - right.firstOffset);
  }

  /** Whether the batch can go for its transaction's sake: data of an aborted one, or the marker of one without data. */
  canDiscard(batch: BatchView): boolean {
    this.#beginThoseUpTo(batch.lastOffset);
    return batch.isControl ? this.#isMarkerWithoutData(batch) : this.#isAbortedData(batch);
  }

  #beginThoseUpTo(offset: number): void {
    let count = 0;
    for (; count < this.#waiting.length && this.#waiting[count]!.firstOffset <= offset; count++) {
      const aborted = this.#waiting[count]!;
      if (!this.#ongoingAborted.has(aborted.producerId)) {
        this.#ongoingAborted.set(aborted.producerId, { aborted, hasData: false });
      }
    }
    if (count > 0) this.#waiting.splice(0, count);
  }

  #isMarkerWithoutData(batch: BatchView): boolean {
    const marker = readEndTransactionMarker(batch);
    if (!marker) return true;
    const { producerId } = batch;
    if (marker.type === 'commit') return !this.#ongoingCommitted.delete(producerId);
    const transaction = this.#ongoingAborted.get(producerId);
    this.#ongoingAborted.delete(producerId);
    if (!transaction?.hasData) return true;
    this.#onAbortedWithData(transaction.aborted);
    return false;
  }

  #isAbortedData(batch: BatchView): boolean {
    if (!batch.isTransactional) return false;
    const transaction = this.#ongoingAborted.get(batch.producerId);
    if (transaction) {
      transaction.hasData = true;
      return true;
    }
    this.#ongoingCommitted.add(batch.producerId);
    return false;
  }
}
