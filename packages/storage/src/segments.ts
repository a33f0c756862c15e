import type { Segment } from './segment.ts';

/** The segments of a log by base offset, ascending. A log that is open has at least one; the last is the active one. */
export class Segments {
  readonly #segments: Segment[] = [];

  get all(): readonly Segment[] {
    return this.#segments;
  }

  get active(): Segment {
    return this.#segments.at(-1)!;
  }

  get first(): Segment {
    return this.#segments[0]!;
  }

  get count(): number {
    return this.#segments.length;
  }

  get sizeBytes(): number {
    let total = 0;
    for (const segment of this.#segments) total += segment.sizeBytes;
    return total;
  }

  get baseOffsets(): number[] {
    return this.#segments.map((segment) => segment.baseOffset);
  }

  /** The new segment must lie behind all others. */
  add(segment: Segment): void {
    this.#segments.push(segment);
  }

  remove(segments: readonly Segment[]): void {
    for (const segment of segments) this.#segments.splice(this.#segments.indexOf(segment), 1);
  }

  /** Puts one in the place of neighbours, the first of which begins at the same offset. */
  replace(replaced: readonly Segment[], replacement: Segment): void {
    this.#segments.splice(this.#segments.indexOf(replaced[0]!), replaced.length, replacement);
  }

  /** Index of the segment with the largest base offset <= `offset`; -1 when all begin behind it. */
  indexOf(offset: number): number {
    const last = this.#segments.length - 1;
    if (last >= 0 && this.#segments[last]!.baseOffset <= offset) return last;
    let low = 0;
    let high = last + 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#segments[middle]!.baseOffset <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  at(index: number): Segment | undefined {
    return this.#segments[index];
  }

  /** From the one that holds `offset` on. */
  from(offset: number): readonly Segment[] {
    return this.#segments.slice(Math.max(0, this.indexOf(offset)));
  }
}
