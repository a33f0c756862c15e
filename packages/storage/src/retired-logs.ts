import type { Runtime } from '@ottla/runtime';
import type { Log } from './log.ts';
import type { LogDirectory } from './log-directory.ts';
import type { PlacedLog } from './node-logs.ts';
import { fatedDirectoryName } from './partition-directory.ts';
import { RetiredFiles } from './retired-files.ts';

/** Stray logs are kept for an operator to look at. */
export type Retirement = 'delete' | 'stray';

/** Logs that were taken out of use: their directories have another name, and those of deleted ones go away after a delay. */
export class RetiredLogs {
  readonly #runtime: Pick<Runtime, 'files' | 'clock' | 'random' | 'logger'>;
  readonly #retired: RetiredFiles;
  /** Since the last sync. */
  readonly #renamedIn = new Set<LogDirectory>();

  constructor(runtime: Pick<Runtime, 'files' | 'clock' | 'random' | 'logger'>) {
    this.#runtime = runtime;
    this.#retired = new RetiredFiles(runtime.files);
  }

  /** The caller has taken it off the list of those in use. Outlives a crash after `syncDirectories`. */
  retire({ log, directory }: PlacedLog, fate: Retirement): void {
    log.abandon();
    const path = this.pathFor({ log, directory }, fate);
    this.#runtime.files.rename(log.directory, path);
    this.#renamedIn.add(directory);
    this.onRenamed(log, path, fate);
  }

  /** A new one each time. */
  pathFor({ log, directory }: PlacedLog, fate: Retirement): string {
    return `${directory.path}/${fatedDirectoryName(log.topic, log.partition, fate, this.#runtime.random)}`;
  }

  /** Its directory has got its path of `pathFor`. */
  onRenamed(log: Log, path: string, fate: Retirement): void {
    const { logger, clock } = this.#runtime;
    logger.info('a log is taken out of use', { partition: log.name, directory: path });
    if (fate === 'delete') this.addDirectory(path, clock.nowMs() + log.config.fileDeleteDelayMs);
  }

  addDirectory(path: string, dueMs: number): void {
    this.#retired.addDirectory(path, dueMs);
  }

  /** Makes the new names outlive a crash. */
  syncDirectories(): void {
    for (const { path } of this.#renamedIn) this.#runtime.files.syncDirectory(path);
    this.#renamedIn.clear();
  }

  /** It is offline. */
  forget(directory: LogDirectory): void {
    this.#renamedIn.delete(directory);
    this.#retired.forget(directory.path);
  }

  /** Throws IoError. */
  removeDue(nowMs: number): void {
    this.#retired.removeDue(nowMs);
  }
}
