import { type MetadataRecord, readMetadataRecord, writeMetadataRecord } from '@ottla/protocol';

/** A record as Kafka's JSON tells it. */
export type RecordInJson = { readonly type: string; readonly version: number; readonly data: object };

/** Kafka's JSON leaves out what is at its default: the codec puts it back. */
export function recordFromJson({ type: upperCase, version, data }: RecordInJson): MetadataRecord {
  const type = upperCase.toLowerCase().replace(/(^|_)([a-z])/g, (_, __, letter: string) => letter.toUpperCase());
  return readMetadataRecord(writeMetadataRecord({ type, version, value: data } as MetadataRecord));
}

/**
 * Kafka walks partitions in the order of hash tables: what stands before and after them must agree, their order among themselves means
 * nothing. As text, so that the difference can be read.
 */
export function comparableRecords(records: readonly MetadataRecord[]): { types: string[]; records: string[] } {
  const text = (record: MetadataRecord): string =>
    JSON.stringify(record, (_, value) => (value instanceof Uint8Array ? [...value] : value));
  return { types: records.map(({ type }) => type), records: records.map(text).sort() };
}
