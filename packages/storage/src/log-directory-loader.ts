import { nextTurn, type Runtime } from '@ottla/runtime';
import { Log } from './log.ts';
import { type LogDirectory, LogDirectoryError } from './log-directory.ts';
import { type LogToRecover, recoverOnThreads } from './log-recovery.ts';
import type { NodeLogs } from './node-logs.ts';
import { partitionDirectoryName } from './partition-directory.ts';
import type { RetiredLogs } from './retired-logs.ts';

export type LogDirectoryLoaderOptions = {
  readonly runtime: Pick<Runtime, 'files' | 'clock' | 'logger' | 'timers' | 'workers'>;
  readonly logs: NodeLogs;
  readonly retired: RetiredLogs;
  /** num.recovery.threads.per.data.dir */
  readonly recoveryThreads: number;
  readonly signal: AbortSignal | undefined;
};

/** The metadata log lives beside the others, but the quorum opens it. */
const clusterMetadataTopic = '__cluster_metadata';
/** Opening thousands of logs must not keep the loop from a signal, or from whoever shares the process. */
const openingSliceMs = 20;
const progressIntervalMs = 5_000;

/** Opens the logs that lie in a directory when a node starts. */
export class LogDirectoryLoader {
  readonly #options: LogDirectoryLoaderOptions;

  constructor(options: LogDirectoryLoaderOptions) {
    this.#options = options;
  }

  /**
   * Returns the directories of the logs that other threads have recovered; the others are recovered when they are opened. Rejects with
   * IoError, CorruptFileError.
   */
  async recover(directory: LogDirectory): Promise<ReadonlySet<string>> {
    const { runtime, logs: nodeLogs, recoveryThreads: threads, signal } = this.#options;
    if (directory.wasCleanShutdown || !runtime.workers) return new Set();
    const recoveryPoints = directory.readCheckpoint('recoveryPoint');
    const logStartOffsets = directory.readCheckpoint('logStart');
    const firstDirtyOffsets = directory.readFirstDirtyOffsets(runtime.logger);
    const logs: LogToRecover[] = [];
    for (const { topic, partition, fate, path } of directory.partitions()) {
      if (topic === clusterMetadataTopic || fate !== undefined) continue;
      const name = partitionDirectoryName(topic, partition);
      logs.push({
        ...{ directory: path, topic, partition, config: nodeLogs.configOf(topic) },
        recoveryPoint: recoveryPoints.get(name) ?? 0,
        firstDirtyOffset: firstDirtyOffsets.get(name),
        logStartOffset: logStartOffsets.get(name) ?? 0,
        producerIdExpirationMs: nodeLogs.producerIdExpirationMs,
      });
    }
    return recoverOnThreads(logs, { runtime, threads, signal });
  }

  /** Throws IoError, CorruptFileError, and LogDirectoryError when a log lies in another directory too. */
  async load(directory: LogDirectory, recovered: ReadonlySet<string>): Promise<void> {
    const { runtime, logs: nodeLogs, retired, signal } = this.#options;
    const recoveryPoints = directory.readCheckpoint('recoveryPoint');
    const logStartOffsets = directory.readCheckpoint('logStart');
    const highWatermarks = directory.readCheckpoint('replication');
    // Directories that a process made just before it died: their logs take their own names for durable.
    if (!directory.wasCleanShutdown) runtime.files.syncDirectory(directory.path);
    const firstDirtyOffsets = directory.readFirstDirtyOffsets(runtime.logger);
    const nowMs = runtime.clock.nowMs();
    const beganMs = runtime.clock.monotonicMs();
    const loadedBefore = nodeLogs.current.size;
    const partitions = directory.partitions();
    let sliceBeganMs = beganMs;
    let toldMs = beganMs;
    let isAnyLowered = false;
    for (const [index, { topic, partition, fate, path }] of partitions.entries()) {
      if (runtime.clock.monotonicMs() - sliceBeganMs >= openingSliceMs) {
        await nextTurn(runtime.timers);
        signal?.throwIfAborted();
        sliceBeganMs = runtime.clock.monotonicMs();
      }
      if (sliceBeganMs - toldMs >= progressIntervalMs) {
        runtime.logger.info('logs are being loaded', { directory: directory.path, done: index, of: partitions.length });
        toldMs = sliceBeganMs;
      }
      if (topic === clusterMetadataTopic) continue;
      if (fate === 'delete') retired.addDirectory(path, nowMs + nodeLogs.configOf(topic).fileDeleteDelayMs);
      if (fate === 'delete' || fate === 'stray') continue;
      const name = partitionDirectoryName(topic, partition);
      const loaded = fate === 'future' ? nodeLogs.futures : nodeLogs.current;
      const twin = loaded.get(name);
      if (twin)
        throw new LogDirectoryError(`${name} is both in ${twin.directory.path} and in ${directory.path}: remove the older one`);
      const log = Log.open({
        ...nodeLogs.optionsIn(directory),
        directory: path,
        topic,
        partition,
        config: nodeLogs.configOf(topic),
        cleanShutdown: directory.wasCleanShutdown,
        isRecovered: recovered.has(path),
        recoveryPoint: recoveryPoints.get(name) ?? 0,
        firstDirtyOffset: firstDirtyOffsets.get(name),
        logStartOffset: logStartOffsets.get(name) ?? 0,
      });
      if (log.recoveryPoint < (recoveryPoints.get(name) ?? 0)) isAnyLowered = true;
      log.onHighWatermark(Math.min(Math.max(highWatermarks.get(name) ?? 0, log.logStartOffset), log.logEndOffset));
      log.firstDirtyOffset = firstDirtyOffsets.get(name);
      loaded.set(name, { log, directory });
    }
    // What is written behind the end that recovery found must not pass for flushed after the next crash.
    if (isAnyLowered) directory.writeRecoveryPoints(nodeLogs.allIn(directory));
    const logs = nodeLogs.current.size - loadedBefore;
    if (logs === 0) return;
    const what = directory.wasCleanShutdown ? 'logs are loaded' : 'logs are recovered: the last stop was not clean';
    runtime.logger.info(what, { directory: directory.path, logs, ms: Math.round(runtime.clock.monotonicMs() - beganMs) });
  }
}
