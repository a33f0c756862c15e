/** What a schema file says, after parsing: every version range is already cut down to what its parents allow. */

/** Versions first to last, inclusive. */
export interface Range {
  readonly first: number;
  readonly last: number;
}

export const primitives = [
  'bool',
  'int8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'bits64',
  'float64',
  'string',
  'uuid',
  'bytes',
  'records',
] as const;

export type Primitive = (typeof primitives)[number];

export type ElementType =
  | { readonly kind: 'primitive'; readonly name: Primitive }
  | { readonly kind: 'struct'; readonly name: string };

export interface Field {
  readonly name: string;
  readonly element: ElementType;
  readonly isArray: boolean;
  /** Where the field is on the wire. */
  readonly versions: Range;
  /** Where it may be null; null where never. */
  readonly nullable: Range | null;
  /** A tagged field stands in the tagged section, and only if it is not the default. */
  readonly tag: number | null;
  /** As in the file: a literal, or undefined for the type's own default. */
  readonly default: string | undefined;
  /** Part of the key by which its array is looked up. For readers; no effect on the bytes. */
  readonly isKey: boolean;
  /** Dropped silently where the version lacks it; any other field may only be dropped at its default. */
  readonly isIgnorable: boolean;
  /** Never in compact form. */
  readonly isPlain: boolean;
}

export interface Struct {
  readonly name: string;
  readonly versions: Range;
  readonly fields: Field[];
}

export type Role = 'request' | 'response' | 'key' | 'value' | 'record' | 'data';

export interface Message {
  readonly role: Role;
  readonly name: string;
  readonly versions: Range;
  /** The first flexible version; null for none. */
  readonly flexibleFrom: number | null;
  readonly isLatestUnstable: boolean;
  /** The message's own fields. */
  readonly root: Struct;
  /** By name, each after those that it contains. */
  readonly structs: ReadonlyMap<string, Struct>;
}

export interface Declaration {
  readonly kind: 'api' | 'coordinator' | 'record' | 'data';
  readonly name: string;
  /** The API key, or the record's type. */
  readonly number: number | null;
  readonly listeners: readonly string[];
  readonly messages: readonly Message[];
}

export function covers(outer: Range, inner: Range): boolean {
  return outer.first <= inner.first && inner.last <= outer.last;
}

export function holds(range: Range | null, version: number): boolean {
  return range !== null && range.first <= version && version <= range.last;
}

export function intersection(a: Range, b: Range): Range | null {
  const first = Math.max(a.first, b.first);
  const last = Math.min(a.last, b.last);
  return first <= last ? { first, last } : null;
}

/** Whether a version of the message is flexible. */
export function isFlexible(message: Message, version: number): boolean {
  return message.flexibleFrom !== null && version >= message.flexibleFrom;
}
