/** messages/*.jsonl: a body as JSON and as bytes, for every message and version. */
import { isDeepStrictEqual } from 'node:util';
import { Reader, type UnknownTag, Writer } from '../../src/index.ts';
import { difference, fromHex, toHex } from './bytes.ts';
import { messageNamed } from './codecs.ts';
import { ExactReader, ExactWriter, parseExactly } from './exact.ts';
import { fromJson, toJson } from './message-json.ts';

interface Vector {
  message: string;
  version: number;
  case: string;
  json: object;
  unknownTags?: { tag: number; hex: string }[];
  hex: string;
}

export const family = { file: 'messages', check };

/** What is wrong, or nothing. */
export function check(line: string): string | undefined {
  const vector = parseExactly(line) as Vector;
  const name = `${vector.message} v${vector.version} ${vector.case}`;
  const exact = checkWith(vector, ExactReader, ExactWriter);
  if (exact !== undefined) return `${name}: ${exact}`;
  // What the brokers use must do the same for every vector that needs no 64-bit integers.
  const production = /\d{17}/.test(line.replace(/"(?:[^"\\]|\\.)*"/g, '')) ? undefined : checkWith(vector, Reader, Writer);
  return production && `${name}: ${production}`;
}

function checkWith(vector: Vector, SomeReader: typeof Reader, SomeWriter: typeof Writer): string | undefined {
  const known = messageNamed(vector.message);
  if (known === undefined) return 'there is no such message';
  const { schema, codec } = known;
  const reader = new SomeReader(fromHex(vector.hex));
  const message: { unknownTags?: UnknownTag[] } = codec.read(reader, vector.version);
  if (reader.remaining > 0) return `${reader.remaining} bytes are left`;
  const json = toJson(schema, message, vector.version);
  if (!isDeepStrictEqual(json, vector.json)) return `decoded as ${show(json)}, not ${show(vector.json)}`;
  const tags = (message.unknownTags ?? []).map(({ tag, data }) => ({ tag, hex: toHex(data) }));
  if (!isDeepStrictEqual(tags, vector.unknownTags ?? [])) return `unknown tags ${show(tags)}`;

  const again = new SomeWriter(16);
  codec.write(again, message, vector.version);
  const decoded = difference('encoded again', again.bytes(), vector.hex);
  if (decoded !== undefined) return decoded;

  const unknownTags = vector.unknownTags?.map(({ tag, hex }) => ({ tag, data: fromHex(hex) }));
  const fromText = new SomeWriter(16);
  codec.write(fromText, { ...fromJson(schema, vector.json), unknownTags }, vector.version);
  return difference('encoded from JSON', fromText.bytes(), vector.hex);
}

function show(value: unknown): string {
  return JSON.stringify(value, (_key, member) => (typeof member === 'bigint' ? String(member) : member));
}
