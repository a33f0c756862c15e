/**
 * `<base>.timeindex`: from which offset on to look for a timestamp. Sparse, 12 bytes an entry:
 *
 *   0  int64  the largest timestamp in the segment up to here
 *   8  int32  offset - base offset of the segment: the last offset of the batch that brought it
 *
 * Timestamps ascend strictly. Rolling and closing add one more entry for the final largest timestamp.
 */

import { readInt64, writeInt64 } from '@ottla/protocol';
import type { IndexFile, IndexFileOptions } from './index-file.ts';

const entryBytes = 12;

export type TimestampOffset = { readonly timestamp: number; readonly offset: number };

export class TimeIndex {
  readonly file: IndexFile;
  readonly #baseOffset: number;

  constructor(file: IndexFile, baseOffset: number) {
    this.file = file;
    this.#baseOffset = baseOffset;
  }

  static fileOptions(options: Omit<IndexFileOptions, 'entryBytes'>): IndexFileOptions {
    return { ...options, entryBytes };
  }

  /** One slot is held back for the entry that closing adds. */
  get freeEntries(): number {
    return this.file.maxEntries - 1 - this.file.count;
  }

  get isFull(): boolean {
    return this.freeEntries <= 0;
  }

  /** (-1, base offset) when there is none. */
  get lastEntry(): TimestampOffset {
    return this.#entry(this.file.count - 1);
  }

  /** Of a file that was read: what a whole index cannot be otherwise. */
  get isSound(): boolean {
    const { count, hasZeroTail } = this.file;
    if (hasZeroTail) return false;
    let last: TimestampOffset = { timestamp: -1, offset: this.#baseOffset - 1 };
    for (let index = 0; index < count; index++) {
      const entry = this.#entry(index);
      if (entry.timestamp <= last.timestamp || entry.offset <= last.offset || !Number.isSafeInteger(entry.timestamp))
        return false;
      last = entry;
    }
    return true;
  }

  /** Adds an entry if the timestamp is larger than the last one's. */
  appendIfLater({ timestamp, offset }: TimestampOffset): void {
    if (timestamp <= this.lastEntry.timestamp) return;
    const at = this.file.extend();
    const { view } = this.file;
    writeInt64(view, at, timestamp);
    view.setInt32(at + 8, offset - this.#baseOffset);
  }

  /** The entry with the largest timestamp <= `timestamp`; (-1, base offset) when there is none. */
  lookup(timestamp: number): TimestampOffset {
    return this.#entry(this.#firstEntryNot((at) => readInt64(this.file.view, at) <= timestamp) - 1);
  }

  /** Keeps the entries below `offset`. */
  truncateTo(offset: number): void {
    const relativeOffset = offset - this.#baseOffset;
    this.file.truncateEntries(this.#firstEntryNot((at) => this.file.view.getInt32(at + 8) < relativeOffset));
  }

  #entry(index: number): TimestampOffset {
    if (index < 0) return { timestamp: -1, offset: this.#baseOffset };
    const { view } = this.file;
    return {
      timestamp: readInt64(view, index * entryBytes),
      offset: this.#baseOffset + view.getInt32(index * entryBytes + 8),
    };
  }

  #firstEntryNot(isBefore: (at: number) => boolean): number {
    let low = 0;
    let high = this.file.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(middle * entryBytes)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
