import type { BatchView, KafkaError } from '@ottla/protocol';
import type { Files, Logger } from '@ottla/runtime';
import { BatchHeaders } from './batch-headers.ts';
import { CorruptFileError } from './corrupt-file-error.ts';
import { IndexFile, type IndexFileOptions } from './index-file.ts';
import { endOffsetIn, type IntactBatches, readIntactBatches } from './intact-batches.ts';
import type { LogConfig } from './log-config.ts';
import { LogFile } from './log-file.ts';
import { OffsetIndex } from './offset-index.ts';
import type { CompletedTransaction } from './producer-append.ts';
import { type cleanedSuffix, maxRelativeOffset, type SegmentSuffix, segmentFileName, type swapSuffix } from './segment-files.ts';
import { TimeIndex, type TimestampOffset } from './time-index.ts';
import { TransactionIndex } from './transaction-index.ts';

export type SegmentOptions = {
  readonly files: Files;
  /** The partition's. */
  readonly directory: string;
  readonly baseOffset: number;
  readonly config: LogConfig;
  readonly logger: Logger;
  readonly nowMs: number;
  /** Taken off segment.ms, so that not all partitions roll at once. */
  readonly rollJitterMs: number;
  /** Appended to the names of the files while they are not yet the log's. */
  readonly fileSuffix?: typeof cleanedSuffix;
};

/** Where the first batch with a last offset at or behind the one asked for lies. */
export type BatchPosition = { readonly position: number; readonly bytes: number };

/** What reading a segment again, and cutting it, came to. */
export type Recovered = { readonly truncatedBytes: number; readonly problem: KafkaError | undefined };

/** A stretch of the log, from `baseOffset` up to the next segment: a file of batches with its three indexes. */
export class Segment {
  readonly baseOffset: number;
  readonly log: LogFile;
  readonly offsetIndex: OffsetIndex;
  readonly timeIndex: TimeIndex;
  readonly transactionIndex: TransactionIndex;
  readonly rollJitterMs: number;
  readonly #indexIntervalBytes: number;
  readonly #logger: Logger;
  #createdMs: number;
  #bytesSinceIndexEntry = 0;
  /** The index files have room to grow. */
  #isActive = false;
  /** Nobody writes to its files any more: closed, or on their way out. */
  #isReleased = false;
  /** Undefined: not yet read from the time index. */
  #latest: TimestampOffset | undefined;
  /** Since they were read from their files. */
  #areIndexesChecked = false;
  /** Max timestamp of the first batch; undefined: not yet read, or no batch. */
  #firstTimestamp: number | undefined;

  private constructor(options: SegmentOptions, log: LogFile, offsets: IndexFile, times: IndexFile) {
    const { files, baseOffset, config } = options;
    this.baseOffset = baseOffset;
    this.log = log;
    this.offsetIndex = new OffsetIndex(offsets, baseOffset);
    this.timeIndex = new TimeIndex(times, baseOffset);
    this.transactionIndex = new TransactionIndex(files, pathOf(options, '.txnindex'), baseOffset);
    this.rollJitterMs = options.rollJitterMs;
    this.#indexIntervalBytes = config.indexIntervalBytes;
    this.#logger = options.logger;
    this.#createdMs = options.nowMs;
  }

  /** New and empty; files that are there are emptied. */
  static create(options: SegmentOptions): Segment {
    const { files, config } = options;
    const log = LogFile.create(files, pathOf(options, '.log'), {
      preallocateBytes: config.preallocate ? config.segmentBytes : 0,
    });
    files.remove(pathOf(options, '.txnindex'));
    const { offsets, times } = indexOptions(options);
    const segment = new Segment(options, log, IndexFile.create(offsets), IndexFile.create(times));
    segment.#isActive = true;
    segment.#latest = { timestamp: -1, offset: options.baseOffset };
    return segment;
  }

  /** From its files. Throws CorruptFileError when an index cannot be one; a missing index reads as empty. */
  static open(options: SegmentOptions): Segment {
    const log = LogFile.open(options.files, pathOf(options, '.log'));
    const { offsets, times } = indexOptions(options);
    return new Segment(options, log, IndexFile.open(offsets), IndexFile.open(times));
  }

  get sizeBytes(): number {
    return this.log.size;
  }

  /** The largest timestamp, and the last offset of the batch that brought it; (-1, base offset) when there is none. */
  get latest(): TimestampOffset {
    if (this.#latest === undefined) {
      this.#ensureIndexes();
      const { lastEntry } = this.timeIndex;
      if (!this.#isBacked(lastEntry)) this.#reindex(this.timeIndex.file.path);
      this.#latest ??= lastEntry;
    }
    return this.#latest;
  }

  /** From where on to look for a timestamp. An index that does not fit the data is made anew. */
  timeLookup(timestamp: number): TimestampOffset {
    this.#ensureIndexes();
    const entry = this.timeIndex.lookup(timestamp);
    if (entry.timestamp < 0 || this.#isBacked(entry)) return entry;
    this.#reindex(this.timeIndex.file.path);
    return this.timeIndex.lookup(timestamp);
  }

  /** Whether a batch bears the time index out. Without an entry no batch may have a timestamp; then the first speaks for all. */
  #isBacked({ timestamp, offset }: TimestampOffset): boolean {
    if (this.sizeBytes === 0) return true;
    try {
      const headers = timestamp < 0 ? new BatchHeaders(this.log, 0) : this.headersFrom(offset);
      while (headers.next()) {
        const { batch } = headers;
        if (timestamp < 0) return batch.maxTimestamp < 0;
        if (batch.lastOffset >= offset) return batch.lastOffset === offset && batch.maxTimestamp === timestamp;
      }
      return false;
    } catch (error) {
      // What is damaged is the data, and who reads it is told.
      if (error instanceof CorruptFileError) return true;
      throw error;
    }
  }

  /** Files from another life are checked at their first use: entries ascend, and nothing is zero. */
  #ensureIndexes(): void {
    if (this.#isActive || this.#areIndexesChecked) return;
    this.#areIndexesChecked = true;
    if (!this.offsetIndex.isSound) this.#reindex(this.offsetIndex.file.path);
    else if (!this.timeIndex.isSound) this.#reindex(this.timeIndex.file.path);
  }

  /** By which time limits are judged: a segment without timestamps counts by its file's modification. */
  get largestTimestamp(): number {
    return this.latest.timestamp >= 0 ? this.latest.timestamp : this.log.modifiedMs;
  }

  /** Appends whole batches, which are in their final form, in one write: parts, and a view on each. When it throws, nothing was appended. */
  append({ parts, views }: { readonly parts: readonly Uint8Array[]; readonly views: readonly BatchView[] }): void {
    // Before there is a batch that it does not know of.
    if (this.#latest === undefined) void this.latest;
    if (!this.#isActive) this.#becomeActive();
    let position = this.log.size;
    this.log.append(parts);
    for (const batch of views) {
      for (let start = 0; start < batch.buffer.length; ) {
        const { length } = batch.moveTo(start);
        this.#index(batch, position);
        start += length;
        position += length;
      }
    }
  }

  #index(batch: BatchView, position: number): void {
    const { lastOffset, maxTimestamp } = batch;
    if (position === 0) this.#firstTimestamp = maxTimestamp;
    if (maxTimestamp > this.latest.timestamp) this.#latest = { timestamp: maxTimestamp, offset: lastOffset };
    if (this.#bytesSinceIndexEntry > this.#indexIntervalBytes) {
      this.offsetIndex.append(lastOffset, position);
      this.timeIndex.appendIfLater(this.latest);
      this.#bytesSinceIndexEntry = 0;
    }
    this.#bytesSinceIndexEntry += batch.length;
  }

  /** Whether an append of `bytes` with these largest values belongs into a new segment. */
  isFullFor(
    append: { readonly bytes: number; readonly maxTimestamp: number; readonly lastOffset: number; readonly nowMs: number },
    config: LogConfig,
  ): boolean {
    return (
      this.sizeBytes > config.segmentBytes - append.bytes ||
      (this.sizeBytes > 0 && this.#waitedMs(append) > config.segmentMs - this.rollJitterMs) ||
      this.offsetIndex.isFull ||
      this.timeIndex.isFull ||
      append.lastOffset - this.baseOffset > maxRelativeOffset
    );
  }

  /** Whether `batches` more can come before an index is full. */
  hasIndexRoomFor(batches: number): boolean {
    return this.offsetIndex.freeEntries > batches && this.timeIndex.freeEntries > batches;
  }

  /** Measured by record time, so that a replica which catches up rolls where its leader did. */
  #waitedMs({ maxTimestamp, nowMs }: { maxTimestamp: number; nowMs: number }): number {
    const { firstTimestamp } = this;
    return firstTimestamp >= 0 ? maxTimestamp - firstTimestamp : nowMs - this.#createdMs;
  }

  /** Max timestamp of the first batch; -1 when there is none. */
  get firstTimestamp(): number {
    if (this.#firstTimestamp === undefined && this.sizeBytes > 0) {
      const headers = new BatchHeaders(this.log, 0);
      if (headers.next()) this.#firstTimestamp = headers.batch.maxTimestamp;
    }
    return this.#firstTimestamp ?? -1;
  }

  /**
   * The first batch whose last offset is at or behind `offset`. Undefined when the segment ends before.
   * Throws CorruptFileError when the data is damaged.
   */
  find(offset: number): BatchPosition | undefined {
    const headers = this.headersFrom(offset);
    while (headers.next()) {
      if (headers.batch.lastOffset >= offset) return { position: headers.position, bytes: headers.batch.length };
    }
    headers.requireEnd();
    return undefined;
  }

  /** Walks from the indexed batch at or before `offset`. An index that does not fit the data is made anew. */
  headersFrom(offset: number): BatchHeaders {
    this.#ensureIndexes();
    const position = this.offsetIndex.lookup(offset);
    const indexedOffset = this.offsetIndex.indexedOffset(offset);
    const headers = new BatchHeaders(this.log, position);
    if (position === 0 || headers.beginsAt(indexedOffset)) return headers;
    this.#reindex(this.offsetIndex.file.path);
    return new BatchHeaders(this.log, this.offsetIndex.lookup(offset));
  }

  #reindex(damagedFile: string): void {
    this.#logger.warn('an index does not fit its segment and is made anew', { file: damagedFile, baseOffset: this.baseOffset });
    this.#areIndexesChecked = true;
    this.offsetIndex.file.truncateEntries(0);
    this.timeIndex.file.truncateEntries(0);
    this.#latest = { timestamp: -1, offset: this.baseOffset };
    this.#bytesSinceIndexEntry = 0;
    const headers = new BatchHeaders(this.log, 0);
    try {
      while (headers.next()) this.#index(headers.batch, headers.position);
    } catch (error) {
      if (!(error instanceof CorruptFileError)) throw error;
      this.#logger.error('a segment is damaged: its records from there on cannot be read', {
        file: this.log.path,
        problem: error.message,
      });
    }
    if (this.#isActive) return;
    this.becomeInactive();
    // A start after a power loss would believe what is left of it.
    this.syncIndexes();
  }

  /** One after the last offset; the base offset when there is none. Throws CorruptFileError. */
  readNextOffset(): number {
    const headers = new BatchHeaders(this.log, this.offsetIndex.lastPosition);
    const endOffset = endOffsetIn(headers) ?? this.baseOffset;
    headers.requireEnd();
    return endOffset;
  }

  appendAborted({ producerId, firstOffset, lastOffset }: CompletedTransaction, lastStableOffset: number): void {
    this.transactionIndex.append({ producerId, firstOffset, lastOffset, lastStableOffset });
  }

  /** Cheap enough for every start. Throws CorruptFileError when an index cannot belong to this segment. */
  checkIndexes(): void {
    const { file, lastPosition } = this.offsetIndex;
    if (lastPosition < 0 || (lastPosition > 0 && lastPosition >= this.sizeBytes))
      throw new CorruptFileError(file.path, `it points out of the ${this.sizeBytes} bytes of its segment`);
    const { lastEntry } = this.timeIndex;
    if (lastEntry.offset < this.baseOffset)
      throw new CorruptFileError(this.timeIndex.file.path, 'its last offset is below its base');
    this.transactionIndex.check();
  }

  /** Drops the batch that holds `offset` and all behind it. */
  truncateTo(offset: number, nowMs: number): void {
    const found = this.find(offset);
    this.offsetIndex.truncateTo(offset);
    this.timeIndex.truncateTo(offset);
    this.transactionIndex.truncateTo(offset);
    if (found) this.log.truncate(found.position);
    if (this.sizeBytes === 0) {
      this.#createdMs = nowMs;
      this.#firstTimestamp = undefined;
    }
    this.#bytesSinceIndexEntry = 0;
    this.#latest = this.#readLatest();
  }

  #readLatest(): TimestampOffset {
    let latest = this.timeIndex.lastEntry;
    const headers = this.headersFrom(latest.offset);
    while (headers.next()) {
      const { maxTimestamp, lastOffset } = headers.batch;
      if (maxTimestamp > latest.timestamp) latest = { timestamp: maxTimestamp, offset: lastOffset };
    }
    return latest;
  }

  /**
   * Reads the batches again up to the first that is not whole or not intact, and rebuilds the indexes; `onBatch` sees each, and may throw to
   * declare it bad. Cuts nothing.
   */
  rebuild(onBatch: (batch: BatchView) => void): IntactBatches {
    this.offsetIndex.file.reset();
    this.timeIndex.file.reset();
    this.transactionIndex.reset();
    this.#latest = { timestamp: -1, offset: this.baseOffset };
    this.#firstTimestamp = undefined;
    this.#bytesSinceIndexEntry = 0;
    const intact = readIntactBatches(this.log, this.baseOffset, (batch, position) => {
      onBatch(batch);
      this.#index(batch, position);
    });
    this.becomeInactive();
    return intact;
  }

  /**
   * The same, and cuts the file before the first bad batch, after `beforeCut` and durably: what is written there next must not be
   * found together with what was there before.
   */
  recover(onBatch: (batch: BatchView) => void, beforeCut: () => void): Recovered {
    const { validBytes, problem } = this.rebuild(onBatch);
    const truncatedBytes = this.log.size - validBytes;
    if (truncatedBytes > 0) {
      beforeCut();
      this.log.truncate(validBytes);
      this.log.sync();
    }
    return { truncatedBytes, problem };
  }

  #becomeActive(): void {
    this.offsetIndex.file.preallocate();
    this.timeIndex.file.preallocate();
    this.#isActive = true;
  }

  /** The next segment took over, or the log closes: the files get their final form. */
  becomeInactive(): void {
    this.#isActive = false;
    this.timeIndex.appendIfLater(this.latest);
    this.offsetIndex.file.trim();
    this.timeIndex.file.trim();
    this.log.trim();
  }

  writeIndexesBehind(): void {
    this.offsetIndex.file.writeBehind();
    this.timeIndex.file.writeBehind();
  }

  /** Frees what can be read again. */
  unloadIndexes(): void {
    this.#areIndexesChecked = false;
    this.offsetIndex.file.unload();
    this.timeIndex.file.unload();
  }

  /** Durable when it returns. */
  flush(): void {
    this.log.sync();
    this.#flushIndexes();
  }

  /** Durable when it resolves. The device is waited for off the event loop; only what changed meanwhile is synced on it at last. */
  async flushLater(): Promise<void> {
    if (this.#isReleased) return;
    await this.log.syncLater();
    for (const { file } of [this.offsetIndex, this.timeIndex]) if (!this.#isReleased) await file.syncLater();
    this.#flushIndexes();
  }

  #flushIndexes(): void {
    if (this.#isReleased) return;
    this.offsetIndex.file.sync();
    this.timeIndex.file.sync();
    this.transactionIndex.sync();
  }

  /** `syncIndexes` without holding up the event loop. */
  async syncIndexesLater(): Promise<void> {
    if (this.sizeBytes === 0) return;
    for (const { file } of [this.offsetIndex, this.timeIndex]) if (!this.#isReleased) await file.syncLater();
    if (!this.#isReleased) this.transactionIndex.sync();
  }

  /** What changed in the indexes since they were last durable. Those of an empty segment are made anew for nothing. */
  syncIndexes(): void {
    if (this.sizeBytes === 0) return;
    this.offsetIndex.file.sync();
    this.timeIndex.file.sync();
    this.transactionIndex.sync();
  }

  close(): void {
    this.#isReleased = true;
    this.log.close();
  }

  /** Renames all files for removal and returns the new paths. */
  retire(suffix: string): string[] {
    this.close();
    return this.#files.map((file) => {
      const path = file.path + suffix;
      file.rename(path);
      return path;
    });
  }

  /** The `.log` goes first: by its name a start after a crash judges how far a swap has come. */
  changeSuffix(from: typeof cleanedSuffix | typeof swapSuffix, to: typeof swapSuffix | ''): void {
    for (const file of this.#files) file.rename(file.path.slice(0, -from.length) + to);
  }

  /** What `retire` and `changeSuffix` rename; the last need not exist. */
  get filePaths(): string[] {
    return this.#files.map((file) => file.path);
  }

  get #files() {
    return [this.log, this.offsetIndex.file, this.timeIndex.file, this.transactionIndex];
  }
}

function pathOf({ directory, baseOffset, fileSuffix }: SegmentOptions, suffix: SegmentSuffix): string {
  return `${directory}/${segmentFileName(baseOffset, suffix)}${fileSuffix ?? ''}`;
}

function indexOptions(options: SegmentOptions): { offsets: IndexFileOptions; times: IndexFileOptions } {
  const { files, config } = options;
  const shared = { files, maxBytes: config.segmentIndexBytes };
  return {
    offsets: OffsetIndex.fileOptions({ ...shared, path: pathOf(options, '.index') }),
    times: TimeIndex.fileOptions({ ...shared, path: pathOf(options, '.timeindex') }),
  };
}
