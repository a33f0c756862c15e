import { KafkaError } from '../errors.ts';

/**
 * Where a decompressor puts what it finds: starts small, grows by doubling, and never past its cap, so that a few
 * hostile bytes cannot claim the memory of the process.
 */
export class OutputBuffer {
  /** Valid up to the next `reserve`. */
  bytes: Uint8Array;
  /** Of the same bytes. */
  view: DataView;
  length = 0;
  readonly #maxBytes: number;

  constructor(initialBytes: number, maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.bytes = uninitialized(Math.min(initialBytes, maxBytes));
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes room for up to `count` more bytes, as far as the cap allows. Throws once no byte more fits. */
  reserve(count: number): void {
    if (count === 0 || this.bytes.length - this.length >= count) return;
    if (this.length >= this.#maxBytes) throw outputTooLarge(this.#maxBytes);
    if (this.bytes.length === this.#maxBytes) return;
    const grown = uninitialized(Math.min(Math.max(this.length + count, this.bytes.length * 2), this.#maxBytes));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  /** Throws unless all `count` bytes fit under the cap. */
  reserveAll(count: number): void {
    if (this.length + count > this.#maxBytes) throw outputTooLarge(this.#maxBytes);
    this.reserve(count);
  }

  written(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

/** Memory that is not cleared first, because every byte given away has been written: its own ArrayBuffer, and no Buffer. */
export function uninitialized(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer, 0, bytes);
}

/** A producer that splits its batches on MESSAGE_TOO_LARGE does the right thing here too. */
export function outputTooLarge(maxBytes: number): KafkaError {
  return new KafkaError('MESSAGE_TOO_LARGE', `the records decompress to more than ${maxBytes} bytes: send smaller batches`);
}

/** What Kafka answers too when a batch with a good crc does not decompress. */
export function undecodable(codec: string, problem: string): KafkaError {
  return new KafkaError('UNKNOWN_SERVER_ERROR', `cannot decompress ${codec}: ${problem}`);
}
