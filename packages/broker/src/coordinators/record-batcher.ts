import { buildBatch, type CompressionCodec } from '@ottla/protocol';

type KeyAndValue = { readonly key: Uint8Array; readonly value: Uint8Array | null };

/** The producer in whose transaction records are written. */
export type TransactionalWriter = { readonly producerId: number; readonly producerEpoch: number };

const BATCH_HEADER_BYTES = 61;
/** Lengths, deltas, attributes and header count of a record, at their largest. */
const RECORD_OVERHEAD_BYTES = 32;

/** Bytes that the records take in a batch, at most and before compression. */
export function estimatedBytes(records: readonly KeyAndValue[]): number {
  return records.reduce((sum, { key, value }) => sum + RECORD_OVERHEAD_BYTES + key.length + (value?.length ?? 0), 0);
}

/**
 * The records that go into one append, and the operations that wait for it. Like Kafka's coordinators it writes with base sequence 0,
 * and without a producer id unless the records are part of a producer's transaction.
 */
export class OpenBatch<Operation> {
  readonly baseOffset: number;
  readonly operations: Operation[] = [];
  readonly #writer: TransactionalWriter | undefined;
  readonly #records: KeyAndValue[] = [];
  #bytes = BATCH_HEADER_BYTES;

  constructor(baseOffset: number, writer?: TransactionalWriter) {
    this.baseOffset = baseOffset;
    this.#writer = writer;
  }

  get nextOffset(): number {
    return this.baseOffset + this.#records.length;
  }

  get isEmpty(): boolean {
    return this.#records.length === 0;
  }

  hasRoomFor(records: readonly KeyAndValue[], maxBytes: number): boolean {
    return this.#bytes + estimatedBytes(records) <= maxBytes;
  }

  add(record: KeyAndValue): void {
    this.#records.push(record);
    this.#bytes += estimatedBytes([record]);
  }

  build(codec: CompressionCodec, timestamp: number): Uint8Array {
    const records = this.#records.map(({ key, value }) => ({ key, value, timestamp }));
    const { producerId, producerEpoch } = this.#writer ?? NOBODY;
    const isTransactional = this.#writer !== undefined;
    return buildBatch({
      records,
      codec,
      baseOffset: this.baseOffset,
      producerId,
      producerEpoch,
      baseSequence: 0,
      isTransactional,
    });
  }
}

const NOBODY: TransactionalWriter = { producerId: -1, producerEpoch: -1 };

/**
 * The records as they go into batches: all in one piece, or each its own. Undefined as soon as a piece is too large for any batch: what comes
 * behind it need not be encoded, and it may be a lot.
 */
export function encodedPieces<Record>(
  records: readonly Record[],
  encode: (record: Record) => KeyAndValue,
  { isAtomic, maxBytes }: { readonly isAtomic: boolean; readonly maxBytes: number },
): KeyAndValue[][] | undefined {
  const pieces: KeyAndValue[][] = isAtomic ? [[]] : [];
  let bytes = BATCH_HEADER_BYTES;
  for (const record of records) {
    if (!isAtomic) {
      pieces.push([]);
      bytes = BATCH_HEADER_BYTES;
    }
    const encoded = encode(record);
    bytes += estimatedBytes([encoded]);
    if (bytes > maxBytes) return undefined;
    pieces.at(-1)!.push(encoded);
  }
  return pieces;
}
