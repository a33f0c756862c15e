import type { BatchView } from './batch-view.ts';

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
  nullKeys: readonly OffendingRecord[];
  outOfRange: readonly OffendingRecord[];
};

const none: readonly OffendingRecord[] = [];

/**
 * Walks the records of a batch of magic 2 once, checking their structure to the last byte, with no object per record
 * except for those that are at fault. Every record is seen before it returns, so faults are complete.
 *
 * Throws INVALID_RECORD for a broken structure or a count that does not match, MESSAGE_TOO_LARGE for more than
 * `maxBytes`, UNKNOWN_SERVER_ERROR for what does not decompress. It does not look at the crc: see `BatchView.ensureCrc`.
 */
export function inspectRecords(batch: BatchView, options: InspectOptions = {}): RecordsInspection {
  const {
    earliestTimestamp = Number.NEGATIVE_INFINITY,
    latestTimestamp = Number.POSITIVE_INFINITY,
    requireKeys = false,
  } = options;
  const cursor = batch.cursor(options);
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
    if (requireKeys && cursor.keyStart < 0) (nullKeys ??= []).push({ index, offset: cursor.offset, timestamp });
    if (timestamp !== -1 && (timestamp < earliestTimestamp || timestamp > latestTimestamp)) {
      (outOfRange ??= []).push({ index, offset: cursor.offset, timestamp });
    }
  }
  return {
    section: cursor.section,
    count: cursor.read,
    isConsecutive,
    maxTimestamp,
    offsetOfMaxTimestamp,
    nullKeys: nullKeys ?? none,
    outOfRange: outOfRange ?? none,
  };
}
