import { KafkaError, type Uuid } from '@ottla/protocol';
import { type Files, IoError } from '@ottla/runtime';
import type { DiskErrors } from './disk-errors.ts';
import { Log } from './log.ts';
import type { LogDirectories } from './log-directories.ts';
import type { LogDirectory } from './log-directory.ts';
import type { LogOptions } from './log-opening.ts';
import type { NodeLogs, PlacedLog } from './node-logs.ts';

export type LogPlacementOptions = {
  readonly files: Files;
  readonly directories: LogDirectories;
  readonly logs: NodeLogs;
  readonly errors: DiskErrors;
};

export type PlaceWanted = {
  /** Id of the directory where the metadata has it. Default: nobody has said yet. */
  readonly directoryId?: Uuid;
  /** It may have been here before, in a directory that is offline now. Default false. */
  readonly mayExist?: boolean;
};

/** In which directory a new log begins. */
export class LogPlacement {
  readonly #options: LogPlacementOptions;
  /** Where an operator wants logs that do not exist yet, by the name of the partition. */
  readonly #preferred = new Map<string, LogDirectory>();

  constructor(options: LogPlacementOptions) {
    this.#options = options;
  }

  prefer(name: string, directoryId: Uuid): void {
    const directory = this.#options.directories.byId(directoryId);
    if (directory) this.#preferred.set(name, directory);
  }

  forget(name: string): void {
    this.#preferred.delete(name);
  }

  /** Never empty. Throws KAFKA_STORAGE_ERROR when the log may lie in a directory that is offline. */
  placesFor(name: string, { directoryId, mayExist = false }: PlaceWanted): readonly LogDirectory[] {
    const { directories, logs } = this.#options;
    const preferred = this.#preferred.get(name);
    if (preferred && directories.online.includes(preferred)) return [preferred];
    const assigned = directoryId === undefined ? undefined : directories.byId(directoryId);
    if (assigned) return [assigned];
    if (directories.hasOffline && (mayExist || directoryId !== undefined)) {
      throw new KafkaError('KAFKA_STORAGE_ERROR', `${name} may lie in a log directory that is offline: it is not begun anew`);
    }
    return directories.forNewLogs((directory) => logs.allIn(directory).length);
  }

  /** A disk that fails, or is full, gives way to the next. Throws IoError when none takes it. */
  openInFirst(places: readonly LogDirectory[], optionsIn: (directory: LogDirectory) => LogOptions): PlacedLog {
    let failure: unknown;
    for (const directory of places) {
      const options = optionsIn(directory);
      try {
        return { log: Log.open(options), directory };
      } catch (error) {
        if (!(error instanceof IoError)) throw error;
        failure ??= error;
        this.#removeHalfMade(options.directory);
        this.#options.errors.seeTo(error);
      }
    }
    throw failure ?? new KafkaError('KAFKA_STORAGE_ERROR', 'all log directories are offline');
  }

  #removeHalfMade(path: string): void {
    try {
      this.#options.files.removeDirectory(path);
    } catch {
      // It holds nothing, and the next start makes what it needs of it.
    }
  }
}
