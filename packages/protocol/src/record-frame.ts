/**
 * How records name their type and version.
 *
 *   metadata log (value)     uvarint frame version (1), uvarint record type, uvarint version, body
 *   coordinator topics       key: int16 record type, body of the key at version 0
 *                            value: int16 version, body; or null, a tombstone
 */
import type { Codec, Writable } from './codec.ts';
import { KafkaError } from './errors.ts';
import { Reader } from './reader.ts';
import {
  type GroupRecord,
  groupRecords,
  type MetadataRecord,
  metadataRecords,
  type ShareRecord,
  shareRecords,
  type TransactionRecord,
  transactionRecords,
  type WritableGroupRecord,
  type WritableMetadataRecord,
  type WritableShareRecord,
  type WritableTransactionRecord,
} from './records-of/index.ts';
import { Writer } from './writer.ts';

export type RecordTable = ReadonlyMap<
  number,
  { readonly type: string; readonly recordType: number; readonly codec: Codec<object> }
>;

export type CoordinatorRecordTable = ReadonlyMap<
  number,
  { readonly type: string; readonly recordType: number; readonly key: Codec<object>; readonly value: Codec<object> }
>;

/** A coordinator's record of a type that this version does not know: a newer broker wrote it. */
export interface UnknownRecord {
  readonly type: 'unknown';
  readonly recordType: number;
}

const FRAME_VERSION = 1;

/** Reads the value of a record of the metadata log. Throws UNSUPPORTED_VERSION for a frame, type or version it does not know. */
export function readMetadataRecord(value: Uint8Array): MetadataRecord {
  const reader = new Reader(value);
  const frameVersion = reader.uvarint();
  if (frameVersion !== FRAME_VERSION)
    throw new KafkaError('UNSUPPORTED_VERSION', `frame version ${frameVersion} of a metadata record`);
  const recordType = reader.uvarint();
  const version = reader.uvarint();
  const known = metadataRecords.get(recordType);
  if (known === undefined) throw new KafkaError('UNSUPPORTED_VERSION', `metadata record type ${recordType}`);
  const record = { type: known.type, version, value: known.codec.read(reader, version) } as MetadataRecord;
  if (reader.remaining > 0) throw new KafkaError('INVALID_REQUEST', `${reader.remaining} bytes after a ${known.type}`);
  return record;
}

export function writeMetadataRecord(record: WritableMetadataRecord): Uint8Array {
  const known = metadataRecordNamed(record.type);
  const writer = new Writer(128);
  writer.uvarint(FRAME_VERSION);
  writer.uvarint(known.recordType);
  writer.uvarint(record.version);
  known.codec.write(writer, record.value, record.version);
  return writer.bytes();
}

export function readGroupRecord(key: Uint8Array, value: Uint8Array | null): GroupRecord | UnknownRecord {
  return readCoordinatorRecord(groupRecords, key, value) as GroupRecord | UnknownRecord;
}

export function writeGroupRecordKey(record: Pick<WritableGroupRecord, 'type' | 'key'>): Uint8Array {
  return writeCoordinatorKey(groupTypes, record);
}

export function writeGroupRecordValue(record: WritableGroupRecord): Uint8Array | null {
  return writeCoordinatorValue(groupTypes, record);
}

export function readTransactionRecord(key: Uint8Array, value: Uint8Array | null): TransactionRecord | UnknownRecord {
  return readCoordinatorRecord(transactionRecords, key, value) as TransactionRecord | UnknownRecord;
}

export function writeTransactionRecordKey(record: Pick<WritableTransactionRecord, 'type' | 'key'>): Uint8Array {
  return writeCoordinatorKey(transactionTypes, record);
}

export function writeTransactionRecordValue(record: WritableTransactionRecord): Uint8Array | null {
  return writeCoordinatorValue(transactionTypes, record);
}

export function readShareRecord(key: Uint8Array, value: Uint8Array | null): ShareRecord | UnknownRecord {
  return readCoordinatorRecord(shareRecords, key, value) as ShareRecord | UnknownRecord;
}

export function writeShareRecordKey(record: Pick<WritableShareRecord, 'type' | 'key'>): Uint8Array {
  return writeCoordinatorKey(shareTypes, record);
}

export function writeShareRecordValue(record: WritableShareRecord): Uint8Array | null {
  return writeCoordinatorValue(shareTypes, record);
}

type CoordinatorTypes = ReadonlyMap<
  string,
  { readonly recordType: number; readonly key: Codec<object>; readonly value: Codec<object> }
>;

const groupTypes = byTypeName(groupRecords);
const transactionTypes = byTypeName(transactionRecords);
const shareTypes = byTypeName(shareRecords);
const metadataTypes = byTypeName(metadataRecords);

function metadataRecordNamed(type: string): { readonly recordType: number; readonly codec: Codec<object> } {
  const known = metadataTypes.get(type);
  if (known === undefined) throw new TypeError(`no metadata record is named ${type}`);
  return known;
}

/** Throws UNSUPPORTED_VERSION for a value of a version that this broker does not know. */
function readCoordinatorRecord(table: CoordinatorRecordTable, key: Uint8Array, value: Uint8Array | null): object {
  const keyReader = new Reader(key);
  const recordType = keyReader.int16();
  const known = table.get(recordType);
  if (known === undefined) return { type: 'unknown', recordType };
  const decodedKey = known.key.read(keyReader, 0);
  if (value === null) return { type: known.type, version: 0, key: decodedKey, value: null };
  const valueReader = new Reader(value);
  const version = valueReader.int16();
  return { type: known.type, version, key: decodedKey, value: known.value.read(valueReader, version) };
}

function writeCoordinatorKey(
  types: CoordinatorTypes,
  record: { readonly type: string; readonly key: Writable<object> },
): Uint8Array {
  const known = types.get(record.type);
  if (known === undefined) throw new TypeError(`no record is named ${record.type}`);
  const writer = new Writer(64);
  writer.int16(known.recordType);
  known.key.write(writer, record.key, 0);
  return writer.bytes();
}

function writeCoordinatorValue(
  types: CoordinatorTypes,
  record: { readonly type: string; readonly version: number; readonly value: Writable<object> | null },
): Uint8Array | null {
  if (record.value === null) return null;
  const known = types.get(record.type);
  if (known === undefined) throw new TypeError(`no record is named ${record.type}`);
  const writer = new Writer(128);
  writer.int16(record.version);
  known.value.write(writer, record.value, record.version);
  return writer.bytes();
}

function byTypeName<Row extends { readonly type: string }>(table: ReadonlyMap<number, Row>): Map<string, Row> {
  return new Map([...table.values()].map((row) => [row.type, row]));
}
