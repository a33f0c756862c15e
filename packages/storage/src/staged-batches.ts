import type { BatchView } from '@ottla/protocol';

/** Batches in their final form that wait for one write. It holds on to their bytes, which must not change meanwhile. */
export class StagedBatches {
  /** In the order of their offsets; each holds whole batches. */
  readonly parts: Uint8Array[] = [];
  /** A view on each part, to be moved over its batches. */
  readonly views: BatchView[] = [];
  /** Of all parts. */
  bytes = 0;
  /** Exclusive, of the last part. */
  endOffset = -1;

  get count(): number {
    return this.parts.length;
  }

  add(view: BatchView, lastOffset: number): void {
    this.parts.push(view.buffer);
    this.views.push(view);
    this.bytes += view.buffer.length;
    this.endOffset = lastOffset + 1;
  }

  clear(): void {
    this.parts.length = 0;
    this.views.length = 0;
    this.bytes = 0;
  }
}
