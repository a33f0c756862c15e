import type { Clock } from '../clock.ts';
import type { File, FileStat, Files, OpenMode } from '../files.ts';
import { nodeClock } from '../node/clock.ts';
import type { Timers } from '../timers.ts';
import { ioError } from './io-error.ts';
import { NameJournal } from './name-journal.ts';
import type { SeededRandom } from './random.ts';
import { Content, contentsIn, Directory, partsOf } from './tree.ts';

export type FileOperation = {
  /** Counts every operation of this file system, from 0: "fail the nth". */
  readonly index: number;
  readonly kind:
    | 'open'
    | 'read'
    | 'write'
    | 'truncate'
    | 'sync'
    | 'stat'
    | 'list'
    | 'makeDirectory'
    | 'rename'
    | 'remove'
    | 'syncDirectory'
    | 'setModified'
    | 'lock';
  readonly path: string;
  /** Of a read or write. */
  readonly position?: number;
  readonly bytes?: number;
};

export type MemoryFilesOptions = {
  readonly clock?: Clock;
  /** Keeps what a power loss would leave, a second copy of everything, so that `crash` can forget the rest. */
  readonly crashes?: {
    readonly random: SeededRandom;
    /**
     * At a crash each page written since the last sync survives or not or by some of its sectors, and of sizes and names what a
     * journaling file system may have written down, instead of all being lost.
     */
    readonly tornWrites?: boolean;
  };
  /** Called before each operation: an error code (`ENOSPC`, `EIO` …) makes it fail. */
  readonly fault?: (operation: FileOperation) => string | undefined;
  /** A write beyond it stores what fits and throws ENOSPC. */
  readonly capacityBytes?: number | (() => number | undefined) | undefined;
  /** How long `syncLater` takes; without timers it resolves at once. */
  readonly timers?: Timers;
  readonly syncMs?: () => number;
  /** Calls back when the process runs; at once unless given. */
  readonly whenRunning?: (callback: () => void) => void;
};

/**
 * A file system in memory. Plain, it keeps each byte once and serves a real node that should leave nothing behind; with `crashes`
 * it is the simulator's disk: contents live until a power loss only if synced, names only if their directory was.
 */
export class MemoryFiles implements Files {
  readonly #options: MemoryFilesOptions;
  readonly #clock: Clock;
  /** Present where power losses are simulated. */
  readonly #journal: NameJournal | undefined;
  #root: Directory;
  #locks = new Set<string>();
  #operations = 0;
  #usedBytes = 0;
  /** Files opened before a crash belong to a process that is no more. */
  #generation = 0;

  constructor(options: MemoryFilesOptions = {}) {
    this.#options = options;
    this.#clock = options.clock ?? nodeClock;
    this.#journal = options.crashes && new NameJournal();
    this.#root = new Directory(this.#clock.nowMs());
  }

  open(path: string, mode: OpenMode): File {
    this.#begin('open', path);
    const { parent, name } = this.#parentOf(path, 'open');
    let entry = parent.entries.get(name);
    if (entry instanceof Directory) throw ioError('open', path, 'EISDIR');
    if (!entry) {
      if (mode === 'read' || mode === 'update') throw ioError('open', path, 'ENOENT');
      entry = new Content(this.#clock.nowMs(), this.#options.crashes !== undefined);
      this.#link(parent, name, entry);
    } else if (mode === 'truncate') {
      this.#truncate(entry, 0);
    }
    return new MemoryFile(this, path, entry, mode !== 'read', this.#generation);
  }

  stat(path: string): FileStat | undefined {
    this.#begin('stat', path);
    const entry = this.#find(path);
    if (!entry) return undefined;
    const isDirectory = entry instanceof Directory;
    return { size: isDirectory ? 0 : entry.bytes.size, modifiedMs: entry.modifiedMs, isDirectory };
  }

  list(directory: string): string[] {
    this.#begin('list', directory);
    return [...this.#directory(directory, 'list').entries.keys()].sort();
  }

  makeDirectory(path: string): void {
    this.#begin('makeDirectory', path);
    let directory = this.#root;
    const parts = partsOf(path);
    for (const [index, part] of parts.entries()) {
      let entry = directory.entries.get(part);
      if (entry instanceof Content) throw ioError('make directory', path, index === parts.length - 1 ? 'EEXIST' : 'ENOTDIR');
      if (!entry) {
        entry = new Directory(this.#clock.nowMs());
        this.#link(directory, part, entry);
      }
      directory = entry;
    }
  }

  rename(from: string, to: string): void {
    this.#begin('rename', from);
    const source = this.#parentOf(from, 'rename');
    const target = this.#parentOf(to, 'rename');
    const moved = source.parent.entries.get(source.name);
    if (!moved) throw ioError(`rename to ${to}`, from, 'ENOENT');
    const replaced = target.parent.entries.get(target.name);
    if (moved === replaced) return;
    if (replaced instanceof Directory) {
      if (moved instanceof Content) throw ioError(`rename to ${to}`, from, 'EISDIR');
      if (replaced.entries.size > 0) throw ioError(`rename to ${to}`, from, 'ENOTEMPTY');
    } else if (replaced && moved instanceof Directory) {
      throw ioError(`rename to ${to}`, from, 'ENOTDIR');
    }
    if (moved instanceof Directory && `${partsOf(to).join('/')}/`.startsWith(`${partsOf(from).join('/')}/`)) {
      throw ioError(`rename to ${to}`, from, 'EINVAL');
    }
    source.parent.entries.delete(source.name);
    target.parent.entries.set(target.name, moved);
    this.#journal?.record(
      { directory: source.parent, name: source.name, entry: undefined },
      { directory: target.parent, name: target.name, entry: moved },
    );
    source.parent.modifiedMs = target.parent.modifiedMs = this.#clock.nowMs();
    if (replaced instanceof Content) this.#unlink(replaced);
  }

  remove(path: string): void {
    this.#begin('remove', path);
    const entry = this.#find(path);
    if (!entry) return;
    if (entry instanceof Directory) throw ioError('remove', path, 'EISDIR');
    const { parent, name } = this.#parentOf(path, 'remove');
    this.#removeName(parent, name);
    this.#unlink(entry);
  }

  removeDirectory(path: string): void {
    this.#begin('remove', path);
    const entry = this.#find(path);
    if (!entry) return;
    const { parent, name } = this.#parentOf(path, 'remove');
    if (entry instanceof Directory) this.#empty(entry);
    this.#removeName(parent, name);
    for (const content of contentsIn(entry)) this.#unlink(content);
  }

  readFile(path: string): Uint8Array {
    const file = this.open(path, 'read');
    try {
      const content = new Uint8Array(file.size());
      file.read(content, 0);
      return content;
    } finally {
      file.close();
    }
  }

  /** As `readFile`, for who looks on from outside: no operation of the machine. Undefined where there is no such file. */
  peek(path: string): Uint8Array | undefined {
    const entry = this.#find(path);
    if (!(entry instanceof Content)) return undefined;
    const content = new Uint8Array(entry.bytes.size);
    entry.bytes.read(content, 0);
    return content;
  }

  /** Of a file, what a power loss would leave of its content at least. */
  peekDurable(path: string): Uint8Array | undefined {
    const entry = this.#find(path);
    return entry instanceof Content ? entry.unsynced?.durableBytes() : undefined;
  }

  /** The names in a directory, for who looks on from outside. */
  peekNames(directory: string): string[] {
    const entry = this.#find(directory);
    return entry instanceof Directory ? [...entry.entries.keys()].sort() : [];
  }

  writeFileDurably(path: string, content: Uint8Array | string): void {
    const temporary = `${path}.tmp`;
    const file = this.open(temporary, 'truncate');
    try {
      file.write(typeof content === 'string' ? new TextEncoder().encode(content) : content, 0);
      file.sync();
    } finally {
      file.close();
    }
    this.rename(temporary, path);
    this.syncDirectory(`${path}/..`);
  }

  syncDirectory(path: string): void {
    this.#begin('syncDirectory', path);
    const directory = this.#directory(path, 'sync directory');
    this.#journal?.sync(directory);
  }

  async syncDirectoryLater(path: string): Promise<void> {
    this.syncDirectory(path);
  }

  setModifiedMs(path: string, modifiedMs: number): void {
    this.#begin('setModified', path);
    const entry = this.#find(path);
    if (!entry) throw ioError('set the time of', path, 'ENOENT');
    entry.modifiedMs = modifiedMs;
  }

  lock(path: string): { release(): void } {
    this.#begin('lock', path);
    const key = partsOf(path).join('/');
    if (this.#locks.has(key)) throw ioError('lock', path, 'ELOCKED');
    this.open(path, 'create').close();
    const locks = this.#locks;
    locks.add(key);
    let held = true;
    return {
      release() {
        if (held) locks.delete(key);
        held = false;
      },
    };
  }

  space(path: string): { totalBytes: number; usableBytes: number } {
    if (!this.#find(path)) throw ioError('stat the volume of', path, 'ENOENT');
    const totalBytes = this.#capacityBytes ?? 2 ** 40;
    return { totalBytes, usableBytes: Math.max(0, totalBytes - this.#usedBytes) };
  }

  get #capacityBytes(): number | undefined {
    const { capacityBytes } = this.#options;
    return typeof capacityBytes === 'function' ? capacityBytes() : capacityBytes;
  }

  /** One bit of a file is another from now on, on disk and for readers, and nobody is told. */
  flipBit(path: string, position: number, bit: number): void {
    const content = this.#find(path);
    if (!(content instanceof Content)) throw ioError('flip a bit of', path, 'ENOENT');
    content.bytes.flip(position, bit);
    content.unsynced?.flip(position, bit);
  }

  /** The process dies and the machine goes on: open files and locks are gone, written bytes stay, synced or not. */
  kill(): void {
    this.#generation++;
    this.#locks = new Set();
  }

  /** The power fails: what was not synced is forgotten, as `crashes` says. */
  crash(): void {
    const crashes = this.#options.crashes;
    if (!crashes) throw new Error('this MemoryFiles was made without `crashes`, so it does not know what was synced');
    this.kill();
    this.#journal!.crash(crashes.tornWrites ? crashes.random : undefined);
    const survived = new Map<Content, Content>();
    const survivor = (content: Content): Content => {
      let after = survived.get(content);
      if (!after) {
        const bytes = content.unsynced!.afterCrash(content.bytes, crashes.tornWrites ? crashes.random : undefined);
        after = new Content(content.modifiedMs, true, bytes);
        survived.set(content, after);
      }
      return after;
    };
    this.#root = this.#root.afterCrash(survivor);
    this.#usedBytes = 0;
    for (const content of new Set(contentsIn(this.#root))) this.#usedBytes += content.bytes.size;
  }

  /** For MemoryFile. */
  begin(kind: FileOperation['kind'], path: string, generation: number, position?: number, bytes?: number): void {
    if (generation !== this.#generation) throw ioError(kind, path, 'EBADF');
    this.#begin(kind, path, position, bytes);
  }

  /** For MemoryFile. */
  write(content: Content, path: string, source: Uint8Array, position: number): void {
    const growth = Math.max(0, position + source.length - content.bytes.size);
    const capacity = this.#capacityBytes ?? Number.POSITIVE_INFINITY;
    const lacking = content.linked ? this.#usedBytes + growth - capacity : 0;
    const fitting = lacking > 0 ? source.subarray(0, Math.max(0, source.length - lacking)) : source;
    this.#resize(content, Math.max(content.bytes.size, fitting.length > 0 ? position + fitting.length : 0));
    const { crashes } = this.#options;
    content.unsynced?.beforeWrite(
      content.bytes,
      { position, length: fitting.length },
      crashes?.tornWrites ? crashes.random : undefined,
    );
    content.bytes.write(fitting, position);
    content.modifiedMs = this.#clock.nowMs();
    if (lacking > 0) throw ioError('write', path, 'ENOSPC');
  }

  /** For MemoryFile. */
  truncate(content: Content, size: number): void {
    this.#truncate(content, size);
  }

  /** For MemoryFile. */
  syncLater(content: Content, path: string, generation: number): Promise<void> {
    const { timers, syncMs } = this.#options;
    if (!timers) {
      content.unsynced?.sync(content.bytes);
      return Promise.resolve();
    }
    // Only what was written before the call is promised, so what comes meanwhile must be able to get lost.
    const finish = content.unsynced?.startSync(content.bytes);
    return new Promise((resolve, reject) => {
      timers.after(syncMs?.() ?? 0, () => {
        if (generation !== this.#generation) return reject(ioError('sync', path, 'EBADF'));
        finish?.();
        const { whenRunning } = this.#options;
        if (whenRunning) whenRunning(resolve);
        else resolve();
      });
    });
  }

  #begin(kind: FileOperation['kind'], path: string, position?: number, bytes?: number): void {
    const index = this.#operations++;
    const code = this.#options.fault?.({ index, kind, path, position, bytes });
    if (code !== undefined) throw ioError(kind, path, code);
  }

  #truncate(content: Content, size: number): void {
    content.unsynced?.beforeTruncate(content.bytes, size);
    this.#resize(content, size);
    content.bytes.truncate(size);
    content.modifiedMs = this.#clock.nowMs();
  }

  #resize(content: Content, size: number): void {
    if (content.linked) this.#usedBytes += size - content.bytes.size;
  }

  #unlink(content: Content): void {
    if (!content.linked) return;
    content.linked = false;
    this.#usedBytes -= content.bytes.size;
  }

  #link(directory: Directory, name: string, entry: Content | Directory): void {
    directory.entries.set(name, entry);
    directory.modifiedMs = this.#clock.nowMs();
    this.#journal?.record({ directory, name, entry });
  }

  #removeName(directory: Directory, name: string): void {
    directory.entries.delete(name);
    directory.modifiedMs = this.#clock.nowMs();
    this.#journal?.record({ directory, name, entry: undefined });
  }

  /** Name by name, as a file system does it: a power loss may come in between. */
  #empty(directory: Directory): void {
    for (const [name, entry] of directory.entries) {
      if (entry instanceof Directory) this.#empty(entry);
      this.#journal?.record({ directory, name, entry: undefined });
    }
  }

  #find(path: string): Content | Directory | undefined {
    let entry: Content | Directory = this.#root;
    for (const part of partsOf(path)) {
      const next: Content | Directory | undefined = entry instanceof Directory ? entry.entries.get(part) : undefined;
      if (!next) return undefined;
      entry = next;
    }
    return entry;
  }

  #directory(path: string, operation: string): Directory {
    const entry = this.#find(path);
    if (entry instanceof Directory) return entry;
    throw ioError(operation, path, entry ? 'ENOTDIR' : 'ENOENT');
  }

  #parentOf(path: string, operation: string): { parent: Directory; name: string } {
    const parts = partsOf(path);
    const name = parts.pop();
    if (name === undefined) throw ioError(operation, path, 'EBUSY');
    let parent = this.#root;
    for (const part of parts) {
      const entry = parent.entries.get(part);
      if (!(entry instanceof Directory)) throw ioError(operation, path, entry ? 'ENOTDIR' : 'ENOENT');
      parent = entry;
    }
    return { parent, name };
  }
}

class MemoryFile implements File {
  readonly path: string;
  readonly #files: MemoryFiles;
  readonly #content: Content;
  readonly #writable: boolean;
  readonly #generation: number;
  #closed = false;

  constructor(files: MemoryFiles, path: string, content: Content, writable: boolean, generation: number) {
    this.#files = files;
    this.path = path;
    this.#content = content;
    this.#writable = writable;
    this.#generation = generation;
  }

  size(): number {
    this.#begin('stat');
    return this.#content.bytes.size;
  }

  read(target: Uint8Array, position: number): number {
    this.#begin('read', position, target.length);
    if (position < 0) throw ioError('read', this.path, 'EINVAL');
    return this.#content.bytes.read(target, position);
  }

  write(source: Uint8Array, position: number): void {
    this.#beginChange('write', position, source.length);
    this.#files.write(this.#content, this.path, source, position);
  }

  writeAll(sources: readonly Uint8Array[], position: number): void {
    let length = 0;
    for (const source of sources) length += source.length;
    this.#beginChange('write', position, length);
    let end = position;
    for (const source of sources) {
      this.#files.write(this.#content, this.path, source, end);
      end += source.length;
    }
  }

  truncate(size: number): void {
    this.#beginChange('truncate');
    this.#files.truncate(this.#content, size);
  }

  sync(): void {
    this.#begin('sync');
    this.#content.unsynced?.sync(this.#content.bytes);
  }

  syncLater(): Promise<void> {
    try {
      this.#begin('sync');
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#files.syncLater(this.#content, this.path, this.#generation);
  }

  close(): void {
    this.#closed = true;
  }

  #begin(kind: FileOperation['kind'], position?: number, bytes?: number): void {
    if (this.#closed) throw ioError(kind, this.path, 'EBADF');
    this.#files.begin(kind, this.path, this.#generation, position, bytes);
  }

  #beginChange(kind: FileOperation['kind'], position?: number, bytes?: number): void {
    this.#begin(kind, position, bytes);
    if (!this.#writable) throw ioError(kind, this.path, kind === 'truncate' ? 'EINVAL' : 'EBADF');
  }
}
