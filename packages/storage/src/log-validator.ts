import {
  BatchBuilder,
  type BatchView,
  batchHeaderBytes,
  batchLengthAt,
  type CompressionCodec,
  inspectRecords,
  KafkaError,
  type OffendingRecord,
  type RecordsInspection,
  recompressBatch,
  BatchView as View,
} from '@ottla/protocol';
import type { AppendOrigin } from './append-origin.ts';
import type { LogConfig } from './log-config.ts';

/** A record at fault, by its index in the batch. */
export type RecordError = { readonly batchIndex: number; readonly message: string };

/** INVALID_RECORD or INVALID_TIMESTAMP, with every record at fault (KIP-467). */
export class RecordValidationError extends KafkaError {
  readonly recordErrors: readonly RecordError[];
  constructor(name: 'INVALID_RECORD' | 'INVALID_TIMESTAMP', message: string, recordErrors: readonly RecordError[]) {
    super(name, message);
    this.recordErrors = recordErrors;
  }
}

export type AppendContext = {
  readonly origin: AppendOrigin;
  readonly config: LogConfig;
  readonly leaderEpoch: number;
  /** For messages: `topic-partition`. */
  readonly partitionName: string;
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

  const inspection = inspectRecords(batch, inspectionLimits(config, nowMs));
  throwRecordErrors(batch, inspection, context);

  const codec = targetCodec(batch, config);
  const isAppendTime = config.messageTimestampType === 'LogAppendTime';
  const stamped = rewriteIfNeeded(batch, inspection, codec, config);
  const target = stamped === bytes ? batch : new View(stamped);
  const lastOffset = nextOffset + inspection.count - 1;
  target.setLastOffset(lastOffset);
  target.leaderEpoch = context.leaderEpoch;
  target.setMaxTimestamp(config.messageTimestampType, isAppendTime ? nowMs : inspection.maxTimestamp);

  if (stamped !== bytes && stamped.length > config.maxMessageBytes) {
    throw new KafkaError(
      'MESSAGE_TOO_LARGE',
      `Message batch size is ${stamped.length} bytes in append to partition ${partitionName} which exceeds the maximum configured size of ${config.maxMessageBytes}.`,
    );
  }
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
  if (producerId > -1 && baseSequence < 0) {
    throw invalid(`Invalid sequence number ${baseSequence} in record batch with producerId ${producerId} ${where}`);
  }
}

function inspectionLimits(config: LogConfig, nowMs: number): Parameters<typeof inspectRecords>[1] {
  const requireKeys = config.cleanupPolicy.includes('compact');
  if (config.messageTimestampType === 'LogAppendTime') return { requireKeys };
  return {
    requireKeys,
    earliestTimestamp: nowMs - config.messageTimestampBeforeMaxMs,
    latestTimestamp: nowMs + config.messageTimestampAfterMaxMs,
  };
}

/** Every record at fault is named; the first decides which error the batch fails with. */
function throwRecordErrors(
  batch: BatchView,
  { nullKeys, outOfRange, count }: RecordsInspection,
  { config, partitionName, nowMs }: AppendContext & { readonly nowMs: number },
): void {
  const badType = hasForbiddenTimestampType(batch, config);
  if (nullKeys.length === 0 && outOfRange.length === 0 && !badType) return;

  const errors = new Map<number, RecordError & { name: 'INVALID_RECORD' | 'INVALID_TIMESTAMP' }>();
  const add = (name: 'INVALID_RECORD' | 'INVALID_TIMESTAMP', batchIndex: number, message: string) => {
    if (!errors.has(batchIndex)) errors.set(batchIndex, { name, batchIndex, message });
  };
  const keyError = `Compacted topic cannot accept message without key in topic partition ${partitionName}`;
  for (const { index } of nullKeys) add('INVALID_RECORD', index, keyError);
  for (const record of outOfRange) add('INVALID_TIMESTAMP', record.index, outOfRangeMessage(record, config, nowMs));
  if (badType) {
    const message = 'Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime.';
    for (let index = 0; index < count; index++) add('INVALID_TIMESTAMP', index, message);
  }

  const inOrder = [...errors.values()].sort((left, right) => left.batchIndex - right.batchIndex);
  const recordErrors = inOrder.map(({ batchIndex, message }) => ({ batchIndex, message }));
  if (inOrder[0]!.name === 'INVALID_TIMESTAMP') {
    throw new RecordValidationError(
      'INVALID_TIMESTAMP',
      'One or more records have been rejected due to invalid timestamp',
      recordErrors,
    );
  }
  const firstThree = recordErrors
    .slice(0, 3)
    .map((error) => `RecordError(batchIndex=${error.batchIndex}, message='${error.message}')`);
  throw new RecordValidationError(
    'INVALID_RECORD',
    `One or more records have been rejected due to ${recordErrors.length} record errors in total, and only showing the first three errors at most: [${firstThree.join(', ')}]`,
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

/** Returns the batch's own bytes when they can stay. */
function rewriteIfNeeded(
  batch: BatchView,
  inspection: RecordsInspection,
  codec: CompressionCodec,
  config: LogConfig,
): Uint8Array {
  const isPlain = batch.codecId === 0 && codec === 'none';
  if (batch.codec === codec && (isPlain || batch.isControl || inspection.isConsecutive))
    return batch.bytes.length === batch.buffer.length ? batch.buffer : batch.bytes;
  const level = compressionLevel(codec, config);
  if (inspection.isConsecutive) return recompressBatch(batch, { codec, level, section: inspection.section });
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
  for (const { timestamp, key, value, headers } of batch.records()) builder.append(timestamp, key, value, headers);
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
