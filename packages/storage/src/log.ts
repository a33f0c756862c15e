import { KafkaError, type Uuid } from '@ottla/protocol';
import { type ActiveProducer, activeProducersOf, type LastRecordOfProducer, lastRecordsOf } from './active-producers.ts';
import type { AppendOptions } from './append-plan.ts';
import type { EpochEndOffset, EpochEntry, LeaderEpochCache } from './leader-epoch-cache.ts';
import { type AppendResult, LogAppender } from './log-appender.ts';
import type { LogConfig } from './log-config.ts';
import { LogFlusher } from './log-flusher.ts';
import { type LogOptions, type OpenedFiles, openLogFiles } from './log-opening.ts';
import {
  checkReadable,
  findAborted,
  findMaxTimestamp,
  findTimestamp,
  type LogRead,
  measureSegments,
  type ReadRequest,
  readSegments,
  type TimestampAndOffset,
} from './log-reader.ts';
import { expiredSegments, retentionReasons } from './log-retention.ts';
import { partitionDirectoryName } from './partition-directory.ts';
import { writePartitionMetadata } from './partition-metadata.ts';
import { rebuildProducerStates } from './producer-rebuild.ts';
import type { ProducerStates } from './producer-states.ts';
import { ReadBuffers } from './read-buffers.ts';
import type { RollWitnesses } from './roll-witnesses.ts';
import type { Segment } from './segment.ts';
import { SegmentTurnover } from './segment-turnover.ts';
import type { Segments } from './segments.ts';
import { LogTail } from './tail-cache.ts';
import type { AbortedTransaction } from './transaction-index.ts';
import { NO_GUARD, type VerificationGuard, type VerificationRequest } from './transaction-verifications.ts';

export type SegmentInfo = {
  readonly baseOffset: number;
  readonly sizeBytes: number;
  readonly largestTimestamp: number;
};

/**
 * One partition's log, in Kafka's files. Synchronous: writes go to the page cache, and durability is `flush`'s.
 * Invariant: logStartOffset <= lastStableOffset <= logEndOffset; recoveryPoint <= logEndOffset.
 * The high watermark belongs to the replica that leads or follows; the log is told of it by `onHighWatermark`.
 */
export class Log {
  readonly directory: string;
  readonly topic: string;
  readonly partition: number;
  /** `topic-partition`. */
  readonly name: string;
  #topicId: Uuid | undefined;
  #config: LogConfig;
  readonly #runtime: LogOptions['runtime'];
  readonly #segments: Segments;
  readonly #epochs: LeaderEpochCache;
  readonly #producers: ProducerStates;
  readonly #witnesses: RollWitnesses;
  readonly #turnover: SegmentTurnover;
  readonly #flusher: LogFlusher;
  readonly #appender: LogAppender;
  readonly #buffers: ReadBuffers;
  readonly #tail: LogTail | undefined;
  readonly #checkpointRecoveryPoint: () => void;
  /** Called when records at the beginning are gone for readers, by retention or because they were deleted. */
  onLogStartMoved: (() => void) | undefined;
  #logStartOffset: number;
  #highWatermark: number | undefined;
  #firstDirtyOffset: number | undefined;
  #isClosed = false;

  /** Throws IoError and CorruptFileError: the log directory is at fault. INCONSISTENT_TOPIC_ID when it is another topic's. */
  static open(options: LogOptions): Log {
    return new Log(options, openLogFiles(options));
  }

  private constructor(options: LogOptions, loaded: OpenedFiles) {
    this.directory = options.directory;
    this.topic = options.topic;
    this.partition = options.partition;
    this.name = partitionDirectoryName(options.topic, options.partition);
    this.#topicId = loaded.topicId;
    this.#config = loaded.config;
    this.#runtime = options.runtime;
    const { segments, producers, witnesses } = loaded;
    this.#segments = segments;
    this.#epochs = loaded.epochs;
    this.#producers = producers;
    this.#witnesses = witnesses;
    this.#turnover = new SegmentTurnover({ log: this, runtime: options.runtime, segments, producers, witnesses });
    this.#logStartOffset = loaded.logStartOffset;
    const { files, clock } = options.runtime;
    this.#buffers = options.buffers ?? new ReadBuffers();
    this.#tail = options.tails && new LogTail(options.tails);
    this.#appender = new LogAppender({ ...loaded, log: this, clock, tail: this.#tail });
    this.#checkpointRecoveryPoint = options.checkpointRecoveryPoint ?? (() => {});
    this.#flusher = new LogFlusher({ ...loaded, files, clock, directory: options.directory });
  }

  get topicId(): Uuid | undefined {
    return this.#topicId;
  }

  /** For a log that knows none. Durable soon, or with the next flush. */
  assignTopicId(topicId: Uuid): void {
    writePartitionMetadata(this.#runtime.files, this.directory, { topicId });
    this.#flusher.onOwnerChanged();
    this.#topicId = topicId;
  }

  get config(): LogConfig {
    return this.#config;
  }

  get logStartOffset(): number {
    return this.#logStartOffset;
  }

  /** Exclusive: what the next record gets. */
  get logEndOffset(): number {
    return this.#appender.logEndOffset;
  }

  /** Everything below is flushed. */
  get recoveryPoint(): number {
    return this.#flusher.recoveryPoint;
  }

  /** Up to where read_committed readers may go: the first open or unreplicated transaction, else the high watermark. */
  get lastStableOffset(): number {
    if (this.#highWatermark === undefined) return this.#producers.firstOpenOffset ?? this.logEndOffset;
    return Math.min(this.#producers.firstUnstableOffset ?? this.#highWatermark, this.#highWatermark);
  }

  /** As the replica last told; the log start as long as it has not, so that nothing is deleted on a guess. */
  get highWatermark(): number {
    return this.#highWatermark ?? this.#logStartOffset;
  }

  get sizeBytes(): number {
    return this.#segments.sizeBytes;
  }

  get firstSegmentBaseOffset(): number {
    return this.#segments.first.baseOffset;
  }

  get segments(): SegmentInfo[] {
    return this.#segments.all.map(({ baseOffset, sizeBytes, largestTimestamp }) => ({ baseOffset, sizeBytes, largestTimestamp }));
  }

  /** -1 when no epoch is known. */
  get latestEpoch(): number {
    return this.#epochs.latest?.epoch ?? -1;
  }

  get epochs(): readonly EpochEntry[] {
    return this.#epochs.entries;
  }

  /** For the cleaner, which must look at `segmentsVersion` before it uses them again. */
  get cleanerSegments(): readonly Segment[] {
    return this.#segments.all;
  }

  /** Changes when segments go, are replaced, or are cut: a cleaning under way has lost its ground. */
  get segmentsVersion(): number {
    return this.#turnover.version;
  }

  /** Everything below has been compacted; undefined: nothing ever was. The cleaner sets it, truncation lowers it. */
  get firstDirtyOffset(): number | undefined {
    return this.#firstDirtyOffset;
  }

  set firstDirtyOffset(offset: number | undefined) {
    this.#firstDirtyOffset = offset;
  }

  /** Per producer id the last offset it wrote data at (-1: only markers are known of it) and its epoch. */
  lastRecordsOfProducers(): Map<number, LastRecordOfProducer> {
    return lastRecordsOf(this.#producers);
  }

  /** An empty segment in `.cleaned` files, for the cleaner to fill. */
  createCleanedSegment(baseOffset: number): Segment {
    this.#ensureOpen();
    return this.#turnover.createCleaned(baseOffset);
  }

  /**
   * Puts a cleaned segment, which is durable and final, in the place of those it was made of. From the moment it is whole under
   * `.swap`, a start after a crash completes the exchange; before, it undoes it.
   */
  replaceSegments(replaced: readonly Segment[], cleaned: Segment): void {
    this.#ensureOpen();
    this.#checkpointRecoveryPoint();
    this.#tail?.clear();
    this.#turnover.replace(replaced, cleaned);
  }

  updateConfig(config: LogConfig): void {
    this.#config = config;
  }

  /** The replica tells where its high watermark is. A log that was never told takes its end for it. */
  onHighWatermark(highWatermark: number): void {
    this.#highWatermark = highWatermark;
    this.#producers.onHighWatermark(highWatermark);
  }

  /**
   * Appends by Kafka's rules: as leader (client, coordinator) one batch, which gets its offsets, epoch and times here; as raft leader
   * or follower any number, as they are.
   * Throws CORRUPT_MESSAGE, INVALID_RECORD and INVALID_TIMESTAMP (RecordValidationError names the records), MESSAGE_TOO_LARGE,
   * RECORD_LIST_TOO_LARGE, UNSUPPORTED_COMPRESSION_TYPE, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE,
   * TRANSACTION_COORDINATOR_FENCED, and IoError; nothing has changed then.
   */
  append(records: Uint8Array, options: AppendOptions): AppendResult {
    this.#ensureOpen();
    const result = this.#appender.append(records, options);
    this.#onAppended();
    return result;
  }

  /**
   * The first half of `append`: checks a client's batch, against what is staged already too, and gives it its offsets, but leaves the
   * writing to `commitStaged`, which must follow in the same turn. Until then `records` (unless `mayModify` is false) must not change, and
   * readers do not see the batch. Throws what `append` throws, and what is staged stays so; `commitStaged` throws an IoError again if it cost
   * the staged batches. A duplicate may repeat a batch that is only staged: an answer waits until `logEndOffset` is behind its `lastOffset`.
   */
  stage(records: Uint8Array, options: AppendOptions): AppendResult {
    this.#ensureOpen();
    return this.#appender.stage(records, options);
  }

  /**
   * Writes what is staged, at once. Throws IoError: the staged batches are not in the log then, except for those below `logEndOffset`, which
   * were written earlier because a segment was full, or because something else had to happen to the log.
   */
  commitStaged(): void {
    this.#ensureOpen();
    this.#appender.commitStaged();
    this.#onAppended();
  }

  /** Bytes that wait for `commitStaged`. */
  get stagedBytes(): number {
    return this.#appender.stagedBytes;
  }

  #onAppended(): void {
    if (this.#highWatermark === undefined) this.#producers.onHighWatermark(this.logEndOffset);
    if (this.logEndOffset - this.recoveryPoint >= this.#config.flushMessages) this.flush();
  }

  /** The epoch of a new leader begins at `startOffset`, before it has written anything. */
  assignLeaderEpoch(epoch: number, startOffset: number): void {
    this.#appender.settle();
    this.#epochs.assign(epoch, startOffset);
  }

  /** Where the largest epoch <= `epoch` ends; (-1, -1) when that is not known. */
  endOffsetForEpoch(epoch: number): EpochEndOffset {
    return this.#epochs.endOffsetFor(epoch, this.logEndOffset);
  }

  /** -1 when no epoch is known there. */
  epochForOffset(offset: number): number {
    return this.#epochs.epochForOffset(offset);
  }

  /** Throws OFFSET_OUT_OF_RANGE. */
  read(request: ReadRequest): LogRead {
    this.#ensureOpen();
    this.#checkReadable(request.startOffset);
    const inMemory = this.#tail?.read(request);
    if (inMemory) return inMemory;
    const { logEndOffset } = this;
    const read = readSegments({ segments: this.#segments, logEndOffset, buffers: this.#buffers }, request);
    if (read.upperBoundOffset >= logEndOffset) this.#tail?.want();
    return read;
  }

  /** How many bytes `read` would return, without reading them; Infinity when waiting cannot add to them. Throws OFFSET_OUT_OF_RANGE. */
  measure(request: ReadRequest): number {
    this.#ensureOpen();
    this.#checkReadable(request.startOffset);
    return this.#tail?.measure(request) ?? measureSegments(this.#segments, this.logEndOffset, request);
  }

  /** The first record at or after `timestamp`, if it is below `endOffset`. */
  offsetForTimestamp(timestamp: number, { endOffset = this.logEndOffset } = {}): TimestampAndOffset | undefined {
    this.#ensureOpen();
    const found = findTimestamp(this.#segments, timestamp, this.#logStartOffset);
    return found && found.offset < endOffset ? found : undefined;
  }

  /** The record with the largest timestamp. */
  offsetOfMaxTimestamp(): TimestampAndOffset | undefined {
    this.#ensureOpen();
    return findMaxTimestamp(this.#segments);
  }

  /** The aborted transactions with data in [startOffset, endOffset): for a read, up to its `upperBoundOffset`. */
  abortedTransactions(startOffset: number, endOffset: number): AbortedTransaction[] {
    this.#ensureOpen();
    return findAborted(this.#segments, startOffset, endOffset);
  }

  activeProducers(): ActiveProducer[] {
    return activeProducersOf(this.#producers);
  }

  hasOpenTransaction(producerId: number, producerEpoch: number): boolean {
    return this.#producers.hasOpenTransaction(producerId, producerEpoch);
  }

  /**
   * A transactional batch has come whose transaction may not have begun here: unless it has, the guard is to be given to `append` once the
   * coordinator has confirmed that the partition is part of it. Throws INVALID_PRODUCER_EPOCH.
   */
  startVerification(request: VerificationRequest): VerificationGuard {
    const { producerId, producerEpoch } = request;
    const known = this.#producers.entries.get(producerId)?.producerEpoch ?? -1;
    if (producerEpoch < known) {
      throw new KafkaError(
        'INVALID_PRODUCER_EPOCH',
        `Epoch of producer ${producerId} is ${producerEpoch}, which is smaller than the last seen epoch ${known}`,
      );
    }
    if (this.hasOpenTransaction(producerId, producerEpoch)) return NO_GUARD;
    return this.#producers.verifications.start(request, this.#runtime.clock.nowMs());
  }

  /** The log takes the place of another, with the same records: what waits to be verified there waits here. */
  takeOverVerifications(from: Log): void {
    this.#producers.verifications.takeOver(from.#producers.verifications);
  }

  removeExpiredProducers(nowMs: number, producerIdExpirationMs?: number): void {
    this.#producers.removeExpired(nowMs, producerIdExpirationMs);
  }

  /** Records below are gone for readers; their segments go at the next `deleteOldSegments`. True when it moved. Throws OFFSET_OUT_OF_RANGE. */
  advanceLogStartOffset(offset: number): boolean {
    const highWatermark = this.#highWatermark ?? this.logEndOffset;
    if (offset > highWatermark) {
      throw new KafkaError(
        'OFFSET_OUT_OF_RANGE',
        `Cannot increment the log start offset to ${offset} of partition ${this.name} since it is larger than the high watermark ${highWatermark}`,
      );
    }
    if (offset <= this.#logStartOffset) return false;
    this.#startAt(offset);
    return true;
  }

  /** Retention: removes the segments at the beginning that are due, for each reason in Kafka's order. Returns how many. */
  deleteOldSegments({ highWatermark, nowMs }: { highWatermark: number; nowMs: number }): number {
    this.#ensureOpen();
    this.#appender.settle();
    let deleted = 0;
    for (const reason of retentionReasons(this.#config)) {
      const expired = expiredSegments(this.#segments.all, reason, {
        config: this.#config,
        logStartOffset: this.#logStartOffset,
        logEndOffset: this.logEndOffset,
        highWatermark,
        nowMs,
      });
      if (expired.length === 0) continue;
      if (expired.length === this.#segments.count) this.roll();
      this.#turnover.removeExpired(expired, { reason, nowMs });
      this.#startAt(Math.max(this.#logStartOffset, this.#segments.first.baseOffset));
      deleted += expired.length;
    }
    return deleted;
  }

  #startAt(offset: number): void {
    const hasMoved = offset !== this.#logStartOffset;
    this.#logStartOffset = offset;
    this.#epochs.truncateFromStart(offset);
    this.#producers.onLogStartOffset(offset);
    if (hasMoved) this.onLogStartMoved?.();
  }

  /** Begins a new segment, at the log's end or at the later offset that the next batch has. */
  roll(expectedOffset = 0): void {
    this.#ensureOpen();
    this.#appender.settle();
    this.#turnover.roll(Math.max(expectedOffset, this.logEndOffset));
  }

  /** Drops everything from the batch that holds `offset` on. False when there was nothing to drop. */
  truncateTo(offset: number): boolean {
    this.#ensureOpen();
    this.#appender.settle();
    if (offset >= this.logEndOffset) {
      // As leader it may have opened an epoch that it never wrote in.
      this.#epochs.truncateFromEnd(this.logEndOffset);
      return false;
    }
    if (offset < this.#segments.first.baseOffset) {
      this.truncateFullyAndStartAt(offset);
      return true;
    }
    const nowMs = this.#runtime.clock.nowMs();
    this.#endAt(offset);
    this.#turnover.truncateTo(offset, nowMs);
    this.#logStartOffset = Math.min(this.#logStartOffset, offset);
    this.#epochs.truncateFromEnd(offset);
    this.#rebuildProducers(nowMs);
    return true;
  }

  /** Drops everything; the next record gets `offset`. */
  truncateFullyAndStartAt(offset: number): void {
    this.#ensureOpen();
    this.#appender.settle();
    const nowMs = this.#runtime.clock.nowMs();
    this.#endAt(offset);
    this.#turnover.truncateFullyAndStartAt(offset, nowMs);
    this.#logStartOffset = offset;
    this.#epochs.clear();
    this.#rebuildProducers(nowMs);
  }

  #endAt(offset: number): void {
    this.#appender.endAt(offset);
    this.#tail?.clear();
    this.#turnover.onCut();
    if (this.#firstDirtyOffset !== undefined) this.#firstDirtyOffset = Math.min(this.#firstDirtyOffset, offset);
    this.#flusher.onTruncation(offset);
    this.#checkpointRecoveryPoint();
    if (this.#highWatermark !== undefined) this.#highWatermark = Math.min(this.#highWatermark, offset);
  }

  #rebuildProducers(nowMs: number): void {
    rebuildProducerStates(this.#producers, this.#segments, {
      partitionName: this.name,
      logStartOffset: this.#logStartOffset,
      endOffset: this.logEndOffset,
      nowMs,
      trustMissingSnapshots: false,
    });
  }

  /** Durable when it returns. */
  flush(): void {
    this.#ensureOpen();
    this.#flusher.flush(this.logEndOffset);
  }

  /** What is in the log now is durable when it resolves; the device is waited for off the event loop. */
  flushLater(): Promise<void> {
    this.#ensureOpen();
    return this.#flusher.flushLater(this.logEndOffset);
  }

  get hasUnflushedRolledSegments(): boolean {
    return this.recoveryPoint < this.#segments.active.baseOffset || this.#witnesses.first !== undefined;
  }

  /** Like `flushLater` for the segments that were rolled: they never change again, and a start after a crash need not read them. */
  flushRolledSegments(): Promise<void> {
    this.#ensureOpen();
    return this.#flusher.flushLater(this.#segments.active.baseOffset);
  }

  /** It has records, and a loss of power that spares them may leave nothing that says whose they are: nobody would know them again. */
  get lacksDurableOwner(): boolean {
    return this.#topicId !== undefined && !this.#flusher.isOwnerDurable && this.logEndOffset > this.#logStartOffset;
  }

  /** Makes the topic id durable, off the event loop. */
  flushOwnerLater(): Promise<void> {
    this.#ensureOpen();
    return this.#flusher.flushOwnerLater();
  }

  /** Whether flush.ms asks for a flush by now. */
  isFlushDue(nowMs: number): boolean {
    return this.recoveryPoint < this.logEndOffset && nowMs - this.#flusher.flushedAtMs >= this.#config.flushMs;
  }

  /** Periodic work: index entries go to their files, and files whose delay is over go away. */
  runTasks(nowMs: number): void {
    if (this.#isClosed) return;
    this.#segments.active.writeIndexesBehind();
    this.#turnover.removeDue(nowMs);
  }

  /** Frees what can be read again from the files: the indexes of rolled segments, and the log's end unless it was read since the last time. */
  releaseMemory(): void {
    this.#tail?.clearIfUnread();
    for (const segment of this.#segments.all) if (segment !== this.#segments.active) segment.unloadIndexes();
  }

  /** What `close` would wait for, off the event loop: it finds durable then what has not changed since. */
  closeAhead(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#becomeFinal();
    return this.#flusher.flushLastLater(this.logEndOffset);
  }

  /** The directory that this log's lies in was synced after the log was made. */
  onNameDurable(): void {
    this.#flusher.onNameDurable();
  }

  /** Leaves the files as a clean stop should: snapshot, trimmed indexes, all flushed. It cannot be used afterwards. */
  close(): void {
    if (this.#isClosed) return;
    this.#becomeFinal();
    this.#flusher.flushLast(this.logEndOffset);
    this.abandon();
  }

  #becomeFinal(): void {
    this.#appender.settle();
    this.#producers.takeSnapshot();
    this.#segments.active.becomeInactive();
  }

  /** Leaves the files to another thread, which opens them with `isRecovered`. */
  closeRecovered(): void {
    this.#producers.takeSnapshot();
    this.#segments.active.becomeInactive();
    for (const segment of this.#segments.all) segment.syncIndexes();
    this.#epochs.persist(this.logEndOffset);
    if (this.#producers.syncSnapshots()) this.#runtime.files.syncDirectory(this.directory);
    this.abandon();
  }

  /** Lets go of the files as they are: the directory is going away, or its disk failed. */
  abandon(): void {
    this.#isClosed = true;
    this.#appender.drop();
    this.#tail?.clear();
    this.#flusher.stop();
    for (const segment of this.#segments.all) segment.close();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  #checkReadable(offset: number): void {
    const { logStartOffset, logEndOffset, name } = this;
    checkReadable(offset, { logStartOffset, logEndOffset, partitionName: name });
  }

  #ensureOpen(): void {
    if (this.#isClosed) throw new KafkaError('KAFKA_STORAGE_ERROR', `the log of ${this.name} is closed`);
  }
}
