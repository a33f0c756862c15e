import {
  BatchBuilder,
  type BatchView,
  batchHeaderBytes,
  buildBatch,
  buildLegacyMessageSet,
  type DecodedRecord,
} from '@ottla/protocol';
import type { LastRecordOfProducer } from './active-producers.ts';
import type { CleanedTransactions } from './cleaned-transactions.ts';
import type { KeyOffsetMap } from './key-offset-map.ts';

/** What one round of cleaning knows. */
export type CleaningRound = {
  readonly offsets: Pick<KeyOffsetMap, 'get'>;
  /** The last offset that `offsets` has seen: what is behind it stays. */
  readonly latestOffset: number;
  /** A batch that ends right before it stays, if only as a header, so that the log keeps its end. */
  readonly upperBoundOffset: number;
  readonly producers: ReadonlyMap<number, LastRecordOfProducer>;
  readonly nowMs: number;
  readonly deleteRetentionMs: number;
};

export type SegmentOfRound = {
  readonly transactions: Pick<CleanedTransactions, 'canDiscard'>;
  /** Batches of magic 0 and 1 have no delete horizon: their tombstones go by the age of the segment. */
  readonly keepsLegacyTombstones: boolean;
};

/**
 * What becomes of a batch: its bytes, the batch itself where nothing changes, or undefined when it goes. A record stays if it
 * is behind what the map has seen, or is its key's latest and is no tombstone past its delete horizon.
 * Throws what decoding throws.
 */
export function cleanBatch(batch: BatchView, round: CleaningRound, segment: SegmentOfRound): Uint8Array | undefined {
  const canDiscard = segment.transactions.canDiscard(batch);
  const discardsRecords = canDiscard && (!batch.isControl || isHorizonPassed(batch, round.nowMs));
  if (batch.magic < 2) return cleanLegacy(batch, round, segment);
  if (!discardsRecords) {
    const cleaned = batch.isControl ? withHorizon(batch, { isNeeded: canDiscard, round }) : cleanRecords(batch, round);
    if (cleaned) return cleaned;
  }
  return isKeptEmpty(batch, round) ? emptied(batch) : undefined;
}

function isHorizonPassed({ deleteHorizonMs }: BatchView, nowMs: number): boolean {
  return deleteHorizonMs >= 0 && deleteHorizonMs <= nowMs;
}

/** A producer's last sequence, or the end of the round, would otherwise be forgotten. */
function isKeptEmpty(batch: BatchView, { producers, upperBoundOffset }: CleaningRound): boolean {
  if (batch.nextOffset === upperBoundOffset) return true;
  const last = batch.producerId >= 0 ? producers.get(batch.producerId) : undefined;
  if (!last) return false;
  if (last.lastDataOffset >= 0) return batch.lastOffset === last.lastDataOffset;
  return batch.isControl && batch.producerEpoch === last.producerEpoch;
}

/** A marker whose transaction has no data left gets the time from when on it may go. */
function withHorizon(batch: BatchView, { isNeeded, round }: { isNeeded: boolean; round: CleaningRound }): Uint8Array | undefined {
  if (batch.recordsCount === 0) return undefined;
  if (!isNeeded || batch.deleteHorizonMs >= 0) return batch.bytes;
  const section = batch.decompressedRecords();
  return rewritten(batch, { section, kept: undefined, deleteHorizonMs: newHorizonMs(round) });
}

function newHorizonMs({ nowMs, deleteRetentionMs }: CleaningRound): number {
  return Math.min(nowMs + deleteRetentionMs, Number.MAX_SAFE_INTEGER);
}

function cleanRecords(batch: BatchView, round: CleaningRound): Uint8Array | undefined {
  const { nowMs } = round;
  const keepsTombstones = batch.deleteHorizonMs < 0 || nowMs < batch.deleteHorizonMs;
  const section = batch.decompressedRecords();
  const kept = new Uint8Array(Math.max(0, Math.min(batch.recordsCount, section.length)));
  const cursor = batch.cursor({ section });
  let keptCount = 0;
  let hasTombstone = false;
  while (cursor.next()) {
    const isTombstone = cursor.valueStart < 0;
    const stays =
      cursor.offset > round.latestOffset ||
      (cursor.keyStart >= 0 && cursor.offset >= round.offsets.get(cursor.key!) && (!isTombstone || keepsTombstones));
    if (!stays) continue;
    kept[cursor.read - 1] = 1;
    keptCount++;
    hasTombstone ||= isTombstone;
  }
  if (keptCount === 0) return undefined;
  const needsHorizon = hasTombstone && batch.deleteHorizonMs < 0;
  if (keptCount === batch.recordsCount && !needsHorizon) return batch.bytes;
  const deleteHorizonMs = needsHorizon ? newHorizonMs(round) : batch.deleteHorizonMs;
  return rewritten(batch, { section, kept, deleteHorizonMs });
}

/** Offsets, sequences, epochs, codec and the kind of timestamps stay; `kept` undefined keeps every record. */
function rewritten(
  batch: BatchView,
  { section, kept, deleteHorizonMs }: { section: Uint8Array; kept: Uint8Array | undefined; deleteHorizonMs: number },
): Uint8Array {
  const builder = new BatchBuilder(
    { ...headerOf(batch), codec: batch.codec, deleteHorizonMs: deleteHorizonMs >= 0 ? deleteHorizonMs : undefined },
    { capacityBytes: batchHeaderBytes + section.length },
  );
  const cursor = batch.cursor({ section });
  while (cursor.next()) {
    if (kept && kept[cursor.read - 1] === 0) continue;
    builder.appendAt(cursor.offset, cursor.timestamp, cursor.key, cursor.value, cursor.headers());
  }
  return builder.build();
}

function emptied(batch: BatchView): Uint8Array {
  return buildBatch({ ...headerOf(batch), maxTimestamp: batch.maxTimestamp, records: [] });
}

const headerOf = (batch: BatchView) => ({
  baseOffset: batch.baseOffset,
  lastOffset: batch.lastOffset,
  leaderEpoch: batch.leaderEpoch,
  producerId: batch.producerId,
  producerEpoch: batch.producerEpoch,
  baseSequence: batch.baseSequence,
  isTransactional: batch.isTransactional,
  isControl: batch.isControl,
  logAppendTimeMs: batch.isLogAppendTime ? batch.maxTimestamp : undefined,
});

/** These formats know no empty batch, and keep no range of offsets wider than their records. */
function cleanLegacy(batch: BatchView, round: CleaningRound, segment: SegmentOfRound): Uint8Array | undefined {
  const records = [...batch.records()];
  const kept = records.filter(({ offset, key, value }: DecodedRecord) => {
    if (offset > round.latestOffset) return true;
    return key !== null && offset >= round.offsets.get(key) && (value !== null || segment.keepsLegacyTombstones);
  });
  if (kept.length === 0) return undefined;
  if (kept.length === records.length) return batch.bytes;
  const { magic, codec, isLogAppendTime, maxTimestamp } = batch;
  const logAppendTimeMs = isLogAppendTime ? maxTimestamp : undefined;
  return buildLegacyMessageSet({
    magic: magic === 0 ? 0 : 1,
    codec: codec === 'zstd' ? 'none' : codec, // a codec that those formats never had
    logAppendTimeMs,
    records: kept.map(({ offset, timestamp, key, value }) => ({ offset, timestamp, key, value })),
  });
}
