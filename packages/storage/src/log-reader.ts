import { BatchView, KafkaError } from '@ottla/protocol';
import type { BatchHeaders } from './batch-headers.ts';
import { type ReadBuffers, type Release, unsharedBytes } from './read-buffers.ts';
import type { Segment } from './segment.ts';
import type { Segments } from './segments.ts';
import type { AbortedTransaction } from './transaction-index.ts';

export type ReadRequest = {
  readonly startOffset: number;
  readonly maxBytes: number;
  /** Exclusive bound: high watermark, last stable offset or log end. Always between batches. */
  readonly endOffset: number;
  /** Return the first batch whole even when it is larger than `maxBytes`. */
  readonly minOneBatch: boolean;
};

export type LogRead = {
  /** Batches back to back from the one that holds `startOffset`; the last may be cut at `maxBytes`. */
  readonly records: Uint8Array;
  /** The first batch did not fit in `maxBytes`, so `records` holds a part of it that is of no use. */
  readonly isFirstBatchCut: boolean;
  /** Exclusive bound of the offsets in `records`, for `abortedTransactions`. May be higher than needed. */
  readonly upperBoundOffset: number;
  /** To be called, if at all, when nobody looks at `records` any more; afterwards they may become anything. */
  readonly release?: Release | undefined;
};

export type TimestampAndOffset = {
  readonly timestamp: number;
  readonly offset: number;
  /** Of the batch; -1 when unknown. */
  readonly leaderEpoch: number;
};

const noRecords = new Uint8Array(0);

export type ReadSources = { readonly segments: Segments; readonly logEndOffset: number; readonly buffers: ReadBuffers };

/** From the segment that holds the start, or the next with data; never across a segment's end. */
export function readSegments({ segments, logEndOffset, buffers }: ReadSources, request: ReadRequest): LogRead {
  const located = locate(segments, logEndOffset, request);
  if (!located) return { records: noRecords, isFirstBatchCut: false, upperBoundOffset: request.startOffset };
  const { segment, next, position, length, isFirstBatchCut } = located;
  const { buffer, release } = buffers.lease(length);
  try {
    const records = buffer.subarray(0, segment.log.read(buffer.subarray(0, length), position));
    const upperBoundOffset = segment.offsetIndex.offsetAtOrBehind(position + length) ?? next?.baseOffset ?? logEndOffset;
    return { records, isFirstBatchCut, upperBoundOffset, release };
  } catch (error) {
    release?.();
    throw error;
  }
}

/**
 * How many bytes `readSegments` would return, from positions alone: for those who wait for more. Infinity when more data begins
 * in the next segment, because waiting will not make this read any longer.
 */
export function measureSegments(segments: Segments, logEndOffset: number, request: ReadRequest): number {
  const located = locate(segments, logEndOffset, request);
  if (!located) return 0;
  const endsEarly = located.next !== undefined && located.next.baseOffset < request.endOffset;
  return endsEarly ? Number.POSITIVE_INFINITY : located.length;
}

type Located = {
  readonly segment: Segment;
  readonly next: Segment | undefined;
  readonly position: number;
  readonly length: number;
  readonly isFirstBatchCut: boolean;
};

function locate(segments: Segments, logEndOffset: number, request: ReadRequest): Located | undefined {
  const { startOffset, endOffset, maxBytes, minOneBatch } = request;
  if (startOffset >= endOffset) return undefined;
  for (let index = Math.max(0, segments.indexOf(startOffset)); index < segments.count; index++) {
    const segment = segments.at(index)!;
    if (segment.baseOffset >= endOffset) return undefined;
    const first = segment.find(startOffset);
    if (!first) continue;
    const endPosition = endOffset >= logEndOffset ? segment.sizeBytes : (segment.find(endOffset)?.position ?? segment.sizeBytes);
    const limit = minOneBatch ? Math.max(maxBytes, first.bytes) : maxBytes;
    const length = Math.min(endPosition - first.position, limit);
    if (length <= 0) return undefined;
    const isFirstBatchCut = first.bytes > maxBytes && !minOneBatch;
    return { segment, next: segments.at(index + 1), position: first.position, length, isFirstBatchCut };
  }
  return undefined;
}

/** The first record at or behind `startOffset` with a timestamp at or after `timestamp`. */
export function findTimestamp(segments: Segments, timestamp: number, startOffset: number): TimestampAndOffset | undefined {
  for (const segment of segments.from(startOffset)) {
    // A segment without timestamps goes by its file's, and may then hold nothing after all.
    const found = segment.largestTimestamp >= timestamp ? findTimestampIn(segment, timestamp, startOffset) : undefined;
    if (found) return found;
  }
  return undefined;
}

function findTimestampIn(segment: Segment, timestamp: number, startOffset: number): TimestampAndOffset | undefined {
  const indexed = segment.timeLookup(timestamp);
  const headers = segment.headersFrom(Math.max(indexed.offset, startOffset));
  while (headers.next()) {
    if (headers.batch.maxTimestamp < timestamp) continue;
    const batch = wholeBatch(segment, headers);
    const found = firstRecord(batch, (at, offset) => at >= timestamp && offset >= startOffset);
    if (found) return found;
  }
  return undefined;
}

/**
 * The record with the largest timestamp, the first of several (KIP-734). Undefined, like in Kafka, when cleaning took the records of the first
 * batch with that time: one stays without records while its producer's sequence ends in it, and its header keeps the time.
 */
export function findMaxTimestamp(segments: Segments): TimestampAndOffset | undefined {
  let segment = segments.first;
  for (const candidate of segments.all) {
    if (candidate.latest.timestamp > segment.latest.timestamp) segment = candidate;
  }
  const { timestamp, offset } = segment.latest;
  const headers = segment.headersFrom(offset);
  while (headers.next()) {
    if (headers.batch.maxTimestamp === timestamp) return firstRecord(wholeBatch(segment, headers), (at) => at === timestamp);
  }
  return undefined;
}

/** Without an object per record, for there may be millions before the one that is sought. */
function firstRecord(batch: BatchView, isIt: (timestamp: number, offset: number) => boolean): TimestampAndOffset | undefined {
  const { leaderEpoch } = batch;
  if (batch.magic >= 2) {
    for (const cursor = batch.cursor(); cursor.next(); ) {
      const { timestamp, offset } = cursor;
      if (isIt(timestamp, offset)) return { timestamp, offset, leaderEpoch };
    }
    return undefined;
  }
  for (const { timestamp, offset } of batch.records()) if (isIt(timestamp, offset)) return { timestamp, offset, leaderEpoch };
  return undefined;
}

function wholeBatch(segment: Segment, headers: BatchHeaders): BatchView {
  const bytes = unsharedBytes(headers.batch.length);
  const batch = new BatchView(bytes.subarray(0, segment.log.read(bytes, headers.position)));
  batch.ensureCrc();
  return batch;
}

/** The aborted transactions with data in [startOffset, upperBoundOffset), which a read_committed reader has to leave out. */
export function findAborted(segments: Segments, startOffset: number, upperBoundOffset: number): AbortedTransaction[] {
  const found: AbortedTransaction[] = [];
  for (const segment of segments.from(startOffset)) {
    for (const aborted of segment.transactionIndex.entries) {
      if (aborted.lastOffset >= startOffset && aborted.firstOffset < upperBoundOffset) found.push(aborted);
      if (aborted.lastStableOffset >= upperBoundOffset) return found;
    }
  }
  return found;
}

/** Throws OFFSET_OUT_OF_RANGE with the text clients see. */
export function checkReadable(
  offset: number,
  { logStartOffset, logEndOffset, partitionName }: { logStartOffset: number; logEndOffset: number; partitionName: string },
): void {
  if (offset > logEndOffset) {
    throw new KafkaError(
      'OFFSET_OUT_OF_RANGE',
      `Received request for offset ${offset} for partition ${partitionName}, but we only have log segments up to ${logEndOffset}.`,
    );
  }
  if (offset < logStartOffset) {
    throw new KafkaError(
      'OFFSET_OUT_OF_RANGE',
      `Received request for offset ${offset} for partition ${partitionName}, but we only have log segments starting from offset: ${logStartOffset}.`,
    );
  }
}
