import type { Clock } from '@ottla/runtime';
import { type AppendOptions, type AppendPlan, planAppend } from './append-plan.ts';
import type { EpochEntry, LeaderEpochCache } from './leader-epoch-cache.ts';
import type { LogConfig } from './log-config.ts';
import { ProducerChanges } from './producer-changes.ts';
import { firstOffsetOf, type ProducedBatch } from './producer-entry.ts';
import type { ProducerStates } from './producer-states.ts';
import type { Segments } from './segments.ts';
import { StagedBatches } from './staged-batches.ts';
import type { LogTail } from './tail-cache.ts';

export type AppendResult = {
  /** Of the batch, or of the one that it repeats; -1 when there was no whole batch. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly maxTimestamp: number;
  /** -1 unless the topic stamps records with the time of their append. */
  readonly logAppendTimeMs: number;
  readonly logStartOffset: number;
  /** The batch is one of the last five of its producer, and is not written again. */
  readonly duplicate: boolean;
  readonly batches: number;
};

/** The log that is appended to. */
export type AppendedLog = {
  /** `topic-partition`. */
  readonly name: string;
  readonly config: LogConfig;
  readonly logStartOffset: number;
  /** Begins a new segment, for a batch with this first offset. */
  roll(firstOffset: number): void;
};

export type LogAppenderOptions = {
  readonly log: AppendedLog;
  readonly clock: Clock;
  readonly segments: Segments;
  readonly epochs: LeaderEpochCache;
  readonly producers: ProducerStates;
  readonly logEndOffset: number;
  /** Gets a copy of what is written. */
  readonly tail: LogTail | undefined;
};

/**
 * The end of a log: here batches are checked, numbered and staged, and then written together. Nothing but this object knows what is
 * staged; segments, producers and epochs hear of it when it is written, so a write that fails leaves them as they were.
 */
export class LogAppender {
  readonly #options: LogAppenderOptions;
  /** Invariant: it holds what `#staged` does to the producers. */
  readonly #changes: ProducerChanges;
  readonly #staged = new StagedBatches();
  #logEndOffset: number;
  /** Why staged batches were lost before those who staged them came to commit. */
  #lost: unknown;
  /** On a full disk one batch may still fit where several together do not. */
  #writesAlone = false;

  constructor(options: LogAppenderOptions) {
    this.#options = options;
    this.#logEndOffset = options.logEndOffset;
    this.#changes = new ProducerChanges(options.producers, options.log.name);
  }

  /** Exclusive: one after the last record that is written. */
  get logEndOffset(): number {
    return this.#logEndOffset;
  }

  get stagedBytes(): number {
    return this.#staged.bytes;
  }

  /** The log was cut, or begins anew. Nothing may be staged. */
  endAt(offset: number): void {
    this.#logEndOffset = offset;
  }

  /** See `Log.append`. */
  append(records: Uint8Array, options: AppendOptions): AppendResult {
    this.settle();
    try {
      const result = this.#stage(records, options);
      this.#write();
      return result;
    } finally {
      this.drop();
    }
  }

  /** See `Log.stage`. */
  stage(records: Uint8Array, options: AppendOptions): AppendResult {
    if (this.#lost !== undefined) throw this.#lost;
    const isEpochKnown = options.leaderEpoch === this.#options.epochs.latest?.epoch;
    if (options.origin !== 'client' || !isEpochKnown || this.#writesAlone) return this.append(records, options);
    return this.#stage(records, options);
  }

  /** See `Log.commitStaged`. */
  commitStaged(): void {
    const lost = this.#lost;
    this.#lost = undefined;
    if (lost !== undefined) throw lost;
    try {
      this.#write();
    } finally {
      this.drop();
    }
  }

  /** Something else is about to happen to the log. When the write fails, those who staged hear of it too, from `commitStaged`. */
  settle(): void {
    if (this.#staged.count === 0) return;
    try {
      this.#write();
    } catch (error) {
      this.#lost = error;
      throw error;
    } finally {
      this.drop();
    }
  }

  /** Forgets what is staged. */
  drop(): void {
    this.#staged.clear();
    this.#changes.clear();
  }

  #stage(records: Uint8Array, options: AppendOptions): AppendResult {
    const { log, clock } = this.#options;
    const nowMs = clock.nowMs();
    const plan = planAppend(records, options, {
      config: log.config,
      partitionName: log.name,
      nextOffset: this.#staged.count === 0 ? this.#logEndOffset : this.#staged.endOffset,
      nowMs,
    });
    if (!plan) {
      return this.#result({ firstOffset: -1, lastOffset: -1, maxTimestamp: -1, logAppendTimeMs: -1, batches: 0 });
    }
    const needsRoll = this.#needsRoll(plan, nowMs);
    const duplicate = this.#changes.add(plan.view, options);
    if (duplicate) return this.#duplicateResult(duplicate, plan.batches);
    if (needsRoll) this.#roll(plan.firstOffset);
    this.#staged.add(plan.view, plan.lastOffset);
    return this.#result(plan);
  }

  /** Afterwards nothing is staged if it does. */
  #needsRoll({ bytes, maxTimestamp, lastOffset }: AppendPlan, nowMs: number): boolean {
    const { log, segments } = this.#options;
    const { active } = segments;
    const append = { bytes: bytes.length, maxTimestamp, lastOffset, nowMs };
    if (this.#staged.count > 0) {
      const all = { ...append, bytes: append.bytes + this.#staged.bytes };
      if (active.sizeBytes > 0 && active.hasIndexRoomFor(this.#staged.count) && !active.isFullFor(all, log.config)) return false;
      // Only now is it known what the segment is like when this batch comes.
      this.settle();
    }
    return active.isFullFor(append, log.config);
  }

  #roll(firstOffset: number): void {
    try {
      this.#options.log.roll(firstOffset);
    } catch (error) {
      this.drop();
      throw error;
    }
  }

  #write(): void {
    const staged = this.#staged;
    if (staged.count === 0) return;
    const { segments, epochs, tail } = this.#options;
    const { active } = segments;
    const epochsBefore = this.#assignEpochs();
    try {
      active.append(staged);
    } catch (error) {
      this.#writesAlone = true;
      if (epochsBefore) epochs.restore(epochsBefore);
      throw error;
    }
    this.#writesAlone = false;
    tail?.append(staged.views, this.#logEndOffset);
    this.#logEndOffset = staged.endOffset;
    this.#changes.apply(active, staged.endOffset);
  }

  /** Returns what was known before, if that changes. */
  #assignEpochs(): readonly EpochEntry[] | undefined {
    const { epochs } = this.#options;
    let before: readonly EpochEntry[] | undefined;
    for (const batch of this.#staged.views) {
      for (let start = 0; start < batch.buffer.length; start += batch.length) {
        const { leaderEpoch } = batch.moveTo(start);
        if (leaderEpoch < 0 || leaderEpoch === epochs.latest?.epoch) continue;
        before ??= epochs.entries;
        epochs.assign(leaderEpoch, batch.baseOffset);
      }
    }
    return before;
  }

  #result({ firstOffset, lastOffset, maxTimestamp, logAppendTimeMs, batches }: Omit<AppendPlan, 'bytes' | 'view'>): AppendResult {
    const { logStartOffset } = this.#options.log;
    return { firstOffset, lastOffset, maxTimestamp, logAppendTimeMs, logStartOffset, duplicate: false, batches };
  }

  #duplicateResult(original: ProducedBatch, batches: number): AppendResult {
    return {
      firstOffset: firstOffsetOf(original),
      lastOffset: original.lastOffset,
      maxTimestamp: original.timestamp,
      logAppendTimeMs: original.timestamp,
      logStartOffset: this.#options.log.logStartOffset,
      duplicate: true,
      batches,
    };
  }
}
