import {
  type BatchView,
  batchesOf,
  controlRecordTypeOf,
  type FetchResponse,
  type RecordCursor,
  type RecordHeader,
} from '@ottla/protocol';

type AbortedTransactions = FetchResponse['responses'][number]['partitions'][number]['abortedTransactions'];

export type RecordReaderOptions = {
  /** Records before it, in a batch that begins earlier, are skipped. */
  readonly fromOffset: number;
  readonly checkCrcs: boolean;
  /** For read_committed: records of these are skipped. Null for read_uncommitted. */
  readonly abortedTransactions: AbortedTransactions;
};

/** Walks the records of one partition's fetched bytes without unpacking a batch before its turn. */
export class RecordReader {
  readonly #batches: Iterator<BatchView>;
  readonly #options: RecordReaderOptions;
  /** By first offset; those that have begun move to `#aborting`. */
  readonly #aborted: { producerId: number; firstOffset: number }[];
  readonly #aborting = new Set<number>();
  #batch: BatchView | undefined;
  #cursor: RecordCursor | LegacyCursor | undefined;
  /** Where to go on when there is no record left here. */
  nextOffset: number;
  leaderEpoch = -1;
  isEmpty = true;

  constructor(bytes: Uint8Array, options: RecordReaderOptions) {
    this.#batches = batchesOf(bytes);
    this.#options = options;
    this.nextOffset = options.fromOffset;
    this.#aborted = [...(options.abortedTransactions ?? [])].sort((one, other) => one.firstOffset - other.firstOffset);
  }

  /** The next record, valid until the next call; undefined at the end. Throws CORRUPT_MESSAGE, INVALID_RECORD … */
  next(): CurrentRecord | undefined {
    for (;;) {
      while (this.#cursor?.next()) {
        if (this.#cursor.offset < this.#options.fromOffset) continue;
        this.nextOffset = this.#cursor.offset + 1;
        return this.#cursor;
      }
      if (this.#batch) this.nextOffset = Math.max(this.nextOffset, this.#batch.nextOffset);
      this.#cursor = undefined;
      this.#batch = undefined;
      const { value: batch, done } = this.#batches.next();
      if (done) return undefined;
      this.isEmpty = false;
      this.#enter(batch);
    }
  }

  #enter(batch: BatchView): void {
    this.#batch = batch;
    if (batch.lastOffset < this.#options.fromOffset) return;
    if (this.#options.checkCrcs) batch.ensureCrc();
    this.leaderEpoch = batch.leaderEpoch;
    while (this.#aborted[0] && this.#aborted[0].firstOffset <= batch.lastOffset)
      this.#aborting.add(this.#aborted.shift()!.producerId);
    if (batch.isControl) {
      if (this.#isAbortMarker(batch)) this.#aborting.delete(batch.producerId);
      return;
    }
    if (batch.isTransactional && this.#aborting.has(batch.producerId)) return;
    this.#cursor = batch.magic < 2 ? new LegacyCursor(batch) : batch.cursor();
  }

  #isAbortMarker(batch: BatchView): boolean {
    const cursor = batch.cursor();
    return cursor.next() && controlRecordTypeOf(cursor.key) === 'abort';
  }
}

export type CurrentRecord = {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  headers(): RecordHeader[];
};

/** Message sets of magic 0 and 1, from topics older than Kafka 0.11. */
class LegacyCursor implements CurrentRecord {
  readonly #records: ReturnType<BatchView['records']>;
  offset = -1;
  timestamp = -1;
  key: Uint8Array | null = null;
  value: Uint8Array | null = null;

  constructor(batch: BatchView) {
    this.#records = batch.records();
  }

  next(): boolean {
    const { value: record, done } = this.#records.next();
    if (done) return false;
    this.offset = record.offset;
    this.timestamp = record.timestamp;
    this.key = record.key;
    this.value = record.value;
    return true;
  }

  headers(): RecordHeader[] {
    return [];
  }
}
