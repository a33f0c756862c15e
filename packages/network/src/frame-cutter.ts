import type { FrameBuffers } from './frame-buffers.ts';

/**
 * Cuts a byte stream into frames:
 *
 *   int32 size, big-endian, of what follows
 *   size bytes
 *
 * Chunks are given to it one at a time and are the giver's again after `keep`. A frame that spans chunks is gathered in a buffer which
 * never grows beyond a few times what has really arrived, whatever size was claimed.
 */
export class FrameCutter {
  /** Larger frames are refused; may be raised once the peer is authenticated. */
  maxFrameBytes: number;
  readonly #buffers: FrameBuffers | undefined;
  #chunk: Uint8Array = nothing;
  #offset = 0;
  /** The chunk is a copy of ours, of what was not taken from an earlier one. */
  #isKept = false;
  /** The size's bytes so far, most significant first. */
  #size = 0;
  #sizeBytes = 0;
  /** Present while a frame spans chunks: `#gathered` of its `#size` bytes are in. */
  #gathering: Uint8Array | undefined;
  #gathered = 0;
  /** The buffer of the gathered frame that was given out since the last `keep`. */
  #given: Uint8Array | undefined;

  /** With `buffers`, frames are views that are valid until `keep`. Without, each has memory of its own, for the receiver to keep. */
  constructor(maxFrameBytes: number, buffers?: FrameBuffers) {
    this.maxFrameBytes = maxFrameBytes;
    this.#buffers = buffers;
  }

  /** A chunk, which must not change until `keep`. All frames of the previous one must have been taken. */
  feed(chunk: Uint8Array): void {
    if (this.#offset < this.#chunk.length) throw new Error('a chunk came before the last one was used up');
    this.#chunk = chunk;
    this.#offset = 0;
  }

  /** The next frame, without its size, or undefined until more is fed. Throws FrameSizeError; the stream is of no use afterwards. */
  next(): Uint8Array | undefined {
    if (this.#sizeBytes < sizeLength && !this.#readSize()) return undefined;
    const start = this.#offset;
    const wanted = this.#size - this.#gathered;
    if (this.#chunk.length - start < wanted) return undefined;
    let frame: Uint8Array;
    if (this.#gathering) {
      this.#gather(wanted);
      frame = this.#gathering.subarray(0, this.#size);
      this.#given = this.#gathering;
      this.#gathering = undefined;
      this.#gathered = 0;
    } else {
      this.#offset = start + wanted;
      frame = this.#chunk.subarray(start, this.#offset);
      if (!this.#buffers) frame = new Uint8Array(frame);
    }
    this.#sizeBytes = 0;
    this.#size = 0;
    return frame;
  }

  /** Lets go of the chunk and of the frames given out: what is left of the chunk is copied, be it a frame's beginning or whole frames. */
  keep(): void {
    if (this.#given) this.#buffers?.giveBack(this.#given);
    this.#given = undefined;
    const left = this.#chunk.length - this.#offset;
    // Of a whole frame, which its receiver had no room for, only the size may have been read.
    const isBeginning = this.#sizeBytes === sizeLength && left < this.#size - this.#gathered;
    if (left > 0 && !isBeginning) {
      if (!this.#isKept) this.#keepRest(left);
      return;
    }
    if (left > 0) this.#gather(left);
    if (this.#isKept) this.#buffers?.giveBack(new Uint8Array(this.#chunk.buffer));
    this.#chunk = nothing;
    this.#offset = 0;
    this.#isKept = false;
  }

  #keepRest(left: number): void {
    const kept = this.#lease(left).subarray(0, left);
    kept.set(this.#chunk.subarray(this.#offset));
    this.#chunk = kept;
    this.#offset = 0;
    this.#isKept = true;
  }

  #readSize(): boolean {
    while (this.#offset < this.#chunk.length) {
      this.#size = (this.#size << 8) | this.#chunk[this.#offset++]!;
      if (++this.#sizeBytes < sizeLength) continue;
      if (this.#size >= 0 && this.#size <= this.maxFrameBytes) return true;
      this.#chunk = nothing;
      this.#offset = 0;
      throw new FrameSizeError(this.#size, this.maxFrameBytes);
    }
    return false;
  }

  /** Moves bytes of the chunk into the frame's own buffer. */
  #gather(length: number): void {
    const end = this.#gathered + length;
    const held = this.#gathering?.length ?? 0;
    if (end > held) {
      const grown = this.#lease(Math.min(this.#size, Math.max(end * growth, smallestGathering)));
      if (this.#gathering) {
        grown.set(this.#gathering.subarray(0, this.#gathered));
        this.#buffers?.giveBack(this.#gathering);
      }
      this.#gathering = grown;
    }
    this.#gathering!.set(this.#chunk.subarray(this.#offset, this.#offset + length), this.#gathered);
    this.#offset += length;
    this.#gathered = end;
  }

  #lease(length: number): Uint8Array {
    return this.#buffers?.lease(length) ?? new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
  }
}

/** The peer claims a frame that is negative or too large. */
export class FrameSizeError extends Error {
  override readonly name = 'FrameSizeError';
  constructor(size: number, maxFrameBytes: number) {
    super(`a frame of ${size} bytes was announced: the limit is ${maxFrameBytes}`);
  }
}

const nothing = new Uint8Array();
const sizeLength = 4;
const smallestGathering = 4096;
/** Copies a frame's bytes 1.3 times on average, where doubling would copy them twice. */
const growth = 4;
