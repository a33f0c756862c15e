import type { BatchView } from '@ottla/protocol';
import type { LogRead, ReadRequest } from './log-reader.ts';
import { unsharedBytes } from './read-buffers.ts';

/** A partition that few write to needs little; chunks double from the one size to the other while it is read. */
const smallestChunkBytes = 16 * 1024;
const largestChunkBytes = 256 * 1024;
/** Who is further behind reads from the files; a partition that kept more would only push others out. */
const maxChunksOfTail = 16;
/** So many that nobody has read from, and nobody is at the tail any more. */
const maxUnreadChunks = 8;
const maxSpareChunks = 32;

/** What the end of a log looked like at a time, piece by piece: batches back to back. What is written in it never changes. */
class Chunk {
  readonly tail: LogTail;
  readonly bytes: Uint8Array;
  /** Of each batch. */
  readonly positions: number[] = [];
  readonly lastOffsets: number[] = [];
  used = 0;
  wasRead = false;
  /** Reads that have not been released: their bytes may be on their way into a socket. */
  readers = 0;
  isDropped = false;

  constructor(tail: LogTail, bytes: Uint8Array) {
    this.tail = tail;
    this.bytes = bytes;
  }

  /** The first batch whose last offset is at or behind `offset`; their count when there is none. */
  indexOf(offset: number): number {
    const { lastOffsets } = this;
    let low = 0;
    let high = lastOffsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (lastOffsets[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Where the batch begins; behind the last: where the bytes end. */
  position(index: number): number {
    return this.positions[index] ?? this.used;
  }
}

/**
 * The memory that all tails of a node share. The oldest chunk of any of them makes room for a new one; a chunk's bytes are used again only
 * when every read of it was released, and are garbage otherwise.
 */
export class TailCache {
  readonly maxBytes: number;
  /** In the order in which they were begun; those before `#first` are gone. */
  #chunks: Chunk[] = [];
  #first = 0;
  #usedBytes = 0;
  /** Of the largest size. */
  readonly #spare: Uint8Array[] = [];

  /** `maxBytes` below a chunk's 256 KiB: nothing is kept. */
  constructor({ maxBytes }: { maxBytes: number }) {
    this.maxBytes = maxBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** For LogTail. */
  newChunk(tail: LogTail, bytes: number): Chunk | undefined {
    if (bytes > this.maxBytes || this.maxBytes < largestChunkBytes) return undefined;
    while (this.#usedBytes + bytes > this.maxBytes) this.#dropOldest();
    const spare = bytes === largestChunkBytes ? this.#spare.pop() : undefined;
    const chunk = new Chunk(tail, spare ?? unsharedBytes(bytes));
    this.#chunks.push(chunk);
    this.#usedBytes += bytes;
    return chunk;
  }

  #dropOldest(): void {
    const chunk = this.#chunks[this.#first]!;
    if (chunk.isDropped) this.#skipDropped();
    else chunk.tail.dropThrough(chunk);
  }

  /** For LogTail: it no longer reads from the chunk. */
  drop(chunk: Chunk): void {
    chunk.isDropped = true;
    this.#usedBytes -= chunk.bytes.length;
    if (chunk.readers === 0) this.#keepSpare(chunk.bytes);
    this.#skipDropped();
  }

  /** For LogTail: a read of it is over. */
  release(chunk: Chunk): void {
    chunk.readers--;
    if (chunk.isDropped && chunk.readers === 0) this.#keepSpare(chunk.bytes);
  }

  #skipDropped(): void {
    while (this.#chunks[this.#first]?.isDropped) this.#first++;
    if (this.#first * 2 < this.#chunks.length) return;
    this.#chunks = this.#chunks.slice(this.#first).filter((chunk) => !chunk.isDropped);
    this.#first = 0;
  }

  #keepSpare(bytes: Uint8Array): void {
    const isUseful = bytes.length === largestChunkBytes && this.#spare.length < maxSpareChunks;
    if (isUseful && this.#usedBytes + this.#spare.length * largestChunkBytes < this.maxBytes) this.#spare.push(bytes);
  }
}

/**
 * The end of one log in memory, as long as somebody reads there: then what is appended is copied here too, and the next read finds it
 * without the file. Invariant: the chunks hold every batch from `#startOffset` to the log's end.
 */
export class LogTail {
  readonly #cache: TailCache;
  readonly #chunks: Chunk[] = [];
  #isWanted = false;
  #startOffset = -1;

  constructor(cache: TailCache) {
    this.#cache = cache;
  }

  /** A reader has come to the end of the log. */
  want(): void {
    this.#isWanted = true;
  }

  /** What was kept no longer stands for the log's end. Who reads at the tail will say so again. */
  clear(): void {
    if (!this.#isWanted) return;
    this.#isWanted = false;
    for (const chunk of this.#chunks) this.#cache.drop(chunk);
    this.#chunks.length = 0;
  }

  /** Clears it unless somebody has read from it since the last time. */
  clearIfUnread(): void {
    if (this.#chunks.some((chunk) => chunk.wasRead)) for (const chunk of this.#chunks) chunk.wasRead = false;
    else this.clear();
  }

  /** Batches were appended, each view standing for a buffer full of them, to a log that ended at `endOffset`. */
  append(views: readonly BatchView[], endOffset: number): void {
    if (!this.#isWanted) return;
    if (this.#chunks.length === 0) this.#startOffset = endOffset;
    for (const batch of views) {
      for (let start = 0; start < batch.buffer.length; ) {
        const { length, lastOffset } = batch.moveTo(start);
        const chunk = this.#chunkFor(length);
        if (!chunk) {
          this.clear();
          return;
        }
        chunk.bytes.set(length === batch.buffer.length ? batch.buffer : batch.bytes, chunk.used);
        chunk.positions.push(chunk.used);
        chunk.lastOffsets.push(lastOffset);
        chunk.used += length;
        start += length;
      }
    }
  }

  /** Undefined when it is not wanted (any more), or there is no room. */
  #chunkFor(length: number): Chunk | undefined {
    const chunks = this.#chunks;
    const last = chunks.at(-1);
    if (last && last.used + length <= last.bytes.length) return last;
    if (chunks.length >= maxUnreadChunks && !chunks.slice(-maxUnreadChunks).some((chunk) => chunk.wasRead)) return undefined;
    if (chunks.length >= maxChunksOfTail) this.dropThrough(chunks[0]!);
    const usual = last ? Math.min(last.bytes.length * 2, largestChunkBytes) : smallestChunkBytes;
    const chunk = this.#cache.newChunk(this, Math.max(length, usual));
    if (chunk) chunks.push(chunk);
    return chunk;
  }

  /** For TailCache: its oldest chunks, up to this one, make room. */
  dropThrough(chunk: Chunk): void {
    const chunks = this.#chunks;
    for (let dropped: Chunk | undefined; dropped !== chunk; ) {
      dropped = chunks.shift()!;
      this.#startOffset = (dropped.lastOffsets.at(-1) ?? this.#startOffset - 1) + 1;
      this.#cache.drop(dropped);
    }
  }

  /** What `Log.read` gives, if it is in memory. The bytes stay as they are until `release`, and for good if that is never called. */
  read(request: ReadRequest): LogRead | undefined {
    const index = this.#chunkIndexOf(request);
    if (index < 0) return undefined;
    const { startOffset, endOffset, maxBytes, minOneBatch } = request;
    const chunk = this.#chunks[index]!;
    const first = chunk.indexOf(startOffset);
    const position = chunk.position(first);
    const firstBytes = chunk.position(first + 1) - position;
    const limit = minOneBatch ? Math.max(maxBytes, firstBytes) : maxBytes;
    const length = Math.min(chunk.position(chunk.indexOf(endOffset)) - position, limit);
    if (length <= 0) return undefined;
    chunk.wasRead = true;
    chunk.readers++;
    let isReleased = false;
    return {
      records: chunk.bytes.subarray(position, position + length),
      isFirstBatchCut: firstBytes > maxBytes && !minOneBatch,
      upperBoundOffset: chunk.lastOffsets[chunk.lastOffsets.length - 1]! + 1,
      release: () => {
        if (isReleased) return;
        isReleased = true;
        this.#cache.release(chunk);
      },
    };
  }

  /** What `Log.measure` gives, if it is in memory. */
  measure(request: ReadRequest): number | undefined {
    const index = this.#chunkIndexOf(request);
    if (index < 0) return undefined;
    const { startOffset, endOffset, maxBytes, minOneBatch } = request;
    const chunk = this.#chunks[index]!;
    const first = chunk.indexOf(startOffset);
    const firstBytes = chunk.position(first + 1) - chunk.position(first);
    let bytes = chunk.position(chunk.indexOf(endOffset)) - chunk.position(first);
    for (let next = index + 1; next < this.#chunks.length && bytes < maxBytes; next++) {
      const later = this.#chunks[next]!;
      bytes += later.position(later.indexOf(endOffset));
    }
    return Math.min(bytes, minOneBatch ? Math.max(maxBytes, firstBytes) : maxBytes);
  }

  /** The chunk with the batch that a read begins with; -1 when that is not in memory, or there is none. */
  #chunkIndexOf({ startOffset, endOffset }: ReadRequest): number {
    if (this.#chunks.length === 0 || startOffset < this.#startOffset || startOffset >= endOffset) return -1;
    return this.#chunks.findIndex(({ lastOffsets }) => lastOffsets[lastOffsets.length - 1]! >= startOffset);
  }
}
