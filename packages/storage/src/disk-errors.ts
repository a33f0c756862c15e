import type { Uuid } from '@ottla/protocol';
import { IoError, type Logger } from '@ottla/runtime';
import { diskFaultOf } from './disk-fault.ts';
import type { Log } from './log.ts';
import type { LogDirectories } from './log-directories.ts';
import type { LogDirectory } from './log-directory.ts';
import type { NodeLogs } from './node-logs.ts';
import type { RetiredLogs } from './retired-logs.ts';

/** A directory went offline, and with it these logs, which are closed. */
export type DirectoryFailure = {
  readonly path: string;
  readonly id: Uuid;
  readonly error: unknown;
  readonly logs: readonly Log[];
  readonly futureLogs: readonly Log[];
};

export type DiskErrorsOptions = {
  readonly directories: LogDirectories;
  readonly logs: NodeLogs;
  readonly retired: RetiredLogs;
  readonly logger: Logger;
  readonly onFailed: (failure: DirectoryFailure) => void;
};

/** What an error of a disk costs: a directory that failed goes offline with all its logs, one that is full stays. */
export class DiskErrors {
  readonly #options: DiskErrorsOptions;

  constructor(options: DiskErrorsOptions) {
    this.#options = options;
  }

  /** False when it is no error of a log directory's disk. */
  seeTo(error: unknown): boolean {
    if (!(error instanceof IoError)) return false;
    const { directories } = this.#options;
    const fault = diskFaultOf(error);
    const directory = directories.around(error.path);
    if (!directory) return false;
    if (fault === 'full') directories.markFull(directory, error);
    if (fault === 'failed') this.failDirectory(directory, error);
    return true;
  }

  failDirectory(directory: LogDirectory, error: unknown): void {
    const { directories, logs: nodeLogs, retired, onFailed } = this.#options;
    const logs = nodeLogs.currentIn(directory);
    const futureLogs = nodeLogs.futuresIn(directory);
    for (const log of logs) nodeLogs.current.delete(log.name);
    for (const log of futureLogs) nodeLogs.futures.delete(log.name);
    for (const log of [...logs, ...futureLogs]) abandonQuietly(log);
    retired.forget(directory);
    directories.fail(directory, error);
    onFailed({ path: directory.path, id: directory.id, error, logs, futureLogs });
  }

  /** Work that another time will do as well. When a disk does not do it, that is seen to. */
  attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#seeToAttempt(error);
    }
  }

  async attemptLater(action: Promise<void>): Promise<void> {
    try {
      await action;
    } catch (error) {
      this.#seeToAttempt(error);
    }
  }

  #seeToAttempt(error: unknown): void {
    if (!(error instanceof IoError)) throw error;
    if (!this.seeTo(error)) this.#options.logger.warn('periodic work on the logs is tried again later', { error });
  }
}

/** Its disk has failed: what it still says about that is no news. */
export function abandonQuietly(log: Log): void {
  try {
    log.abandon();
  } catch {
    // Closing a file may meet the fault once more.
  }
}
