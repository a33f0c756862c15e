import { KafkaError, type Uuid } from '@ottla/protocol';
import type { Runtime } from '@ottla/runtime';
import { abandonQuietly, type DiskErrors } from './disk-errors.ts';
import { Log } from './log.ts';
import type { LogDirectories } from './log-directories.ts';
import type { LogDirectory } from './log-directory.ts';
import type { LogPlacement } from './log-placement.ts';
import type { NodeLogs, PlacedLog } from './node-logs.ts';
import { fatedDirectoryName } from './partition-directory.ts';
import type { RetiredLogs } from './retired-logs.ts';

export type LogMovesOptions = {
  readonly runtime: Pick<Runtime, 'files' | 'random' | 'logger'>;
  readonly directories: LogDirectories;
  readonly logs: NodeLogs;
  readonly retired: RetiredLogs;
  readonly placement: LogPlacement;
  readonly errors: DiskErrors;
};

/** Logs go to another directory: a copy is begun there, catches up (see `copyStep`), and takes the place of its log. */
export class LogMoves {
  readonly #options: LogMovesOptions;

  constructor(options: LogMovesOptions) {
    this.#options = options;
  }

  /** See `LogManager.createFuture`. */
  begin(name: string, directoryId: Uuid): Log {
    const { runtime, directories, logs, placement } = this.#options;
    const { topic, partition, topicId, config } = logs.current.get(name)!.log;
    // It may have a future log in there already.
    if (directories.hasOffline)
      throw new KafkaError('KAFKA_STORAGE_ERROR', `${name} cannot be moved while a log directory is offline`);
    const placed = placement.openInFirst([directories.byId(directoryId)!], (place) => ({
      ...logs.optionsIn(place),
      directory: `${place.path}/${fatedDirectoryName(topic, partition, 'future', runtime.random)}`,
      topic,
      partition,
      topicId,
      config,
      cleanShutdown: true,
    }));
    placed.log.onHighWatermark(0);
    logs.futures.set(name, placed);
    return placed.log;
  }

  /** False when there is none. */
  giveUp(name: string): boolean {
    const { logs, retired } = this.#options;
    const found = logs.futures.get(name);
    if (!found) return false;
    logs.futures.delete(name);
    retired.retire(found, 'delete');
    return true;
  }

  /** See `LogManager.promoteFuture`. */
  complete(name: string): Log {
    const { logs, retired, errors } = this.#options;
    const future = logs.futures.get(name)!;
    const current = logs.current.get(name);
    const retiredPath = current && retired.pathFor(current, 'delete');
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
      this.#undo(name, undo);
      this.#reopenFuture(future);
      throw error;
    }
    logs.futures.delete(name);
    logs.current.set(name, { log, directory: future.directory });
    if (current) {
      current.log.abandon();
      retired.onRenamed(current.log, retiredPath!, 'delete');
      log.firstDirtyOffset = current.log.firstDirtyOffset;
      log.onHighWatermark(Math.min(current.log.highWatermark, log.logEndOffset));
    }
    errors.attempt(() => future.directory.writeLogStartOffsets(logs.allIn(future.directory)));
    return log;
  }

  /** Adds to `undo` how to go back. */
  #renameDurably(directory: LogDirectory, { from, to }: { from: string; to: string }, undo: (() => void)[]): void {
    const { files } = this.#options.runtime;
    files.rename(from, to);
    undo.push(() => files.rename(to, from));
    files.syncDirectory(directory.path);
  }

  #undo(name: string, steps: readonly (() => void)[]): void {
    const { runtime, logs } = this.#options;
    try {
      for (const step of steps.toReversed()) step();
    } catch (error) {
      const current = logs.current.get(name);
      logs.current.delete(name);
      if (current) abandonQuietly(current.log);
      runtime.logger.error('a log that was being moved is unavailable until the next start', { partition: name, error });
    }
  }

  #reopenFuture({ log, directory }: PlacedLog): void {
    const { runtime, logs } = this.#options;
    logs.futures.delete(log.name);
    try {
      const reopened = this.#reopened(log, directory, { directory: log.directory, isWhole: false });
      logs.futures.set(log.name, { log: reopened, directory });
    } catch (error) {
      runtime.logger.warn('a copy cannot be continued before the next start', { partition: log.name, error });
    }
  }

  #reopened(closed: Log, place: LogDirectory, { directory, isWhole }: { directory: string; isWhole: boolean }): Log {
    const { topic, partition, topicId, config, logStartOffset, recoveryPoint, highWatermark } = closed;
    const log = Log.open({
      ...this.#options.logs.optionsIn(place),
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
}
