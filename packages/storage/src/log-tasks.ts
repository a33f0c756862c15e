import type { DiskErrors } from './disk-errors.ts';
import type { Log } from './log.ts';
import type { LogDirectories } from './log-directories.ts';
import type { LogDirectory } from './log-directory.ts';
import { logsOf, type NodeLogs } from './node-logs.ts';
import type { RetiredLogs } from './retired-logs.ts';

/** How often each periodic work is done; the names are those of the broker's configs. */
export type LogManagerIntervals = {
  readonly logFlushOffsetCheckpointIntervalMs: number;
  readonly logFlushStartOffsetCheckpointIntervalMs: number;
  readonly replicaHighWatermarkCheckpointIntervalMs: number;
  readonly logRetentionCheckIntervalMs: number;
  readonly producerIdExpirationCheckIntervalMs: number;
};

export const defaultLogManagerIntervals: LogManagerIntervals = {
  logFlushOffsetCheckpointIntervalMs: 60_000,
  logFlushStartOffsetCheckpointIntervalMs: 60_000,
  replicaHighWatermarkCheckpointIntervalMs: 5_000,
  logRetentionCheckIntervalMs: 300_000,
  producerIdExpirationCheckIntervalMs: 600_000,
};

export type LogTasksOptions = {
  readonly nowMs: number;
  readonly intervals: Partial<LogManagerIntervals> | undefined;
  readonly directories: LogDirectories;
  readonly logs: NodeLogs;
  readonly retired: RetiredLogs;
  readonly errors: DiskErrors;
};

/** Indexes that nobody asked for in this time are read again when needed. */
const memoryReleaseIntervalMs = 300_000;
/** Logs that are new get a topic id that lasts, but not all of ten thousand at once: flushes that are due wait for them. */
const mostOwners = 100;
/** A directory that was full is not offered new logs for so long, unless the others are full too. */
const fullForMs = 5_000;

/** The periodic work on the logs of a node: durability, retention, checkpoints, directories tried. A disk that fails costs its own directory only. */
export class LogTasks {
  readonly #options: LogTasksOptions;
  readonly #intervals: LogManagerIntervals;
  /** When each periodic work was last done. */
  readonly #doneMs = new Map<string, number>();
  #isStopped = false;

  constructor(options: LogTasksOptions) {
    this.#options = options;
    this.#intervals = { ...defaultLogManagerIntervals, ...options.intervals };
    for (const work of Object.keys(defaultLogManagerIntervals)) this.#doneMs.set(work, options.nowMs);
  }

  /** The logs are being closed: a run under way goes no further. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Does what is due by now. Resolves when it is done; call it again only then. */
  async run(nowMs: number): Promise<void> {
    const { directories, logs, retired, errors } = this.#options;
    for (const directory of directories.fullSince(nowMs - fullForMs)) this.#tryToWrite(directory);
    errors.attempt(() => retired.removeDue(nowMs));
    for (const log of logs.all) errors.attempt(() => log.runTasks(nowMs));
    let owners = 0;
    for (const log of logs.all) {
      if (log.isClosed) continue;
      if (log.isFlushDue(nowMs)) await errors.attemptLater(log.flushLater());
      else if (log.hasUnflushedRolledSegments) await errors.attemptLater(log.flushRolledSegments());
      else if (log.lacksDurableOwner && owners++ < mostOwners) await errors.attemptLater(log.flushOwnerLater());
    }
    if (this.#isStopped) return;
    if (this.#isDue('logRetentionCheckIntervalMs', nowMs)) this.#applyRetention(nowMs);
    if (this.#isDue('producerIdExpirationCheckIntervalMs', nowMs))
      for (const log of logs.all) log.removeExpiredProducers(nowMs, logs.producerIdExpirationMs);
    if (this.#isDue('replicaHighWatermarkCheckpointIntervalMs', nowMs)) {
      this.#probeDirectories();
      this.checkpointHighWatermarks();
      this.checkpointFirstDirtyOffsets();
    }
    if (this.#isDue('logFlushOffsetCheckpointIntervalMs', nowMs))
      this.#forEachDirectory((directory, held) => directory.writeRecoveryPoints(held));
    if (this.#isDue('logFlushStartOffsetCheckpointIntervalMs', nowMs)) this.checkpointLogStartOffsets();
    if (this.#isDue('memoryRelease', nowMs, memoryReleaseIntervalMs)) for (const log of logs.all) log.releaseMemory();
  }

  #isDue(work: keyof LogManagerIntervals | 'memoryRelease', nowMs: number, intervalMs?: number): boolean {
    const interval = intervalMs ?? this.#intervals[work as keyof LogManagerIntervals];
    if (nowMs - (this.#doneMs.get(work) ?? 0) < interval) return false;
    this.#doneMs.set(work, nowMs);
    return true;
  }

  #tryToWrite(directory: LogDirectory): void {
    const { directories, logs, errors } = this.#options;
    errors.attempt(() => {
      directory.rewriteHighWatermarks(logs.allIn(directory));
      directories.markWritable(directory);
    });
  }

  /** An idle node would not notice that a directory is gone. */
  #probeDirectories(): void {
    const { directories, errors } = this.#options;
    for (const directory of [...directories.online]) errors.attempt(() => directory.requirePresent());
  }

  #applyRetention(nowMs: number): void {
    const { logs, errors } = this.#options;
    for (const log of logsOf(logs.current)) {
      if (log.isClosed) continue;
      errors.attempt(() => void log.deleteOldSegments({ highWatermark: log.highWatermark, nowMs }));
    }
  }

  checkpointHighWatermarks(): void {
    this.#forEachDirectory((directory, held) => directory.writeHighWatermarks(held));
  }

  checkpointLogStartOffsets(): void {
    this.#forEachDirectory((directory, held) => directory.writeLogStartOffsets(held));
  }

  checkpointFirstDirtyOffsets(): void {
    this.#forEachDirectory((directory, held) => directory.writeFirstDirtyOffsets(held));
  }

  #forEachDirectory(action: (directory: LogDirectory, held: readonly Log[]) => void): void {
    const { directories, logs, errors } = this.#options;
    for (const directory of [...directories.online]) errors.attempt(() => action(directory, logs.allIn(directory)));
  }
}
