/** The least number of bytes that a value takes: what bounds an array's length by the bytes that are left. */
import { type Field, holds, isFlexible, type Message, type Primitive, type Struct } from './model.ts';

const fixed: Partial<Record<Primitive, number>> = {
  bool: 1,
  int8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  bits64: 8,
  float64: 8,
  uuid: 16,
};

/** Of one element of the array, the smallest over all versions of the message that are flexible, or that are not. */
export function smallestElement(message: Message, field: Field, flexible: boolean): number {
  let smallest = Number.POSITIVE_INFINITY;
  for (let version = field.versions.first; version <= field.versions.last; version++) {
    if (isFlexible(message, version) === flexible) smallest = Math.min(smallest, elementSize(message, field, version));
  }
  return Number.isFinite(smallest) ? smallest : 0;
}

function elementSize(message: Message, field: Field, version: number): number {
  const { element } = field;
  if (element.kind === 'struct') return structSize(message, message.structs.get(element.name)!, version);
  const size = fixed[element.name];
  if (size !== undefined) return size;
  if (isFlexible(message, version) && !field.isPlain) return 1;
  return element.name === 'string' ? 2 : 4;
}

function structSize(message: Message, struct: Struct, version: number): number {
  let size = isFlexible(message, version) ? 1 : 0;
  for (const field of struct.fields) {
    if (field.tag !== null || !holds(field.versions, version)) continue;
    if (field.isArray) size += isFlexible(message, version) ? 1 : 4;
    else if (field.element.kind === 'struct' && holds(field.nullable, version)) size += 1;
    else size += elementSize(message, field, version);
  }
  return size;
}
