import { PagedBytes, pageBytes } from './paged-bytes.ts';
import type { SeededRandom } from './random.ts';

/** A disk writes a sector whole or not at all. */
const sectorBytes = 512;

/** What the disk holds of one file, beside what its readers see: the difference is what a power loss may take. */
export class UnsyncedChanges {
  /** Invariant: equal to the file except in the pages of `#changed`, and in size. */
  #onDisk: PagedBytes;
  /** Pages changed since they last reached the disk. */
  #changed = new Set<number>();
  #syncsStarted = 0;
  #newestSyncFinished = 0;
  /** Per changed page, the number of syncs started before its latest change. */
  #changedAfterSync = new Map<number, number>();

  constructor(onDisk = new PagedBytes()) {
    this.#onDisk = onDisk;
  }

  beforeWrite(position: number, length: number): void {
    for (let page = Math.floor(position / pageBytes); page * pageBytes < position + length; page++) this.#mark(page);
  }

  beforeTruncate(file: PagedBytes, size: number): void {
    const end = Math.max(file.size, this.#onDisk.size);
    for (let page = Math.floor(size / pageBytes); page * pageBytes < end; page++) this.#mark(page);
  }

  sync(file: PagedBytes): void {
    this.startSync(file)();
  }

  /** Returns what makes the file, as it is now, durable: changes after this call are not part of it. */
  startSync(file: PagedBytes): () => void {
    const sync = ++this.#syncsStarted;
    const size = file.size;
    const pages = [...this.#changed].map((page) => [page, pageOf(file, page, size)] as const);
    return () => {
      // One that started later has written all of this, or newer.
      if (sync < this.#newestSyncFinished) return;
      this.#newestSyncFinished = sync;
      this.#onDisk.truncate(size);
      for (const [page, bytes] of pages) {
        this.#onDisk.write(bytes, page * pageBytes);
        if (this.#changedAfterSync.get(page)! < sync) {
          this.#changed.delete(page);
          this.#changedAfterSync.delete(page);
        }
      }
    };
  }

  /** What a power loss leaves. With `random`, the disk may have written any of the changed sectors, and any size between, on its own. */
  afterCrash(file: PagedBytes, random?: SeededRandom): PagedBytes {
    const left = this.#onDisk;
    if (!random) return left;
    const sizes = [left.size, file.size, Math.min(left.size, file.size) + random.below(Math.abs(left.size - file.size) + 1)];
    const size = sizes[random.below(sizes.length)]!;
    left.truncate(size);
    for (const page of this.#changed) {
      const bytes = pageOf(file, page, size);
      for (let start = 0; start < bytes.length; start += sectorBytes) {
        if (random.chance(0.5)) left.write(bytes.subarray(start, start + sectorBytes), page * pageBytes + start);
      }
    }
    return left;
  }

  #mark(page: number): void {
    this.#changed.add(page);
    this.#changedAfterSync.set(page, this.#syncsStarted);
  }
}

/** A copy of one page of the file, no further than `size`. */
function pageOf(file: PagedBytes, page: number, size: number): Uint8Array {
  const start = page * pageBytes;
  const bytes = new Uint8Array(Math.max(0, Math.min(pageBytes, Math.min(size, file.size) - start)));
  file.read(bytes, start);
  return bytes;
}
