/** What a read gives to be called once its bytes are no longer looked at; absent: nobody waits for them. Calling it again does nothing. */
export type Release = () => void;

const smallestBytes = 1024;
const largestBytes = 2 * 1024 * 1024;

/**
 * Buffers for reads, used again and again: to be given fresh memory costs a large read more than to read. Those not returned are
 * garbage like any other.
 */
export class ReadBuffers {
  /** Of one size each: 1 KiB, 2 KiB, … 2 MiB. */
  readonly #free: Uint8Array[][] = [];
  readonly #maxFreeBytes: number;
  #freeBytes = 0;

  constructor({ maxFreeBytes = 8 * 1024 * 1024 } = {}) {
    this.#maxFreeBytes = maxFreeBytes;
  }

  /** Bytes kept for later. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** A buffer of at least `bytes`, whose content is arbitrary. */
  lease(bytes: number): { readonly buffer: Uint8Array; readonly release: Release | undefined } {
    if (bytes > largestBytes) return { buffer: unsharedBytes(bytes), release: undefined };
    const sizeClass = sizeClassOf(bytes);
    const buffer = this.#free[sizeClass]?.pop();
    if (buffer) this.#freeBytes -= buffer.length;
    let leased = buffer ?? unsharedBytes(smallestBytes << sizeClass);
    return {
      buffer: leased,
      release: () => {
        if (leased === noBytes) return;
        this.#keep(leased, sizeClass);
        leased = noBytes;
      },
    };
  }

  #keep(buffer: Uint8Array, sizeClass: number): void {
    if (this.#freeBytes + buffer.length > this.#maxFreeBytes) return;
    this.#freeBytes += buffer.length;
    (this.#free[sizeClass] ??= []).push(buffer);
  }
}

const noBytes = new Uint8Array(0);

function sizeClassOf(bytes: number): number {
  return bytes <= smallestBytes ? 0 : 32 - Math.clz32((bytes - 1) / smallestBytes);
}

/** Not from the pool that Node shares among small buffers, and not zeroed. */
export function unsharedBytes(bytes: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
}
