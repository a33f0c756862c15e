import type { StampedBatch } from './log-validator.ts';

/** Batches in their final form that wait for one write. It holds on to the bytes that it was given, which must not change meanwhile. */
export class StagedBatches {
  /** In the order of their offsets; each holds whole batches. */
  readonly parts: Uint8Array[] = [];
  /** Of all parts. */
  bytes = 0;
  /** Exclusive, of the last part. */
  endOffset = -1;

  get count(): number {
    return this.parts.length;
  }

  add({ bytes, lastOffset }: StampedBatch): void {
    this.parts.push(bytes);
    this.bytes += bytes.length;
    this.endOffset = lastOffset + 1;
  }

  clear(): void {
    this.parts.length = 0;
    this.bytes = 0;
  }
}
