import type { MetadataRecord } from '@ottla/protocol';
import type { CommittedBatch } from './metadata-listener.ts';

/**
 * Hides an open metadata transaction (KIP-868): its batches come out together when it ends, and as batches without records when it is
 * aborted, so that offsets go on.
 */
export class MetadataTransactions {
  #held: CommittedBatch[] = [];
  #isOpen = false;

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The batches that may be seen now, in order. */
  pass(batch: CommittedBatch): CommittedBatch[] {
    for (const { type } of batch.records) {
      if (type === 'BeginTransactionRecord') this.#isOpen = true;
      if (type === 'EndTransactionRecord') this.#isOpen = false;
      if (type === 'AbortTransactionRecord') return this.#abort(batch);
    }
    this.#held.push(batch);
    return this.#isOpen ? [] : this.#release();
  }

  /** What came so far is superseded by a snapshot. */
  forget(): void {
    this.#held = [];
    this.#isOpen = false;
  }

  /** What came before the transaction in its first batch, and after its end in this one, is not part of it. */
  #abort(last: CommittedBatch): CommittedBatch[] {
    this.#isOpen = false;
    this.#held.push(last);
    let isInside = false;
    const withoutAborted = (record: MetadataRecord): boolean => {
      if (record.type === 'BeginTransactionRecord') isInside = true;
      const keep = !isInside;
      if (record.type === 'AbortTransactionRecord') isInside = false;
      return keep;
    };
    return this.#release().map((batch) => ({ ...batch, records: batch.records.filter(withoutAborted) }));
  }

  #release(): CommittedBatch[] {
    const released = this.#held;
    this.#held = [];
    return released;
  }
}
