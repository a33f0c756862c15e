import { type File, type Files, IoError } from '@ottla/runtime';

/**
 * The `.log` file of a segment: appended at its end, read anywhere. Opened at first use, so that thousands of partitions nobody
 * touches cost no descriptor. `size` is where the data ends, which a preallocated file's own size is not.
 */
export class LogFile {
  readonly #files: Files;
  #path: string;
  #size: number;
  #file: File | undefined;
  #preallocated = false;
  /** Behind `#size` may lie what is left of a write that failed. */
  #isTorn = false;
  /** Of what another process left nobody knows whether it is durable. */
  #needsSync = true;
  /** Counts the changes, so that a sync under way does not vouch for those it has not seen. */
  #changes = 0;

  private constructor(files: Files, path: string, size: number) {
    this.#files = files;
    this.#path = path;
    this.#size = size;
  }

  static create(files: Files, path: string, { preallocateBytes }: { preallocateBytes: number }): LogFile {
    const log = new LogFile(files, path, 0);
    const file = files.open(path, 'truncate');
    try {
      if (preallocateBytes > 0) file.truncate(preallocateBytes);
    } finally {
      file.close();
    }
    log.#preallocated = preallocateBytes > 0;
    return log;
  }

  static open(files: Files, path: string): LogFile {
    const stat = files.stat(path);
    if (!stat) throw new IoError(`${path} is missing`, { code: 'ENOENT', path });
    return new LogFile(files, path, stat.size);
  }

  get path(): string {
    return this.#path;
  }

  get size(): number {
    return this.#size;
  }

  get modifiedMs(): number {
    return Math.floor(this.#files.stat(this.#path)?.modifiedMs ?? 0);
  }

  /** Fills `target` from `position`; returns the bytes read, fewer only at the end of the data. */
  read(target: Uint8Array, position: number): number {
    const available = Math.max(0, this.#size - position);
    return this.#opened().read(available < target.length ? target.subarray(0, available) : target, position);
  }

  /** In one write. When it throws, nothing was appended. */
  append(parts: readonly Uint8Array[]): void {
    const file = this.#opened();
    if (this.#isTorn) this.#cut(file);
    this.#markChanged();
    try {
      file.writeAll(parts, this.#size);
    } catch (error) {
      this.#isTorn = true;
      this.#cutTorn(file);
      throw error;
    }
    for (const part of parts) this.#size += part.length;
  }

  /** A clean stop would otherwise leave half a batch at the end of the file for the next start to trip over. */
  #cutTorn(file: File): void {
    try {
      this.#cut(file);
    } catch {
      // The disk is failing, and the write's own error says so. It is tried again before the next write.
    }
  }

  #cut(file: File): void {
    this.#markChanged();
    file.truncate(this.#size);
    this.#preallocated = false;
    this.#isTorn = false;
  }

  truncate(size: number): void {
    if (size >= this.#size) return;
    this.#markChanged();
    this.#opened().truncate(size);
    this.#size = size;
    this.#preallocated = false;
    this.#isTorn = false;
  }

  /** Cuts off what was preallocated and not used, and what is left of a write that failed. */
  trim(): void {
    if (this.#preallocated || this.#isTorn) this.#cut(this.#opened());
  }

  /** Durable when it returns. */
  sync(): void {
    if (!this.#needsSync) return;
    this.#opened().sync();
    this.#needsSync = false;
  }

  /** Resolves also when the file was closed meanwhile: whoever closes it answers for its data. */
  async syncLater(): Promise<void> {
    if (!this.#needsSync) return;
    const file = this.#opened();
    const changes = this.#changes;
    try {
      await file.syncLater();
      if (this.#file === file && changes === this.#changes) this.#needsSync = false;
    } catch (error) {
      if (this.#file === file) throw error;
    }
  }

  #markChanged(): void {
    this.#needsSync = true;
    this.#changes++;
  }

  /** It opens again by itself at the next use. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  rename(path: string): void {
    this.close();
    this.#files.rename(this.#path, path);
    this.#path = path;
  }

  #opened(): File {
    return (this.#file ??= this.#files.open(this.#path, 'update'));
  }
}
