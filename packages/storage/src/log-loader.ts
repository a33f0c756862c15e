import type { Clock, Files, Logger, Random } from '@ottla/runtime';
import { CorruptFileError } from './corrupt-file-error.ts';
import { LeaderEpochCache } from './leader-epoch-cache.ts';
import type { LogConfig } from './log-config.ts';
import { rebuildProducerStates, replayProducer } from './producer-rebuild.ts';
import { ProducerStates } from './producer-states.ts';
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
  readonly recoveryPoint: number;
  readonly logStartOffset: number;
  readonly producerIdExpirationMs: number;
};

export type LoadedLog = {
  readonly segments: Segments;
  readonly epochs: LeaderEpochCache;
  readonly producers: ProducerStates;
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

class LogLoader {
  readonly #options: LogLoaderOptions;
  readonly #segments = new Segments();
  readonly #producers: ProducerStates;
  readonly #epochs: LeaderEpochCache;
  readonly #nowMs: number;

  constructor(options: LogLoaderOptions) {
    this.#options = options;
    this.#nowMs = options.clock.nowMs();
    finishSwaps(options);
    this.#producers = new ProducerStates(options);
    this.#epochs = this.#openEpochs();
  }

  load(): LoadedLog {
    const { cleanShutdown, logStartOffset: checkpointedStart, partitionName } = this.#options;
    removeOrphans(this.#options);
    this.#openSegments();
    if (!cleanShutdown) this.#recoverFrom(this.#options.recoveryPoint);
    const survivingEnd = this.#dropLogBehindItsStart();

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
    const recoveryPoint =
      cleanShutdown && survivingEnd !== undefined ? logEndOffset : Math.min(this.#options.recoveryPoint, logEndOffset);
    return { segments, epochs: this.#epochs, producers: this.#producers, logStartOffset, logEndOffset, recoveryPoint };
  }

  #openEpochs(): LeaderEpochCache {
    const { files, directory, logger, cleanShutdown } = this.#options;
    try {
      return LeaderEpochCache.open(files, directory);
    } catch (error) {
      // After a crash the batches read again bring the epochs back; after a clean stop nobody may guess.
      if (!(error instanceof CorruptFileError) || cleanShutdown) throw error;
      logger.warn('leader epochs are rebuilt from the log', { file: error.path, problem: error.message });
      return LeaderEpochCache.startOver(files, directory);
    }
  }

  #openSegments(): void {
    const { files, directory } = this.#options;
    const names = files.list(directory).map(parseSegmentFileName);
    const offsets = names.filter((name) => name?.suffix === '.log').map((name) => name!.offset);
    const toRebuild: Segment[] = [];
    for (const baseOffset of offsets.sort((left, right) => left - right)) {
      const { segment, isSound } = this.#openSegment(baseOffset);
      this.#segments.add(segment);
      if (!isSound) toRebuild.push(segment);
    }
    for (const segment of toRebuild) this.#recoverSegment(segment);
  }

  #openSegment(baseOffset: number): { segment: Segment; isSound: boolean } {
    const { files, directory, logger } = this.#options;
    const path = (suffix: '.index' | '.timeindex' | '.txnindex') => `${directory}/${segmentFileName(baseOffset, suffix)}`;
    const missing = (['.index', '.timeindex'] as const).find((suffix) => !files.stat(path(suffix)));
    let isSound = missing === undefined;
    if (missing) logger.warn('an index is missing: the segment is read again', { file: path(missing) });
    try {
      const segment = Segment.open(this.#segmentOptions(baseOffset));
      segment.checkIndexes();
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
    const { logger } = this.#options;
    this.#epochs.truncateFromEnd(recoveryPoint);
    const unflushed = this.#segments.from(recoveryPoint);
    for (const [index, segment] of unflushed.entries()) {
      const truncatedBytes = this.#recoverSegment(segment);
      const later = unflushed.slice(index + 1);
      if (truncatedBytes === 0 || later.length === 0) continue;
      logger.warn('segments behind a damaged one are removed', { files: later.map((removed) => removed.log.path) });
      this.#removeSegments(later);
      return;
    }
  }

  /** Reads a segment again, with the producers as they were before it. Returns the bytes cut off. */
  #recoverSegment(segment: Segment): number {
    const { logger, partitionName, logStartOffset } = this.#options;
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
    const { truncatedBytes, problem } = segment.recover((batch) => {
      if (batch.leaderEpoch > (this.#epochs.latest?.epoch ?? -1)) this.#epochs.assign(batch.leaderEpoch, batch.baseOffset);
      const completed = replayProducer(producers, batch, partitionName);
      if (completed?.isAborted) segment.appendAborted(completed, producers.lastStableOffsetAfter(completed));
    });
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

  /** A log that ends before its own start lost its files: it begins again, empty. Returns the end of the one that stays. */
  #dropLogBehindItsStart(): number | undefined {
    if (this.#segments.count === 0) return undefined;
    const { logger, logStartOffset, directory } = this.#options;
    const logEndOffset = this.#readLogEndOffset();
    if (logEndOffset >= logStartOffset) return logEndOffset;
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
    for (const segment of removed) {
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

/** Removes what a delayed deletion or an unfinished cleaning left, and completes a swap that had begun. */
function finishSwaps({ files, directory, logger }: LogLoaderOptions): void {
  const path = (name: string) => `${directory}/${name}`;
  let firstCleaned = Number.POSITIVE_INFINITY;
  for (const name of files.list(directory)) {
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
  if (finished.length === 0) return;
  const range = swappedRange(finished, { files, directory });
  logger.info('a cleaning is completed', { directory, ...range });
  for (const name of files.list(directory)) {
    const segment = parseSegmentFileName(name);
    if (segment && segment.suffix !== '.snapshot' && segment.offset >= range.startOffset && segment.offset < range.endOffset) {
      files.remove(path(name));
    }
  }
  for (const name of finished) files.rename(path(name), path(name.slice(0, -swapSuffix.length)));
}

/** The offsets that the finished segments replace. */
function swappedRange(swaps: readonly string[], { files, directory }: { files: Files; directory: string }) {
  let startOffset = Number.POSITIVE_INFINITY;
  let endOffset = Number.NEGATIVE_INFINITY;
  for (const name of swaps) {
    const swap = parseSegmentFileName(name.slice(0, -swapSuffix.length));
    if (swap?.suffix !== '.log') continue;
    startOffset = Math.min(startOffset, swap.offset);
    endOffset = Math.max(endOffset, Segment.readEndOffset(files, `${directory}/${name}`, swap.offset));
  }
  return { startOffset, endOffset };
}

/** Indexes whose segment is gone. */
function removeOrphans({ files, directory, logger }: LogLoaderOptions): void {
  const names = files.list(directory);
  for (const name of names) {
    const parsed = parseSegmentFileName(name);
    if (!parsed || parsed.suffix === '.log' || parsed.suffix === '.snapshot' || !segmentSuffixes.includes(parsed.suffix))
      continue;
    if (names.includes(segmentFileName(parsed.offset, '.log'))) continue;
    logger.warn('an index without its segment is removed', { file: `${directory}/${name}` });
    files.remove(`${directory}/${name}`);
  }
}
