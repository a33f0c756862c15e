import { BatchView, batchHeaderBytes, batchLengthAt, batchPrefixBytes } from '@ottla/protocol';
import { CorruptFileError } from './corrupt-file-error.ts';
import type { LogFile } from './log-file.ts';

/** Usually enough to find an offset behind its index entry with a single read. */
const headerChunkBytes = 4096 + batchHeaderBytes;
const wholeChunkBytes = 1024 * 1024;
/** What any batch is at least, before its magic says more. */
const smallestBatchBytes = batchPrefixBytes + 14;
const bytesUpToMagic = 17;
const largestNumber = Number.MAX_SAFE_INTEGER;

/**
 * Walks the headers of the batches in a file without reading the batches. Only the fields that every batch header holds in
 * itself may be asked of `batch`: not its records, nor its crc, nor the base offset of a compressed batch of magic 0 or 1.
 */
export class BatchHeaders {
  readonly #log: LogFile;
  readonly #endPosition: number;
  #chunk: Uint8Array = new Uint8Array(0);
  #chunkPosition = 0;
  #nextPosition: number;

  batch = new BatchView(this.#chunk);
  /** Of `batch`. */
  position = -1;

  constructor(log: LogFile, position: number, endPosition = log.size) {
    this.#log = log;
    this.#nextPosition = position;
    this.#endPosition = endPosition;
  }

  get endOfBatch(): number {
    return this.#nextPosition;
  }

  /** False when no whole batch is left. Throws CorruptFileError for a length or magic that no batch has. */
  next(): boolean {
    const position = this.#nextPosition;
    const remaining = this.#endPosition - position;
    if (remaining < bytesUpToMagic) return false;
    if (
      position < this.#chunkPosition ||
      position + Math.min(remaining, batchHeaderBytes) > this.#chunkPosition + this.#chunk.length
    ) {
      this.#readChunk(position, remaining);
    }
    const batch = this.batch.moveTo(position - this.#chunkPosition);
    const { length, magic } = batch;
    if (length < smallestBatchBytes || magic < 0 || magic > 2 || (magic === 2 && length < batchHeaderBytes)) {
      throw new CorruptFileError(this.#log.path, `at position ${position} a batch of magic ${magic} claims ${length} bytes`);
    }
    if (length > remaining) return false;
    this.#requireNumbers(position);
    this.position = position;
    this.#nextPosition = position + length;
    return true;
  }

  /** A flipped bit may make an offset or a time of which nothing can be said. A time may well be from before 1970. */
  #requireNumbers(position: number): void {
    const { magic, writtenOffset } = this.batch;
    const maxTimestamp = magic < 2 ? -1 : this.batch.maxTimestamp;
    if (writtenOffset >= 0 && writtenOffset <= largestNumber && Math.abs(maxTimestamp) <= largestNumber) return;
    throw new CorruptFileError(this.#log.path, `at position ${position} a batch has an offset or a time that cannot be`);
  }

  /** Throws CorruptFileError when the walk came to its end before the data did. */
  requireEnd(): void {
    if (this.#nextPosition < this.#endPosition)
      throw new CorruptFileError(this.#log.path, `at position ${this.#nextPosition} a batch is not whole`);
  }

  /** Whether the walk, which has not begun, begins at a batch that ends with `lastOffset`. */
  beginsAt(lastOffset: number): boolean {
    const start = this.#nextPosition;
    try {
      const isThere = this.next() && this.batch.lastOffset === lastOffset;
      this.#nextPosition = start;
      return isThere;
    } catch (error) {
      if (error instanceof CorruptFileError) return false;
      throw error;
    }
  }

  #readChunk(position: number, remaining: number): void {
    const chunk = new Uint8Array(Math.min(headerChunkBytes, remaining));
    this.#chunk = chunk.subarray(0, this.#log.read(chunk, position));
    this.#chunkPosition = position;
    this.batch = new BatchView(this.#chunk);
  }
}

/**
 * Reads a file's batches whole, in large pieces. A batch is valid until the next is asked for. Ends before a batch that is cut
 * off; throws CORRUPT_MESSAGE for a length or magic that no batch has. Contents are unchecked.
 */
export function* wholeBatches(
  log: LogFile,
  startPosition: number,
  endPosition = log.size,
  chunkBytes = wholeChunkBytes,
): Generator<{ batch: BatchView; position: number }, void, undefined> {
  let buffer = new Uint8Array(Math.min(chunkBytes, Math.max(0, endPosition - startPosition)));
  let position = startPosition;
  while (position < endPosition) {
    const wanted = Math.min(buffer.length, endPosition - position);
    const chunk = buffer.subarray(0, log.read(buffer.subarray(0, wanted), position));
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let start = 0;
    for (let length = batchLengthAt(chunk, view, start); length >= 0; length = batchLengthAt(chunk, view, start)) {
      yield { batch: new BatchView(chunk, start, view), position: position + start };
      start += length;
    }
    if (start === 0) {
      const needed = chunk.length < batchPrefixBytes ? batchPrefixBytes : batchPrefixBytes + view.getInt32(8);
      if (needed <= chunk.length || needed > endPosition - position) return;
      buffer = new Uint8Array(needed);
    }
    position += start;
  }
}
