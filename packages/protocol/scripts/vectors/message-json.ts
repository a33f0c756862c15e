/**
 * Messages as Kafka's JSON converter prints them: bytes in base64, absent fields and tagged fields at their default left
 * out. Driven by the schemas and not by the generated code, so that the two check each other.
 */
import { ZERO_UUID } from '../../src/index.ts';
import { isNullByDefault } from '../schema/defaults.ts';
import { type Field, holds, type Message, type Struct } from '../schema/model.ts';

type Plain = Record<string, unknown>;

export function toJson(message: Message, value: object, version: number): Plain {
  return structToJson(message, message.root, value as Plain, version);
}

export function fromJson(message: Message, json: object): Plain {
  return structFromJson(message, message.root, json as Plain);
}

function structToJson(message: Message, struct: Struct, value: Plain, version: number): Plain {
  const json: Plain = {};
  for (const field of struct.fields) {
    if (!holds(field.versions, version)) continue;
    if (field.tag !== null && isDefault(message, field, value[field.name])) continue;
    json[field.name] = eachElement(field, value[field.name], (element) => elementToJson(message, field, element, version));
  }
  return json;
}

function structFromJson(message: Message, struct: Struct, json: Plain): Plain {
  const value: Plain = {};
  for (const field of struct.fields) {
    if (!(field.name in json)) continue;
    value[field.name] = eachElement(field, json[field.name], (element) => elementFromJson(message, field, element));
  }
  return value;
}

function eachElement(field: Field, value: unknown, convert: (element: unknown) => unknown): unknown {
  if (value === null) return null;
  return field.isArray ? (value as unknown[]).map(convert) : convert(value);
}

function elementToJson(message: Message, field: Field, value: unknown, version: number): unknown {
  if (field.element.kind === 'struct')
    return structToJson(message, message.structs.get(field.element.name)!, value as Plain, version);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (field.element.name === 'int64' && value === 2 ** 63) return 0x7fffffffffffffffn;
  if (typeof value === 'bigint' && Number.isSafeInteger(Number(value))) return Number(value);
  return value;
}

function elementFromJson(message: Message, field: Field, json: unknown): unknown {
  if (field.element.kind === 'struct') return structFromJson(message, message.structs.get(field.element.name)!, json as Plain);
  if (field.element.name === 'bytes' || field.element.name === 'records')
    return Uint8Array.from(Buffer.from(json as string, 'base64'));
  if (field.element.name === 'bits64') return BigInt(json as number);
  return json;
}

function isDefault(message: Message, field: Field, value: unknown): boolean {
  if (isNullByDefault(field) || value === null) return isNullByDefault(field) && value === null;
  if (field.isArray || value instanceof Uint8Array) return (value as unknown[]).length === 0;
  if (field.element.kind === 'struct') {
    const struct = message.structs.get(field.element.name)!;
    return struct.fields.every((member) => isDefault(message, member, (value as Plain)[member.name]));
  }
  switch (field.element.name) {
    case 'bool':
      return value === (field.default === 'true');
    case 'string':
      return value === (field.default ?? '');
    case 'uuid':
      return value === ZERO_UUID;
    case 'int64':
      return BigInt(elementToJson(message, field, value, 0) as number) === BigInt(field.default ?? 0);
    default:
      return Number(value) === Number(field.default ?? 0);
  }
}
