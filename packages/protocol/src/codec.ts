/**
 * What the generated codecs look like from outside, and the few lines they share. A message is a plain object; its
 * version is an argument, so one type serves all versions and a field that a version lacks reads as its default.
 */
import { KafkaError, ProtocolError } from './errors.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** A tagged field that the schema does not know: kept, and written back. */
export interface UnknownTag {
  readonly tag: number;
  readonly data: Uint8Array;
}

/** A message to write: what is absent or undefined is written as the schema's default. */
export type Writable<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer Element)[]
    ? readonly Writable<Element>[]
    : T extends object
      ? { readonly [Key in keyof T]?: Writable<T[Key]> | undefined }
      : T;

export interface Codec<T> {
  readonly name: string;
  readonly minVersion: number;
  readonly maxVersion: number;
  /** From here on strings, bytes and arrays are compact and structs carry tagged fields; Infinity for never. */
  readonly flexibleVersion: number;
  /** Throws ProtocolError for bytes that are no such message, UNSUPPORTED_VERSION for a version there is not. */
  read(reader: Reader, version: number): T;
  /** Throws UNSUPPORTED_VERSION where the version lacks a field that is set and not ignorable. */
  write(writer: Writer, message: Writable<T>, version: number): void;
}

export interface Api<Request = object, Response = object> {
  readonly apiKey: number;
  readonly name: string;
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly flexibleVersion: number;
  /** The latest version may still change: it is advertised only when unstable versions are enabled. */
  readonly latestVersionUnstable: boolean;
  /** Where requests of this kind are accepted. */
  readonly listeners: readonly ('broker' | 'controller')[];
  readonly request: Codec<Request>;
  readonly response: Codec<Response>;
}

export function unsupportedVersion(message: string, version: number): KafkaError {
  return new KafkaError('UNSUPPORTED_VERSION', `${message} has no version ${version}`);
}

/** For a field that is set, but absent in the version and not ignorable. */
export function unsupportedField(field: string, version: number): KafkaError {
  return new KafkaError('UNSUPPORTED_VERSION', `${field} cannot be written in version ${version}`);
}

/** For a null in a version in which the field cannot be null. */
export function unexpectedNull(field: string, version: number): KafkaError {
  return new KafkaError('UNSUPPORTED_VERSION', `${field} cannot be null in version ${version}`);
}

/** For a known tag in a version that does not have it. */
export function unexpectedTag(struct: string, tag: number, version: number): ProtocolError {
  return new ProtocolError(`${struct} has no tagged field ${tag} in version ${version}`);
}

/** Reads the tagged section of a struct that has no tagged fields of its own. */
export function readUnknownTags(reader: Reader, message: { unknownTags?: UnknownTag[] }): void {
  const count = reader.tagCount();
  for (let index = 0; index < count; index++) {
    const tag = reader.uvarint();
    const end = reader.tagEnd();
    message.unknownTags = withUnknownTag(message.unknownTags, reader, tag, end);
  }
}

export function withUnknownTag(tags: UnknownTag[] | undefined, reader: Reader, tag: number, end: number): UnknownTag[] {
  const unknownTag = { tag, data: reader.raw(end - reader.offset) };
  if (tags === undefined) return [unknownTag];
  tags.push(unknownTag);
  return tags;
}

/** Writes the tagged section of a struct that has no tagged fields of its own. */
export function writeUnknownTags(writer: Writer, tags: readonly Writable<UnknownTag>[] | undefined): void {
  if (tags === undefined) {
    writer.uvarint(0);
    return;
  }
  writer.uvarint(tags.length);
  appendUnknownTags(writer, tags);
}

/** For a version without tagged fields: throws UNSUPPORTED_VERSION if there are any. */
export function refuseUnknownTags(struct: string, tags: readonly Writable<UnknownTag>[] | undefined, version: number): void {
  if (tags !== undefined && tags.length > 0) throw unsupportedField(`${struct}.unknownTags`, version);
}

/** Writes unknown tags after the known ones, whose numbers are all smaller. */
export function appendUnknownTags(writer: Writer, tags: readonly Writable<UnknownTag>[]): void {
  for (const { tag, data } of tags) {
    if (tag === undefined || data === undefined) throw new KafkaError('INVALID_REQUEST', 'an unknown tag has a number and data');
    writer.uvarint(tag);
    writer.uvarint(data.length);
    writer.raw(data);
  }
}

/** Shared, so that a default costs nothing. */
export const NO_BYTES: Uint8Array = new Uint8Array(0);
export const NO_TAGS: readonly Writable<UnknownTag>[] = [];
