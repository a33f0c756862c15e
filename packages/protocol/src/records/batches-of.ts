import { KafkaError } from '../errors.ts';
import { BatchView, batchHeaderBytes, batchPrefixBytes } from './batch-view.ts';
import { legacyOverheadBytes } from './legacy-message.ts';

/** Up to here a batch tells its length and its magic. */
const bytesUpToMagic = 17;

/**
 * The length of the batch that begins at `start`; -1 when not all of it is there, as at the end of a fetch response that
 * was cut at its byte limit. Throws CORRUPT_MESSAGE for a length no batch has, or an unknown magic.
 */
export function batchLengthAt(bytes: Uint8Array, view: DataView, start: number, end = bytes.length): number {
  const remaining = end - start;
  if (remaining < batchPrefixBytes) return -1;
  const length = batchPrefixBytes + view.getInt32(start + 8);
  if (length < legacyOverheadBytes[0]) throw tooSmall(length, legacyOverheadBytes[0]);
  if (remaining < bytesUpToMagic) return -1;
  const magic = view.getInt8(start + 16);
  if (magic < 0 || magic > 2) throw new KafkaError('CORRUPT_MESSAGE', `Invalid magic found in record: ${magic}`);
  const smallest = magic === 2 ? batchHeaderBytes : legacyOverheadBytes[magic as 0 | 1];
  if (length < smallest) throw tooSmall(length, smallest);
  return length > remaining ? -1 : length;
}

/**
 * The batches in `bytes`, one view each; a batch cut off at the end is left out. Throws as `batchLengthAt` does.
 * Contents are unchecked: see `BatchView.ensureCrc`.
 */
export function* batchesOf(bytes: Uint8Array): Generator<BatchView, void, undefined> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = 0; ; ) {
    const length = batchLengthAt(bytes, view, start);
    if (length < 0) return;
    yield new BatchView(bytes, start, view);
    start += length;
  }
}

/** Bytes of `bytes` that whole batches take; the rest is a batch that was cut off. Throws as `batchLengthAt` does. */
export function lengthOfWholeBatches(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = 0; ; ) {
    const length = batchLengthAt(bytes, view, start);
    if (length < 0) return start;
    start += length;
  }
}

function tooSmall(length: number, smallest: number): KafkaError {
  return new KafkaError(
    'CORRUPT_MESSAGE',
    `Record size ${length - batchPrefixBytes} is less than the minimum record overhead (${smallest - batchPrefixBytes})`,
  );
}
