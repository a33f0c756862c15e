import { KafkaError, type MetadataRecord, writeMetadataRecord } from '@ottla/protocol';

export type BatchLimits = {
  readonly maxBytes: number;
  /** Of a batch that need not be atomic: nothing else is written, nor told, while one is. */
  readonly maxRecords: number;
};

const batchOverhead = 61;
const recordOverhead = 21;
const sizeOf = (value: Uint8Array): number => value.length + recordOverhead;

/** @throws RECORD_LIST_TOO_LARGE */
export function requireOneBatch(values: readonly Uint8Array[], { maxBytes }: Pick<BatchLimits, 'maxBytes'>): void {
  const bytes = values.reduce((sum, value) => sum + sizeOf(value), batchOverhead);
  if (bytes > maxBytes) throw tooLarge(values.length, bytes, maxBytes);
}

/** As few batches as hold all records in their order. @throws RECORD_LIST_TOO_LARGE for a record that fits none. */
export function dividedIntoBatches(
  records: readonly MetadataRecord[],
  { maxBytes, maxRecords }: BatchLimits,
): (readonly MetadataRecord[])[] {
  const batches: MetadataRecord[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const record of records) {
    const size = sizeOf(writeMetadataRecord(record));
    if (batchOverhead + size > maxBytes) throw tooLarge(1, batchOverhead + size, maxBytes);
    if (bytes + size > maxBytes || batches.at(-1)!.length >= maxRecords) {
      batches.push([]);
      bytes = batchOverhead;
    }
    batches.at(-1)!.push(record);
    bytes += size;
  }
  return batches;
}

function tooLarge(count: number, bytes: number, maxBytes: number): KafkaError {
  const text = `${count} metadata records take ${bytes} bytes, more than the ${maxBytes} of one batch`;
  return new KafkaError('RECORD_LIST_TOO_LARGE', text);
}
