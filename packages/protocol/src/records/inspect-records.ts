import { KafkaError } from '../errors.ts';
import type { BatchView } from './batch-view.ts';
import { defaultMaxDecompressedBytes } from './compression.ts';
import { minRecordBytes } from './record-cursor.ts';

export type InspectOptions = {
  /** The batch's records if the caller has them decompressed already. */
  section?: Uint8Array;
  /** Record times below or above these are reported; inclusive. A record without a time (-1) is never out of range. */
  earliestTimestamp?: number;
  latestTimestamp?: number;
  /** Report records without a key. */
  requireKeys?: boolean;
  /** Cap on what the records may decompress to. Default `defaultMaxDecompressedBytes`. */
  maxBytes?: number;
  /** How many records of each fault to list; the others are only counted. Default 100. */
  maxOffending?: number;
};

/** A record that breaks a rule. `index` counts the batch's records from 0. */
export type OffendingRecord = { index: number; offset: number; timestamp: number };

export type RecordsInspection = {
  /** The records, decompressed: what `recompressBatch` takes, so that nothing is decompressed twice. */
  section: Uint8Array;
  count: number;
  /** The offset deltas are 0, 1, ... count - 1, as a producer must send them. */
  isConsecutive: boolean;
  /** -1 when no record has a time, or there is no record. */
  maxTimestamp: number;
  /** Of the first record that has `maxTimestamp`, by the batch's present base offset; -1 without records. */
  offsetOfMaxTimestamp: number;
  /** How many records are at fault in one way or both. */
  offending: number;
  /** The first of them. */
  nullKeys: readonly OffendingRecord[];
  outOfRange: readonly OffendingRecord[];
};

const none: readonly OffendingRecord[] = [];

/**
 * Walks the records of a batch of magic 2 once, checking their structure to the last byte, with no object per record
 * except for the first that are at fault. Every record is seen before it returns. A count that cannot be true is refused
 * before anything is decompressed or walked.
 *
 * Throws INVALID_RECORD for a broken structure or a count that does not match, MESSAGE_TOO_LARGE for more than
 * `maxBytes`, UNKNOWN_SERVER_ERROR for what does not decompress. It does not look at the crc: see `BatchView.ensureCrc`.
 */
export function inspectRecords(batch: BatchView, options: InspectOptions = {}): RecordsInspection {
  const {
    earliestTimestamp = Number.NEGATIVE_INFINITY,
    latestTimestamp = Number.POSITIVE_INFINITY,
    requireKeys = false,
    maxOffending = 100,
  } = options;
  const cursor = plausibleCursor(batch, options);
  let offending = 0;
  let isConsecutive = true;
  let maxTimestamp = -1;
  let offsetOfMaxTimestamp = -1;
  let nullKeys: OffendingRecord[] | undefined;
  let outOfRange: OffendingRecord[] | undefined;
  for (let index = 0; cursor.next(); index++) {
    const { timestamp } = cursor;
    if (cursor.offsetDelta !== index) isConsecutive = false;
    if (timestamp > maxTimestamp || index === 0) {
      maxTimestamp = timestamp;
      offsetOfMaxTimestamp = cursor.offset;
    }
    const lacksKey = requireKeys && cursor.keyStart < 0;
    const isOutOfRange = timestamp !== -1 && (timestamp < earliestTimestamp || timestamp > latestTimestamp);
    if (!lacksKey && !isOutOfRange) continue;
    offending++;
    if (lacksKey && (nullKeys ??= []).length < maxOffending) nullKeys.push({ index, offset: cursor.offset, timestamp });
    if (isOutOfRange && (outOfRange ??= []).length < maxOffending) outOfRange.push({ index, offset: cursor.offset, timestamp });
  }
  return {
    section: cursor.section,
    count: cursor.read,
    isConsecutive,
    maxTimestamp,
    offsetOfMaxTimestamp,
    offending,
    nullKeys: nullKeys ?? none,
    outOfRange: outOfRange ?? none,
  };
}

/** The header's count against the room there is: what it claims costs the sender nothing. */
function plausibleCursor(batch: BatchView, options: InspectOptions): ReturnType<BatchView['cursor']> {
  const { maxBytes = defaultMaxDecompressedBytes, section } = options;
  const leastBytes = batch.recordsCount * minRecordBytes;
  if (batch.codecId !== 0 && section === undefined && leastBytes > maxBytes) {
    throw new KafkaError(
      'MESSAGE_TOO_LARGE',
      `${batch.recordsCount} records take more than ${maxBytes} bytes: send smaller batches`,
    );
  }
  const cursor = batch.cursor(options);
  if (leastBytes > cursor.section.length) {
    throw new KafkaError('INVALID_RECORD', `${cursor.section.length} bytes cannot hold ${batch.recordsCount} records`);
  }
  return cursor;
}
