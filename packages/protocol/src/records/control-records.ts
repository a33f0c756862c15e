/**
 * Control records: what brokers write between the data, never given to applications.
 *
 *   key    int16 version (0), int16 type
 *   value  0 abort, 1 commit   int16 version (0), int32 coordinatorEpoch
 *          2 leader change     LeaderChangeMessage
 *          3 snapshot header   SnapshotHeaderRecord
 *          4 snapshot footer   SnapshotFooterRecord
 *          5 kraft version     KRaftVersionRecord
 *          6 kraft voters      VotersRecord
 *
 * 2 to 6 hold the bare message body, whose first field repeats the version.
 */
import { KafkaError } from '../errors.ts';
import { type BatchOptions, buildBatch } from './batch-builder.ts';

export type ControlRecordType =
  | 'abort'
  | 'commit'
  | 'leaderChange'
  | 'snapshotHeader'
  | 'snapshotFooter'
  | 'kraftVersion'
  | 'kraftVoters';

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

export type ControlRecord =
  | { type: 'abort' | 'commit'; coordinatorEpoch: number }
  | { type: Exclude<ControlRecordType, 'abort' | 'commit'>; value: Uint8Array }
  | { type: 'unknown'; typeNumber: number };

/** The type in a control record's key; 'unknown' for one of a later Kafka, to be skipped. Throws INVALID_RECORD for a key that is none. */
export function controlRecordTypeOf(key: Uint8Array | null): ControlRecordType | 'unknown' {
  return controlRecordTypes[typeNumberOf(key)] ?? 'unknown';
}

function typeNumberOf(key: Uint8Array | null): number {
  if (key === null || key.length < 4) {
    throw new KafkaError('INVALID_RECORD', `a control record needs a key of 4 bytes, and has ${key?.length ?? 'none'}`);
  }
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  const version = view.getInt16(0);
  if (version < 0) throw new KafkaError('INVALID_RECORD', `a control record of version ${version}`);
  return view.getInt16(2);
}

/** Throws INVALID_RECORD. Bodies of the quorum's own records stay bytes: their codecs are generated ones. */
export function readControlRecord({ key, value }: { key: Uint8Array | null; value: Uint8Array | null }): ControlRecord {
  const typeNumber = typeNumberOf(key);
  const type = controlRecordTypes[typeNumber];
  if (type === undefined) return { type: 'unknown', typeNumber };
  if (value === null) throw new KafkaError('INVALID_RECORD', `a control record ${type} without a value`);
  if (type === 'abort' || type === 'commit') return { type, coordinatorEpoch: coordinatorEpochOf(value) };
  return { type, value };
}

function coordinatorEpochOf(value: Uint8Array): number {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  if (value.length < 6 || view.getInt16(0) < 0) {
    throw new KafkaError('INVALID_RECORD', `an end-of-transaction marker of ${value.length} bytes`);
  }
  return view.getInt32(2);
}

export function controlRecordKey(type: ControlRecordType): Uint8Array {
  const key = new Uint8Array(4);
  key[3] = controlRecordTypes.indexOf(type);
  return key;
}

export function controlRecordValue(record: Exclude<ControlRecord, { type: 'unknown' }>): Uint8Array {
  if ('value' in record) return record.value;
  const value = new Uint8Array(6);
  new DataView(value.buffer).setInt32(2, record.coordinatorEpoch);
  return value;
}

export type ControlBatch = Omit<BatchOptions, 'codec' | 'level' | 'isControl' | 'baseSequence'> & {
  records: readonly Exclude<ControlRecord, { type: 'unknown' }>[];
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
