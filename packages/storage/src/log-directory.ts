import { type Uuid, uuidFromBytes } from '@ottla/protocol';
import { type Files, IoError, type Logger, type Runtime } from '@ottla/runtime';
import { readCleanShutdown, removeCleanShutdown, writeCleanShutdown } from './clean-shutdown.ts';
import { CorruptFileError } from './corrupt-file-error.ts';
import type { Log } from './log.ts';
import { type MetaProperties, metaPropertiesName, readMetaProperties, writeMetaProperties } from './meta-properties.ts';
import {
  type CheckpointedOffset,
  offsetCheckpointNames,
  readOffsetCheckpoint,
  writeOffsetCheckpoint,
} from './offset-checkpoint.ts';
import { type PartitionDirectoryName, parsePartitionDirectoryName } from './partition-directory.ts';

export const directoryLockName = '.lock';

/** A log directory that this node must not use as it is; the message says what to do. */
export class LogDirectoryError extends Error {
  override readonly name = 'LogDirectoryError';
}

export type DirectoryLock = { release(): void };

/** One of log.dirs: locked, with its identity and its checkpoints. The logs in it are the LogManager's. */
export class LogDirectory {
  readonly path: string;
  readonly id: Uuid;
  /** Of the orderly stop before this start; undefined after a crash. -1 when the marker did not say. */
  readonly cleanShutdownBrokerEpoch: number | undefined;
  readonly #files: Files;
  readonly #lock: DirectoryLock;
  /** What each checkpoint held when last written, so that an idle node writes nothing. */
  readonly #writtenCheckpoints = new Map<string, string>();
  /** Of the logs whose start the checkpoint holds. */
  #logsWithStart = new Set<string>();

  private constructor(options: { path: string; id: Uuid; brokerEpoch: number | undefined; files: Files; lock: DirectoryLock }) {
    this.path = options.path;
    this.id = options.id;
    this.cleanShutdownBrokerEpoch = options.brokerEpoch;
    this.#files = options.files;
    this.#lock = options.lock;
  }

  /**
   * Locks a formatted directory and takes its marker of an orderly stop away. Throws IoError (ELOCKED when another process has
   * it), CorruptFileError, and an Error when it is not formatted or belongs to another node or cluster.
   */
  static open(
    path: string,
    owner: Pick<MetaProperties, 'clusterId' | 'nodeId'>,
    runtime: Pick<Runtime, 'files' | 'clock' | 'random' | 'logger'>,
  ): LogDirectory {
    const { files } = runtime;
    requireDirectory(files, path);
    const lock = lockDirectory(files, path);
    try {
      const id = claim(path, owner, runtime);
      const brokerEpoch = readCleanShutdown(files, path, runtime.logger)?.brokerEpoch;
      if (brokerEpoch !== undefined) removeCleanShutdown(files, path);
      return new LogDirectory({ path, id, brokerEpoch, files, lock });
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  get wasCleanShutdown(): boolean {
    return this.cleanShutdownBrokerEpoch !== undefined;
  }

  /** The directories of partitions in it, with their names taken apart. */
  partitions(): (PartitionDirectoryName & { readonly path: string })[] {
    const found: (PartitionDirectoryName & { path: string })[] = [];
    for (const name of this.#files.list(this.path)) {
      const parsed = parsePartitionDirectoryName(name);
      const path = `${this.path}/${name}`;
      if (parsed && this.#files.stat(path)?.isDirectory) found.push({ ...parsed, path });
    }
    return found;
  }

  /** Offsets by `topic-partition`. Throws CorruptFileError. */
  readCheckpoint(which: keyof typeof offsetCheckpointNames): Map<string, number> {
    const offsets = readOffsetCheckpoint(this.#files, `${this.path}/${offsetCheckpointNames[which]}`);
    if (which === 'logStart') this.#logsWithStart = new Set(offsets.keys());
    return offsets;
  }

  /** Throws IoError when it is gone. */
  requirePresent(): void {
    const path = `${this.path}/${metaPropertiesName}`;
    if (!this.#files.stat(path)) throw new IoError(`${path} is gone`, { code: 'ENOENT', path, operation: 'stat' });
  }

  /** Also when nothing has changed: to see whether the disk takes it. */
  rewriteHighWatermarks(logs: readonly Log[]): void {
    this.#writtenCheckpoints.delete('replication');
    this.writeHighWatermarks(logs);
  }

  writeRecoveryPoints(logs: readonly Log[]): void {
    this.#writeCheckpoint('recoveryPoint', logs, (log) => log.recoveryPoint);
  }

  writeHighWatermarks(logs: readonly Log[]): void {
    this.#writeCheckpoint('replication', logs, (log) => log.highWatermark);
  }

  /** A log start that is a segment's base need not be remembered. */
  writeLogStartOffsets(logs: readonly Log[]): void {
    const insideSegment = logs.filter((log) => log.logStartOffset > log.firstSegmentBaseOffset);
    const names = new Set(insideSegment.map((log) => log.name));
    // Where the first segment's name takes over, that name, and that those before it are gone, must outlive a crash.
    for (const log of logs)
      if (this.#logsWithStart.has(log.name) && !names.has(log.name)) this.#files.syncDirectory(log.directory);
    this.#logsWithStart = names;
    this.#writeCheckpoint('logStart', insideSegment, (log) => log.logStartOffset);
  }

  writeFirstDirtyOffsets(logs: readonly Log[]): void {
    const cleaned = logs.filter((log) => log.firstDirtyOffset !== undefined);
    this.#writeCheckpoint('cleaner', cleaned, (log) => log.firstDirtyOffset!);
  }

  /** It costs no more than work done again, so a damaged file is passed over. */
  readFirstDirtyOffsets(logger: Logger): Map<string, number> {
    try {
      const offsets = this.readCheckpoint('cleaner');
      if (offsets.size === 0) this.#writtenCheckpoints.set('cleaner', '');
      return offsets;
    } catch (error) {
      if (!(error instanceof CorruptFileError)) throw error;
      logger.warn('what was compacted is not known: all of it is looked at again', { file: error.path, problem: error.message });
      return new Map();
    }
  }

  #writeCheckpoint(which: keyof typeof offsetCheckpointNames, logs: readonly Log[], offsetOf: (log: Log) => number): void {
    const entries: CheckpointedOffset[] = logs.map((log) => ({
      topic: log.topic,
      partition: log.partition,
      offset: offsetOf(log),
    }));
    const content = entries.map(({ topic, partition, offset }) => `${topic} ${partition} ${offset}`).join('\n');
    if (this.#writtenCheckpoints.get(which) === content) return;
    writeOffsetCheckpoint(this.#files, `${this.path}/${offsetCheckpointNames[which]}`, entries);
    this.#writtenCheckpoints.set(which, content);
  }

  markCleanShutdown(brokerEpoch: number): void {
    writeCleanShutdown(this.#files, this.path, { brokerEpoch });
  }

  release(): void {
    this.#lock.release();
  }
}

/** Throws LogDirectoryError when there is none, and IoError when the disk does not say. */
function requireDirectory(files: Files, path: string): void {
  try {
    if (!files.stat(path)) files.list(path);
  } catch (error) {
    if (error instanceof IoError && error.code === 'ENOENT') throw notFormatted(path);
    throw error;
  }
}

const notFormatted = (path: string): LogDirectoryError =>
  new LogDirectoryError(`${path} is not formatted: run "ottla storage format" on it first`);

/** For a directory that only holds the metadata log, and for whoever works on a directory offline. Throws IoError ELOCKED. */
export function lockDirectory(files: Files, path: string): DirectoryLock {
  try {
    return files.lock(`${path}/${directoryLockName}`);
  } catch (error) {
    if (!(error instanceof IoError) || error.code !== 'ELOCKED') throw error;
    throw new IoError(`another node is using ${path}: stop it, or give this one a directory of its own`, {
      code: error.code,
      path,
      cause: error,
    });
  }
}

/** Returns the directory's id, which directories formatted before Kafka 3.7 get now. */
function claim(
  path: string,
  { clusterId, nodeId }: Pick<MetaProperties, 'clusterId' | 'nodeId'>,
  { files, clock, random }: Pick<Runtime, 'files' | 'clock' | 'random'>,
): Uuid {
  const meta = readMetaProperties(files, path);
  if (!meta) throw notFormatted(path);
  if (meta.clusterId !== clusterId)
    throw new LogDirectoryError(
      `${path} belongs to cluster ${meta.clusterId}, not ${clusterId}: give this node a directory of its own`,
    );
  if (meta.nodeId !== nodeId)
    throw new LogDirectoryError(
      `${path} belongs to node ${meta.nodeId}, not ${nodeId}: give this node a directory of its own, or correct node.id`,
    );
  if (meta.directoryId !== undefined) return meta.directoryId;
  const directoryId = uuidFromBytes(random.bytes(16));
  writeMetaProperties(files, path, { clusterId, nodeId, directoryId }, clock.nowMs());
  return directoryId;
}
