import { BatchBuilder, buildControlBatch } from '@ottla/protocol';
import type { RaftBatch } from '@ottla/raft';

export type AppendedRecords = {
  readonly baseOffset: number;
  /** Inclusive. */
  readonly lastOffset: number;
  readonly endOffset: number;
};

/** Whoever appended a batch, and waits. */
export type AppendWaiter = {
  readonly resolve: (appended: AppendedRecords) => void;
  readonly reject: (error: unknown) => void;
};

/** A batch of this node's own on its way: in the log or about to be, not yet known to be committed. */
export type PendingBatch = {
  readonly bytes: Uint8Array;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly leaderEpoch: number;
  readonly isControl: boolean;
  waiter: AppendWaiter | undefined;
};

/** What this node appended as leader, in the order of the log, until it is committed, taken back, or somebody else's to decide about. */
export class PendingAppends {
  /** Not yet in the log. */
  #unwritten: PendingBatch[] = [];
  /** In the log, not yet committed. */
  #written: PendingBatch[] = [];

  get hasUnwritten(): boolean {
    return this.#unwritten.length > 0;
  }

  get unwritten(): readonly PendingBatch[] {
    return this.#unwritten;
  }

  /** The first that is in the log and not committed. */
  get firstWritten(): PendingBatch | undefined {
    return this.#written[0];
  }

  /** `timestampMs` is the wall clock's, for the records. */
  add(batch: RaftBatch, timestampMs: number, waiter?: AppendWaiter): void {
    this.#unwritten.push(pending(batch, timestampMs, waiter));
  }

  /** Gives each unwritten batch to `write`, and counts it as written; what it throws at stays unwritten, with all behind it. */
  write(write: (batch: PendingBatch) => void): void {
    const batches = this.#unwritten;
    this.#unwritten = [];
    for (const [index, batch] of batches.entries()) {
      try {
        write(batch);
      } catch (error) {
        this.#unwritten = batches.slice(index);
        throw error;
      }
      this.#written.push(batch);
    }
  }

  /** The first written batch is committed, and was told to everybody. */
  commitFirst(): void {
    const { baseOffset, lastOffset, waiter } = this.#written.shift()!;
    waiter?.resolve({ baseOffset, lastOffset, endOffset: lastOffset + 1 });
  }

  /** What is not in the log yet is not appended after all. */
  withdrawUnwritten(error: unknown): void {
    const withdrawn = this.#unwritten;
    this.#unwritten = [];
    for (const { waiter } of withdrawn) waiter?.reject(error);
  }

  /** What lies at or behind `endOffset` is gone. */
  truncateTo(endOffset: number, error: unknown): void {
    const gone = [...this.#written, ...this.#unwritten].filter(({ lastOffset }) => lastOffset >= endOffset);
    this.#written = this.#written.filter(({ lastOffset }) => lastOffset < endOffset);
    this.#unwritten = this.#unwritten.filter(({ lastOffset }) => lastOffset < endOffset);
    for (const { waiter } of gone) waiter?.reject(error);
  }

  /** Whether they will be committed is for another leader to say: nobody waits for them here any more. */
  giveUp(error: unknown): void {
    for (const batch of [...this.#written, ...this.#unwritten]) {
      batch.waiter?.reject(error);
      batch.waiter = undefined;
    }
  }

  /** None of them is for this node to write or to tell any more. */
  dropAll(error: unknown): void {
    const lost = [...this.#written, ...this.#unwritten];
    this.#written = [];
    this.#unwritten = [];
    for (const { waiter } of lost) waiter?.reject(error);
  }
}

function pending(batch: RaftBatch, timestampMs: number, waiter: AppendWaiter | undefined): PendingBatch {
  const { baseOffset, leaderEpoch } = batch;
  const isControl = batch.kind === 'control';
  const count = isControl ? batch.records.length : batch.values.length;
  return { bytes: encode(batch, timestampMs), baseOffset, lastOffset: baseOffset + count - 1, leaderEpoch, isControl, waiter };
}

function encode(batch: RaftBatch, timestampMs: number): Uint8Array {
  const { baseOffset, leaderEpoch } = batch;
  if (batch.kind === 'control')
    return buildControlBatch({ records: batch.records, timestamp: timestampMs, baseOffset, leaderEpoch });
  const builder = new BatchBuilder({ baseOffset, leaderEpoch });
  for (const value of batch.values) builder.append(timestampMs, null, value);
  return builder.build();
}
