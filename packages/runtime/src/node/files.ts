import fs from 'node:fs';
import { dirname } from 'node:path';
import { type File, type FileStat, type Files, IoError, type OpenMode } from '../files.ts';
import { type DescriptorHolder, Descriptors } from './descriptors.ts';
import { type DirectoryLock, lockFile } from './lock.ts';
import { meaningOf } from './system-error.ts';

const flagsOf: Record<OpenMode, number> = {
  read: fs.constants.O_RDONLY,
  update: fs.constants.O_RDWR,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT,
  truncate: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC,
};

/** One system call moves at most this many bytes; Linux itself stops at 2 GiB - 4 KiB. */
const longestTransferBytes = 1 << 30;

/** The machine's file system. There may be more open files than the process may have descriptors. */
export class NodeFiles implements Files {
  readonly #descriptors: Descriptors;

  constructor(descriptors = new Descriptors()) {
    this.#descriptors = descriptors;
  }

  open(path: string, mode: OpenMode): File {
    this.#descriptors.makeRoom();
    const fd = this.#attempt('open', path, () => fs.openSync(path, flagsOf[mode], 0o644));
    if (mode === 'read' && fs.fstatSync(fd).isDirectory()) {
      fs.closeSync(fd);
      throw new IoError(`open ${path}: it is a directory`, { code: 'EISDIR', path });
    }
    return new NodeFile({ path, fd, isReadOnly: mode === 'read', descriptors: this.#descriptors });
  }

  #attempt<T>(operation: string, path: string, work: () => T): T {
    return withDescriptors(this.#descriptors, () => attempt(operation, path, work));
  }

  stat(path: string): FileStat | undefined {
    const stat = this.#attempt('stat', path, () => fs.statSync(path, { throwIfNoEntry: false }));
    return stat && { size: stat.size, modifiedMs: stat.mtimeMs, isDirectory: stat.isDirectory() };
  }

  list(directory: string): string[] {
    return this.#attempt('list', directory, () => fs.readdirSync(directory)).sort();
  }

  makeDirectory(path: string): void {
    this.#attempt('make directory', path, () => makeAll(path));
  }

  rename(from: string, to: string): void {
    this.#attempt(`rename to ${to}`, from, () => fs.renameSync(from, to));
  }

  remove(path: string): void {
    this.#attempt('remove', path, () => {
      // Most often there is nothing, and to hear of that as an error costs more than to ask.
      if (!fs.lstatSync(path, { throwIfNoEntry: false })) return;
      try {
        fs.unlinkSync(path);
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error;
      }
    });
  }

  removeDirectory(path: string): void {
    this.#attempt('remove directory', path, () => fs.rmSync(path, { recursive: true, force: true }));
  }

  readFile(path: string): Uint8Array {
    const content = this.#attempt('read', path, () => fs.readFileSync(path));
    return new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
  }

  writeFileDurably(path: string, content: Uint8Array | string): void {
    const temporary = `${path}.tmp`;
    const file = this.open(temporary, 'truncate');
    try {
      file.write(typeof content === 'string' ? Buffer.from(content) : content, 0);
      file.sync();
    } finally {
      file.close();
    }
    this.rename(temporary, path);
    this.syncDirectory(dirname(path));
  }

  syncDirectory(path: string): void {
    // Windows cannot open a directory as a file, and its file systems journal the entries themselves.
    if (process.platform === 'win32') return;
    this.#attempt('sync directory', path, () => {
      const fd = fs.openSync(path, fs.constants.O_RDONLY);
      try {
        fs.fsyncSync(fd);
      } finally {
        fs.closeSync(fd);
      }
    });
  }

  async syncDirectoryLater(path: string): Promise<void> {
    if (process.platform === 'win32') return;
    const fd = this.#attempt('sync directory', path, () => fs.openSync(path, fs.constants.O_RDONLY));
    await new Promise<void>((resolve, reject) => {
      fs.fsync(fd, (error) => {
        fs.closeSync(fd);
        if (error) reject(ioError('sync directory', path, error));
        else resolve();
      });
    });
  }

  setModifiedMs(path: string, modifiedMs: number): void {
    this.#attempt('set the time of', path, () => fs.utimesSync(path, modifiedMs / 1000, modifiedMs / 1000));
  }

  lock(path: string): DirectoryLock {
    return this.#attempt('lock', path, () => lockFile(path));
  }

  space(path: string): { totalBytes: number; usableBytes: number } {
    const volume = this.#attempt('stat the volume of', path, () => fs.statfsSync(path));
    return { totalBytes: volume.blocks * volume.bsize, usableBytes: volume.bavail * volume.bsize };
  }
}

class NodeFile implements File, DescriptorHolder {
  readonly path: string;
  readonly #isReadOnly: boolean;
  readonly #descriptors: Descriptors;
  /** -1 while it does without. */
  #heldFd: number;
  wasUsed = false;
  #closed = false;
  /** Calls of syncLater that a pool thread may still be in: the descriptor's number must not be reused under it. */
  #pendingSyncs = 0;

  constructor(opened: { path: string; fd: number; isReadOnly: boolean; descriptors: Descriptors }) {
    this.path = opened.path;
    this.#heldFd = opened.fd;
    this.#isReadOnly = opened.isReadOnly;
    this.#descriptors = opened.descriptors;
    this.#descriptors.add(this);
  }

  get isBusy(): boolean {
    return this.#pendingSyncs > 0;
  }

  rest(): void {
    const fd = this.#heldFd;
    this.#heldFd = -1;
    try {
      fs.closeSync(fd);
    } catch (error) {
      throw ioError('close', this.path, error);
    }
  }

  get #fd(): number {
    if (this.#closed) throw closedError();
    this.wasUsed = true;
    if (this.#heldFd < 0) this.#wake();
    return this.#heldFd;
  }

  #wake(): void {
    const flags = flagsOf[this.#isReadOnly ? 'read' : 'update'];
    this.#descriptors.makeRoom();
    this.#heldFd = withDescriptors(this.#descriptors, () => attempt('open', this.path, () => fs.openSync(this.path, flags)));
    this.#descriptors.add(this);
  }

  size(): number {
    try {
      return fs.fstatSync(this.#fd).size;
    } catch (error) {
      throw ioError('stat', this.path, error);
    }
  }

  read(target: Uint8Array, position: number): number {
    let done = 0;
    try {
      while (done < target.length) {
        const wanted = Math.min(target.length - done, longestTransferBytes);
        const count = fs.readSync(this.#fd, target, done, wanted, position + done);
        if (count === 0) break;
        done += count;
      }
    } catch (error) {
      throw ioError('read', this.path, error);
    }
    return done;
  }

  write(source: Uint8Array, position: number): void {
    let done = 0;
    try {
      while (done < source.length) {
        const wanted = Math.min(source.length - done, longestTransferBytes);
        done += fs.writeSync(this.#fd, source, done, wanted, position + done);
      }
    } catch (error) {
      throw ioError('write', this.path, error);
    }
  }

  writeAll(sources: readonly Uint8Array[], position: number): void {
    if (sources.length === 0) return;
    if (sources.length === 1) {
      this.write(sources[0]!, position);
      return;
    }
    let written: number;
    try {
      written = fs.writevSync(this.#fd, sources, position);
    } catch (error) {
      throw ioError('write', this.path, error);
    }
    // The call stopped early (a signal, a nearly full disk): what is left goes part by part, and so meets the reason.
    let end = 0;
    for (const source of sources) {
      const start = end;
      end += source.length;
      if (end > written) {
        const rest = source.subarray(Math.max(0, written - start));
        this.write(rest, position + end - rest.length);
      }
    }
  }

  truncate(size: number): void {
    try {
      fs.ftruncateSync(this.#fd, size);
    } catch (error) {
      throw ioError('truncate', this.path, error);
    }
  }

  sync(): void {
    try {
      fs.fdatasyncSync(this.#fd);
    } catch (error) {
      throw ioError('sync', this.path, error);
    }
  }

  syncLater(): Promise<void> {
    return new Promise((resolve, reject) => {
      let fd: number;
      try {
        fd = this.#fd;
      } catch (error) {
        return reject(ioError('sync', this.path, error));
      }
      this.#pendingSyncs++;
      fs.fdatasync(fd, (error) => {
        this.#pendingSyncs--;
        if (this.#closed && this.#pendingSyncs === 0) fs.closeSync(fd);
        if (error) reject(ioError('sync', this.path, error));
        else resolve();
      });
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#descriptors.delete(this);
    if (this.#pendingSyncs > 0 || this.#heldFd < 0) return;
    try {
      fs.closeSync(this.#heldFd);
    } catch (error) {
      throw ioError('close', this.path, error);
    }
  }
}

function closedError(): Error {
  return Object.assign(new Error('the file was closed'), { code: 'EBADF' });
}

/** The budget is a guess: sockets may have taken more than their share. */
function withDescriptors<T>(descriptors: Descriptors, work: () => T): T {
  for (;;) {
    try {
      return work();
    } catch (error) {
      const isShort = error instanceof IoError && (error.code === 'EMFILE' || error.code === 'ENFILE');
      if (!isShort || !descriptors.giveBackSome()) throw error;
    }
  }
}

function attempt<T>(operation: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw ioError(operation, path, error);
  }
}

/** Node's own `recursive` never ends where a file system answers ENOENT for good, as /proc does. */
function makeAll(path: string): void {
  const parent = dirname(path);
  if (parent !== path && !fs.existsSync(parent)) makeAll(parent);
  try {
    fs.mkdirSync(path);
  } catch (error) {
    if (!fs.statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

function ioError(operation: string, path: string, cause: unknown): IoError {
  if (cause instanceof IoError) return cause;
  return new IoError(`${operation} ${path}: ${meaningOf(cause)}`, { code: codeOf(cause), path, operation, cause });
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'EIO';
}
