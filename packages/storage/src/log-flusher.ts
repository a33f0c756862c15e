import { dirname } from 'node:path';
import type { Clock, Files } from '@ottla/runtime';
import type { ProducerStates } from './producer-states.ts';
import type { Segment } from './segment.ts';
import type { Segments } from './segments.ts';

export type LogFlusherOptions = {
  readonly files: Files;
  readonly clock: Clock;
  readonly directory: string;
  /** Its name in the log directory has to be made durable with the first flush. */
  readonly isNewDirectory: boolean;
  readonly segments: Segments;
  readonly producers: ProducerStates;
  readonly recoveryPoint: number;
};

/**
 * Makes a log durable, and remembers up to where it is. After a sync that failed it vouches for nothing more: the system may have dropped
 * what it could not write, and a later sync would succeed without it. Every later flush throws the error of the first that failed.
 */
export class LogFlusher {
  readonly #options: LogFlusherOptions;
  #recoveryPoint: number;
  #flushedAtMs: number;
  /** Counts truncations, so that a flush under way does not vouch for bytes it has not seen. */
  #truncations = 0;
  #isStopped = false;
  #isNewDirectory: boolean;
  #failure: unknown;

  constructor(options: LogFlusherOptions) {
    this.#options = options;
    this.#recoveryPoint = options.recoveryPoint;
    this.#isNewDirectory = options.isNewDirectory;
    this.#flushedAtMs = options.clock.nowMs();
  }

  /** Everything below is flushed. */
  get recoveryPoint(): number {
    return this.#recoveryPoint;
  }

  get flushedAtMs(): number {
    return this.#flushedAtMs;
  }

  /** What was at or behind `offset` is gone. */
  onTruncation(offset: number): void {
    this.#truncations++;
    this.#recoveryPoint = Math.min(this.#recoveryPoint, offset);
  }

  /** Durable when it returns. */
  flush(endOffset: number): void {
    if (this.#recoveryPoint >= endOffset) return;
    this.#requireTrust();
    try {
      for (const segment of this.#segmentsBelow(endOffset)) segment.flush();
      this.#advanceTo(endOffset);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Like `flush`, and with the snapshot that closing took: a clean start without one believes that there were no producers. */
  flushLast(endOffset: number): void {
    const { files, directory, producers } = this.#options;
    this.flush(endOffset);
    if (producers.syncSnapshots()) files.syncDirectory(directory);
  }

  /** The same without holding up the event loop. */
  async flushLater(endOffset: number): Promise<void> {
    if (this.#recoveryPoint >= endOffset) return;
    this.#requireTrust();
    const truncations = this.#truncations;
    try {
      for (const segment of this.#segmentsBelow(endOffset)) await segment.flushLater();
      if (truncations === this.#truncations && !this.#isStopped) this.#advanceTo(endOffset);
    } catch (error) {
      // The files of a log that was stopped may be closed and gone.
      if (!this.#isStopped) this.#fail(error);
    }
  }

  #requireTrust(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #fail(error: unknown): never {
    this.#failure ??= error;
    throw error;
  }

  /** The files are no longer the log's; a flush under way ends without effect. */
  stop(): void {
    this.#isStopped = true;
  }

  #segmentsBelow(endOffset: number): readonly Segment[] {
    return this.#options.segments.from(this.#recoveryPoint).filter((segment) => segment.baseOffset < endOffset);
  }

  #advanceTo(offset: number): void {
    const { files, clock, directory, segments, producers } = this.#options;
    const hasNewNames = producers.syncSnapshots() || segments.active.baseOffset >= this.#recoveryPoint;
    if (hasNewNames) files.syncDirectory(directory);
    if (this.#isNewDirectory) files.syncDirectory(dirname(directory));
    this.#isNewDirectory = false;
    this.#recoveryPoint = Math.max(this.#recoveryPoint, offset);
    this.#flushedAtMs = clock.nowMs();
  }
}
