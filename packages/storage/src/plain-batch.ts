import { BatchView, batchHeaderBytes, walkRecords } from '@ottla/protocol';
import type { LogConfig } from './log-config.ts';

const noAttributesBut = 0b1_0000; // transactional

/**
 * The usual case of a produced batch, in one pass and without an object per step: alone in `records`, of magic 2, not compressed, and in
 * every field as a leader wants it, so that only its offsets and its epoch are left to be written. Undefined for anything else, also what
 * has to be refused: log-validator.ts goes through that rule by rule.
 */
export function plainBatch(records: Uint8Array, config: LogConfig, nowMs: number): BatchView | undefined {
  const { length } = records;
  const { compressionType } = config;
  if (config.messageTimestampType !== 'CreateTime' || (compressionType !== 'producer' && compressionType !== 'uncompressed')) {
    return undefined;
  }
  if (length <= batchHeaderBytes || length > config.maxMessageBytes) return undefined;
  const batch = new BatchView(records);
  if (batch.length !== length || batch.magic !== 2 || batch.writtenOffset !== 0) return undefined;
  if ((batch.attributes & ~noAttributesBut) !== 0) return undefined;
  const { recordsCount, producerId } = batch;
  if (recordsCount <= 0 || batch.lastOffsetDelta !== recordsCount - 1) return undefined;
  if (!Number.isSafeInteger(producerId) || (producerId >= 0 && batch.baseSequence < 0)) return undefined;
  const { baseTimestamp, maxTimestamp } = batch;
  // A record without a time obeys no bounds, and what a number does not hold exactly is refused.
  if (!(baseTimestamp >= 0 && maxTimestamp <= Number.MAX_SAFE_INTEGER)) return undefined;
  if (!batch.isCrcValid()) return undefined;
  const greatestDelta = walkRecords(records, batchHeaderBytes, {
    count: recordsCount,
    smallestDelta: clamp(Math.max(nowMs - config.messageTimestampBeforeMaxMs, 0) - baseTimestamp),
    largestDelta: clamp(nowMs + config.messageTimestampAfterMaxMs - baseTimestamp),
    requireKeys: config.cleanupPolicy.includes('compact'),
  });
  return greatestDelta !== undefined && baseTimestamp + greatestDelta === maxTimestamp ? batch : undefined;
}

/** What `walkRecords` passes is small. */
function clamp(delta: number): number {
  return Math.max(-0x7fff_ffff, Math.min(0x7fff_ffff, delta));
}
