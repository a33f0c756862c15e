/**
 * Memory for frames that did not arrive in one piece, shared by the connections of a listener: a connection that waits for its next
 * request holds none of it. Buffers come in powers of two, very large ones to measure; what is given back is kept for the next frame
 * up to a bound.
 */
export class FrameBuffers {
  readonly #maxIdleBytes: number;
  #idleBytes = 0;
  /** By the exponent of their length. */
  readonly #idle = new Map<number, Uint8Array[]>();

  constructor({ maxIdleBytes = 8 << 20 }: { readonly maxIdleBytes?: number } = {}) {
    this.#maxIdleBytes = maxIdleBytes;
  }

  /** Bytes kept for the next frames. */
  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** At least `length` bytes, with anything in them. */
  lease(length: number): Uint8Array {
    if (length > largestKept) return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    const exponent = Math.max(smallestExponent, Math.ceil(Math.log2(length)));
    const buffer = this.#idle.get(exponent)?.pop();
    if (!buffer) return new Uint8Array(Buffer.allocUnsafeSlow(2 ** exponent).buffer);
    this.#idleBytes -= buffer.length;
    return buffer;
  }

  /** Nobody looks into it any more. */
  giveBack(buffer: Uint8Array): void {
    if (buffer.length > largestKept || this.#idleBytes + buffer.length > this.#maxIdleBytes) return;
    const exponent = Math.log2(buffer.length);
    const idle = this.#idle.get(exponent);
    if (idle) idle.push(buffer);
    else this.#idle.set(exponent, [buffer]);
    this.#idleBytes += buffer.length;
  }
}

const smallestExponent = 12;
const largestKept = 4 << 20;
