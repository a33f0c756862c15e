import { directoryOf, type MetadataImage } from '@ottla/metadata';
import { KafkaError, type Uuid } from '@ottla/protocol';
import { type Clock, IoError, type Logger, sleep, type Timer, type Timers } from '@ottla/runtime';
import { copyStep, type DirectoryFailure, dropWhatParted, isAhead, type Log, type LogManager } from '@ottla/storage';
import type { ClusterMetadata } from '../cluster-metadata.ts';
import type { DirectoryAssignments } from './directory-assignments.ts';
import type { Partition } from './partition.ts';
import type { Partitions } from './partitions.ts';

export type ReplicaMovesOptions = {
  readonly brokerId: number;
  readonly logManager: LogManager;
  readonly partitions: Partitions;
  readonly metadata: Pick<ClusterMetadata, 'hasPartition'>;
  readonly assignments: Pick<DirectoryAssignments, 'assign'>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  /** replica.alter.log.dirs.io.max.bytes.per.second, of all moves together. */
  readonly maxBytesPerSecond: () => number;
};

/** A replica on its way to another log directory. */
type Move = {
  readonly partition: Partition;
  readonly future: Log;
  readonly directoryId: Uuid;
  /** Where the log is until then. */
  readonly sourceId: Uuid;
  /** The copy is durable up to where it was when it caught up, and the metadata names its directory: it may take over. */
  isAnnounced: boolean;
  isAnnouncing: boolean;
  /** The metadata names the directory of the copy, or may come to. */
  isTold: boolean;
};

const stepBytes = 1024 * 1024;
/** Between two steps everybody else has a turn. */
const pauseMs = 1;
/** The disk may have room then. */
const retryMs = 1_000;
/** How long the failure of a directory is kept from a controller that does not hear where a replica is instead. */
const takeBackMs = 1_000;
const maxNameLength = 255;
/** `.<32 hex>-future` */
const futureSuffixLength = 40;

/**
 * Moves replicas between the log directories of this broker (KIP-113, KIP-858): a copy is made in short steps while the log serves on,
 * the controller is told where the replica will be, and then the copy takes the log's place between two requests.
 */
export class ReplicaMoves {
  readonly #options: ReplicaMovesOptions;
  readonly #moves = new Map<string, Move>();
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: ReplicaMovesOptions) {
    this.#options = options;
  }

  /**
   * Begins a move, or gives one up: when the replica is in the directory already. What does not exist yet will be created there.
   * Throws INVALID_TOPIC_EXCEPTION (the name is too long for a copy), LOG_DIR_NOT_FOUND, KAFKA_STORAGE_ERROR, INVALID_REPLICA_ASSIGNMENT
   * (the directory is cordoned), UNKNOWN_TOPIC_OR_PARTITION, REPLICA_NOT_AVAILABLE.
   */
  move(topic: string, index: number, path: string): void {
    const { logManager, partitions, metadata } = this.#options;
    if (topic.length + `-${index}`.length + futureSuffixLength > maxNameLength)
      throw new KafkaError('INVALID_TOPIC_EXCEPTION', 'The topic name is too long.');
    const target = logManager.directoryForMove(path);
    partitions.requireOnline(topic, index);
    const name = `${topic}-${index}`;
    const futureDirectory = logManager.futureDirectoryIdOf(topic, index);
    const partition = partitions.get(topic, index);
    if (partition && futureDirectory !== undefined && futureDirectory !== target) this.#giveUp(partition);
    const currentDirectory = logManager.directoryIdOf(topic, index);
    if (currentDirectory !== target && futureDirectory !== target) logManager.prefer(topic, index, target);
    if (!partition) {
      if (metadata.hasPartition(topic, index)) throw new KafkaError('REPLICA_NOT_AVAILABLE', `this broker has no log of ${name}`);
      throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no partition ${name}`);
    }
    if (currentDirectory === target || this.#moves.has(name)) return;
    if (futureDirectory === undefined) this.#onDisk(() => logManager.createFuture(topic, index, target));
    this.#begin(partition);
  }

  /**
   * At start, before the replicas are opened: copies that had all but taken over do so, where the metadata names their directory and
   * the log itself is gone or behind.
   */
  finishInterrupted(image: MetadataImage): void {
    const { brokerId, logManager, logger } = this.#options;
    for (const future of logManager.futures) {
      const { topic, partition: index } = future;
      const known = image.topics.byName(topic);
      const state = known?.partition(index);
      if (!state || (future.topicId !== undefined && future.topicId !== known?.id)) continue;
      if (directoryOf(state, brokerId) !== logManager.futureDirectoryIdOf(topic, index)) continue;
      const current = logManager.get(topic, index);
      if (current && !isAhead(future, current)) continue;
      try {
        logManager.promoteFuture(topic, index);
        logger.info('a move that was interrupted is finished', { topic, partition: index });
      } catch (error) {
        if (!logManager.onDiskError(error)) throw error;
      }
    }
  }

  /** At start, when the replicas are open: what was under way goes on. Copies of what is no replica here are removed. */
  resumeAll(): void {
    const { logManager, partitions, logger } = this.#options;
    for (const { topic, partition: index } of logManager.futures) {
      const partition = partitions.get(topic, index);
      if (partition) this.#begin(partition);
      else if (!partitions.isOffline(topic, index)) {
        logger.warn('a copy of what is no replica of this broker is removed', { topic, partition: index });
        this.#removeFuture(topic, index);
      }
    }
  }

  /** Also those whose logs are offline. */
  onTopicDeleted(topic: string): void {
    for (const [name, { partition }] of this.#moves) if (partition.topic === topic) this.#moves.delete(name);
    for (const { topic: copied, partition } of this.#options.logManager.futures)
      if (copied === topic) this.#removeFuture(topic, partition);
  }

  /** The log was cut, as a follower's: what its copy has of that goes too, for other records come in its place. */
  onTruncated({ topic, index, log }: Partition, offset: number): void {
    const future = this.#options.logManager.getFuture(topic, index);
    if (!future) return;
    try {
      if (log.logStartOffset > future.logEndOffset) future.truncateFullyAndStartAt(log.logStartOffset);
      else future.truncateTo(offset);
    } catch (error) {
      if (!this.#options.logManager.onDiskError(error)) throw error;
    }
  }

  /** The replica is no longer given to this broker. */
  forget({ name }: Log): void {
    this.#moves.delete(name);
  }

  /**
   * A directory has failed, and the logs and copies in it are closed. Of a replica whose copy was announced the controller would think that it
   * does well where the copy is, or that it is lost with the copy. Resolves when it has heard better, or does not listen.
   */
  async takeOffline({ id, logs }: DirectoryFailure): Promise<void> {
    const { logManager, timers } = this.#options;
    const lost = new Set(logs.map(({ name }) => name));
    const told: Promise<void>[] = [];
    for (const [name, move] of this.#moves) {
      const isLogHere = logManager.directoryIdOf(move.partition.topic, move.partition.index) === move.sourceId;
      if (!lost.has(name) && !(move.directoryId === id && isLogHere)) continue;
      this.#moves.delete(name);
      if (move.isTold) told.push(this.#takeBack(move));
    }
    if (told.length > 0) await Promise.race([Promise.all(told), sleep(timers, takeBackMs)]);
  }

  isMoving(log: Log): boolean {
    return this.#options.logManager.getFuture(log.topic, log.partition) !== undefined;
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #begin(partition: Partition): void {
    const { topic, index, name } = partition;
    const { logManager, logger } = this.#options;
    const future = logManager.getFuture(topic, index)!;
    const directoryId = logManager.futureDirectoryIdOf(topic, index)!;
    const sourceId = logManager.directoryIdOf(topic, index)!;
    const move: Move = { partition, future, directoryId, sourceId, isAnnounced: false, isAnnouncing: false, isTold: false };
    logger.info('a replica moves to another log directory', {
      topic,
      partition: index,
      from: future.logEndOffset,
      future: future.directory,
    });
    this.#moves.set(name, move);
    this.#attempt(move, () => dropWhatParted(partition.log, future));
    this.#continueAfter(pauseMs);
  }

  #giveUp(partition: Partition): void {
    const { topic, index, name } = partition;
    const { logManager, logger } = this.#options;
    const move = this.#moves.get(name);
    this.#moves.delete(name);
    if (move?.isTold) void this.#takeBack(move);
    this.#onDisk(() => logManager.removeFuture(topic, index));
    logger.info('a move to another log directory is given up', { topic, partition: index });
  }

  /** The copy will not take over: the metadata has to name the directory again in which the log is, or was when that failed. */
  #takeBack({ partition, sourceId }: Move): Promise<void> {
    return this.#reported(this.#options.assignments.assign(partition.topicId, partition.index, sourceId), partition);
  }

  #continueAfter(delayMs: number): void {
    if (this.#timer || this.#isStopped) return;
    this.#timer = this.#options.timers.after(delayMs, () => {
      this.#timer = undefined;
      this.#takeTurn();
    });
  }

  /** A step of one move; the others have theirs after it. */
  #takeTurn(): void {
    const move = this.#next();
    if (!move) return;
    const bytes = this.#attempt(move, () => this.#advance(move));
    if (bytes === undefined) this.#continueAfter(retryMs);
    else if ([...this.#moves.values()].some(hasWork))
      this.#continueAfter(Math.max(pauseMs, (bytes / this.#maxBytesPerSecond) * 1000));
  }

  /** The one that has waited longest goes to the end of the line. */
  #next(): Move | undefined {
    for (const [name, move] of this.#moves) {
      if (!hasWork(move)) continue;
      this.#moves.delete(name);
      this.#moves.set(name, move);
      return move;
    }
    return undefined;
  }

  get #maxBytesPerSecond(): number {
    return Math.max(1, this.#options.maxBytesPerSecond());
  }

  /** Returns the bytes copied. */
  #advance(move: Move): number {
    const { partition, future } = move;
    const bytes = copyStep(partition.log, future, Math.min(stepBytes, this.#maxBytesPerSecond));
    if (future.logEndOffset < partition.log.logEndOffset) return bytes;
    if (move.isAnnounced) this.#takeOver(move);
    else void this.#reported(this.#announce(move), partition);
    return bytes;
  }

  /** What the log has flushed must not be less durable in the copy; and a start after a crash must know which of the two it is. */
  async #announce(move: Move): Promise<void> {
    const { partition, future, directoryId } = move;
    move.isAnnouncing = true;
    try {
      await future.flushLater();
      // Meanwhile it may have been given up, or a directory may have failed: the flush of a copy that is closed tells nobody.
      if (!this.#isUnderWay(move) || future.isClosed) return;
      move.isTold = true;
      await this.#options.assignments.assign(partition.topicId, partition.index, directoryId);
      move.isAnnounced = true;
    } catch (error) {
      this.#options.logManager.onDiskError(error);
      throw error;
    } finally {
      move.isAnnouncing = false;
      if (this.#isUnderWay(move)) this.#continueAfter(move.isAnnounced ? pauseMs : retryMs);
    }
  }

  #isUnderWay(move: Move): boolean {
    return this.#moves.get(move.partition.name) === move;
  }

  #takeOver({ partition }: Move): void {
    const { topic, index, name } = partition;
    partition.replaceLog(this.#options.logManager.promoteFuture(topic, index));
    this.#moves.delete(name);
    this.#options.logger.info('a replica has moved to another log directory', {
      topic,
      partition: index,
      directory: partition.log.directory,
    });
  }

  /** Undefined: it is tried again later, or never, where that is of no use. */
  #attempt<Result>(move: Move, action: () => Result): Result | undefined {
    const { topic, index, name } = move.partition;
    try {
      return action();
    } catch (error) {
      const { logManager } = this.#options;
      const isWaitedFor = logManager.onDiskError(error) && !move.future.isClosed && !move.partition.log.isClosed;
      // A directory that failed has ended it.
      if (!this.#isUnderWay(move)) return undefined;
      const replaced = logManager.getFuture(topic, index);
      if (isWaitedFor || (replaced && replaced !== move.future)) {
        // A swap that failed has opened the copy anew.
        if (replaced && replaced !== move.future) this.#moves.set(name, { ...move, future: replaced });
        return undefined;
      }
      this.#moves.delete(name);
      // Where a swap has lost the log only the copy is left: the metadata must go on to name it, for the next start.
      if (move.isTold && logManager.directoryIdOf(topic, index) === move.sourceId) void this.#takeBack(move);
      this.#options.logger.error('a move between log directories failed', { topic, partition: index, error });
      return undefined;
    }
  }

  #removeFuture(topic: string, index: number): void {
    const { logManager, logger } = this.#options;
    try {
      logManager.removeFuture(topic, index);
    } catch (error) {
      logManager.onDiskError(error);
      logger.warn('files of a copy are still there', { topic, partition: index, error });
    }
  }

  /** Throws KAFKA_STORAGE_ERROR. */
  #onDisk(action: () => unknown): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
      this.#options.logManager.onDiskError(error);
      throw new KafkaError('KAFKA_STORAGE_ERROR', error.message, { cause: error });
    }
  }

  /** Never rejects. */
  #reported(work: Promise<void>, { topic, index }: Partition): Promise<void> {
    return work.catch((error: unknown) =>
      this.#options.logger.warn('a move could not be announced', { topic, partition: index, error }),
    );
  }
}

const hasWork = ({ isAnnouncing }: Move): boolean => !isAnnouncing;
