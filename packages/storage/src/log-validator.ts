import {
  BatchBuilder,
  type BatchView,
  batchHeaderBytes,
  batchLengthAt,
  type CompressionCodec,
  type InspectOptions,
  inspectRecords,
  KafkaError,
  type OffendingRecord,
  type RecordsInspection,
  recompressBatch,
  BatchView as View,
} from '@ottla/protocol';
import type { AppendOrigin } from './append-origin.ts';
import { type DecompressionBudget, maxDecompressedBytes } from './decompression-budget.ts';
import type { LogConfig } from './log-config.ts';

/** A record at fault, by its index in the batch. */
export type RecordError = { readonly batchIndex: number; readonly message: string };

/** INVALID_RECORD or INVALID_TIMESTAMP, with the first records at fault (KIP-467): no more than `maxRecordErrors`, which Kafka does not bound. */
export class RecordValidationError extends KafkaError {
  readonly recordErrors: readonly RecordError[];
  constructor(name: 'INVALID_RECORD' | 'INVALID_TIMESTAMP', message: string, recordErrors: readonly RecordError[]) {
    super(name, message);
    this.recordErrors = recordErrors;
  }
}

/** A producer learns no more from a longer list, and an answer must not outgrow its request many times over. */
const maxRecordErrors = 100;

export type AppendContext = {
  readonly origin: AppendOrigin;
  readonly config: LogConfig;
  readonly leaderEpoch: number;
  /** For messages: `topic-partition`. */
  readonly partitionName: string;
  /** What is left for the whole request. */
  readonly decompression?: DecompressionBudget | undefined;
};

export type AnalyzedRecords = {
  /** Whole batches only, and none that the caller's epoch does not know yet. */
  readonly bytes: Uint8Array;
  readonly batches: number;
  /** Of the first batch: its base offset, or its last when an old format does not say. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Batches come one behind the other. */
  readonly isAscending: boolean;
  readonly maxTimestamp: number;
};

/**
 * Walks the batches without opening them: sizes, crc, order. Throws CORRUPT_MESSAGE, MESSAGE_TOO_LARGE, and INVALID_RECORD for
 * a base offset or epoch that its origin must not send.
 */
export function analyzeRecords(records: Uint8Array, context: AppendContext): AnalyzedRecords {
  const { origin, config, leaderEpoch, partitionName } = context;
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  const batch = new View(records, 0, view);
  const maxBatchBytes = origin === 'raft' ? Number.POSITIVE_INFINITY : config.maxMessageBytes;
  let batches = 0;
  let firstOffset = -1;
  let lastOffset = -1;
  let isAscending = true;
  let maxTimestamp = -1;
  let end = 0;
  for (let length = batchLengthAt(records, view, 0); length >= 0; length = batchLengthAt(records, view, end)) {
    batch.moveTo(end);
    const { magic } = batch;
    const batchEpoch = batch.leaderEpoch;
    if (origin === 'raft' && batchEpoch !== leaderEpoch) {
      throw new KafkaError(
        'INVALID_RECORD',
        `a raft leader of epoch ${leaderEpoch} must not append a batch of epoch ${batchEpoch}`,
      );
    }
    if (origin === 'client' && magic >= 2 && batch.writtenOffset !== 0) {
      throw new KafkaError(
        'INVALID_RECORD',
        `The baseOffset of the record batch in the append to ${partitionName} should be 0, but it is ${batch.writtenOffset}`,
      );
    }
    // A leader that was deposed may still answer with what its successor has written: take it when the epoch is known.
    if (origin === 'replication' && batchEpoch > leaderEpoch) break;
    if (batches === 0) firstOffset = magic >= 2 ? batch.writtenOffset : batch.lastOffset;
    if (batch.lastOffset <= lastOffset) isAscending = false;
    lastOffset = batch.lastOffset;
    if (origin !== 'replication' && length > maxBatchBytes) {
      throw new KafkaError(
        'MESSAGE_TOO_LARGE',
        `The record batch size in the append to ${partitionName} is ${length} bytes which exceeds the maximum configured value of ${maxBatchBytes}.`,
      );
    }
    if (!batch.isCrcValid()) {
      throw new KafkaError(
        'CORRUPT_MESSAGE',
        `Record is corrupt (stored crc = ${batch.crc}) in topic partition ${partitionName}.`,
      );
    }
    maxTimestamp = Math.max(maxTimestamp, batch.maxTimestamp);
    batches++;
    end += length;
  }
  const bytes = end === records.length ? records : records.subarray(0, end);
  return { bytes, batches, firstOffset, lastOffset, isAscending, maxTimestamp };
}

export type StampedBatch = {
  /** The batch that came, with offsets, epoch and time written into it, or its replacement. */
  readonly bytes: Uint8Array;
  readonly lastOffset: number;
  readonly maxTimestamp: number;
  /** -1 unless the topic stamps records with the time of their append. */
  readonly logAppendTimeMs: number;
};

/**
 * Checks the records of the one batch that a leader may take at a time, and makes it the log's: offsets from `nextOffset` on,
 * leader epoch, timestamps by the topic's type, the topic's codec. Changes `bytes` in place.
 * Throws INVALID_RECORD, INVALID_TIMESTAMP (both with the records at fault), MESSAGE_TOO_LARGE after recompression.
 */
export function stampForAppend(
  { bytes, batches }: AnalyzedRecords,
  context: AppendContext & { readonly nextOffset: number; readonly nowMs: number },
): StampedBatch {
  const { config, partitionName, nextOffset, nowMs } = context;
  const batch = new View(bytes);
  if (batches !== 1) throw new KafkaError('INVALID_RECORD', 'Compressed outer record has more than one batch');
  if (batch.magic !== 2) throw new KafkaError('INVALID_RECORD', `a leader takes batches of magic 2, not ${batch.magic}`);
  if (context.origin === 'client') checkClientBatch(batch, partitionName);

  const inspection = inspectWithinBudget(batch, context, inspectionLimits(config, nowMs));
  throwRecordErrors(batch, inspection, context);

  const codec = targetCodec(batch, config);
  const isAppendTime = config.messageTimestampType === 'LogAppendTime';
  const stamped = rewriteIfNeeded(batch, inspection, codec, context);
  const target = stamped === bytes ? batch : new View(stamped);
  const lastOffset = nextOffset + inspection.count - 1;
  target.setLastOffset(lastOffset);
  target.leaderEpoch = context.leaderEpoch;
  target.setMaxTimestamp(config.messageTimestampType, isAppendTime ? nowMs : inspection.maxTimestamp);

  if (stamped !== bytes) requireSize(stamped.length, context);
  return {
    bytes: stamped,
    lastOffset,
    maxTimestamp: isAppendTime ? nowMs : inspection.maxTimestamp,
    logAppendTimeMs: isAppendTime ? nowMs : -1,
  };
}

function checkClientBatch(batch: BatchView, partitionName: string): void {
  const where = `in topic partition ${partitionName}.`;
  const { baseOffset, lastOffset, recordsCount, producerId, baseSequence } = batch;
  const countFromOffsets = lastOffset - baseOffset + 1;
  if (countFromOffsets <= 0) throw invalid(`Batch has an invalid offset range: [${baseOffset}, ${lastOffset}] ${where}`);
  if (recordsCount <= 0) throw invalid(`Invalid reported count for record batch: ${recordsCount} ${where}`);
  if (countFromOffsets !== recordsCount) {
    throw invalid(`Inconsistent batch offset range [${baseOffset}, ${lastOffset}] and count of records ${recordsCount} ${where}`);
  }
  if (batch.isControl) throw invalid(`Clients are not allowed to write control records ${where}`);
  // No controller hands out such an id, and neither snapshots nor answers could carry it.
  if (!Number.isSafeInteger(producerId)) throw invalid(`Invalid producerId ${producerId} ${where}`);
  if (producerId > -1 && baseSequence < 0) {
    throw invalid(`Invalid sequence number ${baseSequence} in record batch with producerId ${producerId} ${where}`);
  }
}

/** Opening a batch costs what it decompresses to, also when it is refused after all. */
function inspectWithinBudget(batch: BatchView, { decompression }: AppendContext, limits: InspectOptions): RecordsInspection {
  if (batch.codecId === 0) return inspectRecords(batch, limits);
  const maxBytes = Math.min(maxDecompressedBytes(batch.length), decompression?.bytesLeft ?? Number.POSITIVE_INFINITY);
  if (maxBytes <= 0) throw new KafkaError('MESSAGE_TOO_LARGE', 'the batches of this request decompress to too much: send fewer');
  let opened = maxBytes;
  try {
    const inspection = inspectRecords(batch, { ...limits, maxBytes });
    opened = inspection.section.length;
    return inspection;
  } finally {
    if (decompression) decompression.bytesLeft -= opened;
  }
}

function requireSize(bytes: number, { config, partitionName }: AppendContext): void {
  if (bytes <= config.maxMessageBytes) return;
  throw new KafkaError(
    'MESSAGE_TOO_LARGE',
    `Message batch size is ${bytes} bytes in append to partition ${partitionName} which exceeds the maximum configured size of ${config.maxMessageBytes}.`,
  );
}

function inspectionLimits(config: LogConfig, nowMs: number): InspectOptions {
  const rules = { requireKeys: config.cleanupPolicy.includes('compact'), maxOffending: maxRecordErrors };
  if (config.messageTimestampType === 'LogAppendTime') return rules;
  return {
    ...rules,
    // What a number does not hold exactly cannot be written into the batch: 285,000 years each way are enough.
    earliestTimestamp: Math.max(nowMs - config.messageTimestampBeforeMaxMs, Number.MIN_SAFE_INTEGER),
    latestTimestamp: Math.min(nowMs + config.messageTimestampAfterMaxMs, Number.MAX_SAFE_INTEGER),
  };
}

/** The first records at fault are named, all are counted; the very first decides which error the batch fails with. */
function throwRecordErrors(
  batch: BatchView,
  { nullKeys, outOfRange, offending, count }: RecordsInspection,
  { config, partitionName, nowMs }: AppendContext & { readonly nowMs: number },
): void {
  const badType = hasForbiddenTimestampType(batch, config);
  if (offending === 0 && !badType) return;

  const errors = new Map<number, RecordError & { name: 'INVALID_RECORD' | 'INVALID_TIMESTAMP' }>();
  const add = (name: 'INVALID_RECORD' | 'INVALID_TIMESTAMP', batchIndex: number, message: string) => {
    if (!errors.has(batchIndex)) errors.set(batchIndex, { name, batchIndex, message });
  };
  const keyError = `Compacted topic cannot accept message without key in topic partition ${partitionName}`;
  for (const { index } of nullKeys) add('INVALID_RECORD', index, keyError);
  for (const record of outOfRange) add('INVALID_TIMESTAMP', record.index, outOfRangeMessage(record, config, nowMs));
  if (badType) {
    const message = 'Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime.';
    for (let index = 0; index < Math.min(count, maxRecordErrors); index++) add('INVALID_TIMESTAMP', index, message);
  }

  const total = badType ? count : offending;
  const rest = total > maxRecordErrors ? `; the first ${maxRecordErrors} of ${total} records at fault are named` : '';
  const inOrder = [...errors.values()].sort((left, right) => left.batchIndex - right.batchIndex).slice(0, maxRecordErrors);
  const recordErrors = inOrder.map(({ batchIndex, message }) => ({ batchIndex, message }));
  if (inOrder[0]!.name === 'INVALID_TIMESTAMP') {
    throw new RecordValidationError(
      'INVALID_TIMESTAMP',
      `One or more records have been rejected due to invalid timestamp${rest}`,
      recordErrors,
    );
  }
  const firstThree = recordErrors
    .slice(0, 3)
    .map((error) => `RecordError(batchIndex=${error.batchIndex}, message='${error.message}')`);
  throw new RecordValidationError(
    'INVALID_RECORD',
    `One or more records have been rejected due to ${total} record errors in total, and only showing the first three errors at most: [${firstThree.join(', ')}]${rest}`,
    recordErrors,
  );
}

/** With create time, Kafka looks at the type only of records without a timestamp, and quietly corrects the others'. */
function hasForbiddenTimestampType(batch: BatchView, config: LogConfig): boolean {
  return batch.isLogAppendTime && (config.messageTimestampType === 'LogAppendTime' || batch.maxTimestamp === -1);
}

function outOfRangeMessage({ timestamp, offset }: OffendingRecord, config: LogConfig, nowMs: number): string {
  const earliest = BigInt(nowMs) - int64(config.messageTimestampBeforeMaxMs);
  const latest = BigInt(nowMs) + int64(config.messageTimestampAfterMaxMs);
  return `Timestamp ${timestamp} of message with offset ${offset} is out of range. The timestamp should be within [${earliest}, ${latest}]`;
}

function int64(value: number): bigint {
  return value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(value);
}

/** Control records stay as they came, so that whoever reads the log for them need not decompress. */
function targetCodec(batch: BatchView, config: LogConfig): CompressionCodec {
  if (config.compressionType === 'producer' || (batch.isControl && batch.codecId === 0)) return batch.codec;
  return config.compressionType === 'uncompressed' ? 'none' : config.compressionType;
}

/** By numbering a record anew: 4 bytes of its offset, 9 of its timestamp. */
const mostSaved = 13;

/** Returns the batch's own bytes when they can stay. */
function rewriteIfNeeded(
  batch: BatchView,
  inspection: RecordsInspection,
  codec: CompressionCodec,
  context: AppendContext,
): Uint8Array {
  const { config, decompression } = context;
  const isPlain = batch.codecId === 0 && codec === 'none';
  if (batch.codec === codec && (isPlain || batch.isControl || inspection.isConsecutive))
    return batch.bytes.length === batch.buffer.length ? batch.buffer : batch.bytes;
  // Without a codec the size is known beforehand; with one the work is, so it counts as much as the opening did.
  const { section, count } = inspection;
  if (codec === 'none')
    requireSize(batchHeaderBytes + section.length - (inspection.isConsecutive ? 0 : mostSaved * count), context);
  else if (decompression) decompression.bytesLeft -= section.length;
  const level = compressionLevel(codec, config);
  if (inspection.isConsecutive) return recompressBatch(batch, { codec, level, section });
  return renumbered(batch, inspection, { codec, level });
}

/** Some clients number the records inside a compressed batch wrongly; their batches are written anew. */
function renumbered(
  batch: BatchView,
  { section }: RecordsInspection,
  { codec, level }: { codec: CompressionCodec; level: number | undefined },
): Uint8Array {
  const { producerId, producerEpoch, baseSequence, isTransactional } = batch;
  const builder = new BatchBuilder(
    { codec, level, producerId, producerEpoch, baseSequence, isTransactional },
    { capacityBytes: batchHeaderBytes + section.length },
  );
  for (const cursor = batch.cursor({ section }); cursor.next(); ) builder.appendCopy(cursor);
  return builder.build();
}

function compressionLevel(codec: CompressionCodec, config: LogConfig): number | undefined {
  if (codec === 'gzip') return config.compressionGzipLevel;
  if (codec === 'lz4') return config.compressionLz4Level;
  return codec === 'zstd' ? config.compressionZstdLevel : undefined;
}

/** What a Produce request of this version may hold for a partition. Throws INVALID_RECORD and UNSUPPORTED_COMPRESSION_TYPE. */
export function checkProduceRecords(records: Uint8Array, apiVersion: number): void {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  const length = batchLengthAt(records, view, 0);
  if (length < 0) throw invalid(`Produce requests with version ${apiVersion} must have at least one record batch per partition`);
  const batch = new View(records, 0, view);
  if (batch.magic !== 2) {
    throw invalid(`Produce requests with version ${apiVersion} are only allowed to contain record batches with magic version 2`);
  }
  if (apiVersion < 7 && batch.codec === 'zstd') {
    throw new KafkaError(
      'UNSUPPORTED_COMPRESSION_TYPE',
      `Produce requests with version ${apiVersion} are not allowed to use ZStandard compression`,
    );
  }
  if (batchLengthAt(records, view, length) >= 0) {
    throw invalid(
      `Produce requests with version ${apiVersion} are only allowed to contain exactly one record batch per partition`,
    );
  }
}

function invalid(problem: string): KafkaError {
  return new KafkaError('INVALID_RECORD', problem);
}
