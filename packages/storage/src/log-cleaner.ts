import { IoError, type Runtime, type Timer } from '@ottla/runtime';
import { dirtiest } from './clean-plan.ts';
import { diskFaultOf } from './disk-fault.ts';
import type { Log } from './log.ts';
import { type CleaningResult, type CleaningStep, LogCleaning } from './log-cleaning.ts';

/** The node's log.cleaner.* configs, under their names in camel case. */
export type LogCleanerConfig = {
  readonly backoffMs: number;
  readonly dedupeBufferSize: number;
  readonly ioBufferLoadFactor: number;
  readonly ioBufferSize: number;
  readonly ioMaxBytesPerSecond: number;
};

export const defaultLogCleanerConfig: LogCleanerConfig = {
  backoffMs: 15_000,
  dedupeBufferSize: 128 * 1024 * 1024,
  ioBufferLoadFactor: 0.9,
  ioBufferSize: 512 * 1024,
  ioMaxBytesPerSecond: Number.MAX_VALUE,
};

export type LogCleanerOptions = {
  readonly runtime: Pick<Runtime, 'files' | 'clock' | 'random' | 'logger' | 'timers'>;
  /** All logs of the node; those that are not to be compacted are passed over. */
  readonly logs: () => readonly Log[];
  /** A log has become clean up to its `firstDirtyOffset`: write that down. */
  readonly onCleaned: () => void;
  /** Told of errors of the disk: what they mean for it is not the cleaner's to say. */
  readonly onDiskError?: (error: unknown) => void;
  /** Asked before each turn, so it may change. */
  readonly config?: () => LogCleanerConfig;
};

/** One turn ends after this much, so that no request waits long. */
const turnMs = 2;
const turnBytes = 1024 * 1024;
const turnsPerSecond = 10;

/**
 * Compacts the logs of a node, the dirtiest first, one at a time: a turn of work, then whatever else the event loop has to do, then
 * the next turn. A partition that cannot be cleaned is said in the log and left alone until the next start.
 */
export class LogCleaner {
  readonly #options: LogCleanerOptions;
  readonly #uncleanable = new WeakSet<Log>();
  #timer: Timer | undefined;
  #turn: Promise<void> = Promise.resolve();
  #current: CleaningUnderWay | undefined;
  #isStopped = false;

  constructor(options: LogCleanerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#wakeAfter(this.#config.backoffMs);
  }

  /** Gives up what is under way; resolves when no file is in use any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#turn;
    this.#giveUp();
  }

  isUncleanable(log: Log): boolean {
    return this.#uncleanable.has(log);
  }

  get #config(): LogCleanerConfig {
    return this.#options.config?.() ?? defaultLogCleanerConfig;
  }

  #wakeAfter(delayMs: number): void {
    if (this.#isStopped) return;
    this.#timer = this.#options.runtime.timers.after(delayMs, () => {
      this.#turn = this.takeTurn().then((pauseMs) => this.#wakeAfter(pauseMs));
    });
  }

  /** Works for a moment and returns how long to wait before the next turn. Never rejects. */
  async takeTurn(): Promise<number> {
    const { clock } = this.#options.runtime;
    try {
      this.#current ??= await this.#begin();
      if (!this.#current) return this.#config.backoffMs;
      const startMs = clock.monotonicMs();
      const bytes = await this.#advance(this.#current, startMs);
      return Math.ceil(Math.max(0, (bytes / this.#config.ioMaxBytesPerSecond) * 1000 - (clock.monotonicMs() - startMs)));
    } catch (error) {
      this.#fail(error);
      return this.#config.backoffMs;
    }
  }

  async #begin(): Promise<CleaningUnderWay | undefined> {
    const { runtime, logs } = this.#options;
    const nowMs = runtime.clock.nowMs();
    const candidates = logs().filter((log) => !log.isClosed && !this.#uncleanable.has(log));
    const found = this.#choose(candidates, nowMs);
    if (!found) return undefined;
    const { log, dirt } = found;
    // Or a power loss could take a key's latest value after its older ones were cleaned away.
    if (log.recoveryPoint < dirt.upperBoundOffset || log.hasUnflushedRolledSegments) await log.flushRolledSegments();
    if (log.isClosed || log.recoveryPoint < dirt.upperBoundOffset) return undefined;
    const { dedupeBufferSize, ioBufferLoadFactor, ioBufferSize } = this.#config;
    const cleaning = new LogCleaning(log, dirt, {
      files: runtime.files,
      random: runtime.random,
      nowMs,
      dedupeBufferBytes: dedupeBufferSize,
      loadFactor: ioBufferLoadFactor,
      ioBufferBytes: ioBufferSize,
    });
    return { log, cleaning, steps: cleaning.run() };
  }

  /** A log whose disk fails while it is looked at must not keep the others from being cleaned. */
  #choose(candidates: readonly Log[], nowMs: number): ReturnType<typeof dirtiest<Log>> {
    try {
      return dirtiest(candidates, nowMs);
    } catch {
      const sound = candidates.filter((log) => {
        try {
          dirtiest([log], nowMs);
          return true;
        } catch (error) {
          this.#options.onDiskError?.(error);
          this.#markUncleanable(log, error);
          return false;
        }
      });
      return dirtiest(sound, nowMs);
    }
  }

  /** Returns the bytes read and written. */
  async #advance({ log, cleaning, steps }: CleaningUnderWay, startMs: number): Promise<number> {
    const { clock } = this.#options.runtime;
    const limitBytes = Math.min(turnBytes, this.#config.ioMaxBytesPerSecond / turnsPerSecond);
    let bytes = 0;
    do {
      if (cleaning.isObsolete) {
        this.#options.runtime.logger.debug('a cleaning is given up: its log has changed', { partition: log.name });
        this.#giveUp();
        return bytes;
      }
      const step = steps.next();
      if (step.done) {
        this.#finish(log, step.value);
        return bytes;
      }
      bytes += step.value.bytes;
      if (step.value.flush) await step.value.flush.flushLater();
    } while (!this.#isStopped && bytes < limitBytes && clock.monotonicMs() - startMs < turnMs);
    return bytes;
  }

  #finish(log: Log, { endOffset, ...done }: CleaningResult): void {
    this.#current = undefined;
    log.firstDirtyOffset = endOffset;
    this.#options.runtime.logger.info('a log was compacted', { partition: log.name, endOffset, ...done });
    this.#options.onCleaned();
  }

  #giveUp(): void {
    const current = this.#current;
    this.#current = undefined;
    try {
      current?.steps.return(undefined as never);
    } catch (error) {
      this.#options.runtime.logger.warn('files of a cleaning that was given up are still there', {
        partition: current?.log.name,
        error,
      });
    }
  }

  #fail(error: unknown): void {
    const log = this.#current?.log;
    this.#giveUp();
    this.#options.onDiskError?.(error);
    if (log?.isClosed) return;
    if (!log || (error instanceof IoError && diskFaultOf(error) !== 'failed')) {
      this.#options.runtime.logger.warn('cleaning failed and is tried again later', { partition: log?.name, error });
      return;
    }
    this.#markUncleanable(log, error);
  }

  #markUncleanable(log: Log, error: unknown): void {
    this.#uncleanable.add(log);
    this.#options.runtime.logger.error('a partition cannot be cleaned: it is left as it is until the next start', {
      partition: log.name,
      error,
    });
  }
}

type CleaningUnderWay = {
  readonly log: Log;
  readonly cleaning: LogCleaning;
  readonly steps: Generator<CleaningStep, CleaningResult, undefined>;
};
