/** record-frames.jsonl: values of the metadata log, keys and values of the coordinators' topics, with their prefixes. */
import { isDeepStrictEqual } from 'node:util';
import * as door from '../../src/index.ts';
import { difference, firstProblem, fromHex } from './bytes.ts';
import { messageNamed } from './codecs.ts';
import { toJson } from './message-json.ts';

type Vector =
  | { family: 'metadata'; message: string; type: number; version: number; json: object; valueHex: string }
  | {
      family: 'group-coordinator' | 'share-coordinator' | 'transaction';
      key: string;
      value: string;
      valueVersion: number;
      keyJson: object;
      valueJson: object;
      keyHex: string;
      valueHex: string;
    };

type AnyRecord = { type: string; version: number; key: object; value: object | null };

interface CoordinatorFrames {
  read(key: Uint8Array, value: Uint8Array | null): unknown;
  writeKey(record: never): Uint8Array;
  writeValue(record: never): Uint8Array | null;
}

const coordinators: Record<string, CoordinatorFrames> = {
  'group-coordinator': { read: door.readGroupRecord, writeKey: door.writeGroupRecordKey, writeValue: door.writeGroupRecordValue },
  'share-coordinator': { read: door.readShareRecord, writeKey: door.writeShareRecordKey, writeValue: door.writeShareRecordValue },
  transaction: {
    read: door.readTransactionRecord,
    writeKey: door.writeTransactionRecordKey,
    writeValue: door.writeTransactionRecordValue,
  },
};

export const family = { file: 'record-frames.jsonl', check };

/** What is wrong, or nothing. */
function check(line: string): string | undefined {
  const vector = JSON.parse(line) as Vector;
  if (vector.family === 'metadata') {
    const record = door.readMetadataRecord(fromHex(vector.valueHex));
    const problem = firstProblem([
      record.type === vector.message && record.version === vector.version
        ? undefined
        : `read as ${record.type} v${record.version}`,
      unequal(vector.message, record.value, vector.version, vector.json),
      difference('encoded again', door.writeMetadataRecord(record), vector.valueHex),
    ]);
    return problem && `${vector.message} v${vector.version}: ${problem}`;
  }
  const frames = coordinators[vector.family];
  if (frames === undefined) return `no such family: ${line}`;
  const record = frames.read(fromHex(vector.keyHex), fromHex(vector.valueHex)) as AnyRecord;
  const tombstone = frames.read(fromHex(vector.keyHex), null) as AnyRecord;
  const valueBytes = frames.writeValue(record as never);
  const problem = firstProblem([
    record.version === vector.valueVersion ? undefined : `read as version ${record.version}`,
    unequal(vector.key, record.key, 0, vector.keyJson),
    record.value === null ? 'read as a tombstone' : unequal(vector.value, record.value, record.version, vector.valueJson),
    difference('key', frames.writeKey(record as never), vector.keyHex),
    valueBytes === null ? 'written as a tombstone' : difference('value', valueBytes, vector.valueHex),
    tombstone.value === null && isDeepStrictEqual(tombstone.key, record.key) ? undefined : 'tombstone misread',
    frames.writeValue(tombstone as never) === null ? undefined : 'tombstone not written as null',
  ]);
  return problem && `${vector.value} v${vector.valueVersion}: ${problem}`;
}

function unequal(name: string, value: object, version: number, expected: object): string | undefined {
  const known = messageNamed(name);
  if (known === undefined) return `there is no ${name}`;
  const json = toJson(known.schema, value, version);
  return isDeepStrictEqual(json, expected) ? undefined : `${name} decoded as ${JSON.stringify(json)}`;
}
