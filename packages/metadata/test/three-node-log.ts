/** The metadata log of a real cluster of three nodes under Kafka 4.3.1: topics, configs, security, restarts, a kill, a shutdown. */

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { type MetadataRecord, readMetadataRecord, writeMetadataRecord } from '@ottla/protocol';

export interface LoggedRecord {
  readonly offset: number;
  readonly batch: number;
  readonly timestampMs: number;
  readonly record: MetadataRecord;
}

const bytesFields = new Set(['salt', 'storedKey', 'serverKey']);

export function readThreeNodeLog(): LoggedRecord[] {
  const lines = gunzipSync(readFileSync(new URL('../vectors/metadata-log.jsonl.gz', import.meta.url))).toString();
  return lines.split('\n').flatMap((line) => {
    const entry =
      line === '' ? {} : JSON.parse(line, (key, value) => (bytesFields.has(key) ? Buffer.from(value, 'base64') : value));
    return entry.type === undefined ? [] : [loggedRecord(entry)];
  });
}

function loggedRecord(entry: {
  offset: number;
  batch: number;
  timestamp: number;
  type: string;
  version: number;
  data: object;
}): LoggedRecord {
  const type = entry.type.toLowerCase().replace(/(^|_)([a-z])/g, (_, __, letter: string) => letter.toUpperCase());
  // The log's JSON leaves out what is at its default: the codec puts it back.
  const partial = { type, version: entry.version, value: entry.data } as MetadataRecord;
  const record = readMetadataRecord(writeMetadataRecord(partial));
  return { offset: entry.offset, batch: entry.batch, timestampMs: entry.timestamp, record };
}
