import { KafkaError, type Uuid } from '@ottla/protocol';
import type { Runtime } from '@ottla/runtime';
import { Log } from './log.ts';
import { defaultLogConfig, type LogConfig } from './log-config.ts';
import { LogDirectory, LogDirectoryError } from './log-directory.ts';
import { type LogToRecover, recoverOnThreads } from './log-recovery.ts';
import { type DirectoryFate, fatedDirectoryName, partitionDirectoryName } from './partition-directory.ts';
import { ReadBuffers } from './read-buffers.ts';
import { RetiredFiles } from './retired-files.ts';
import { TailCache } from './tail-cache.ts';

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

export type LogManagerOptions = {
  /** log.dirs: formatted, and none twice. */
  readonly directories: readonly string[];
  readonly clusterId: string;
  readonly nodeId: number;
  readonly runtime: Pick<Runtime, 'files' | 'clock' | 'random' | 'logger' | 'timers' | 'workers'>;
  /** What a topic's logs begin with; `updateConfig` changes it later. */
  readonly configOf?: (topic: string) => LogConfig;
  readonly producerIdExpirationMs?: number;
  /** num.recovery.threads.per.data.dir. Default 1. */
  readonly recoveryThreadsPerDirectory?: number;
  readonly intervals?: Partial<LogManagerIntervals>;
  /** What the ends of all logs together may take of memory, for those who read there. Default 64 MiB; below 256 KiB nothing is kept. */
  readonly tailCacheBytes?: number;
  /** Told to stop while it opens: it lets go of the directories, which then count as not stopped in order. */
  readonly signal?: AbortSignal;
};

export type CreateOptions = {
  readonly topicId?: Uuid;
  readonly config?: LogConfig;
  /** Id of the directory it has to be in. Default: the one with the fewest partitions. */
  readonly directoryId?: Uuid;
};

export type DirectoryDescription = {
  readonly path: string;
  readonly id: Uuid;
  readonly totalBytes: number;
  readonly usableBytes: number;
  readonly logs: readonly Log[];
};

/** The metadata log lives beside the others, but the quorum opens it. */
const clusterMetadataTopic = '__cluster_metadata';
/** Indexes that nobody asked for in this time are read again when needed. */
const memoryReleaseIntervalMs = 300_000;
/** Opening thousands of logs must not keep the loop from a signal, or from whoever shares the process. */
const openingSliceMs = 20;
const progressIntervalMs = 5_000;
const defaultTailCacheBytes = 64 * 1024 * 1024;

/**
 * All logs of a node. Opening it locks the directories and loads every partition; `runTasks`, called about every second by
 * whoever owns the node, does what is due; `close` leaves everything as a clean start expects it.
 */
export class LogManager {
  /** producer.id.expiration.ms: may change while running. Default one day. */
  producerIdExpirationMs: number | undefined;
  readonly #options: LogManagerOptions;
  readonly #directories: readonly LogDirectory[];
  readonly #logs = new Map<string, { log: Log; directory: LogDirectory }>();
  readonly #retired: RetiredFiles;
  /** Since the last sync. */
  readonly #renamedIn = new Set<LogDirectory>();
  readonly #intervals: LogManagerIntervals;
  readonly #buffers = new ReadBuffers();
  readonly #tails: TailCache;
  /** When each periodic work was last done. */
  readonly #doneMs = new Map<string, number>();
  #isClosed = false;

  /**
   * Loads the logs in short slices. Rejects with IoError, CorruptFileError, an Error that says which directory is not this node's, or
   * the reason of `signal`. Nothing stays locked then.
   */
  static async open(options: LogManagerOptions): Promise<LogManager> {
    const opened: LogDirectory[] = [];
    try {
      for (const path of options.directories) opened.push(LogDirectory.open(path, options, options.runtime));
      const ids = new Set(opened.map((directory) => directory.id));
      if (ids.size !== opened.length)
        throw new LogDirectoryError(`two of ${options.directories.join(', ')} have the same directory.id`);
      const manager = new LogManager(options, opened);
      const recovered = await Promise.all(opened.map((directory) => manager.#recover(directory)));
      for (const [index, directory] of opened.entries()) await manager.#load(directory, recovered[index]!);
      return manager;
    } catch (error) {
      for (const directory of opened) directory.release();
      throw error;
    }
  }

  private constructor(options: LogManagerOptions, directories: readonly LogDirectory[]) {
    this.producerIdExpirationMs = options.producerIdExpirationMs;
    this.#options = options;
    this.#directories = directories;
    this.#retired = new RetiredFiles(options.runtime.files);
    this.#tails = new TailCache({ maxBytes: options.tailCacheBytes ?? defaultTailCacheBytes });
    this.#intervals = { ...defaultLogManagerIntervals, ...options.intervals };
    const nowMs = options.runtime.clock.nowMs();
    for (const work of Object.keys(defaultLogManagerIntervals)) this.#doneMs.set(work, nowMs);
  }

  /** Of the orderly stop before this start, as told by every directory; -1 when there was none. */
  get lastBrokerEpoch(): number {
    const epochs = new Set(this.#directories.map((directory) => directory.cleanShutdownBrokerEpoch ?? -1));
    return epochs.size === 1 ? [...epochs][0]! : -1;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The stop before this start was orderly, in every directory. */
  get wasCleanShutdown(): boolean {
    return this.#directories.every((directory) => directory.wasCleanShutdown);
  }

  get directoryIds(): Uuid[] {
    return this.#directories.map((directory) => directory.id);
  }

  get logs(): Log[] {
    return Array.from(this.#logs.values(), ({ log }) => log);
  }

  get(topic: string, partition: number): Log | undefined {
    return this.#logs.get(partitionDirectoryName(topic, partition))?.log;
  }

  directoryIdOf(topic: string, partition: number): Uuid | undefined {
    return this.#logs.get(partitionDirectoryName(topic, partition))?.directory.id;
  }

  /** The log that exists, or a new one. Throws INCONSISTENT_TOPIC_ID, LOG_DIR_NOT_FOUND, IoError. */
  create(topic: string, partition: number, { topicId, config, directoryId }: CreateOptions = {}): Log {
    const existing = this.get(topic, partition);
    if (existing) {
      if (topicId !== undefined && existing.topicId !== undefined && topicId !== existing.topicId) {
        throw new KafkaError(
          'INCONSISTENT_TOPIC_ID',
          `${existing.name} is here with topic id ${existing.topicId}, not ${topicId}`,
        );
      }
      if (topicId !== undefined && existing.topicId === undefined) existing.assignTopicId(topicId);
      return existing;
    }
    const directory = this.#placeFor(directoryId);
    const log = Log.open({
      directory: `${directory.path}/${partitionDirectoryName(topic, partition)}`,
      topic,
      partition,
      topicId,
      runtime: this.#options.runtime,
      config: config ?? this.#configOf(topic),
      cleanShutdown: true,
      producerIdExpirationMs: this.producerIdExpirationMs,
      buffers: this.#buffers,
      tails: this.#tails,
      onRecoveryPointLowered: () => directory.writeRecoveryPoints(this.#logsIn(directory)),
    });
    log.onHighWatermark(log.logStartOffset);
    this.#logs.set(log.name, { log, directory });
    return log;
  }

  #placeFor(directoryId: Uuid | undefined): LogDirectory {
    if (directoryId !== undefined) {
      const wanted = this.#directories.find((directory) => directory.id === directoryId);
      if (!wanted) throw new KafkaError('LOG_DIR_NOT_FOUND', `no log directory of this node has the id ${directoryId}`);
      return wanted;
    }
    if (this.#directories.length === 1) return this.#directories[0]!;
    const counts = new Map(this.#directories.map((directory) => [directory, 0]));
    for (const { directory } of this.#logs.values()) counts.set(directory, counts.get(directory)! + 1);
    return this.#directories.reduce((best, directory) => (counts.get(directory)! < counts.get(best)! ? directory : best));
  }

  /** All logs of the topic follow it from now on. */
  updateConfig(topic: string, config: LogConfig): void {
    for (const { log } of this.#logs.values()) if (log.topic === topic) log.updateConfig(config);
  }

  /**
   * Gives the log up; its files go after file.delete.delay.ms. False when there is none. Who deletes many waits for the disk once:
   * `durably: false` for each, and `syncDirectories` in the end.
   */
  delete(topic: string, partition: number, { durably = true } = {}): boolean {
    const found = this.#detach(topic, partition, 'delete');
    if (!found) return false;
    if (durably) this.syncDirectories();
    this.#retired.addDirectory(found.path, this.#options.runtime.clock.nowMs() + found.log.config.fileDeleteDelayMs);
    return true;
  }

  /** A replica that the metadata does not give to this node: out of use, but kept for an operator to look at. */
  markStray(topic: string, partition: number, { durably = true } = {}): boolean {
    const found = this.#detach(topic, partition, 'stray') !== undefined;
    if (found && durably) this.syncDirectories();
    return found;
  }

  /** Makes the new names of logs that were deleted or set aside outlive a crash. */
  syncDirectories(): void {
    for (const { path } of this.#renamedIn) this.#options.runtime.files.syncDirectory(path);
    this.#renamedIn.clear();
  }

  #detach(topic: string, partition: number, fate: DirectoryFate): { log: Log; path: string } | undefined {
    const name = partitionDirectoryName(topic, partition);
    const found = this.#logs.get(name);
    if (!found) return undefined;
    const { log, directory } = found;
    const { files, random, logger } = this.#options.runtime;
    this.#logs.delete(name);
    log.abandon();
    const path = `${directory.path}/${fatedDirectoryName(topic, partition, fate, random)}`;
    files.rename(log.directory, path);
    this.#renamedIn.add(directory);
    logger.info('a log is taken out of use', { partition: name, directory: path });
    return { log, path };
  }

  describeDirs(): DirectoryDescription[] {
    return this.#directories.map((directory) => ({
      path: directory.path,
      id: directory.id,
      ...this.#options.runtime.files.space(directory.path),
      logs: this.#logsIn(directory),
    }));
  }

  /** Does what is due by now. Resolves when it is done; call it again only then. Throws IoError. */
  async runTasks(nowMs: number): Promise<void> {
    this.#retired.removeDue(nowMs);
    for (const log of this.logs) log.runTasks(nowMs);
    for (const log of this.logs) {
      if (log.isClosed) continue;
      if (log.isFlushDue(nowMs)) await log.flushLater();
      else if (log.hasUnflushedRolledSegments) await log.flushRolledSegments();
    }
    if (this.#isClosed) return;
    if (this.#isDue('logRetentionCheckIntervalMs', nowMs)) this.#applyRetention(nowMs);
    if (this.#isDue('producerIdExpirationCheckIntervalMs', nowMs))
      for (const log of this.logs) log.removeExpiredProducers(nowMs, this.producerIdExpirationMs);
    if (this.#isDue('replicaHighWatermarkCheckpointIntervalMs', nowMs)) {
      this.checkpointHighWatermarks();
      this.checkpointFirstDirtyOffsets();
    }
    if (this.#isDue('logFlushOffsetCheckpointIntervalMs', nowMs))
      this.#forEachDirectory((directory, logs) => directory.writeRecoveryPoints(logs));
    if (this.#isDue('logFlushStartOffsetCheckpointIntervalMs', nowMs)) this.checkpointLogStartOffsets();
    if (this.#isDue('memoryRelease', nowMs, memoryReleaseIntervalMs)) for (const log of this.logs) log.releaseMemory();
  }

  /** Also when leadership changes, so that a restart does not fall behind what was acknowledged. */
  checkpointHighWatermarks(): void {
    this.#forEachDirectory((directory, logs) => directory.writeHighWatermarks(logs));
  }

  /** Also after DeleteRecords was answered: what is deleted stays deleted. */
  checkpointLogStartOffsets(): void {
    this.#forEachDirectory((directory, logs) => directory.writeLogStartOffsets(logs));
  }

  /** Also after a cleaning. Without it the next start would do the work again. */
  checkpointFirstDirtyOffsets(): void {
    this.#forEachDirectory((directory, logs) => directory.writeFirstDirtyOffsets(logs));
  }

  #applyRetention(nowMs: number): void {
    for (const log of this.logs) log.deleteOldSegments({ highWatermark: log.highWatermark, nowMs });
  }

  /** Closes every log, writes the checkpoints, and marks the stop as clean. A log that fails leaves its directory unmarked. */
  close({ brokerEpoch = -1 }: { brokerEpoch?: number } = {}): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const failures: unknown[] = [];
    this.#forEachDirectory((directory, logs) => {
      try {
        for (const log of logs) log.close();
        directory.writeRecoveryPoints(logs);
        directory.writeLogStartOffsets(logs);
        directory.writeHighWatermarks(logs);
        directory.writeFirstDirtyOffsets(logs);
        directory.markCleanShutdown(brokerEpoch);
      } catch (error) {
        failures.push(error);
      } finally {
        directory.release();
      }
    });
    if (failures.length > 0)
      throw failures.length === 1 ? failures[0] : new AggregateError(failures, 'log directories did not close cleanly');
  }

  /** Returns the directories of the logs that other threads have recovered; the others are recovered when they are opened. */
  async #recover(directory: LogDirectory): Promise<ReadonlySet<string>> {
    const { runtime, recoveryThreadsPerDirectory: threads = 1, signal } = this.#options;
    if (directory.wasCleanShutdown || !runtime.workers) return new Set();
    const recoveryPoints = directory.readCheckpoint('recoveryPoint');
    const logStartOffsets = directory.readCheckpoint('logStart');
    const logs: LogToRecover[] = [];
    for (const { topic, partition, fate, path } of directory.partitions()) {
      if (topic === clusterMetadataTopic || fate !== undefined) continue;
      const name = partitionDirectoryName(topic, partition);
      logs.push({
        ...{ directory: path, topic, partition, config: this.#configOf(topic) },
        recoveryPoint: recoveryPoints.get(name) ?? 0,
        logStartOffset: logStartOffsets.get(name) ?? 0,
        producerIdExpirationMs: this.producerIdExpirationMs,
      });
    }
    return recoverOnThreads(logs, { runtime, threads, signal });
  }

  async #load(directory: LogDirectory, recovered: ReadonlySet<string>): Promise<void> {
    const recoveryPoints = directory.readCheckpoint('recoveryPoint');
    const logStartOffsets = directory.readCheckpoint('logStart');
    const highWatermarks = directory.readCheckpoint('replication');
    const { runtime } = this.#options;
    // Directories that a process made just before it died: their logs take their own names for durable.
    if (!directory.wasCleanShutdown) runtime.files.syncDirectory(directory.path);
    const firstDirtyOffsets = directory.readFirstDirtyOffsets(runtime.logger);
    const nowMs = runtime.clock.nowMs();
    const beganMs = runtime.clock.monotonicMs();
    const loadedBefore = this.#logs.size;
    const partitions = directory.partitions();
    let sliceBeganMs = beganMs;
    let toldMs = beganMs;
    let isAnyLowered = false;
    for (const [index, { topic, partition, fate, path }] of partitions.entries()) {
      if (runtime.clock.monotonicMs() - sliceBeganMs >= openingSliceMs) {
        await new Promise<void>((resolve) => runtime.timers.soon(resolve));
        this.#options.signal?.throwIfAborted();
        sliceBeganMs = runtime.clock.monotonicMs();
      }
      if (sliceBeganMs - toldMs >= progressIntervalMs) {
        runtime.logger.info('logs are being loaded', { directory: directory.path, done: index, of: partitions.length });
        toldMs = sliceBeganMs;
      }
      if (topic === clusterMetadataTopic) continue;
      if (fate === 'delete') this.#retired.addDirectory(path, nowMs + this.#configOf(topic).fileDeleteDelayMs);
      if (fate !== undefined) continue;
      const name = partitionDirectoryName(topic, partition);
      const twin = this.#logs.get(name);
      if (twin)
        throw new LogDirectoryError(`${name} is both in ${twin.directory.path} and in ${directory.path}: remove the older one`);
      const log = Log.open({
        buffers: this.#buffers,
        tails: this.#tails,
        directory: path,
        topic,
        partition,
        runtime,
        config: this.#configOf(topic),
        cleanShutdown: directory.wasCleanShutdown,
        isRecovered: recovered.has(path),
        recoveryPoint: recoveryPoints.get(name) ?? 0,
        logStartOffset: logStartOffsets.get(name) ?? 0,
        producerIdExpirationMs: this.producerIdExpirationMs,
        onRecoveryPointLowered: () => directory.writeRecoveryPoints(this.#logsIn(directory)),
      });
      if (log.recoveryPoint < (recoveryPoints.get(name) ?? 0)) isAnyLowered = true;
      log.onHighWatermark(Math.min(Math.max(highWatermarks.get(name) ?? 0, log.logStartOffset), log.logEndOffset));
      log.firstDirtyOffset = firstDirtyOffsets.get(name);
      this.#logs.set(name, { log, directory });
    }
    // What is written behind the end that recovery found must not pass for flushed after the next crash.
    if (isAnyLowered) directory.writeRecoveryPoints(this.#logsIn(directory));
    const logs = this.#logs.size - loadedBefore;
    if (logs === 0) return;
    const what = directory.wasCleanShutdown ? 'logs are loaded' : 'logs are recovered: the last stop was not clean';
    runtime.logger.info(what, { directory: directory.path, logs, ms: Math.round(runtime.clock.monotonicMs() - beganMs) });
  }

  #configOf(topic: string): LogConfig {
    return this.#options.configOf?.(topic) ?? defaultLogConfig;
  }

  #logsIn(wanted: LogDirectory): Log[] {
    const logs: Log[] = [];
    for (const { log, directory } of this.#logs.values()) if (directory === wanted) logs.push(log);
    return logs;
  }

  #forEachDirectory(action: (directory: LogDirectory, logs: readonly Log[]) => void): void {
    for (const directory of this.#directories) action(directory, this.#logsIn(directory));
  }

  #isDue(work: keyof LogManagerIntervals | 'memoryRelease', nowMs: number, intervalMs?: number): boolean {
    const interval = intervalMs ?? this.#intervals[work as keyof LogManagerIntervals];
    if (nowMs - (this.#doneMs.get(work) ?? 0) < interval) return false;
    this.#doneMs.set(work, nowMs);
    return true;
  }
}
