import type { BatchView } from '@ottla/protocol';
import type { Clock, Files, Logger, Random } from '@ottla/runtime';
import { CorruptFileError } from './corrupt-file-error.ts';
import { readEndOffset } from './intact-batches.ts';
import { LeaderEpochCache, leaderEpochCheckpointName } from './leader-epoch-cache.ts';
import type { LogConfig } from './log-config.ts';
import { rebuildProducerStates, replayProducer } from './producer-rebuild.ts';
import { ProducerStates } from './producer-states.ts';
import { RollWitnesses } from './roll-witnesses.ts';
import { Segment } from './segment.ts';
import {
  cleanedSuffix,
  deletedSuffix,
  parseSegmentFileName,
  segmentFileName,
  segmentSuffixes,
  swapSuffix,
} from './segment-files.ts';
import { Segments } from './segments.ts';

export type LogLoaderOptions = {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The partition's. It exists. */
  readonly directory: string;
  /** For messages: `topic-partition`. */
  readonly partitionName: string;
  readonly config: LogConfig;
  readonly cleanShutdown: boolean;
  /** See LogOptions. */
  readonly isRecovered: boolean;
  readonly recoveryPoint: number;
  /** See LogOptions. */
  readonly firstDirtyOffset: number | undefined;
  readonly logStartOffset: number;
  readonly producerIdExpirationMs: number;
};

export type LoadedLog = {
  readonly segments: Segments;
  readonly epochs: LeaderEpochCache;
  readonly producers: ProducerStates;
  readonly witnesses: RollWitnesses;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly recoveryPoint: number;
};

/**
 * Makes a log of what is in a partition's directory. After a clean stop the files are believed; otherwise everything from the
 * recovery point on is read again, and the log ends before the first batch that is not intact.
 */
export function loadLog(options: LogLoaderOptions): LoadedLog {
  return new LogLoader(options).load();
}

/** The same for a directory that was made just now: nothing is in it that would have to be looked at. */
export function createLog(options: LogLoaderOptions): LoadedLog {
  const { files, directory, config, logger, random, clock, logStartOffset } = options;
  const segments = new Segments();
  const rollJitter = rollJitterMs(config, random);
  segments.add(
    Segment.create({
      ...{ files, directory, config, logger },
      ...{ baseOffset: logStartOffset, nowMs: clock.nowMs(), rollJitterMs: rollJitter },
    }),
  );
  const producers = new ProducerStates({ ...options, names: [] });
  producers.startAt(logStartOffset);
  const witnesses = new RollWitnesses(files, directory, []);
  const epochs = LeaderEpochCache.create(files, directory);
  const recoveryPoint = Math.min(options.recoveryPoint, logStartOffset);
  return { segments, epochs, producers, witnesses, logStartOffset, logEndOffset: logStartOffset, recoveryPoint };
}

class LogLoader {
  readonly #options: LogLoaderOptions;
  readonly #segments = new Segments();
  readonly #producers: ProducerStates;
  readonly #epochs: LeaderEpochCache;
  readonly #witnesses: RollWitnesses;
  readonly #nowMs: number;
  /** As it was written down. */
  #logStartOffset: number;
  /** In the directory, as it is once swaps are finished: thousands of directories are opened at a start, so each is read once. */
  readonly #names: readonly string[];

  constructor(options: LogLoaderOptions) {
    const { files, directory } = options;
    this.#options = options;
    this.#nowMs = options.clock.nowMs();
    this.#logStartOffset = options.logStartOffset;
    const found = files.list(directory);
    this.#names = finishSwaps(found, options) ? files.list(directory) : found;
    this.#producers = new ProducerStates({ ...options, names: this.#names });
    this.#epochs = this.#openEpochs();
    this.#witnesses = new RollWitnesses(files, directory, this.#names);
    // Kafka leaves a witness where it is when it cleans, and what became shorter so has lost nothing. Only what is durable is
    // cleaned, whatever recovery point a crash left behind it, and truncation takes the checkpoint of the cleaner back at once.
    this.#witnesses.removeUpTo(options.firstDirtyOffset ?? -1);
  }

  load(): LoadedLog {
    const { isRecovered, partitionName } = this.#options;
    const cleanShutdown = this.#options.cleanShutdown || isRecovered;
    removeOrphans(this.#names, this.#options);
    this.#openSegments();
    if (!cleanShutdown) this.#recoverFrom(this.#firstUnflushedOffset());
    const survivingEnd = this.#dropLogBehindItsStart();
    const checkpointedStart = this.#logStartOffset;

    const segments = this.#segments;
    if (segments.count === 0) segments.add(Segment.create(this.#segmentOptions(checkpointedStart)));
    const logEndOffset = survivingEnd ?? checkpointedStart;
    const logStartOffset = Math.max(checkpointedStart, segments.first.baseOffset);
    this.#epochs.truncateFromEnd(logEndOffset);
    this.#epochs.truncateFromStart(logStartOffset);
    this.#producers.removeStraySnapshots(segments.baseOffsets);
    rebuildProducerStates(this.#producers, segments, {
      partitionName,
      logStartOffset,
      endOffset: logEndOffset,
      nowMs: this.#nowMs,
      trustMissingSnapshots: cleanShutdown,
    });
    // Most logs are not touched again for a while.
    for (const segment of segments.all) segment.log.close();
    const recoveryPoint =
      this.#options.cleanShutdown && survivingEnd !== undefined
        ? logEndOffset
        : Math.min(this.#options.recoveryPoint, logEndOffset);
    // What recovery wrote anew is not durable yet: its witnesses stay until it is.
    if (this.#options.cleanShutdown) this.#witnesses.removeUpTo(recoveryPoint);
    this.#witnesses.removeFrom(segments.active.baseOffset + 1);
    const [epochs, producers, witnesses] = [this.#epochs, this.#producers, this.#witnesses];
    return { segments, epochs, producers, witnesses, logStartOffset, logEndOffset, recoveryPoint };
  }

  #openEpochs(): LeaderEpochCache {
    const { files, directory, logger, cleanShutdown, isRecovered } = this.#options;
    if (!this.#names.includes(leaderEpochCheckpointName)) return LeaderEpochCache.create(files, directory);
    try {
      return LeaderEpochCache.open(files, directory);
    } catch (error) {
      // After a crash the batches read again bring the epochs back; after a clean stop nobody may guess.
      if (!(error instanceof CorruptFileError) || cleanShutdown || isRecovered) throw error;
      logger.warn('leader epochs are rebuilt from the log', { file: error.path, problem: error.message });
      return LeaderEpochCache.startOver(files, directory);
    }
  }

  #openSegments(): void {
    const names = this.#names.map(parseSegmentFileName);
    const offsets = names.filter((name) => name?.suffix === '.log').map((name) => name!.offset);
    const toRebuild: Segment[] = [];
    offsets.sort((left, right) => left - right);
    const trustedEnd = this.#trustedEnd(offsets);
    for (const baseOffset of offsets) {
      const isTrusted = baseOffset < trustedEnd;
      const { segment, isSound } = this.#openSegment(baseOffset, { isTrusted });
      this.#segments.add(segment);
      if (isTrusted && !isSound) toRebuild.push(segment);
    }
    for (const segment of toRebuild) this.#rebuildIndexes(segment);
  }

  /** The segments from there on are read again in any case, in their order. */
  #trustedEnd(baseOffsets: readonly number[]): number {
    const { cleanShutdown, isRecovered } = this.#options;
    if (cleanShutdown || isRecovered) return Number.POSITIVE_INFINITY;
    const firstUnflushed = this.#firstUnflushedOffset();
    return baseOffsets.findLast((baseOffset) => baseOffset <= firstUnflushed) ?? 0;
  }

  /** The segment before a witness was not durable, whatever the checkpoint says of offsets. */
  #firstUnflushedOffset(): number {
    const { first } = this.#witnesses;
    return Math.min(this.#options.recoveryPoint, first === undefined ? Number.POSITIVE_INFINITY : first - 1);
  }

  /** What an index holds matters only where it is trusted. */
  #openSegment(baseOffset: number, { isTrusted }: { isTrusted: boolean }): { segment: Segment; isSound: boolean } {
    const { files, directory, logger } = this.#options;
    const path = (suffix: '.index' | '.timeindex' | '.txnindex') => `${directory}/${segmentFileName(baseOffset, suffix)}`;
    const missing = (['.index', '.timeindex'] as const).find(
      (suffix) => !this.#names.includes(segmentFileName(baseOffset, suffix)),
    );
    let isSound = missing === undefined;
    if (missing) logger.warn('an index is missing: the segment is read again', { file: path(missing) });
    try {
      const segment = Segment.open(this.#segmentOptions(baseOffset));
      if (isTrusted) segment.checkIndexes();
      return { segment, isSound };
    } catch (error) {
      if (!(error instanceof CorruptFileError)) throw error;
      logger.warn('an index is corrupt: the segment is read again', { file: error.path, problem: error.message });
      for (const suffix of ['.index', '.timeindex', '.txnindex'] as const) files.remove(path(suffix));
      isSound = false;
      return { segment: Segment.open(this.#segmentOptions(baseOffset)), isSound };
    }
  }

  #recoverFrom(recoveryPoint: number): void {
    this.#epochs.truncateFromEnd(recoveryPoint);
    const unflushed = this.#segments.from(recoveryPoint);
    for (const [index, segment] of unflushed.entries()) {
      const later = unflushed.slice(index + 1);
      const [next] = later;
      if (this.#recoverSegment(segment, later) > 0) return;
      if (!next) return;
      const previousBytes = segment.sizeBytes;
      const missingBytes = this.#witnesses.missingBytes({ baseOffset: next.baseOffset, previousBytes });
      if (missingBytes > 0) {
        this.#options.logger.warn('the end of a segment is lost', {
          ...{ file: segment.log.path, position: previousBytes, missingBytes },
          offset: this.#producers.mapEndOffset,
          nextOffset: next.baseOffset,
        });
        this.#removeBehind(segment, later);
        return;
      }
    }
  }

  /** Before anything is cut, and the last first: a crash meanwhile must not leave a gap. */
  #removeBehind(segment: Segment, later: readonly Segment[]): void {
    if (later.length === 0) return;
    const { files, directory, logger } = this.#options;
    logger.warn('segments behind a damaged one are removed', {
      damaged: segment.log.path,
      files: later.map((removed) => removed.log.path),
      firstOffset: later[0]!.baseOffset,
    });
    this.#removeSegments(later);
    files.syncDirectory(directory);
  }

  /**
   * Of a segment that was flushed. Where its data is damaged nothing is cut off, for what lies behind may be all right: who reads the
   * damaged batch is told, by an error or by its crc.
   */
  #rebuildIndexes(segment: Segment): void {
    if (segment === this.#segments.active) {
      this.#recoverSegment(segment);
      return;
    }
    const { problem, validBytes } = segment.rebuild(this.#replayInto(segment));
    segment.syncIndexes();
    if (validBytes === segment.sizeBytes) {
      this.#producers.takeSnapshot();
      return;
    }
    this.#options.logger.error('a segment is damaged where it was flushed: its records from there on may not be readable', {
      file: segment.log.path,
      position: validBytes,
      offset: this.#producers.mapEndOffset,
      problem: problem?.message ?? 'a batch is not complete',
    });
  }

  /** Reads a segment again, with the producers as they were before it. Returns the bytes cut off; then those `later` are gone. */
  #recoverSegment(segment: Segment, later: readonly Segment[] = []): number {
    const { logger } = this.#options;
    const producers = this.#producers;
    const onBatch = this.#replayInto(segment);
    const { truncatedBytes, problem } = segment.recover(onBatch, () => this.#removeBehind(segment, later));
    producers.takeSnapshot();
    if (truncatedBytes > 0) {
      logger.warn('a segment is cut where it is damaged', {
        file: segment.log.path,
        position: segment.sizeBytes,
        offset: producers.mapEndOffset,
        truncatedBytes,
        problem: problem?.message ?? 'its last batch is not complete',
      });
    }
    return truncatedBytes;
  }

  /** What each batch of the segment says of epochs, producers and transactions, from the state before the segment on. */
  #replayInto(segment: Segment): (batch: BatchView) => void {
    const { partitionName, logStartOffset } = this.#options;
    const { baseOffset } = segment;
    const producers = this.#producers;
    if (producers.mapEndOffset !== baseOffset) {
      rebuildProducerStates(producers, this.#segments, {
        partitionName,
        logStartOffset,
        endOffset: baseOffset,
        nowMs: this.#nowMs,
        trustMissingSnapshots: false,
      });
    }
    return (batch) => {
      if (batch.leaderEpoch > (this.#epochs.latest?.epoch ?? -1)) this.#epochs.assign(batch.leaderEpoch, batch.baseOffset);
      const completed = replayProducer(producers, batch, partitionName);
      if (completed?.isAborted) segment.appendAborted(completed, producers.lastStableOffsetAfter(completed));
    };
  }

  /**
   * A log that ends before its own start lost its end in a crash, or was cut inside a batch: it begins again, empty. A start behind the end that
   * was written down at a clean stop is wrong, and the log stays. Returns the end of the one that stays.
   */
  #dropLogBehindItsStart(): number | undefined {
    if (this.#segments.count === 0) return undefined;
    const { logger, logStartOffset, directory } = this.#options;
    const logEndOffset = this.#readLogEndOffset();
    if (logEndOffset >= logStartOffset) return logEndOffset;
    const { cleanShutdown, recoveryPoint } = this.#options;
    if (cleanShutdown && logStartOffset > recoveryPoint && logEndOffset > this.#segments.first.baseOffset) {
      logger.error(
        'the log start that was written down lies behind the log, although the last stop was clean: it is passed over',
        {
          ...{ directory, logEndOffset, logStartOffset },
        },
      );
      this.#logStartOffset = this.#segments.first.baseOffset;
      return logEndOffset;
    }
    logger.warn('the log ends before its start: all of it is removed', { directory, logEndOffset, logStartOffset });
    this.#removeSegments(this.#segments.all.slice());
    this.#epochs.clear();
    this.#producers.startAt(logStartOffset);
    return undefined;
  }

  #readLogEndOffset(): number {
    const { active } = this.#segments;
    try {
      return active.readNextOffset();
    } catch (error) {
      if (!(error instanceof CorruptFileError)) throw error;
      this.#options.logger.warn('the last segment is damaged although the last stop was clean', {
        file: error.path,
        problem: error.message,
      });
      this.#recoverSegment(active);
      return active.readNextOffset();
    }
  }

  #removeSegments(removed: readonly Segment[]): void {
    for (const segment of removed.toReversed()) {
      const retired = segment.retire(deletedSuffix);
      for (const path of retired) this.#options.files.remove(path);
    }
    this.#segments.remove(removed);
  }

  #segmentOptions(baseOffset: number) {
    const { files, directory, config, logger, random } = this.#options;
    return { files, directory, baseOffset, config, logger, nowMs: this.#nowMs, rollJitterMs: rollJitterMs(config, random) };
  }
}

export function rollJitterMs({ segmentJitterMs, segmentMs }: LogConfig, random: Random): number {
  const bound = Math.min(segmentJitterMs, segmentMs);
  return bound <= 0 ? 0 : Math.floor(random.fraction() * bound);
}

/** Removes what a delayed deletion or an unfinished cleaning left, and completes a swap that had begun. True when there was any of it. */
function finishSwaps(names: readonly string[], { files, directory, logger }: LogLoaderOptions): boolean {
  const isLeftOver = (name: string) => [deletedSuffix, cleanedSuffix, swapSuffix].some((suffix) => name.endsWith(suffix));
  if (!names.some(isLeftOver)) return false;
  const path = (name: string) => `${directory}/${name}`;
  let firstCleaned = Number.POSITIVE_INFINITY;
  for (const name of names) {
    if (name.endsWith(deletedSuffix) && !name.endsWith(`.checkpoint${deletedSuffix}`)) files.remove(path(name));
    if (!name.endsWith(cleanedSuffix)) continue;
    const cleaned = parseSegmentFileName(name.slice(0, -cleanedSuffix.length));
    firstCleaned = Math.min(firstCleaned, cleaned?.offset ?? Number.POSITIVE_INFINITY);
    files.remove(path(name));
  }

  const swaps = files.list(directory).filter((name) => name.endsWith(swapSuffix));
  const finished: string[] = [];
  for (const name of swaps) {
    const swap = parseSegmentFileName(name.slice(0, -swapSuffix.length));
    if (swap && swap.offset >= firstCleaned) files.remove(path(name));
    else finished.push(name);
  }
  if (finished.length === 0) return true;
  const range = swappedRange(finished, { files, directory });
  logger.info('a cleaning is completed', { directory, ...range });
  for (const name of files.list(directory)) {
    const segment = parseSegmentFileName(name);
    if (segment && segment.suffix !== '.snapshot' && segment.offset >= range.startOffset && segment.offset < range.endOffset) {
      files.remove(path(name));
    }
  }
  for (const name of finished) files.rename(path(name), path(name.slice(0, -swapSuffix.length)));
  return true;
}

/** The offsets that the finished segments replace. */
function swappedRange(swaps: readonly string[], { files, directory }: { files: Files; directory: string }) {
  let startOffset = Number.POSITIVE_INFINITY;
  let endOffset = Number.NEGATIVE_INFINITY;
  for (const name of swaps) {
    const swap = parseSegmentFileName(name.slice(0, -swapSuffix.length));
    if (swap?.suffix !== '.log') continue;
    startOffset = Math.min(startOffset, swap.offset);
    endOffset = Math.max(endOffset, readEndOffset(files, `${directory}/${name}`) ?? swap.offset);
  }
  return { startOffset, endOffset };
}

/** Indexes whose segment is gone. */
function removeOrphans(names: readonly string[], { files, directory, logger }: LogLoaderOptions): void {
  for (const name of names) {
    const parsed = parseSegmentFileName(name);
    if (!parsed || parsed.suffix === '.log' || parsed.suffix === '.snapshot' || !segmentSuffixes.includes(parsed.suffix))
      continue;
    if (names.includes(segmentFileName(parsed.offset, '.log'))) continue;
    logger.warn('an index without its segment is removed', { file: `${directory}/${name}` });
    files.remove(`${directory}/${name}`);
  }
}
