import { type BatchView, batchHeaderBytes, batchPrefixBytes } from './batch-view.ts';
import { type CompressionCodec, compress, idOfCodec } from './compression.ts';
import { crc32c } from './crc32.ts';

/**
 * A copy of a batch of magic 2 with its records in another codec, for topics whose `compression.type` is not the
 * producer's. The rest of the header stays; crc and length are new. `section` is what the records decompress to, if known.
 */
export function recompressBatch(
  batch: BatchView,
  { codec, level, section = batch.decompressedRecords() }: { codec: CompressionCodec; level?: number; section?: Uint8Array },
): Uint8Array {
  const records = batch.recordsCount === 0 ? section : compress(codec, section, { level });
  const bytes = new Uint8Array(batchHeaderBytes + records.length);
  bytes.set(batch.buffer.subarray(batch.start, batch.start + batchHeaderBytes));
  bytes.set(records, batchHeaderBytes);
  const view = new DataView(bytes.buffer);
  view.setInt32(8, bytes.length - batchPrefixBytes);
  view.setInt16(21, (batch.attributes & ~0b111) | (batch.recordsCount === 0 ? 0 : idOfCodec(codec)));
  view.setUint32(17, crc32c(bytes.subarray(21)));
  return bytes;
}
