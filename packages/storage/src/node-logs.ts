import type { Runtime } from '@ottla/runtime';
import type { Log } from './log.ts';
import { defaultLogConfig, type LogConfig } from './log-config.ts';
import type { LogDirectory } from './log-directory.ts';
import { ReadBuffers } from './read-buffers.ts';
import { TailCache } from './tail-cache.ts';

export type PlacedLog = { readonly log: Log; readonly directory: LogDirectory };

export type NodeLogsOptions = {
  readonly runtime: Pick<Runtime, 'files' | 'clock' | 'random' | 'logger'>;
  readonly configOf?: (topic: string) => LogConfig;
  readonly producerIdExpirationMs?: number;
  readonly tailCacheBytes?: number;
};

const defaultTailCacheBytes = 64 * 1024 * 1024;

/** The logs of a node, each with the directory in which it lies, and what all of them share. */
export class NodeLogs {
  /** By the name of the partition. */
  readonly current = new Map<string, PlacedLog>();
  /** Copies on their way to another directory, by the name of the partition. */
  readonly futures = new Map<string, PlacedLog>();
  /** producer.id.expiration.ms: may change while running. Default one day. */
  producerIdExpirationMs: number | undefined;
  readonly #options: NodeLogsOptions;
  readonly #buffers = new ReadBuffers();
  readonly #tails: TailCache;

  constructor(options: NodeLogsOptions) {
    this.producerIdExpirationMs = options.producerIdExpirationMs;
    this.#options = options;
    this.#tails = new TailCache({ maxBytes: options.tailCacheBytes ?? defaultTailCacheBytes });
  }

  /** With the copies. */
  get all(): Log[] {
    return [...logsOf(this.current), ...logsOf(this.futures)];
  }

  currentIn(directory: LogDirectory): Log[] {
    return placedIn(this.current, directory);
  }

  futuresIn(directory: LogDirectory): Log[] {
    return placedIn(this.futures, directory);
  }

  /** With the copies that are being made there. */
  allIn(directory: LogDirectory): Log[] {
    return [...this.currentIn(directory), ...this.futuresIn(directory)];
  }

  configOf(topic: string): LogConfig {
    return this.#options.configOf?.(topic) ?? defaultLogConfig;
  }

  /** What all logs are opened with, and those of this directory. */
  optionsIn(directory: LogDirectory) {
    return {
      runtime: this.#options.runtime,
      producerIdExpirationMs: this.producerIdExpirationMs,
      buffers: this.#buffers,
      tails: this.#tails,
      checkpointRecoveryPoint: () => {
        directory.writeRecoveryPoints(this.allIn(directory));
        directory.writeFirstDirtyOffsets(this.currentIn(directory));
      },
    };
  }
}

export function logsOf(placed: ReadonlyMap<string, PlacedLog>): Log[] {
  return Array.from(placed.values(), ({ log }) => log);
}

function placedIn(placed: ReadonlyMap<string, PlacedLog>, wanted: LogDirectory): Log[] {
  const found: Log[] = [];
  for (const { log, directory } of placed.values()) if (directory === wanted) found.push(log);
  return found;
}
