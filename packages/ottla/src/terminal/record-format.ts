import type { ConsumerRecord } from '@ottla/client';

/** The bytes to print for a record. */
export type RecordFormat = (record: ConsumerRecord) => Uint8Array;

/** As Kafka's console consumer prints it: a tombstone is not an empty value. */
const nullText = Buffer.from('null');

/** Of a text with %t %p %o %T %k %v %h, %%, \n and \t. Keys and values are printed as they are, byte by byte. */
export function recordFormat(text: string): RecordFormat {
  const parts = [...text.matchAll(/%(.)|\\([nt\\])|[^%\\]+|[%\\]/gs)].map(([all, field, escaped]): RecordFormat => {
    if (field !== undefined && field in fields) return fields[field]!;
    const literal = Buffer.from(escaped !== undefined ? escapes[escaped]! : field === '%' ? '%' : all);
    return () => literal;
  });
  return (record) => Buffer.concat(parts.map((part) => part(record)));
}

const escapes: Record<string, string> = { n: '\n', t: '\t', '\\': '\\' };

const fields: Record<string, RecordFormat> = {
  t: ({ topic }) => Buffer.from(topic),
  p: ({ partition }) => Buffer.from(String(partition)),
  o: ({ offset }) => Buffer.from(String(offset)),
  T: ({ timestamp }) => Buffer.from(timestamp < 0 ? '-' : new Date(timestamp).toISOString()),
  k: ({ key }) => key ?? nullText,
  v: ({ value }) => value ?? nullText,
  h: ({ headers }) =>
    Buffer.from(headers.map(({ key, value }) => `${key}=${value === null ? 'null' : Buffer.from(value).toString()}`).join(',')),
};

const strict = new TextDecoder('utf-8', { fatal: true });

/** A line of JSON. Content that is not UTF-8 is { "base64": "…" }. */
export function recordJson({ topic, partition, offset, timestamp, key, value, headers }: ConsumerRecord): Uint8Array {
  const object = {
    topic,
    partition,
    offset,
    timestamp,
    key: contentOf(key),
    value: contentOf(value),
    headers: headers.map((header) => ({ key: header.key, value: contentOf(header.value) })),
  };
  return Buffer.from(`${JSON.stringify(object)}\n`);
}

function contentOf(bytes: Uint8Array | null): string | { base64: string } | null {
  if (bytes === null) return null;
  try {
    return strict.decode(bytes);
  } catch {
    return { base64: Buffer.from(bytes).toString('base64') };
  }
}
