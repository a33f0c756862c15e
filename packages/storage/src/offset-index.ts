/**
 * `<base>.index`: where in the segment's file to begin looking for an offset. Sparse, 8 bytes an entry:
 *
 *   0  int32  offset - base offset of the segment; the *last* offset of a batch
 *   4  int32  position of that batch in the .log file
 *
 * Both ascend. The first batch of a segment never has an entry: what is not found starts at position 0.
 */
import type { IndexFile, IndexFileOptions } from './index-file.ts';

const entryBytes = 8;

export class OffsetIndex {
  readonly file: IndexFile;
  readonly #baseOffset: number;

  constructor(file: IndexFile, baseOffset: number) {
    this.file = file;
    this.#baseOffset = baseOffset;
  }

  static fileOptions(options: Omit<IndexFileOptions, 'entryBytes'>): IndexFileOptions {
    return { ...options, entryBytes };
  }

  get freeEntries(): number {
    return this.file.maxEntries - this.file.count;
  }

  get isFull(): boolean {
    return this.freeEntries <= 0;
  }

  /** Position of the last indexed batch; 0 when there is none. */
  get lastPosition(): number {
    const { count } = this.file;
    return count === 0 ? 0 : this.#position(count - 1);
  }

  /** Of a file that was read: what a whole index cannot be otherwise. */
  get isSound(): boolean {
    const { view, count, hasZeroTail } = this.file;
    for (let at = entryBytes; at < count * entryBytes; at += entryBytes) {
      if (view.getInt32(at) <= view.getInt32(at - entryBytes) || view.getInt32(at + 4) <= view.getInt32(at - entryBytes + 4))
        return false;
    }
    return !hasZeroTail && (count === 0 || (view.getInt32(0) >= 0 && view.getInt32(4) > 0));
  }

  append(lastOffset: number, position: number): void {
    const at = this.file.extend();
    const { view } = this.file;
    view.setInt32(at, lastOffset - this.#baseOffset);
    view.setInt32(at + 4, position);
  }

  /** Position of the batch with the largest indexed offset <= `offset`; 0 when there is none. */
  lookup(offset: number): number {
    const below = this.#entriesUpTo(offset - this.#baseOffset);
    return below === 0 ? 0 : this.#position(below - 1);
  }

  /** The largest indexed offset <= `offset`; -1 when there is none. */
  indexedOffset(offset: number): number {
    const below = this.#entriesUpTo(offset - this.#baseOffset);
    return below === 0 ? -1 : this.#baseOffset + this.file.view.getInt32((below - 1) * entryBytes);
  }

  /** Offset of the first entry at or behind `position`: an upper bound for the offsets before it. Undefined behind the last. */
  offsetAtOrBehind(position: number): number | undefined {
    let low = 0;
    let high = this.file.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#position(middle) < position) low = middle + 1;
      else high = middle;
    }
    return low === this.file.count ? undefined : this.#baseOffset + this.file.view.getInt32(low * entryBytes);
  }

  /** Keeps the entries below `offset`. */
  truncateTo(offset: number): void {
    this.file.truncateEntries(this.#entriesUpTo(offset - this.#baseOffset - 1));
  }

  #position(index: number): number {
    return this.file.view.getInt32(index * entryBytes + 4);
  }

  /** How many entries have a relative offset <= `relativeOffset`. */
  #entriesUpTo(relativeOffset: number): number {
    const { view, count } = this.file;
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (view.getInt32(middle * entryBytes) <= relativeOffset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
