import type { Files } from '@ottla/runtime';
import { CorruptFileError } from './corrupt-file-error.ts';

export type IndexFileOptions = {
  readonly files: Files;
  readonly path: string;
  readonly entryBytes: number;
  /** Size the file is given while its segment is active; the tail behind the entries is zero. */
  readonly maxBytes: number;
};

const firstAllocationEntries = 8;

/**
 * Entries of one size, kept in memory and written behind. While the segment is active the file is preallocated (sparse) with a
 * zero tail, as Kafka's memory-mapped one; `trim` cuts it to its entries. Entries of a file found at start are read at first
 * use, and `unload` forgets them again.
 */
export class IndexFile {
  readonly #options: IndexFileOptions;
  #path: string;
  /** Undefined: not read yet. Invariant: `#bytes` holds at least `#count` entries. */
  #bytes: Uint8Array | undefined;
  #view: DataView | undefined;
  #count = 0;
  /** Entries that the file holds already. */
  #writtenCount = 0;
  /** The file is longer than its entries. */
  #hasZeroTail = false;
  /** The file was changed since it was last durable. */
  #needsSync = false;
  /** Counts the changes of the file, so that a sync under way does not vouch for those it has not seen. */
  #changes = 0;

  private constructor(options: IndexFileOptions) {
    this.#options = options;
    this.#path = options.path;
  }

  /** A new, empty, preallocated file; what was at the path is lost. */
  static create(options: IndexFileOptions): IndexFile {
    const index = new IndexFile(options);
    index.#adopt(new Uint8Array(0), 0);
    const file = options.files.open(options.path, 'truncate');
    try {
      file.truncate(index.maxEntries * options.entryBytes);
    } finally {
      file.close();
    }
    index.#hasZeroTail = true;
    index.#needsSync = true;
    return index;
  }

  /** A file that exists. Throws CorruptFileError when its size cannot be. */
  static open(options: IndexFileOptions): IndexFile {
    const size = options.files.stat(options.path)?.size ?? 0;
    if (size % options.entryBytes !== 0) {
      throw new CorruptFileError(options.path, `${size} bytes are not a multiple of the ${options.entryBytes} of an entry`);
    }
    return new IndexFile(options);
  }

  /** A file that was not cut to its entries, although nobody writes to it: the power failed before all of it was on disk. */
  get hasZeroTail(): boolean {
    this.#load();
    return this.#hasZeroTail;
  }

  get path(): string {
    return this.#path;
  }

  get count(): number {
    this.#load();
    return this.#count;
  }

  /** Of the entries. */
  get bytes(): number {
    return this.count * this.#options.entryBytes;
  }

  get maxEntries(): number {
    return Math.floor(this.#options.maxBytes / this.#options.entryBytes);
  }

  /** The entries; only the first `count` mean something. */
  get view(): DataView {
    this.#load();
    return this.#view!;
  }

  /** Makes room for one more entry and returns its byte position in `view`, for the caller to fill. */
  extend(): number {
    this.#load();
    const { entryBytes } = this.#options;
    const position = this.#count * entryBytes;
    if (position + entryBytes > this.#bytes!.length) {
      const grown = new Uint8Array(Math.max(firstAllocationEntries * entryBytes, this.#bytes!.length * 2));
      grown.set(this.#bytes!);
      this.#adopt(grown, this.#count);
    }
    this.#count++;
    return position;
  }

  /** Forgets the entries from `count` on, in the file as well. */
  truncateEntries(count: number): void {
    this.#load();
    if (count >= this.#count) return;
    this.#count = count;
    if (this.#writtenCount > count) {
      this.#writtenCount = count;
      this.#cutFile(count * this.#options.entryBytes);
    }
  }

  /**
   * Forgets all entries without reading them: they are about to be made anew. The file follows when it is trimmed, and comes into being then
   * if it is missing.
   */
  reset(): void {
    this.#adopt(new Uint8Array(0), 0);
    this.#writtenCount = 0;
    this.#hasZeroTail = true;
  }

  get needsSync(): boolean {
    return this.#needsSync || this.hasUnwrittenEntries;
  }

  get hasUnwrittenEntries(): boolean {
    return this.#bytes !== undefined && this.#writtenCount < this.#count;
  }

  /** Hands the entries since the last time to the system. */
  writeBehind(): void {
    if (!this.hasUnwrittenEntries) return;
    this.#withFile((file) => this.#write(file));
  }

  /** Durable when it returns. */
  sync(): void {
    if (!this.needsSync) return;
    this.#withFile((file) => {
      this.#write(file);
      file.sync();
    });
    this.#needsSync = false;
  }

  /** What is in it now is durable when it resolves; the device is waited for off the event loop. */
  async syncLater(): Promise<void> {
    if (!this.needsSync) return;
    const file = this.#options.files.open(this.#path, 'create');
    try {
      this.#write(file);
      const changes = this.#changes;
      await file.syncLater();
      if (changes === this.#changes) this.#needsSync = false;
    } finally {
      file.close();
    }
  }

  /** Cuts the file to its entries: what a segment's index looks like once the segment is no longer written to. */
  trim(): void {
    this.#load();
    if (!this.#hasZeroTail) {
      this.writeBehind();
      return;
    }
    this.#withFile((file) => {
      this.#write(file);
      file.truncate(this.#count * this.#options.entryBytes);
    });
    this.#hasZeroTail = false;
  }

  /** Gives the file its full size again: the segment became active. */
  preallocate(): void {
    this.#load();
    if (this.#hasZeroTail || this.#count >= this.maxEntries) return;
    this.#withFile((file) => file.truncate(this.maxEntries * this.#options.entryBytes));
    this.#hasZeroTail = true;
  }

  /** Frees the memory; the next use reads the file again. */
  unload(): void {
    if (this.hasUnwrittenEntries) return;
    this.#bytes = undefined;
    this.#view = undefined;
  }

  rename(path: string): void {
    // A crash may have kept it from coming into being.
    if (this.#options.files.stat(this.#path)) this.#options.files.rename(this.#path, path);
    this.#path = path;
  }

  #withFile(use: (file: ReturnType<Files['open']>) => void): void {
    const file = this.#options.files.open(this.#path, 'create');
    this.#needsSync = true;
    this.#changes++;
    try {
      use(file);
    } finally {
      file.close();
    }
  }

  #write(file: ReturnType<Files['open']>): void {
    if (!this.hasUnwrittenEntries) return;
    const { entryBytes } = this.#options;
    this.#needsSync = true;
    this.#changes++;
    file.write(this.#bytes!.subarray(this.#writtenCount * entryBytes, this.#count * entryBytes), this.#writtenCount * entryBytes);
    this.#writtenCount = this.#count;
  }

  /** What was behind must read as zeros, should the file become longer again. */
  #cutFile(bytes: number): void {
    this.#withFile((file) => {
      file.truncate(bytes);
      if (this.#hasZeroTail) file.truncate(this.maxEntries * this.#options.entryBytes);
    });
  }

  #adopt(bytes: Uint8Array, count: number): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#count = count;
  }

  #load(): void {
    if (this.#bytes !== undefined) return;
    const { files, entryBytes } = this.#options;
    const fileBytes = files.stat(this.#path)?.size ?? 0;
    if (fileBytes === 0) {
      this.#adopt(new Uint8Array(0), 0);
      this.#writtenCount = 0;
      return;
    }
    const file = files.open(this.#path, 'read');
    try {
      const fileEntries = Math.floor(fileBytes / entryBytes);
      const count = entriesBeforeZeroTail(file, { fileEntries, entryBytes });
      this.#hasZeroTail = count < fileEntries;
      const bytes = new Uint8Array(count * entryBytes);
      file.read(bytes, 0);
      this.#adopt(bytes, count);
      this.#writtenCount = count;
    } finally {
      file.close();
    }
  }
}

/**
 * An index that was not trimmed ends in zeros, and no entry but the first can be all zeros, because what they point at ascends.
 * So the end is found by bisection, without reading ten megabytes of nothing.
 */
function entriesBeforeZeroTail(
  file: { read(target: Uint8Array, position: number): number },
  { fileEntries, entryBytes }: { fileEntries: number; entryBytes: number },
): number {
  const entry = new Uint8Array(entryBytes);
  const isZero = (index: number): boolean => {
    file.read(entry, index * entryBytes);
    return entry.every((byte) => byte === 0);
  };
  if (fileEntries === 0 || !isZero(fileEntries - 1)) return fileEntries;
  if (fileEntries === 1) return 1;
  let low = 0; // every entry below `low` is set
  let high = fileEntries - 1; // every entry from `high` on is zero
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isZero(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
