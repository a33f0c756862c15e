import { KafkaError, type Uuid } from '@ottla/protocol';
import type { Runtime } from '@ottla/runtime';
import { type DirectoryFailure, DiskErrors } from './disk-errors.ts';
import type { Log } from './log.ts';
import { closeLogsAhead } from './log-closing.ts';
import type { LogConfig } from './log-config.ts';
import { isDirectorysFault, LogDirectories } from './log-directories.ts';
import { LogDirectoryLoader } from './log-directory-loader.ts';
import { LogMoves } from './log-moves.ts';
import { LogPlacement, type PlaceWanted } from './log-placement.ts';
import { type LogManagerIntervals, LogTasks } from './log-tasks.ts';
import { logsOf, NodeLogs } from './node-logs.ts';
import { partitionDirectoryName } from './partition-directory.ts';
import { RetiredLogs, type Retirement } from './retired-logs.ts';

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

export type CreateOptions = PlaceWanted & {
  readonly topicId?: Uuid;
  readonly config?: LogConfig;
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

/**
 * All logs of a node. Opening it locks the directories and loads every partition; `runTasks`, called about every second by
 * whoever owns the node, does what is due; `close` leaves everything as a clean start expects it.
 */
export class LogManager {
  /** Told when a directory has gone offline. */
  onDirectoryFailed: (failure: DirectoryFailure) => void = () => {};
  readonly #options: LogManagerOptions;
  readonly #directories: LogDirectories;
  readonly #logs: NodeLogs;
  readonly #retired: RetiredLogs;
  readonly #errors: DiskErrors;
  readonly #placement: LogPlacement;
  readonly #moves: LogMoves;
  readonly #tasks: LogTasks;
  #isClosed = false;

  /**
   * Loads the logs in short slices. A directory whose disk fails stays offline, unless it is the last. Rejects with its IoError or
   * CorruptFileError then, with an Error that says which directory is not this node's, or with the reason of `signal`. Nothing stays
   * locked then.
   */
  static async open(options: LogManagerOptions): Promise<LogManager> {
    const manager = new LogManager(options, LogDirectories.open(options));
    try {
      await manager.#load();
      return manager;
    } catch (error) {
      for (const log of manager.#logs.all) log.abandon();
      manager.#directories.release();
      throw error;
    }
  }

  private constructor(options: LogManagerOptions, directories: LogDirectories) {
    const { runtime, intervals } = options;
    const { files, clock, logger } = runtime;
    const logs = new NodeLogs(options);
    const retired = new RetiredLogs(runtime);
    const onFailed = (failure: DirectoryFailure) => this.onDirectoryFailed(failure);
    const errors = new DiskErrors({ directories, logs, retired, logger, onFailed });
    const placement = new LogPlacement({ files, directories, logs, errors });
    this.#options = options;
    this.#directories = directories;
    this.#logs = logs;
    this.#retired = retired;
    this.#errors = errors;
    this.#placement = placement;
    this.#moves = new LogMoves({ runtime, directories, logs, retired, placement, errors });
    this.#tasks = new LogTasks({ nowMs: clock.nowMs(), intervals, directories, logs, retired, errors });
  }

  async #load(): Promise<void> {
    const { runtime, recoveryThreadsPerDirectory: recoveryThreads = 1, signal } = this.#options;
    const loader = new LogDirectoryLoader({ runtime, logs: this.#logs, retired: this.#retired, recoveryThreads, signal });
    const online = [...this.#directories.online];
    // Each settles before anything else is done: until then threads write there.
    const recoveries = await Promise.allSettled(online.map((directory) => loader.recover(directory)));
    for (const [index, directory] of online.entries()) {
      try {
        const recovery = recoveries[index]!;
        if (recovery.status === 'rejected') throw recovery.reason;
        await loader.load(directory, recovery.value);
      } catch (error) {
        if (!isDirectorysFault(error) || this.#directories.online.length === 1) throw error;
        this.#errors.failDirectory(directory, error);
      }
    }
  }

  /** producer.id.expiration.ms: may change while running. Default one day. */
  get producerIdExpirationMs(): number | undefined {
    return this.#logs.producerIdExpirationMs;
  }

  set producerIdExpirationMs(expirationMs: number | undefined) {
    this.#logs.producerIdExpirationMs = expirationMs;
  }

  /** Of the orderly stop before this start, as told by every directory; -1 when there was none. */
  get lastBrokerEpoch(): number {
    const epochs = new Set(this.#directories.online.map((directory) => directory.cleanShutdownBrokerEpoch ?? -1));
    return epochs.size === 1 ? [...epochs][0]! : -1;
  }

  /** The broker's epoch when it last stopped, if it did so cleanly and this is one of its directories; else -1. */
  lastBrokerEpochIn(path: string): number {
    return this.#directories.online.find((directory) => directory.path === path)?.cleanShutdownBrokerEpoch ?? -1;
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

  /** Why it is offline; undefined when it is not. */
  failureOf(path: string): unknown {
    return this.#directories.failureOf(path);
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
    return logsOf(this.#logs.current);
  }

  get(topic: string, partition: number): Log | undefined {
    return this.#logs.current.get(partitionDirectoryName(topic, partition))?.log;
  }

  /** Copies that are to take the place of their logs once they have caught up. */
  get futures(): Log[] {
    return logsOf(this.#logs.futures);
  }

  getFuture(topic: string, partition: number): Log | undefined {
    return this.#logs.futures.get(partitionDirectoryName(topic, partition))?.log;
  }

  directoryIdOf(topic: string, partition: number): Uuid | undefined {
    return this.#logs.current.get(partitionDirectoryName(topic, partition))?.directory.id;
  }

  futureDirectoryIdOf(topic: string, partition: number): Uuid | undefined {
    return this.#logs.futures.get(partitionDirectoryName(topic, partition))?.directory.id;
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
    this.#placement.prefer(partitionDirectoryName(topic, partition), directoryId);
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
    const { log, directory } = this.#placement.openInFirst(this.#placement.placesFor(name, options), (place) => ({
      ...this.#logs.optionsIn(place),
      directory: `${place.path}/${name}`,
      topic,
      partition,
      topicId,
      config: config ?? this.#logs.configOf(topic),
      cleanShutdown: true,
    }));
    log.onHighWatermark(log.logStartOffset);
    this.#logs.current.set(log.name, { log, directory });
    this.#placement.forget(name);
    return log;
  }

  /** Begins a copy of a log in another directory, empty. Throws KAFKA_STORAGE_ERROR while any directory is offline, IoError. */
  createFuture(topic: string, partition: number, directoryId: Uuid): Log {
    return this.#moves.begin(partitionDirectoryName(topic, partition), directoryId);
  }

  /** Gives a copy up. False when there is none. */
  removeFuture(topic: string, partition: number): boolean {
    return this.#moves.giveUp(partitionDirectoryName(topic, partition));
  }

  /**
   * Puts the copy, which must have all that its log has, in the place of the log. Each step outlives a crash: until the old log is renamed
   * away it is the one, and once it is, the metadata names the directory of the copy. Throws IoError, and the log stays in use then.
   */
  promoteFuture(topic: string, partition: number): Log {
    return this.#moves.complete(partitionDirectoryName(topic, partition));
  }

  /** All logs of the topic follow it from now on. */
  updateConfig(topic: string, config: LogConfig): void {
    for (const log of this.#logs.all) if (log.topic === topic) log.updateConfig(config);
  }

  /**
   * Gives the log up, and a copy on its way elsewhere; the files go after file.delete.delay.ms. False when there is none. Who deletes
   * many waits for the disk once: `durably: false` for each, and `syncDirectories` in the end.
   */
  delete(topic: string, partition: number, { durably = true } = {}): boolean {
    this.#placement.forget(partitionDirectoryName(topic, partition));
    return this.#takeOut(topic, partition, { fate: 'delete', durably });
  }

  /** A replica that the metadata does not give to this node: out of use, but kept for an operator to look at. */
  markStray(topic: string, partition: number, { durably = true } = {}): boolean {
    return this.#takeOut(topic, partition, { fate: 'stray', durably });
  }

  #takeOut(topic: string, partition: number, { fate, durably }: { fate: Retirement; durably: boolean }): boolean {
    const name = partitionDirectoryName(topic, partition);
    this.#moves.giveUp(name);
    const found = this.#logs.current.get(name);
    if (!found) return false;
    this.#logs.current.delete(name);
    this.#retired.retire(found, fate);
    if (durably) this.syncDirectories();
    return true;
  }

  /** Makes the new names of logs that were deleted or set aside outlive a crash. */
  syncDirectories(): void {
    this.#retired.syncDirectories();
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
        logs: this.#logs.currentIn(directory),
        futureLogs: this.#logs.futuresIn(directory),
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
    return this.#errors.seeTo(error);
  }

  /** Does what is due by now. Resolves when it is done; call it again only then. A disk that fails costs its own directory only. */
  runTasks(nowMs: number): Promise<void> {
    return this.#tasks.run(nowMs);
  }

  /** Also when leadership changes, so that a restart does not fall behind what was acknowledged. */
  checkpointHighWatermarks(): void {
    this.#tasks.checkpointHighWatermarks();
  }

  /** Also after DeleteRecords was answered: what is deleted stays deleted. */
  checkpointLogStartOffsets(): void {
    this.#tasks.checkpointLogStartOffsets();
  }

  /** Also after a cleaning. Without it the next start would do the work again. */
  checkpointFirstDirtyOffsets(): void {
    this.#tasks.checkpointFirstDirtyOffsets();
  }

  /**
   * What `close` would wait for log after log, many at once and off the event loop; nobody may append any more. An error is met again by `close`.
   */
  async closeAhead(): Promise<void> {
    this.#tasks.stop();
    const { files } = this.#options.runtime;
    const online = this.#directories.online;
    await Promise.all(
      online.map((directory) => closeLogsAhead(this.#logs.allIn(directory), { files, directory: directory.path })),
    );
  }

  /** Closes every log, writes the checkpoints, and marks the stop as clean. A log that fails leaves its directory unmarked. */
  close({ brokerEpoch = -1 }: { brokerEpoch?: number } = {}): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#tasks.stop();
    const failures: unknown[] = [];
    for (const directory of this.#directories.online) {
      const logs = this.#logs.allIn(directory);
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
}
