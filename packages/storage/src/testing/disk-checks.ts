/** What must be true of a log that was opened after whatever happened to its disk. */
import assert from 'node:assert/strict';
import { type BatchView, batchesOf } from '@ottla/protocol';
import type { Log } from '../log.ts';
import { abortedBatches, covers, cutAt, type LogArray, type ModelBatch, type ModelRecord, producersOf } from './log-array.ts';

export type FoundBatch = {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly leaderEpoch: number;
  readonly isControl: boolean;
  readonly producerId: number;
  readonly records: readonly ModelRecord[];
};

type Moment = { readonly offset: number; readonly timestamp: number };
/** The first batch with the largest time that a header tells of: that time, and the first record with it, unless cleaning took it. */
type Latest = { readonly timestamp: number; readonly offset: number | undefined };
type Found = { readonly batches: readonly FoundBatch[]; readonly moments: readonly Moment[]; readonly latest: Latest };

const text = (bytes: Uint8Array | null): string => new TextDecoder().decode(bytes ?? new Uint8Array());

/** Every batch that a reader from the log's start to its end gets. */
export function readWhole(log: Log): Found {
  const batches: FoundBatch[] = [];
  const moments: Moment[] = [];
  let latest: Latest = { timestamp: -1, offset: undefined };
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    const { records } = log.read({ startOffset: offset, endOffset: log.logEndOffset, maxBytes: 1 << 20, minOneBatch: true });
    let next = offset;
    for (const batch of batchesOf(records)) {
      batch.ensureCrc();
      assert.ok(batch.lastOffset >= next, `batch ${batch.baseOffset} comes after offset ${next - 1}`);
      batches.push(describe(batch));
      if (batch.maxTimestamp > latest.timestamp) latest = latestOf(batch);
      for (const record of batch.records())
        if (record.offset >= log.logStartOffset) moments.push({ offset: record.offset, timestamp: record.timestamp });
      next = batch.nextOffset;
    }
    if (next === offset) break;
    offset = next;
  }
  return { batches, moments, latest };
}

function latestOf(batch: BatchView): Latest {
  const { maxTimestamp: timestamp } = batch;
  return { timestamp, offset: Array.from(batch.records()).find((record) => record.timestamp === timestamp)?.offset };
}

function describe(batch: BatchView): FoundBatch {
  const { baseOffset, lastOffset, leaderEpoch, isControl, producerId } = batch;
  const records = isControl
    ? []
    : Array.from(batch.records(), ({ offset, timestamp, key, value }) => ({
        offset,
        timestamp,
        key: key === null ? null : text(key),
        value: text(value),
      }));
  return { baseOffset, lastOffset, leaderEpoch, isControl, producerId, records };
}

export type Survival = {
  /** What was appended, with what may have been lost of it. */
  readonly array: LogArray;
  /** Everything below was flushed. */
  readonly durableEnd: number;
  /** The log start was written down. */
  readonly durableStart: number;
  readonly isCompacted: boolean;
  /** Aborted once: whether they were may be forgotten after their data was cleaned away, and their coordinator will say it again. */
  readonly excused: ReadonlySet<ModelBatch>;
  /** Nothing can have been lost: the stop was orderly, or only the process died. */
  readonly isWhole: boolean;
};

/** Throws AssertionError. Returns the array as it is from now on. */
export function checkSurvival(log: Log, survival: Survival): LogArray {
  const { array, durableEnd, durableStart, isWhole } = survival;
  const { logStartOffset, logEndOffset } = log;
  assert.ok(logStartOffset >= durableStart, `the log starts at ${logStartOffset}, below ${durableStart}`);
  const durable = array.batches.findLast((batch) => batch.lastOffset < durableEnd)?.lastOffset ?? -1;
  assert.ok(logEndOffset > durable, `the log ends at ${logEndOffset}, and ${durable} was flushed`);
  assert.ok(logEndOffset <= array.endOffset, `the log ends at ${logEndOffset}, behind ${array.endOffset}`);
  // A truncation inside a batch leaves an end that no batch reaches; only memory knows of it.
  const lastOffset = array.batches.at(-1)?.lastOffset ?? -1;
  if (isWhole) assert.ok(logEndOffset > lastOffset, `the log ends at ${logEndOffset}, and ${lastOffset} was written`);
  const left = cutAt(array, logEndOffset, logStartOffset);
  const { batches: found, moments, latest } = readWhole(log);
  if (survival.isCompacted) checkCompacted(found, left, survival.excused);
  else checkSame(found, left);
  checkEpochs(log, found);
  checkProducers(log, left);
  checkAborted(log, left, found);
  checkLookups(log, found, moments);
  if (log.logStartOffset === log.firstSegmentBaseOffset) checkLargestTimestamp(log, latest);
  return left;
}

function checkSame(found: readonly FoundBatch[], { batches, startOffset }: LogArray): void {
  const expected = batches.filter((batch) => batch.lastOffset >= startOffset);
  assert.deepEqual(
    found,
    expected.map((batch) => ({ ...foundOf(batch), baseOffset: batch.baseOffset })),
  );
}

const foundOf = ({ baseOffset, lastOffset, leaderEpoch, ends, producerId, records }: ModelBatch): FoundBatch => ({
  ...{ baseOffset, lastOffset, leaderEpoch, producerId, records },
  isControl: ends !== undefined,
});

/** Nothing foreign, nothing moved, and of each key its latest value. */
function checkCompacted(found: readonly FoundBatch[], left: LogArray, aborted: ReadonlySet<ModelBatch>): void {
  const written = new Map(left.batches.flatMap((batch) => batch.records.map((record) => [record.offset, record])));
  const survivors = new Set<number>();
  for (const batch of found) {
    for (const record of batch.records) {
      assert.deepEqual(record, written.get(record.offset));
      survivors.add(record.offset);
    }
  }
  const latest = new Map<string | null, ModelRecord>();
  for (const batch of left.batches) if (!aborted.has(batch)) for (const record of batch.records) latest.set(record.key, record);
  for (const record of latest.values()) {
    if (record.offset >= left.startOffset) assert.ok(survivors.has(record.offset), `${record.key} lost ${record.offset}`);
  }
}

function checkEpochs(log: Log, found: readonly FoundBatch[]): void {
  for (const [index, entry] of log.epochs.entries()) {
    const before = log.epochs[index - 1];
    if (before) assert.ok(before.epoch < entry.epoch && before.startOffset <= entry.startOffset, JSON.stringify(log.epochs));
    assert.ok(entry.startOffset <= log.logEndOffset, JSON.stringify(log.epochs));
  }
  for (const { baseOffset, leaderEpoch } of found) {
    const offset = Math.max(baseOffset, log.logStartOffset);
    assert.equal(log.epochForOffset(offset), leaderEpoch, `epoch at ${offset} of ${JSON.stringify(log.epochs)}`);
  }
}

function checkProducers(log: Log, left: LogArray): void {
  const all = producersOf(left);
  const inLog = producersOf(left, log.logStartOffset);
  const found = new Map(log.activeProducers().map((producer) => [producer.producerId, producer]));
  for (const [producerId, { lastSequence, openSince }] of inLog) {
    const producer = found.get(producerId);
    assert.ok(producer, `producer ${producerId} is not known`);
    // A start may have forgotten what stood below the log's start.
    const sequences = new Set([lastSequence, all.get(producerId)!.lastSequence]);
    assert.ok(sequences.has(producer.lastSequence), `producer ${producerId} is at ${producer.lastSequence}, not ${lastSequence}`);
    const open = producer.currentTransactionFirstOffset;
    assert.ok(
      openSince < 0 ? open === -1 : open <= openSince && open >= all.get(producerId)!.openSince,
      `producer ${producerId} is open since ${open}, not ${openSince}`,
    );
  }
  for (const producer of found.values()) {
    const known = all.get(producer.producerId);
    assert.ok(known, `producer ${producer.producerId} was never heard of`);
    assert.ok(
      producer.lastSequence <= known.lastSequence,
      `producer ${producer.producerId} is at ${producer.lastSequence}, which is gone`,
    );
  }
}

function checkAborted(log: Log, left: LogArray, found: readonly FoundBatch[]): void {
  const listed = log.abortedTransactions(log.logStartOffset, log.logEndOffset);
  const aborted = abortedBatches(left);
  const present = new Set(found.filter((batch) => batch.records.length > 0).map((batch) => batch.lastOffset));
  for (const [batch, marker] of aborted) {
    if (!present.has(batch.lastOffset)) continue;
    assert.ok(
      listed.some((transaction) => covers(transaction, batch, marker)),
      `the aborted batch at ${batch.baseOffset} would be read: ${JSON.stringify(listed)}`,
    );
  }
  const markers = new Set(left.batches.filter((batch) => batch.ends === 'abort').map((batch) => batch.baseOffset));
  for (const transaction of listed) assert.ok(markers.has(transaction.lastOffset), JSON.stringify(transaction));
}

/** Every offset and every timestamp leads to where a walk over all records leads. */
function checkLookups(log: Log, found: readonly FoundBatch[], moments: readonly Moment[]): void {
  for (const batch of found) {
    for (const offset of new Set([Math.max(batch.baseOffset, log.logStartOffset), batch.lastOffset])) {
      const { records } = log.read({ startOffset: offset, endOffset: log.logEndOffset, maxBytes: 1, minOneBatch: true });
      assert.equal(batchesOf(records).next().value?.lastOffset, batch.lastOffset, `a read from ${offset}`);
    }
  }
  for (const { timestamp } of moments) {
    for (const asked of [timestamp, timestamp + 1]) {
      const expected = moments.find((moment) => moment.timestamp >= asked);
      assert.equal(log.offsetForTimestamp(asked)?.offset, expected?.offset, `the first record at ${asked}`);
    }
  }
}

function checkLargestTimestamp(log: Log, { timestamp, offset }: Latest): void {
  assert.equal(log.offsetOfMaxTimestamp()?.offset, offset, `the record with the largest timestamp, ${timestamp}`);
}
