/**
 * Control records: what brokers write between the data, never given to applications.
 *
 *   key    int16 version (0), int16 type
 *   value  0 abort, 1 commit   int16 version (0), EndTxnMarker (int32 coordinatorEpoch)
 *          2 leader change     LeaderChangeMessage
 *          3 snapshot header   SnapshotHeaderRecord
 *          4 snapshot footer   SnapshotFooterRecord
 *          5 kraft version     KRaftVersionRecord
 *          6 kraft voters      VotersRecord
 *
 * 2 to 6 hold the bare message body, which begins with its own int16 version.
 */
import type { Codec, Writable } from '../codec.ts';
import { KafkaError } from '../errors.ts';
import { Reader } from '../reader.ts';
import {
  KRaftVersionRecord,
  LeaderChangeMessage,
  SnapshotFooterRecord,
  SnapshotHeaderRecord,
  VotersRecord,
} from '../records-of/control-records.ts';
import { Writer } from '../writer.ts';
import { type BatchOptions, buildBatch } from './batch-builder.ts';

type EndOfTransaction = { type: 'abort' | 'commit'; coordinatorEpoch: number };

export type ControlRecord =
  | EndOfTransaction
  | { type: 'leaderChange'; value: LeaderChangeMessage }
  | { type: 'snapshotHeader'; value: SnapshotHeaderRecord }
  | { type: 'snapshotFooter'; value: SnapshotFooterRecord }
  | { type: 'kraftVersion'; value: KRaftVersionRecord }
  | { type: 'kraftVoters'; value: VotersRecord };

export type ControlRecordType = ControlRecord['type'];

/** A type of a later Kafka: to be skipped. */
export type UnknownControlRecord = { type: 'unknown'; typeNumber: number };

/** A message's `version` says which one is written; absent: 0, as Kafka 4.3.1 writes them all. */
export type ControlRecordToWrite = Writable<ControlRecord> & { type: ControlRecordType };

/** Indexed by the type number. */
export const controlRecordTypes: readonly ControlRecordType[] = [
  'abort',
  'commit',
  'leaderChange',
  'snapshotHeader',
  'snapshotFooter',
  'kraftVersion',
  'kraftVoters',
];

/** The type in a control record's key. Throws INVALID_RECORD for a key that is none. */
export function controlRecordTypeOf(key: Uint8Array | null): ControlRecordType | 'unknown' {
  return controlRecordTypes[typeNumberOf(key)] ?? 'unknown';
}

function typeNumberOf(key: Uint8Array | null): number {
  if (key === null || key.length < 4) throw invalid(`a control record needs a key of 4 bytes, not ${key?.length ?? 'null'}`);
  const reader = new Reader(key);
  const version = reader.int16();
  if (version < 0) throw invalid(`a control record of version ${version}`);
  return reader.int16();
}

/** Throws INVALID_RECORD for what is no control record, ProtocolError for a body that is not the message it should be. */
export function readControlRecord(record: {
  key: Uint8Array | null;
  value: Uint8Array | null;
}): ControlRecord | UnknownControlRecord {
  const typeNumber = typeNumberOf(record.key);
  const type = controlRecordTypes[typeNumber];
  if (type === undefined) return { type: 'unknown', typeNumber };
  const { value } = record;
  if (value === null) throw invalid(`a control record ${type} without a value`);
  switch (type) {
    case 'abort':
    case 'commit':
      return { type, coordinatorEpoch: readCoordinatorEpoch(value) };
    case 'leaderChange':
      return { type, value: readMessage(LeaderChangeMessage, value) };
    case 'snapshotHeader':
      return { type, value: readMessage(SnapshotHeaderRecord, value) };
    case 'snapshotFooter':
      return { type, value: readMessage(SnapshotFooterRecord, value) };
    case 'kraftVersion':
      return { type, value: readMessage(KRaftVersionRecord, value) };
    case 'kraftVoters':
      return { type, value: readMessage(VotersRecord, value) };
  }
}

function readCoordinatorEpoch(value: Uint8Array): number {
  const reader = new Reader(value);
  const version = reader.int16();
  if (version < 0) throw invalid(`an end of transaction of version ${version}`);
  return reader.int32();
}

function readMessage<T>(codec: Codec<T>, value: Uint8Array): T {
  const version = new Reader(value).int16();
  // What a later version adds comes behind what this one knows, as tagged fields do.
  return codec.read(new Reader(value), Math.max(codec.minVersion, Math.min(version, codec.maxVersion)));
}

export function controlRecordKey(type: ControlRecordType): Uint8Array {
  return Uint8Array.of(0, 0, 0, controlRecordTypes.indexOf(type));
}

export function controlRecordValue(record: ControlRecordToWrite): Uint8Array {
  const writer = new Writer(64);
  switch (record.type) {
    case 'abort':
    case 'commit':
      writer.int16(0);
      writer.int32(record.coordinatorEpoch ?? 0);
      break;
    case 'leaderChange':
      writeMessage(LeaderChangeMessage, writer, record.value);
      break;
    case 'snapshotHeader':
      writeMessage(SnapshotHeaderRecord, writer, record.value);
      break;
    case 'snapshotFooter':
      writeMessage(SnapshotFooterRecord, writer, record.value);
      break;
    case 'kraftVersion':
      writeMessage(KRaftVersionRecord, writer, record.value);
      break;
    case 'kraftVoters':
      writeMessage(VotersRecord, writer, record.value);
  }
  return writer.bytes();
}

function writeMessage<T extends { version: number }>(codec: Codec<T>, writer: Writer, message: Writable<T> | undefined): void {
  const { version = 0 } = (message ?? {}) as { version?: number };
  codec.write(writer, (message ?? {}) as Writable<T>, version);
}

export type ControlBatch = Omit<BatchOptions, 'codec' | 'level' | 'isControl' | 'baseSequence'> & {
  records: readonly ControlRecordToWrite[];
  timestamp: number;
};

/** A control batch. End-of-transaction markers make it transactional by themselves. */
export function buildControlBatch({ records, timestamp, ...options }: ControlBatch): Uint8Array {
  return buildBatch({
    isTransactional: records.some(({ type }) => type === 'abort' || type === 'commit'),
    ...options,
    isControl: true,
    records: records.map((record) => ({ timestamp, key: controlRecordKey(record.type), value: controlRecordValue(record) })),
  });
}

function invalid(problem: string): KafkaError {
  return new KafkaError('INVALID_RECORD', problem);
}
