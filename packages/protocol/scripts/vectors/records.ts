/**
 * records.jsonl: batches of every magic and codec as Apache Kafka wrote them. Each must decode to the fields given; what
 * is not compressed must also come out of our writers byte for byte; what is invalid must be refused, or ignored where
 * it is merely cut off.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  type BatchView,
  batchesOf,
  buildBatch,
  buildLegacyMessageSet,
  controlRecordTypeOf,
  controlRecordValue,
  inspectRecords,
  readControlRecord,
} from '../../src/index.ts';

type VectorRecord = {
  offset: number;
  timestamp: number;
  sequence?: number;
  key: string | null;
  value?: string | null;
  valueLength?: number;
  valueSha256?: string;
  headers?: { key: string; value: string | null }[];
  controlType?: string;
};

type VectorBatch = { magic: 0 | 1 | 2; compression: string; records: VectorRecord[]; [field: string]: unknown };

type Vector = { name: string; batches?: VectorBatch[]; invalid?: boolean; javaError?: string; hex: string };

export const family = { file: 'records.jsonl.gz', check };

/** What is wrong, or nothing. */
function check(line: string): string | undefined {
  const vector = JSON.parse(line) as Vector;
  const bytes = Uint8Array.from(Buffer.from(vector.hex, 'hex'));
  const problem = vector.invalid ? refusal(vector, bytes) : agreement(vector, bytes);
  return problem && `${vector.name}: ${problem}`;
}

function refusal(vector: Vector, bytes: Uint8Array): string | undefined {
  try {
    let count = 0;
    for (const batch of batchesOf(bytes)) {
      batch.ensureCrc();
      [...batch.records()];
      count++;
    }
    if (vector.javaError !== undefined) return `read, although Kafka throws ${vector.javaError}`;
    return count === 0 ? undefined : `${count} batches in what is cut off`;
  } catch (error) {
    return vector.javaError === undefined ? `refused: ${error}` : undefined;
  }
}

function agreement(vector: Vector, bytes: Uint8Array): string | undefined {
  const expected = vector.batches ?? [];
  const batches = [...batchesOf(bytes)];
  if (batches.length !== expected.length) return `${batches.length} batches instead of ${expected.length}`;
  for (const [index, batch] of batches.entries()) {
    const problem = decodes(batch, expected[index]!) ?? reencodes(batch);
    if (problem) return problem;
  }
  return undefined;
}

function decodes(batch: BatchView, expected: VectorBatch): string | undefined {
  if (!batch.isCrcValid()) return 'the crc does not match';
  const { records: expectedRecords, ...expectedFields } = expected;
  const fields = fieldsOf(batch);
  for (const [name, value] of Object.entries(expectedFields)) {
    if (fields[name] !== value) return `${name} is ${fields[name]}, not ${value}`;
  }
  const records = [...batch.records()].map((record, index) => {
    const { valueSha256, sequence, controlType } = expectedRecords[index] ?? ({} as VectorRecord);
    return {
      offset: record.offset,
      timestamp: record.timestamp,
      ...(sequence === undefined ? {} : { sequence: record.sequence }),
      key: hex(record.key),
      ...(valueSha256 === undefined
        ? { value: hex(record.value) }
        : { valueLength: record.value?.length, valueSha256: createHash('sha256').update(record.value!).digest('hex') }),
      ...(record.headers.length === 0 ? {} : { headers: record.headers.map(({ key, value }) => ({ key, value: hex(value) })) }),
      ...(controlType === undefined ? {} : { controlType: constantName(controlRecordTypeOf(record.key)) }),
    };
  });
  if (!isDeepStrictEqual(records, expectedRecords)) {
    return `the records are ${JSON.stringify(records).slice(0, 500)}, not ${JSON.stringify(expectedRecords).slice(0, 500)}`;
  }
  if (batch.isControl && !controlRecordsReencode(batch)) return 're-encoding the control records gives other bytes';
  if (batch.magic === 2 && inspectRecords(batch).count !== expectedRecords.length) return 'the walk counts otherwise';
  return undefined;
}

/** Under the names that the vectors use. */
function fieldsOf(batch: BatchView): Record<string, unknown> {
  return {
    magic: batch.magic,
    sizeInBytes: batch.length,
    baseOffset: batch.baseOffset,
    lastOffset: batch.lastOffset,
    nextOffset: batch.nextOffset,
    crc: batch.crc,
    compression: batch.codec,
    timestampType: batch.timestampType,
    maxTimestamp: batch.maxTimestamp,
    attributes: batch.attributes,
    baseTimestamp: batch.baseTimestamp,
    partitionLeaderEpoch: batch.leaderEpoch,
    producerId: batch.producerId,
    producerEpoch: batch.producerEpoch,
    baseSequence: batch.baseSequence,
    lastSequence: batch.lastSequence,
    isTransactional: batch.isTransactional,
    isControlBatch: batch.isControl,
    deleteHorizonMs: batch.deleteHorizonMs === -1 ? null : batch.deleteHorizonMs,
    countOrNull: batch.recordsCount,
  };
}

/** Compressed batches are written too, but only their contents can be compared. */
function reencodes(batch: BatchView): string | undefined {
  const written = batch.magic === 2 ? rebuilt(batch) : rebuiltLegacy(batch);
  if (batch.codec === 'none') return Buffer.compare(written, batch.bytes) === 0 ? undefined : 're-encoding gives other bytes';
  const [again] = batchesOf(written);
  if (!again?.isCrcValid()) return 're-encoding gives no valid batch';
  return isDeepStrictEqual([...again.records()], [...batch.records()]) ? undefined : 're-encoding gives other records';
}

function rebuilt(batch: BatchView): Uint8Array {
  const records = [...batch.records()];
  if (batch.isLogAppendTime) restoreCreateTimes(batch, records);
  return buildBatch({
    records,
    codec: batch.codec,
    baseOffset: batch.baseOffset,
    lastOffset: batch.lastOffset,
    leaderEpoch: batch.leaderEpoch,
    producerId: batch.producerId,
    producerEpoch: batch.producerEpoch,
    baseSequence: batch.baseSequence,
    isTransactional: batch.isTransactional,
    isControl: batch.isControl,
    logAppendTimeMs: batch.isLogAppendTime ? batch.maxTimestamp : undefined,
    deleteHorizonMs: batch.deleteHorizonMs === -1 ? undefined : batch.deleteHorizonMs,
    maxTimestamp: batch.maxTimestamp,
  });
}

/** Under log-append time the bytes still hold what the producer said. */
function restoreCreateTimes(batch: BatchView, records: { timestamp: number }[]): void {
  const bytes = batch.bytes.slice();
  const [copy] = batchesOf(bytes);
  copy!.setMaxTimestamp('CreateTime', batch.maxTimestamp);
  for (const [index, { timestamp }] of [...copy!.records()].entries()) records[index]!.timestamp = timestamp;
}

function rebuiltLegacy(batch: BatchView): Uint8Array {
  return buildLegacyMessageSet({
    magic: batch.magic as 0 | 1,
    codec: batch.codec as 'none' | 'gzip' | 'snappy' | 'lz4',
    records: [...batch.records()],
    logAppendTimeMs: batch.isLogAppendTime ? batch.maxTimestamp : undefined,
  });
}

function controlRecordsReencode(batch: BatchView): boolean {
  return [...batch.records()].every((record) => {
    const control = readControlRecord(record);
    return control.type !== 'unknown' && hex(controlRecordValue(control)) === hex(record.value);
  });
}

function hex(bytes: Uint8Array | null): string | null {
  return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

function constantName(camelCase: string): string {
  return camelCase.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
