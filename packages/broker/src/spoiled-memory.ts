import { ReadBuffers, TailCache } from '@ottla/storage';

const spoiled = 0xdb;

let heldBuffers = 0;
/** Those in use, and those that a read may still look at. */
const chunks = new Set<Chunk>();

/** Test support: what reads of logs have not given back, in this process, since `spoilReleasedMemory`. */
export function heldByReads(): { buffers: number; chunkReads: number } {
  let chunkReads = 0;
  for (const { readers } of chunks) chunkReads += readers;
  return { buffers: heldBuffers, chunkReads };
}

let isSpoiling = false;

/**
 * From now on memory that a read gave back is overwritten at once, as sooner or later the next read would. Whoever still looks at it
 * finds no record.
 */
export function spoilReleasedMemory(): void {
  if (isSpoiling) return;
  isSpoiling = true;
  spoilBuffers();
  spoilChunks();
}

function spoilBuffers(): void {
  const { lease } = ReadBuffers.prototype;
  ReadBuffers.prototype.lease = function (bytes) {
    const { buffer, release } = lease.call(this, bytes);
    if (!release) return { buffer, release };
    heldBuffers++;
    let isReleased = false;
    return {
      buffer,
      release: () => {
        if (!isReleased) {
          isReleased = true;
          heldBuffers--;
          buffer.fill(spoiled);
        }
        release();
      },
    };
  };
}

type Chunk = Parameters<TailCache['drop']>[0];

/** A chunk may be used again once it was dropped and nobody reads from it. */
function spoilChunks(): void {
  const { newChunk, drop, release } = TailCache.prototype;
  const spoilIfFree = (chunk: Chunk): void => {
    if (!chunk.isDropped || chunk.readers > 0) return;
    chunks.delete(chunk);
    chunk.bytes.fill(spoiled);
  };
  TailCache.prototype.newChunk = function (tail, bytes) {
    const chunk = newChunk.call(this, tail, bytes);
    if (chunk) chunks.add(chunk);
    return chunk;
  };
  TailCache.prototype.drop = function (chunk) {
    drop.call(this, chunk);
    spoilIfFree(chunk);
  };
  TailCache.prototype.release = function (chunk) {
    release.call(this, chunk);
    spoilIfFree(chunk);
  };
}
