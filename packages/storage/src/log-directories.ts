import { KafkaError, type Uuid } from '@ottla/protocol';
import { IoError, type Runtime } from '@ottla/runtime';
import { CorruptFileError } from './corrupt-file-error.ts';
import { diskFaultOf } from './disk-fault.ts';
import { LogDirectory, LogDirectoryError } from './log-directory.ts';

export type LogDirectoriesOptions = {
  /** log.dirs: formatted, and none twice. */
  readonly directories: readonly string[];
  readonly clusterId: string;
  readonly nodeId: number;
  readonly runtime: Pick<Runtime, 'files' | 'clock' | 'random' | 'logger'>;
};

/** In cordoned.log.dirs: all of them. */
const allDirectories = '*';

/** The log directories of a node: which are online, which failed, which take nothing new, which are full. */
export class LogDirectories {
  /** As configured. */
  readonly paths: readonly string[];
  readonly #runtime: LogDirectoriesOptions['runtime'];
  readonly #online: LogDirectory[];
  readonly #failures: Map<string, unknown>;
  /** When the disk last did not take a write, and what it said. */
  readonly #full = new Map<LogDirectory, { readonly code: string; readonly atMs: number }>();
  #cordonedPaths: readonly string[] = [];

  /**
   * Locks them. One whose disk fails is offline from the start; when that leaves none, its error is thrown. Throws an Error where a
   * directory is another node's or not formatted, and IoError ELOCKED.
   */
  static open(options: LogDirectoriesOptions): LogDirectories {
    const { directories, runtime } = options;
    const online: LogDirectory[] = [];
    const failures = new Map<string, unknown>();
    try {
      for (const path of directories) {
        try {
          online.push(LogDirectory.open(path, options, runtime));
        } catch (error) {
          if (!isDirectorysFault(error)) throw error;
          runtime.logger.error('a log directory cannot be used and stays offline', { directory: path, error });
          failures.set(path, error);
        }
      }
      const ids = new Set(online.map((directory) => directory.id));
      if (ids.size !== online.length) throw new LogDirectoryError(`two of ${directories.join(', ')} have the same directory.id`);
      const [firstFailure] = failures.values();
      if (online.length === 0) throw firstFailure;
      return new LogDirectories(options, online, failures);
    } catch (error) {
      for (const directory of online) directory.release();
      throw error;
    }
  }

  private constructor({ directories, runtime }: LogDirectoriesOptions, online: LogDirectory[], failures: Map<string, unknown>) {
    this.paths = directories;
    this.#runtime = runtime;
    this.#online = online;
    this.#failures = failures;
  }

  get online(): readonly LogDirectory[] {
    return this.#online;
  }

  get hasOffline(): boolean {
    return this.#failures.size > 0;
  }

  failureOf(path: string): unknown {
    return this.#failures.get(path);
  }

  byId(id: Uuid): LogDirectory | undefined {
    return this.#online.find((directory) => directory.id === id);
  }

  /** Throws LOG_DIR_NOT_FOUND when it is none of log.dirs, KAFKA_STORAGE_ERROR when it is offline. */
  byPath(path: string): LogDirectory {
    const found = this.#online.find((directory) => directory.path === path);
    if (found) return found;
    if (this.paths.includes(path)) throw new KafkaError('KAFKA_STORAGE_ERROR', `the log directory ${path} is offline`);
    throw new KafkaError('LOG_DIR_NOT_FOUND', `${path} is none of log.dirs: ${this.paths.join(', ')}`);
  }

  /** The online one that a file or directory lies in. */
  around(path: string): LogDirectory | undefined {
    let innermost: LogDirectory | undefined;
    for (const directory of this.#online) {
      const isAround = path === directory.path || path.startsWith(`${directory.path}/`);
      if (isAround && directory.path.length >= (innermost?.path.length ?? 0)) innermost = directory;
    }
    return innermost;
  }

  /** cordoned.log.dirs (KIP-1066): these take no new logs. */
  cordon(paths: readonly string[]): void {
    this.#cordonedPaths = paths;
  }

  isCordoned(path: string): boolean {
    return this.#cordonedPaths.includes(allDirectories) || this.#cordonedPaths.includes(path);
  }

  /**
   * Where new logs may go, the emptiest first and those whose disk is full last. As in Kafka the controller places nothing on a node
   * whose directories are all cordoned; what comes all the same must lie somewhere.
   */
  forNewLogs(countOf: (directory: LogDirectory) => number): LogDirectory[] {
    const open = this.#online.filter(({ path }) => !this.isCordoned(path));
    const ranked = (open.length > 0 ? open : this.#online).map((directory) => ({
      directory,
      isFull: this.#full.has(directory) ? 1 : 0,
      count: countOf(directory),
    }));
    return ranked.sort((left, right) => left.isFull - right.isFull || left.count - right.count).map(({ directory }) => directory);
  }

  /** Nothing is done with it any more, until the next start. */
  fail(directory: LogDirectory, error: unknown): void {
    this.#online.splice(this.#online.indexOf(directory), 1);
    this.#full.delete(directory);
    this.#failures.set(directory.path, error);
    try {
      directory.release();
    } catch {
      // The lock is a file in what has just failed.
    }
    const what = isFull(error) ? 'a log directory has no room for the recovery of its logs' : 'a log directory failed';
    this.#runtime.logger.error(`${what}: it is offline until the next start`, { directory: directory.path, error });
  }

  markFull(directory: LogDirectory, error: IoError): void {
    const isKnown = this.#full.get(directory)?.code === error.code;
    this.#full.set(directory, { code: error.code, atMs: this.#runtime.clock.nowMs() });
    if (isKnown) return;
    this.#runtime.logger.warn('a log directory takes no writes for now: producers are told to try again', {
      directory: directory.path,
      error,
    });
  }

  /** Those that did not take a write lately: for them to be tried. A small write may succeed between two that do not. */
  fullSince(ms: number): readonly LogDirectory[] {
    return [...this.#full].filter(([, { atMs }]) => atMs <= ms).map(([directory]) => directory);
  }

  markWritable(directory: LogDirectory): void {
    if (this.#full.delete(directory))
      this.#runtime.logger.info('a log directory takes writes again', { directory: directory.path });
  }

  release(): void {
    for (const directory of this.#online) directory.release();
  }
}

/** While it is in use that is waited for, so it was met when the node started. */
const isFull = (error: unknown): boolean => error instanceof IoError && diskFaultOf(error) === 'full';

/** The disk's or its files': other directories can be used. Otherwise the node must not run like this. */
export function isDirectorysFault(error: unknown): boolean {
  if (error instanceof CorruptFileError) return true;
  return error instanceof IoError && error.code !== 'ELOCKED' && diskFaultOf(error) !== 'shortage';
}
