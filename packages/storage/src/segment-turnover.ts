import type { Runtime } from '@ottla/runtime';
import type { LogConfig } from './log-config.ts';
import { rollJitterMs } from './log-loader.ts';
import type { RetentionReason } from './log-retention.ts';
import type { ProducerStates } from './producer-states.ts';
import { RetiredFiles } from './retired-files.ts';
import type { RollWitnesses } from './roll-witnesses.ts';
import { Segment } from './segment.ts';
import { cleanedSuffix, deletedSuffix, removeSegmentFiles, swapSuffix } from './segment-files.ts';
import type { Segments } from './segments.ts';

/** The log whose segments come and go. */
export type SegmentedLog = {
  readonly directory: string;
  /** `topic-partition`. */
  readonly name: string;
  readonly config: LogConfig;
};

export type SegmentTurnoverOptions = {
  readonly log: SegmentedLog;
  readonly runtime: Pick<Runtime, 'files' | 'clock' | 'random' | 'logger'>;
  readonly segments: Segments;
  readonly producers: ProducerStates;
  readonly witnesses: RollWitnesses;
};

/** How the segments of a log come and go, each with its producer snapshot and witness, and in an order that a crash may break off anywhere. */
export class SegmentTurnover {
  readonly #options: SegmentTurnoverOptions;
  readonly #retired: RetiredFiles;
  #version = 0;

  constructor(options: SegmentTurnoverOptions) {
    this.#options = options;
    this.#retired = new RetiredFiles(options.runtime.files);
  }

  /** See `Log.segmentsVersion`. */
  get version(): number {
    return this.#version;
  }

  /** A segment is about to be cut. */
  onCut(): void {
    this.#version++;
  }

  /** Begins a new segment at the log's end, or behind it. When it throws, the active segment goes on. */
  roll(baseOffset: number): void {
    const { log, segments, producers, witnesses } = this.#options;
    const { active } = segments;
    const replacesActive = active.baseOffset === baseOffset;
    if (replacesActive && active.sizeBytes > 0) {
      throw new Error(`${log.name} cannot roll at ${baseOffset}: a segment with data begins there`);
    }
    if (!replacesActive) {
      active.becomeInactive();
      witnesses.record({ baseOffset, previousBytes: active.sizeBytes });
    }
    const next = this.#createNext(baseOffset, replacesActive);
    if (replacesActive) {
      segments.remove([active]);
      active.close();
    }
    segments.add(next);
    producers.advanceTo(baseOffset);
    producers.takeSnapshot();
  }

  /** When it throws, no new files are left behind: the active segment may yet grow over the offset at which they begin. */
  #createNext(baseOffset: number, replacesActive: boolean): Segment {
    try {
      return this.#create(baseOffset);
    } catch (error) {
      const { log, runtime } = this.#options;
      if (!replacesActive) removeSegmentFiles(runtime.files, log.directory, baseOffset);
      throw error;
    }
  }

  #create(baseOffset: number): Segment {
    return Segment.create({ ...this.#placeOf(baseOffset), config: this.#options.log.config });
  }

  /** See `Log.createCleanedSegment`. */
  createCleaned(baseOffset: number): Segment {
    const config = { ...this.#options.log.config, preallocate: false };
    return Segment.create({ ...this.#placeOf(baseOffset), config, fileSuffix: cleanedSuffix });
  }

  #placeOf(baseOffset: number) {
    const { log, runtime } = this.#options;
    return {
      files: runtime.files,
      directory: log.directory,
      baseOffset,
      logger: runtime.logger,
      nowMs: runtime.clock.nowMs(),
      rollJitterMs: rollJitterMs(log.config, runtime.random),
    };
  }

  /** See `Log.replaceSegments`. */
  replace(replaced: readonly Segment[], cleaned: Segment): void {
    const { log, runtime, segments, witnesses } = this.#options;
    const { files, clock } = runtime;
    cleaned.changeSuffix(cleanedSuffix, swapSuffix);
    files.syncDirectory(log.directory);
    this.#version++;
    segments.replace(replaced, cleaned);
    witnesses.removeUpTo(segments.at(segments.all.indexOf(cleaned) + 1)!.baseOffset);
    this.#retireFiles(replaced, clock.nowMs(), cleaned.baseOffset);
    cleaned.changeSuffix(swapSuffix, '');
    files.syncDirectory(log.directory);
  }

  /** Retention's: they are not all that the log has. */
  removeExpired(expired: readonly Segment[], { reason, nowMs }: { reason: RetentionReason; nowMs: number }): void {
    const { log, runtime } = this.#options;
    runtime.logger.info('retention removes segments', {
      partition: log.name,
      reason,
      baseOffsets: expired.map((segment) => segment.baseOffset),
    });
    this.#retire(expired, nowMs);
  }

  /** Drops everything from the batch that holds `offset` on, which does not lie before the first segment. */
  truncateTo(offset: number, nowMs: number): void {
    const { segments } = this.#options;
    this.#cutFrom(
      segments.all.filter((segment) => segment.baseOffset > offset),
      nowMs,
    );
    const { active } = segments;
    active.truncateTo(offset, nowMs);
    active.log.sync();
  }

  /** Drops every segment, and begins a new one. */
  truncateFullyAndStartAt(offset: number, nowMs: number): void {
    const { log, runtime, segments, producers } = this.#options;
    this.#cutFrom(segments.all.slice(), nowMs);
    producers.startAt(offset);
    segments.add(this.#create(offset));
    runtime.files.syncDirectory(log.directory);
  }

  /** The last first, and durably: a power loss must leave neither a gap, nor what was cut off behind what is written there next. */
  #cutFrom(later: readonly Segment[], nowMs: number): void {
    if (later.length === 0) return;
    const { log, runtime, witnesses } = this.#options;
    this.#retire(later.toReversed(), nowMs);
    witnesses.removeFrom(later[0]!.baseOffset);
    runtime.files.syncDirectory(log.directory);
  }

  /** They are the log's no more, and their files go away after a delay. */
  #retire(segments: readonly Segment[], nowMs: number): void {
    const removed = segments.slice();
    this.#version++;
    this.#options.segments.remove(removed);
    this.#retireFiles(removed, nowMs);
  }

  #retireFiles(segments: readonly Segment[], nowMs: number, keptSnapshot?: number): void {
    const { log, producers } = this.#options;
    const dueMs = nowMs + log.config.fileDeleteDelayMs;
    for (const segment of segments) {
      this.#retired.addFiles(segment.retire(deletedSuffix), dueMs);
      if (segment.baseOffset === keptSnapshot) continue;
      const snapshot = producers.retireSnapshot(segment.baseOffset);
      if (snapshot) this.#retired.addFiles([snapshot], dueMs);
    }
  }

  /** The files whose delay is over. Throws IoError. */
  removeDue(nowMs: number): void {
    this.#retired.removeDue(nowMs);
  }
}
