import { KafkaError, type Uuid } from '@ottla/protocol';
import { IoError, type Runtime } from '@ottla/runtime';
import { diskFaultOf } from './disk-fault.ts';
import { Log, type LogOptions } from './log.ts';
import { defaultLogConfig, type LogConfig } from './log-config.ts';
import { isDirectorysFault, LogDirectories } from './log-directories.ts';
import { type LogDirectory, LogDirectoryError } from './log-directory.ts';
import { type LogToRecover, recoverOnThreads } from './log-recovery.ts';
import { fatedDirectoryName, partitionDirectoryName } from './partition-directory.ts';
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
  readonly signal?: AbortSignal | undefined;
};

export type CreateOptions = {
  readonly topicId?: Uuid;
  readonly config?: LogConfig;
  /** Id of the directory where the metadata has it. Default: nobody has said yet. */
  readonly directoryId?: Uuid;
  /** It may have been here before, in a directory that is offline now. Default false. */
  readonly mayExist?: boolean;
};

export type DirectoryDescription = {
  readonly path: string;
  /** Undefined: it is offline. */
  readonly online:
    | {
        readonly id: Uuid;
        readonly totalBytes: number;
        readonly usableBytes: number;
        readonly logs: readonly Log[];
        /** Copies on their way here. */
        readonly futureLogs: readonly Log[];
      }
    | undefined;
  readonly isCordoned: boolean;
};

/** A directory went offline, and with it these logs, which are closed. */
export type DirectoryFailure = {
  readonly path: string;
  readonly id: Uuid;
  readonly error: unknown;
  readonly logs: readonly Log[];
  readonly futureLogs: readonly Log[];
};

type PlacedLog = { readonly log: Log; readonly directory: LogDirectory };

/** The metadata log lives beside the others, but the quorum opens it. */
const clusterMetadataTopic = '__cluster_metadata';
/** Indexes that nobody asked for in this time are read again when needed. */
const memoryReleaseIntervalMs = 300_000;
/** Opening thousands of logs must not keep the loop from a signal, or from whoever shares the process. */
const openingSliceMs = 20;
const progressIntervalMs = 5_000;
const defaultTailCacheBytes = 64 * 1024 * 1024;
/** A directory that was full is not offered new logs for so long, unless the others are full too. */
const fullForMs = 5_000;

/**
 * All logs of a node. Opening it locks the directories and loads every partition; `runTasks`, called about every second by
 * whoever owns the node, does what is due; `close` leaves everything as a clean start expects it.
 */
export class LogManager {
  /** producer.id.expiration.ms: may change while running. Default one day. */
  producerIdExpirationMs: number | undefined;
  /** Told when a directory has gone offline. */
  onDirectoryFailed: (failure: DirectoryFailure) => void = () => {};
  readonly #options: LogManagerOptions;
  readonly #directories: LogDirectories;
  readonly #logs = new Map<string, PlacedLog>();
  /** Copies on their way to another directory, by the name of the partition. */
  readonly #futures = new Map<string, PlacedLog>();
  /** Where an operator wants logs that do not exist yet. */
  readonly #preferred = new Map<string, LogDirectory>();
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
   * Loads the logs in short slices. A directory whose disk fails stays offline, unless it is the last. Rejects with its IoError or
   * CorruptFileError then, with an Error that says which directory is not this node's, or with the reason of `signal`. Nothing stays
   * locked then.
   */
  static async open(options: LogManagerOptions): Promise<LogManager> {
    const manager = new LogManager(options, LogDirectories.open(options));
    try {
      const online = [...manager.#directories.online];
      const recovered = await Promise.all(online.map((directory) => manager.#recoverWhatCanBe(directory)));
      for (const [index, directory] of online.entries()) await manager.#loadOrFail(directory, recovered[index]!);
      return manager;
    } catch (error) {
      for (const log of manager.#allLogs) log.abandon();
      manager.#directories.release();
      throw error;
    }
  }

  private constructor(options: LogManagerOptions, directories: LogDirectories) {
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
    const epochs = new Set(this.#directories.online.map((directory) => directory.cleanShutdownBrokerEpoch ?? -1));
    return epochs.size === 1 ? [...epochs][0]! : -1;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The stop before this start was orderly, in every directory. */
  get wasCleanShutdown(): boolean {
    return this.#directories.online.every((directory) => directory.wasCleanShutdown);
  }

  /** Of those that are online. */
  get directoryIds(): Uuid[] {
    return this.#directories.online.map((directory) => directory.id);
  }

  get hasOfflineDirectories(): boolean {
    return this.#directories.hasOffline;
  }

  /** cordoned.log.dirs (KIP-1066): paths of directories that take no new logs, or `*`. */
  cordon(paths: readonly string[]): void {
    this.#directories.cordon(paths);
  }

  get cordonedDirectoryIds(): Uuid[] {
    return this.#directories.online.filter(({ path }) => this.#directories.isCordoned(path)).map(({ id }) => id);
  }

  get logs(): Log[] {
    return Array.from(this.#logs.values(), ({ log }) => log);
  }

  get(topic: string, partition: number): Log | undefined {
    return this.#logs.get(partitionDirectoryName(topic, partition))?.log;
  }

  /** Copies that are to take the place of their logs once they have caught up. */
  get futures(): Log[] {
    return Array.from(this.#futures.values(), ({ log }) => log);
  }

  getFuture(topic: string, partition: number): Log | undefined {
    return this.#futures.get(partitionDirectoryName(topic, partition))?.log;
  }

  directoryIdOf(topic: string, partition: number): Uuid | undefined {
    return this.#logs.get(partitionDirectoryName(topic, partition))?.directory.id;
  }

  futureDirectoryIdOf(topic: string, partition: number): Uuid | undefined {
    return this.#futures.get(partitionDirectoryName(topic, partition))?.directory.id;
  }

  /** Throws LOG_DIR_NOT_FOUND, KAFKA_STORAGE_ERROR when it is offline, INVALID_REPLICA_ASSIGNMENT when it is cordoned. */
  directoryForMove(path: string): Uuid {
    const { id } = this.#directories.byPath(path);
    if (this.#directories.isCordoned(path))
      throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', `Log directory ${path} is cordoned`);
    return id;
  }

  /** Where the log goes if it comes to be; forgotten when it is there. */
  prefer(topic: string, partition: number, directoryId: Uuid): void {
    const directory = this.#directories.byId(directoryId);
    if (directory) this.#preferred.set(partitionDirectoryName(topic, partition), directory);
  }

  /**
   * The log that exists, or a new one. Throws INCONSISTENT_TOPIC_ID, KAFKA_STORAGE_ERROR when it may lie in a directory that is offline,
   * IoError when no directory takes it.
   */
  create(topic: string, partition: number, options: CreateOptions = {}): Log {
    const { topicId, config } = options;
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
    const name = partitionDirectoryName(topic, partition);
    const { log, directory } = this.#openInFirst(this.#placesFor(name, options), (place) => ({
      ...this.#sharedBy(place),
      directory: `${place.path}/${name}`,
      topic,
      partition,
      topicId,
      config: config ?? this.#configOf(topic),
      cleanShutdown: true,
    }));
    log.onHighWatermark(log.logStartOffset);
    this.#logs.set(log.name, { log, directory });
    this.#preferred.delete(name);
    return log;
  }

  /** Never empty. */
  #placesFor(name: string, { directoryId, mayExist = false }: CreateOptions): readonly LogDirectory[] {
    const preferred = this.#preferred.get(name);
    if (preferred && this.#directories.online.includes(preferred)) return [preferred];
    const assigned = directoryId === undefined ? undefined : this.#directories.byId(directoryId);
    if (assigned) return [assigned];
    if (this.#directories.hasOffline && (mayExist || directoryId !== undefined)) {
      throw new KafkaError('KAFKA_STORAGE_ERROR', `${name} may lie in a log directory that is offline: it is not begun anew`);
    }
    return this.#directories.forNewLogs((directory) => this.#logsIn(directory).length);
  }

  /** A disk that fails, or is full, gives way to the next. */
  #openInFirst(directories: readonly LogDirectory[], optionsIn: (directory: LogDirectory) => LogOptions): PlacedLog {
    let failure: unknown;
    for (const directory of directories) {
      const options = optionsIn(directory);
      try {
        return { log: Log.open(options), directory };
      } catch (error) {
        if (!(error instanceof IoError)) throw error;
        failure ??= error;
        this.#removeHalfMade(options.directory);
        this.onDiskError(error);
      }
    }
    throw failure ?? new KafkaError('KAFKA_STORAGE_ERROR', 'all log directories are offline');
  }

  #removeHalfMade(path: string): void {
    try {
      this.#options.runtime.files.removeDirectory(path);
    } catch {
      // It holds nothing, and the next start makes what it needs of it.
    }
  }

  /** Begins a copy of a log in another directory, empty. Throws KAFKA_STORAGE_ERROR while any directory is offline, IoError. */
  createFuture(topic: string, partition: number, directoryId: Uuid): Log {
    const name = partitionDirectoryName(topic, partition);
    const current = this.#logs.get(name)!.log;
    // It may have a future log in there already.
    if (this.#directories.hasOffline)
      throw new KafkaError('KAFKA_STORAGE_ERROR', `${name} cannot be moved while a log directory is offline`);
    const placed = this.#openInFirst([this.#directories.byId(directoryId)!], (place) => ({
      ...this.#sharedBy(place),
      directory: `${place.path}/${fatedDirectoryName(topic, partition, 'future', this.#options.runtime.random)}`,
      topic,
      partition,
      topicId: current.topicId,
      config: current.config,
      cleanShutdown: true,
    }));
    placed.log.onHighWatermark(0);
    this.#futures.set(name, placed);
    return placed.log;
  }

  /** Gives a copy up. False when there is none. */
  removeFuture(topic: string, partition: number): boolean {
    const found = this.#futures.get(partitionDirectoryName(topic, partition));
    if (!found) return false;
    this.#futures.delete(found.log.name);
    this.#retire(found, 'delete');
    return true;
  }

  /**
   * Puts the copy, which must have all that its log has, in the place of the log. Each step outlives a crash: until the old log is renamed
   * away it is the one, and once it is, the metadata names the directory of the copy. Throws IoError, and the log stays in use then.
   */
  promoteFuture(topic: string, partition: number): Log {
    const name = partitionDirectoryName(topic, partition);
    const future = this.#futures.get(name)!;
    const current = this.#logs.get(name);
    const retiredPath = current && this.#fatedPath(current, 'delete');
    const undo: (() => void)[] = [];
    let log: Log;
    try {
      future.log.close();
      if (current) this.#renameDurably(current.directory, { from: current.log.directory, to: retiredPath! }, undo);
      const directory = `${future.directory.path}/${name}`;
      this.#renameDurably(future.directory, { from: future.log.directory, to: directory }, undo);
      log = this.#reopened(future.log, future.directory, { directory, isWhole: true });
    } catch (error) {
      abandonQuietly(future.log);
      this.#undoPromotion(name, undo);
      this.#reopenFuture(future);
      throw error;
    }
    this.#futures.delete(name);
    this.#logs.set(name, { log, directory: future.directory });
    if (current) {
      current.log.abandon();
      this.#onRetired(current.log, retiredPath!, 'delete');
      log.firstDirtyOffset = current.log.firstDirtyOffset;
      log.onHighWatermark(Math.min(current.log.highWatermark, log.logEndOffset));
    }
    this.#attempt(() => future.directory.writeLogStartOffsets(this.#logsIn(future.directory)));
    return log;
  }

  /** Adds to `undo` how to go back. */
  #renameDurably(directory: LogDirectory, { from, to }: { from: string; to: string }, undo: (() => void)[]): void {
    const { files } = this.#options.runtime;
    files.rename(from, to);
    undo.push(() => files.rename(to, from));
    files.syncDirectory(directory.path);
  }

  #undoPromotion(name: string, undo: readonly (() => void)[]): void {
    try {
      for (const step of undo.toReversed()) step();
    } catch (error) {
      const current = this.#logs.get(name);
      this.#logs.delete(name);
      if (current) abandonQuietly(current.log);
      this.#options.runtime.logger.error('a log that was being moved is unavailable until the next start', {
        partition: name,
        error,
      });
    }
  }

  #reopenFuture({ log, directory }: PlacedLog): void {
    this.#futures.delete(log.name);
    try {
      this.#futures.set(log.name, {
        log: this.#reopened(log, directory, { directory: log.directory, isWhole: false }),
        directory,
      });
    } catch (error) {
      this.#options.runtime.logger.warn('a copy cannot be continued before the next start', { partition: log.name, error });
    }
  }

  #reopened(closed: Log, place: LogDirectory, { directory, isWhole }: { directory: string; isWhole: boolean }): Log {
    const { topic, partition, topicId, config, logStartOffset, recoveryPoint, highWatermark } = closed;
    const log = Log.open({
      ...this.#sharedBy(place),
      directory,
      topic,
      partition,
      topicId,
      config,
      cleanShutdown: isWhole,
      logStartOffset,
      recoveryPoint,
    });
    log.onHighWatermark(Math.min(Math.max(highWatermark, log.logStartOffset), log.logEndOffset));
    return log;
  }

  /** All logs of the topic follow it from now on. */
  updateConfig(topic: string, config: LogConfig): void {
    for (const log of this.#allLogs) if (log.topic === topic) log.updateConfig(config);
  }

  /**
   * Gives the log up, and a copy on its way elsewhere; the files go after file.delete.delay.ms. False when there is none. Who deletes
   * many waits for the disk once: `durably: false` for each, and `syncDirectories` in the end.
   */
  delete(topic: string, partition: number, { durably = true } = {}): boolean {
    const name = partitionDirectoryName(topic, partition);
    this.#preferred.delete(name);
    this.removeFuture(topic, partition);
    const found = this.#logs.get(name);
    if (!found) return false;
    this.#logs.delete(name);
    this.#retire(found, 'delete');
    if (durably) this.syncDirectories();
    return true;
  }

  /** A replica that the metadata does not give to this node: out of use, but kept for an operator to look at. */
  markStray(topic: string, partition: number, { durably = true } = {}): boolean {
    const name = partitionDirectoryName(topic, partition);
    this.removeFuture(topic, partition);
    const found = this.#logs.get(name);
    if (!found) return false;
    this.#logs.delete(name);
    this.#retire(found, 'stray');
    if (durably) this.syncDirectories();
    return true;
  }

  /** Makes the new names of logs that were deleted or set aside outlive a crash. */
  syncDirectories(): void {
    for (const { path } of this.#renamedIn) this.#options.runtime.files.syncDirectory(path);
    this.#renamedIn.clear();
  }

  /** The caller has taken it off the list of those in use. */
  #retire({ log, directory }: PlacedLog, fate: 'delete' | 'stray'): void {
    log.abandon();
    const path = this.#fatedPath({ log, directory }, fate);
    this.#options.runtime.files.rename(log.directory, path);
    this.#renamedIn.add(directory);
    this.#onRetired(log, path, fate);
  }

  #onRetired(log: Log, path: string, fate: 'delete' | 'stray'): void {
    const { logger, clock } = this.#options.runtime;
    logger.info('a log is taken out of use', { partition: log.name, directory: path });
    if (fate === 'delete') this.#retired.addDirectory(path, clock.nowMs() + log.config.fileDeleteDelayMs);
  }

  #fatedPath({ log, directory }: PlacedLog, fate: 'delete' | 'stray'): string {
    return `${directory.path}/${fatedDirectoryName(log.topic, log.partition, fate, this.#options.runtime.random)}`;
  }

  describeDirs(): DirectoryDescription[] {
    return this.#directories.paths.map((path) => ({
      path,
      online: this.#describeOnline(path),
      isCordoned: this.#directories.isCordoned(path),
    }));
  }

  #describeOnline(path: string): DirectoryDescription['online'] {
    const directory = this.#directories.online.find((each) => each.path === path);
    if (!directory) return undefined;
    try {
      return {
        id: directory.id,
        ...this.#options.runtime.files.space(path),
        logs: placedIn(this.#logs, directory),
        futureLogs: placedIn(this.#futures, directory),
      };
    } catch (error) {
      this.onDiskError(error);
      return undefined;
    }
  }

  /**
   * Whoever meets an error of the disk tells it here: a directory that failed goes offline with all its logs, one that is full stays.
   * Returns false when it is no error of a log directory's disk.
   */
  onDiskError(error: unknown): boolean {
    if (!(error instanceof IoError)) return false;
    const fault = diskFaultOf(error);
    const directory = this.#directories.around(error.path);
    if (!directory) return false;
    if (fault === 'full') this.#directories.markFull(directory, error);
    if (fault === 'failed') this.#failDirectory(directory, error);
    return true;
  }

  #failDirectory(directory: LogDirectory, error: unknown): void {
    const logs = placedIn(this.#logs, directory);
    const futureLogs = placedIn(this.#futures, directory);
    for (const log of logs) this.#logs.delete(log.name);
    for (const log of futureLogs) this.#futures.delete(log.name);
    for (const log of [...logs, ...futureLogs]) abandonQuietly(log);
    this.#renamedIn.delete(directory);
    this.#retired.forget(directory.path);
    this.#directories.fail(directory, error);
    this.onDirectoryFailed({ path: directory.path, id: directory.id, error, logs, futureLogs });
  }

  /** Does what is due by now. Resolves when it is done; call it again only then. A disk that fails costs its own directory only. */
  async runTasks(nowMs: number): Promise<void> {
    for (const directory of this.#directories.fullSince(nowMs - fullForMs)) this.#tryToWrite(directory);
    this.#attempt(() => this.#retired.removeDue(nowMs));
    for (const log of this.#allLogs) this.#attempt(() => log.runTasks(nowMs));
    for (const log of this.#allLogs) {
      if (log.isClosed) continue;
      if (log.isFlushDue(nowMs)) await this.#attemptLater(log.flushLater());
      else if (log.hasUnflushedRolledSegments) await this.#attemptLater(log.flushRolledSegments());
    }
    if (this.#isClosed) return;
    if (this.#isDue('logRetentionCheckIntervalMs', nowMs)) this.#applyRetention(nowMs);
    if (this.#isDue('producerIdExpirationCheckIntervalMs', nowMs))
      for (const log of this.#allLogs) log.removeExpiredProducers(nowMs, this.producerIdExpirationMs);
    if (this.#isDue('replicaHighWatermarkCheckpointIntervalMs', nowMs)) {
      this.#probeDirectories();
      this.checkpointHighWatermarks();
      this.checkpointFirstDirtyOffsets();
    }
    if (this.#isDue('logFlushOffsetCheckpointIntervalMs', nowMs))
      this.#forEachDirectory((directory, logs) => directory.writeRecoveryPoints(logs));
    if (this.#isDue('logFlushStartOffsetCheckpointIntervalMs', nowMs)) this.checkpointLogStartOffsets();
    if (this.#isDue('memoryRelease', nowMs, memoryReleaseIntervalMs)) for (const log of this.#allLogs) log.releaseMemory();
  }

  /** An idle node would not notice that a directory is gone. */
  #probeDirectories(): void {
    for (const directory of [...this.#directories.online]) this.#attempt(() => directory.requirePresent());
  }

  #tryToWrite(directory: LogDirectory): void {
    this.#attempt(() => {
      directory.rewriteHighWatermarks(this.#logsIn(directory));
      this.#directories.markWritable(directory);
    });
  }

  /** False when a disk did not do it, which is seen to then. */
  #attempt(action: () => void): boolean {
    try {
      action();
      return true;
    } catch (error) {
      if (!this.#seeTo(error)) throw error;
      return false;
    }
  }

  async #attemptLater(action: Promise<void>): Promise<void> {
    try {
      await action;
    } catch (error) {
      if (!this.#seeTo(error)) throw error;
    }
  }

  #seeTo(error: unknown): boolean {
    if (!(error instanceof IoError)) return false;
    if (!this.onDiskError(error)) this.#options.runtime.logger.warn('periodic work on the logs is tried again later', { error });
    return true;
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
    for (const log of this.logs) {
      if (log.isClosed) continue;
      this.#attempt(() => void log.deleteOldSegments({ highWatermark: log.highWatermark, nowMs }));
    }
  }

  /** Closes every log, writes the checkpoints, and marks the stop as clean. A log that fails leaves its directory unmarked. */
  close({ brokerEpoch = -1 }: { brokerEpoch?: number } = {}): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const failures: unknown[] = [];
    for (const directory of this.#directories.online) {
      const logs = this.#logsIn(directory);
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
    }
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

  /** A disk that fails is met again when the logs are loaded. */
  async #recoverWhatCanBe(directory: LogDirectory): Promise<ReadonlySet<string>> {
    try {
      return await this.#recover(directory);
    } catch (error) {
      if (!isDirectorysFault(error)) throw error;
      return new Set();
    }
  }

  async #loadOrFail(directory: LogDirectory, recovered: ReadonlySet<string>): Promise<void> {
    try {
      await this.#load(directory, recovered);
    } catch (error) {
      if (!isDirectorysFault(error) || this.#directories.online.length === 1) throw error;
      this.#failDirectory(directory, error);
    }
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
      if (fate === 'delete' || fate === 'stray') continue;
      const name = partitionDirectoryName(topic, partition);
      const loaded = fate === 'future' ? this.#futures : this.#logs;
      const twin = loaded.get(name);
      if (twin)
        throw new LogDirectoryError(`${name} is both in ${twin.directory.path} and in ${directory.path}: remove the older one`);
      const log = Log.open({
        ...this.#sharedBy(directory),
        directory: path,
        topic,
        partition,
        config: this.#configOf(topic),
        cleanShutdown: directory.wasCleanShutdown,
        isRecovered: recovered.has(path),
        recoveryPoint: recoveryPoints.get(name) ?? 0,
        logStartOffset: logStartOffsets.get(name) ?? 0,
      });
      if (log.recoveryPoint < (recoveryPoints.get(name) ?? 0)) isAnyLowered = true;
      log.onHighWatermark(Math.min(Math.max(highWatermarks.get(name) ?? 0, log.logStartOffset), log.logEndOffset));
      log.firstDirtyOffset = firstDirtyOffsets.get(name);
      loaded.set(name, { log, directory });
    }
    // What is written behind the end that recovery found must not pass for flushed after the next crash.
    if (isAnyLowered) directory.writeRecoveryPoints(this.#logsIn(directory));
    const logs = this.#logs.size - loadedBefore;
    if (logs === 0) return;
    const what = directory.wasCleanShutdown ? 'logs are loaded' : 'logs are recovered: the last stop was not clean';
    runtime.logger.info(what, { directory: directory.path, logs, ms: Math.round(runtime.clock.monotonicMs() - beganMs) });
  }

  /** What all logs have in common, and those of a directory. */
  #sharedBy(directory: LogDirectory) {
    return {
      runtime: this.#options.runtime,
      producerIdExpirationMs: this.producerIdExpirationMs,
      buffers: this.#buffers,
      tails: this.#tails,
      checkpointRecoveryPoint: () => directory.writeRecoveryPoints(this.#logsIn(directory)),
    };
  }

  #configOf(topic: string): LogConfig {
    return this.#options.configOf?.(topic) ?? defaultLogConfig;
  }

  get #allLogs(): Log[] {
    return [...this.logs, ...this.futures];
  }

  /** With the copies that are being made there. */
  #logsIn(directory: LogDirectory): Log[] {
    return [...placedIn(this.#logs, directory), ...placedIn(this.#futures, directory)];
  }

  #forEachDirectory(action: (directory: LogDirectory, logs: readonly Log[]) => void): void {
    for (const directory of [...this.#directories.online]) this.#attempt(() => action(directory, this.#logsIn(directory)));
  }

  #isDue(work: keyof LogManagerIntervals | 'memoryRelease', nowMs: number, intervalMs?: number): boolean {
    const interval = intervalMs ?? this.#intervals[work as keyof LogManagerIntervals];
    if (nowMs - (this.#doneMs.get(work) ?? 0) < interval) return false;
    this.#doneMs.set(work, nowMs);
    return true;
  }
}

function placedIn(logs: ReadonlyMap<string, PlacedLog>, wanted: LogDirectory): Log[] {
  const found: Log[] = [];
  for (const { log, directory } of logs.values()) if (directory === wanted) found.push(log);
  return found;
}

/** Its disk has failed: what it still says about that is no news. */
function abandonQuietly(log: Log): void {
  try {
    log.abandon();
  } catch {
    // Closing a file may meet the fault once more.
  }
}
