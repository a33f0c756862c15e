import { dirname } from 'node:path';
import { type Clock, type Files, IoError } from '@ottla/runtime';
import { diskFaultOf } from './disk-fault.ts';
import type { LeaderEpochCache } from './leader-epoch-cache.ts';
import { syncPartitionMetadata, syncPartitionMetadataLater } from './partition-metadata.ts';
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
  /** What says whose the directory is was written just now. */
  readonly hasNewOwner: boolean;
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
  /** Whose the directory is, and its name. The first flush sees to them at the latest, so that what it vouches for is found again. */
  #isOwnerDurable: boolean;
  #isNameDurable: boolean;
  #failure: unknown;

  constructor(options: LogFlusherOptions) {
    this.#options = options;
    this.#recoveryPoint = options.recoveryPoint;
    this.#isOwnerDurable = options.recoveryPoint > 0 && !options.hasNewOwner;
    this.#isNameDurable = options.recoveryPoint > 0;
    this.#flushedAtMs = options.clock.nowMs();
  }

  /** Everything below is flushed. */
  get recoveryPoint(): number {
    return this.#recoveryPoint;
  }

  get flushedAtMs(): number {
    return this.#flushedAtMs;
  }

  /** Whether a loss of power may still leave the directory without what says whose it is. */
  get isOwnerDurable(): boolean {
    return this.#isOwnerDurable;
  }

  /** What says whose the directory is was written anew. */
  onOwnerChanged(): void {
    this.#isOwnerDurable = false;
  }

  /** The directory that the log's lies in was synced. */
  onNameDurable(): void {
    this.#isNameDurable = true;
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
    this.#requireTrust();
    this.flush(endOffset);
    epochs.persist(endOffset);
    for (const segment of segments.all) segment.syncIndexes();
    if (producers.syncSnapshots()) files.syncDirectory(directory);
  }

  /** What `flushLast` would wait for, off the event loop. */
  async flushLastLater(endOffset: number): Promise<void> {
    const { epochs, producers, segments } = this.#options;
    await this.flushLater(endOffset);
    try {
      for (const segment of segments.all.slice()) if (!this.#isStopped) await segment.syncIndexesLater();
      const isLeft = producers.hasUnsyncedSnapshots || !epochs.isPersisted(endOffset);
      if (isLeft && !this.#isStopped) await this.#syncNamesLater(endOffset);
    } catch (error) {
      if (!this.#isStopped) this.#fail(error);
    }
  }

  /** Like `flush` without holding up the event loop. */
  async flushLater(endOffset: number): Promise<void> {
    if (this.#isDurable(endOffset)) return;
    this.#requireTrust();
    const truncations = this.#truncations;
    const rolls = this.#options.witnesses.all;
    try {
      for (const segment of this.#segmentsBelow(endOffset)) await segment.flushLater();
      const namedSegment = this.#isStopped ? -1 : await this.#syncNamesLater(endOffset);
      if (truncations === this.#truncations && !this.#isStopped) this.#advanceTo(endOffset, { rolls, namedSegment });
    } catch (error) {
      // The files of a log that was stopped may be closed and gone.
      if (!this.#isStopped) this.#fail(error);
    }
  }

  /**
   * What else goes with the records, and last the directory: `#advanceTo` is left with what has changed meanwhile. Returns the base offset of
   * the last segment whose name is durable with it.
   */
  async #syncNamesLater(endOffset: number): Promise<number> {
    const { files, directory, segments, epochs, producers } = this.#options;
    if (!this.#isOwnerDurable) await syncPartitionMetadataLater(files, directory);
    if (this.#isStopped) return -1;
    const snapshots = await producers.syncSnapshotsLater();
    if (this.#isStopped) return -1;
    const onEpochsDurable = await epochs.persistLater(endOffset);
    const truncations = this.#truncations;
    const namedSegment = segments.active.baseOffset;
    if (!this.#isStopped) await files.syncDirectoryLater(directory);
    if (this.#isStopped || truncations !== this.#truncations) return -1;
    this.#isOwnerDurable = true;
    producers.onSnapshotsDurable(snapshots);
    onEpochsDurable?.();
    return namedSegment;
  }

  /** Whose the directory is, and its name: nothing else. */
  async flushOwnerLater(): Promise<void> {
    const { files, directory } = this.#options;
    this.#requireTrust();
    try {
      await syncPartitionMetadataLater(files, directory);
      if (!this.#isStopped) await files.syncDirectoryLater(directory);
      if (!this.#isStopped && !this.#isNameDurable) await files.syncDirectoryLater(dirname(directory));
      if (this.#isStopped) return;
      this.#isOwnerDurable = true;
      this.#isNameDurable = true;
    } catch (error) {
      if (!this.#isStopped) this.#fail(error);
    }
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
    this.#options.epochs.giveUpWrites();
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

  /** `rolls`: those before the flush began. `namedSegment`: the last whose name is durable. */
  #advanceTo(offset: number, { rolls = this.#options.witnesses.all, namedSegment = -1 } = {}): void {
    const { files, clock, directory, segments, epochs, producers, witnesses } = this.#options;
    epochs.persist(offset);
    if (!this.#isOwnerDurable) syncPartitionMetadata(files, directory);
    const { baseOffset } = segments.active;
    const hasNewNames = producers.syncSnapshots() || (baseOffset >= this.#recoveryPoint && baseOffset !== namedSegment);
    if (hasNewNames || !this.#isOwnerDurable) files.syncDirectory(directory);
    if (!this.#isNameDurable) files.syncDirectory(dirname(directory));
    this.#isOwnerDurable = true;
    this.#isNameDurable = true;
    this.#recoveryPoint = Math.max(this.#recoveryPoint, offset);
    witnesses.removeUpTo(offset, rolls);
    this.#flushedAtMs = clock.nowMs();
  }
}
