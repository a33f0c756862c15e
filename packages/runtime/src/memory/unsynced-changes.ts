import { PagedBytes } from './paged-bytes.ts';
import type { SeededRandom } from './random.ts';

/** What the system writes at a time … */
const pageBytes = 4096;
/** … and what the disk writes whole or not at all. */
const sectorBytes = 512;
/** How often the system writes some changed page by itself, before a change. */
const writeBackProbability = 0.1;

/** A page that differs from what is on disk. */
type ChangedPage = {
  /** The number of syncs that had begun before its latest change. */
  changedAfterSync: number;
  /** The size change that cut it off whole: what it holds now is not the continuation of what is on disk. */
  cutOffAt: number | undefined;
  /** A version of it that the system wrote back since. */
  writtenBack: Uint8Array | undefined;
  /** The number of syncs that had begun before that. */
  writtenBackAfterSync: number;
};

/** `to` < `from`: a truncation. */
type SizeChange = { readonly from: number; to: number };

/** What the disk holds of one file, beside what its readers see: the difference is what a power loss may take. */
export class UnsyncedChanges {
  /** Invariant: equal to the file except in the pages of `#changed`, and in size. */
  #onDisk: PagedBytes;
  readonly #changed = new Map<number, ChangedPage>();
  /** Since the size on disk, in order; the first has the number `#firstSizeChange`. */
  #sizeChanges: SizeChange[] = [];
  #firstSizeChange = 0;
  #syncsStarted = 0;
  #newestSyncFinished = 0;

  constructor(onDisk = new PagedBytes()) {
    this.#onDisk = onDisk;
  }

  /** With `random`, the system may write back a page first, as it is now. */
  beforeWrite(file: PagedBytes, { position, length }: { position: number; length: number }, random?: SeededRandom): void {
    if (random?.chance(writeBackProbability)) this.#writeBack(file, random);
    const end = position + length;
    if (length > 0 && end > file.size) this.#resized(file.size, end);
    for (let page = Math.floor(position / pageBytes); page * pageBytes < end; page++) this.#mark(page);
  }

  beforeTruncate(file: PagedBytes, size: number): void {
    if (size === file.size) return;
    this.#resized(file.size, size);
    const end = Math.max(file.size, this.#onDisk.size);
    for (let page = Math.floor(size / pageBytes); page * pageBytes < end; page++) {
      const changed = this.#mark(page);
      if (size < file.size && page * pageBytes >= size) {
        changed.cutOffAt = this.#firstSizeChange + this.#sizeChanges.length - 1;
        changed.writtenBack = undefined;
      }
    }
  }

  /** A copy of what a power loss would leave at least. */
  durableBytes(): Uint8Array {
    const bytes = new Uint8Array(this.#onDisk.size);
    this.#onDisk.read(bytes, 0);
    return bytes;
  }

  /** Of what is on disk. */
  flip(position: number, bit: number): void {
    this.#onDisk.flip(position, bit);
  }

  sync(file: PagedBytes): void {
    this.startSync(file)();
  }

  /** Returns what makes the file, as it is now, durable: changes after this call are not part of it. */
  startSync(file: PagedBytes): () => void {
    const sync = ++this.#syncsStarted;
    const size = file.size;
    const nextSizeChange = this.#firstSizeChange + this.#sizeChanges.length;
    // An extension that goes on must not become part of what this sync promises.
    const last = this.#sizeChanges.at(-1);
    if (last) this.#sizeChanges[this.#sizeChanges.length - 1] = Object.freeze({ ...last });
    const pages = [...this.#changed.keys()].map((page) => [page, pageOf(file, page)] as const);
    return () => {
      // One that started later has written all of this, or newer.
      if (sync < this.#newestSyncFinished) return;
      this.#newestSyncFinished = sync;
      this.#sizeChanges.splice(0, nextSizeChange - this.#firstSizeChange);
      this.#firstSizeChange = Math.max(this.#firstSizeChange, nextSizeChange);
      this.#onDisk.truncate(size);
      for (const [page, bytes] of pages) {
        this.#onDisk.write(bytes, page * pageBytes);
        const changed = this.#changed.get(page);
        if (!changed) continue;
        if (changed.changedAfterSync < sync) this.#changed.delete(page);
        else if (changed.writtenBackAfterSync < sync) changed.writtenBack = undefined;
        if (changed.cutOffAt !== undefined && changed.cutOffAt < this.#firstSizeChange) {
          changed.cutOffAt = undefined;
        }
      }
    };
  }

  /**
   * What a power loss leaves: without `random` what was synced. With it, any of the sizes since, and of each changed page the old
   * version, one between, the new one, or sectors of both; zeros where the size is there and the page is not.
   */
  afterCrash(file: PagedBytes, random?: SeededRandom): PagedBytes {
    const left = this.#onDisk;
    if (!random) return left;
    const passed = random.below(this.#sizeChanges.length + 1);
    const size = passed === 0 ? left.size : sizeWithin(this.#sizeChanges[passed - 1]!, random);
    left.truncate(Math.max(size, left.size));
    for (const [page, { cutOffAt, writtenBack }] of this.#changed) {
      const isCutOff = cutOffAt !== undefined && cutOffAt < this.#firstSizeChange + passed;
      if (cutOffAt !== undefined && !isCutOff) continue;
      const start = page * pageBytes;
      if (isCutOff) left.write(new Uint8Array(pageBytes), start);
      if (writtenBack) left.write(writtenBack, start);
      const fate = random.below(3);
      if (fate === 0) continue;
      const bytes = pageOf(file, page);
      for (let sector = 0; sector < bytes.length; sector += sectorBytes) {
        if (fate === 1 || random.chance(0.5)) left.write(bytes.subarray(sector, sector + sectorBytes), start + sector);
      }
    }
    left.truncate(size);
    return left;
  }

  #writeBack(file: PagedBytes, random: SeededRandom): void {
    if (this.#changed.size === 0) return;
    const pages = [...this.#changed.keys()];
    const page = pages[random.below(pages.length)]!;
    const changed = this.#changed.get(page)!;
    changed.writtenBack = pageOf(file, page);
    changed.writtenBackAfterSync = this.#syncsStarted;
  }

  #resized(from: number, to: number): void {
    const last = this.#sizeChanges.at(-1);
    if (last && to > from && last.to > last.from && !Object.isFrozen(last)) last.to = to;
    else this.#sizeChanges.push({ from, to });
  }

  #mark(page: number): ChangedPage {
    let changed = this.#changed.get(page);
    if (!changed) {
      changed = { changedAfterSync: 0, cutOffAt: undefined, writtenBack: undefined, writtenBackAfterSync: 0 };
      this.#changed.set(page, changed);
    }
    changed.changedAfterSync = this.#syncsStarted;
    return changed;
  }
}

/** A truncation is one step; an extension may have come to any point. */
function sizeWithin({ from, to }: SizeChange, random: SeededRandom): number {
  if (to < from || random.chance(0.5)) return to;
  return from + random.below(to - from + 1);
}

/** A copy of one page of the file as it is. */
function pageOf(file: PagedBytes, page: number): Uint8Array {
  const start = page * pageBytes;
  const bytes = new Uint8Array(Math.max(0, Math.min(pageBytes, file.size - start)));
  file.read(bytes, start);
  return bytes;
}
