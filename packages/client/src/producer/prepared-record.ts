import { KafkaError, type RecordHeader } from '@ottla/protocol';
import type { Content, ProducerRecord } from './producer.ts';

/** A record in bytes, ready for a batch. */
export type RecordInBytes = {
  readonly topic: string;
  readonly partition: number | undefined;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
  readonly timestamp: number;
};

const encoder = new TextEncoder();
const noHeaders: readonly RecordHeader[] = [];

/**
 * From here on a record can be written: what JavaScript lets through where TypeScript does not would fail the whole batch.
 * Throws INVALID_REQUEST.
 */
export function recordInBytes(
  { topic, key, value, headers, partition, timestamp }: ProducerRecord,
  nowMs: number,
): RecordInBytes {
  if (typeof topic !== 'string' || topic === '') refuse('topic', 'the name of a topic', topic);
  if (partition !== undefined && !isCount(partition)) refuse('partition', 'a whole number, 0 or more', partition);
  if (timestamp !== undefined && !isCount(timestamp)) refuse('timestamp', 'whole milliseconds since 1970', timestamp);
  return {
    topic,
    partition,
    key: key === undefined ? null : bytesOf(key, 'key'),
    value: bytesOf(value, 'value'),
    headers: headersOf(headers),
    timestamp: timestamp ?? nowMs,
  };
}

/** For a record that has to wait: who gave the bytes may use them again as soon as the call is over. */
export function withOwnBytes<Record extends RecordInBytes>(record: Record): Record {
  const { key, value, headers } = record;
  return {
    ...record,
    key: key && new Uint8Array(key),
    value: value && new Uint8Array(value),
    headers: headers.map((one) => ({ key: one.key, value: one.value && new Uint8Array(one.value) })),
  };
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function bytesOf(content: Content | null, what: string): Uint8Array | null {
  if (typeof content === 'string') return encoder.encode(content);
  if (content !== null && !(content instanceof Uint8Array)) refuse(what, 'text, bytes (a Uint8Array) or null', content);
  return content;
}

function headersOf(headers: ProducerRecord['headers']): readonly RecordHeader[] {
  if (headers === undefined || headers === null) return noHeaders;
  if (typeof headers !== 'object') refuse('headers', 'an object, or a list of { key, value }', headers);
  if (!Array.isArray(headers))
    return Object.entries(headers as Record<string, Content | null>).map(([key, value]) => header(key, value));
  return headers.map(({ key, value }) => header(key, value));
}

function header(key: string, value: Content | null): RecordHeader {
  if (typeof key !== 'string') refuse('the key of a header', 'text', key);
  return { key, value: bytesOf(value, `header ${key}`) };
}

function refuse(what: string, expected: string, value: unknown): never {
  const kind =
    typeof value === 'number' ? value : typeof value === 'object' ? `a ${value?.constructor?.name ?? 'null'}` : typeof value;
  throw new KafkaError('INVALID_REQUEST', `a record's ${what} must be ${expected}, not ${kind}`);
}
