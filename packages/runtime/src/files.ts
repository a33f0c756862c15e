/** A file or directory operation failed. `code` is the operating system's (ENOSPC, EIO, ENOENT …). */
export class IoError extends Error {
  override readonly name = 'IoError';
  readonly code: string;
  readonly path: string;
  /** What failed: `sync`, `write`, `open` …; undefined where nobody asks. */
  readonly operation: string | undefined;
  constructor(message: string, details: { code: string; path: string; operation?: string; cause?: unknown }) {
    super(message, { cause: details.cause });
    this.code = details.code;
    this.path = details.path;
    this.operation = details.operation;
  }
}

export type OpenMode =
  /** Must exist; reads only. */
  | 'read'
  /** Must exist; reads and writes. */
  | 'update'
  /** Created if absent; reads and writes; keeps what is there. */
  | 'create'
  /** Created, or emptied if it exists; reads and writes. */
  | 'truncate';

/**
 * An open file. Reads and writes are positional and complete: short transfers are continued inside.
 * They are synchronous because they meet the page cache; only `syncLater` waits for the device off the event loop.
 */
export interface File {
  readonly path: string;
  /** Bytes. */
  size(): number;
  /** Fills `target` from `position`; returns the bytes read, fewer only at the end of the file. */
  read(target: Uint8Array, position: number): number;
  /** Writes all of `source` at `position`, extending the file if needed. */
  write(source: Uint8Array, position: number): void;
  /** Writes the parts back to back at `position` in one call. */
  writeAll(sources: readonly Uint8Array[], position: number): void;
  truncate(size: number): void;
  /** Durable when it returns. */
  sync(): void;
  /** Durable when it resolves; other work goes on meanwhile. */
  syncLater(): Promise<void>;
  close(): void;
}

export type FileStat = { readonly size: number; readonly modifiedMs: number; readonly isDirectory: boolean };

/** A file system. Every operation throws IoError; paths are the platform's own, absolute or relative to the working directory. */
export interface Files {
  open(path: string, mode: OpenMode): File;
  /** Undefined when there is nothing at the path. */
  stat(path: string): FileStat | undefined;
  /** Names (not paths) in a directory, sorted. */
  list(directory: string): string[];
  /** Creates the directory and its missing parents; fine if it exists. */
  makeDirectory(path: string): void;
  /** Replaces what is at `to`. */
  rename(from: string, to: string): void;
  /** Removes a file; fine if absent. */
  remove(path: string): void;
  /** Removes a directory with all in it; fine if absent. */
  removeDirectory(path: string): void;
  readFile(path: string): Uint8Array;
  /** Writes `<path>.tmp`, syncs it, renames it over `path`, syncs the directory: afterwards the old or the new content survives a crash. */
  writeFileDurably(path: string, content: Uint8Array | string): void;
  /** Makes creations, renames and removals in the directory durable. */
  syncDirectory(path: string): void;
  /** The same once it resolves; other work goes on meanwhile. */
  syncDirectoryLater(path: string): Promise<void>;
  setModifiedMs(path: string, modifiedMs: number): void;
  /** Takes an exclusive lock by creating `path`; throws IoError with code 'ELOCKED' while another live process (or holder) has it. */
  lock(path: string): { release(): void };
  /** Bytes of the volume that holds the path. */
  space(path: string): { totalBytes: number; usableBytes: number };
}
