import { dirname } from 'node:path';
import { type Clock, type Files, IoError } from '@ottla/runtime';
import { diskFaultOf } from './disk-fault.ts';
import type { LeaderEpochCache } from './leader-epoch-cache.ts';
import { syncPartitionMetadata } from './partition-metadata.ts';
import type { ProducerStates } from './producer-states.ts';
import type { RollWitnesses } from './roll-witnesses.ts';
import type { Segment } from './segment.ts';
import type { Segments } from './segments.ts';

export type LogFlusherOptions = {
  readonly files: Files;
  readonly clock: Clock;
  readonly directory: string;
  readonly segments: Segments;
  readonly epochs: LeaderEpochCache;
  readonly producers: ProducerStates;
  readonly witnesses: RollWitnesses;
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
  /** The directory's name and whose it is. The first flush sees to it, so that what it vouches for is found again. */
  #isIdentityDurable: boolean;
  #failure: unknown;

  constructor(options: LogFlusherOptions) {
    this.#options = options;
    this.#recoveryPoint = options.recoveryPoint;
    this.#isIdentityDurable = options.recoveryPoint > 0;
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
    if (this.#isDurable(endOffset)) return;
    this.#requireTrust();
    try {
      for (const segment of this.#segmentsBelow(endOffset)) segment.flush();
      this.#advanceTo(endOffset);
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * Like `flush`, and with what a clean start believes: the snapshot that closing took, for without one there were no producers, and the
   * leader epochs.
   */
  flushLast(endOffset: number): void {
    const { files, directory, epochs, producers, segments } = this.#options;
    this.flush(endOffset);
    epochs.persist(endOffset);
    for (const segment of segments.all) segment.syncIndexes();
    if (producers.syncSnapshots()) files.syncDirectory(directory);
  }

  /** The same without holding up the event loop. */
  async flushLater(endOffset: number): Promise<void> {
    if (this.#isDurable(endOffset)) return;
    this.#requireTrust();
    const truncations = this.#truncations;
    const rolls = this.#options.witnesses.all;
    try {
      for (const segment of this.#segmentsBelow(endOffset)) await segment.flushLater();
      if (!this.#isStopped) await this.#syncAhead();
      if (truncations === this.#truncations && !this.#isStopped) this.#advanceTo(endOffset, rolls);
    } catch (error) {
      // The files of a log that was stopped may be closed and gone.
      if (!this.#isStopped) this.#fail(error);
    }
  }

  /** What `#advanceTo` syncs takes it no time when the device has it already. */
  async #syncAhead(): Promise<void> {
    const { files, directory, producers } = this.#options;
    await producers.syncSnapshotsAhead();
    if (!this.#isStopped) await files.syncDirectoryLater(directory);
  }

  #requireTrust(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #fail(error: unknown): never {
    // A full disk that took no index entry, say, has lost nothing.
    if (!(error instanceof IoError) || diskFaultOf(error) === 'failed') this.#failure ??= error;
    throw error;
  }

  /** The files are no longer the log's; a flush under way ends without effect. */
  stop(): void {
    this.#isStopped = true;
  }

  #isDurable(endOffset: number): boolean {
    const { first } = this.#options.witnesses;
    return this.#recoveryPoint >= endOffset && (first === undefined || first > endOffset);
  }

  #segmentsBelow(endOffset: number): readonly Segment[] {
    const { segments, witnesses } = this.#options;
    const startOffset = Math.min(this.#recoveryPoint, (witnesses.first ?? Number.POSITIVE_INFINITY) - 1);
    return segments.from(startOffset).filter((segment) => segment.baseOffset < endOffset);
  }

  /** `rolls`: those before the flush began. */
  #advanceTo(offset: number, rolls = this.#options.witnesses.all): void {
    const { files, clock, directory, segments, epochs, producers, witnesses } = this.#options;
    epochs.persist(offset);
    if (!this.#isIdentityDurable) syncPartitionMetadata(files, directory);
    const hasNewNames = producers.syncSnapshots() || segments.active.baseOffset >= this.#recoveryPoint;
    if (hasNewNames || !this.#isIdentityDurable) files.syncDirectory(directory);
    if (!this.#isIdentityDurable) files.syncDirectory(dirname(directory));
    this.#isIdentityDurable = true;
    this.#recoveryPoint = Math.max(this.#recoveryPoint, offset);
    witnesses.removeUpTo(offset, rolls);
    this.#flushedAtMs = clock.nowMs();
  }
}
