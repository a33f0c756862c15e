/**
 * Cuts a byte stream into frames:
 *
 *   int32 size, big-endian, of what follows
 *   size bytes
 *
 * A frame that lies inside one chunk is a view on it; one that spans chunks is gathered into a buffer of its own, which never
 * grows beyond a few times what has really arrived, whatever size was claimed.
 */
export class FrameCutter {
  /** Larger frames are refused; may be raised once the peer is authenticated. */
  maxFrameBytes: number;
  #chunk: Uint8Array = nothing;
  #offset = 0;
  /** The size's bytes so far, most significant first. */
  #size = 0;
  #sizeBytes = 0;
  /** Present while a frame spans chunks: `#gathered` of its `#size` bytes are in. */
  #gathering: Uint8Array | undefined;
  #gathered = 0;

  constructor(maxFrameBytes: number) {
    this.maxFrameBytes = maxFrameBytes;
  }

  /** Takes over the chunk. All frames of the previous one must have been taken. */
  feed(chunk: Uint8Array): void {
    if (this.#offset < this.#chunk.length) throw new Error('a chunk came before the last one was used up');
    this.#chunk = chunk;
    this.#offset = 0;
  }

  /** The next frame, without its size, or undefined until more is fed. Throws FrameSizeError; the stream is of no use afterwards. */
  next(): Uint8Array | undefined {
    if (this.#sizeBytes < sizeLength && !this.#readSize()) return this.#starve();
    const wanted = this.#size - this.#gathered;
    const available = this.#chunk.length - this.#offset;
    if (available < wanted) {
      if (available > 0) this.#gather(available);
      return this.#starve();
    }
    let frame: Uint8Array;
    if (this.#gathering) {
      this.#gather(wanted);
      frame = this.#gathering;
      this.#gathering = undefined;
      this.#gathered = 0;
    } else {
      frame = this.#chunk.subarray(this.#offset, this.#offset + wanted);
      this.#offset += wanted;
    }
    this.#sizeBytes = 0;
    this.#size = 0;
    return frame;
  }

  #readSize(): boolean {
    while (this.#offset < this.#chunk.length) {
      this.#size = (this.#size << 8) | this.#chunk[this.#offset++]!;
      if (++this.#sizeBytes < sizeLength) continue;
      if (this.#size < 0 || this.#size > this.maxFrameBytes) throw new FrameSizeError(this.#size, this.maxFrameBytes);
      return true;
    }
    return false;
  }

  /** Moves bytes of the chunk into the frame's own buffer. */
  #gather(length: number): void {
    const end = this.#gathered + length;
    const held = this.#gathering?.length ?? 0;
    if (end > held) {
      const grown = Buffer.allocUnsafeSlow(Math.min(this.#size, Math.max(end * growth, smallestGathering)));
      if (this.#gathering) grown.set(this.#gathering.subarray(0, this.#gathered));
      this.#gathering = grown;
    }
    this.#gathering!.set(this.#chunk.subarray(this.#offset, this.#offset + length), this.#gathered);
    this.#offset += length;
    this.#gathered = end;
  }

  /** Lets go of the used-up chunk. */
  #starve(): undefined {
    this.#chunk = nothing;
    this.#offset = 0;
    return undefined;
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
