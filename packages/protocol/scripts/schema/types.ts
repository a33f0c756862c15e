/** The TypeScript types of fields, and the interface of a struct. */
import { flexibilityOf, inRange } from './conditions.ts';
import type { Emitter } from './emitter.ts';
import { covers, type Field, type Message, type Range, type Struct } from './model.ts';

export function typeOf(emitter: Emitter, message: Message, field: Field): string {
  const element = elementTypeOf(emitter, message, field);
  return `${element}${field.isArray ? '[]' : ''}${field.nullable === null ? '' : ' | null'}`;
}

function elementTypeOf(emitter: Emitter, message: Message, field: Field): string {
  if (field.element.kind === 'struct') return emitter.typeName(message, message.structs.get(field.element.name)!);
  switch (field.element.name) {
    case 'bool':
      return 'boolean';
    case 'string':
      return 'string';
    case 'uuid':
      return 'Uuid';
    case 'bytes':
    case 'records':
      return 'Uint8Array';
    case 'bits64':
      return 'bigint';
    default:
      return 'number';
  }
}

export function emitInterface(emitter: Emitter, message: Message, struct: Struct): void {
  emitter.open(`${struct === message.root ? 'export ' : ''}interface ${emitter.typeName(message, struct)} {`);
  for (const field of struct.fields) {
    const note = noteOf(field, struct);
    if (note !== '') emitter.line(`/** ${note} */`);
    emitter.line(`${field.name}: ${typeOf(emitter, message, field)};`);
  }
  if (flexibilityOf(message, struct.versions) !== 'none') emitter.line('unknownTags?: UnknownTag[];');
  emitter.close('}');
  emitter.blank();
}

/** What a reader of the type wants to know: where the field exists, where it may be null, its own default. */
function noteOf(field: Field, struct: Struct): string {
  const notes = [];
  if (!covers(field.versions, struct.versions)) notes.push(inWords(field.versions, struct.versions));
  if (field.nullable !== null && inRange(field.nullable, field.versions) !== null)
    notes.push(`null in ${inWords(field.nullable, field.versions)}`);
  if (field.default !== undefined && field.default !== 'null') notes.push(`default ${field.default}`);
  if (field.tag !== null) notes.push(`tag ${field.tag}`);
  return notes.join(', ');
}

function inWords(range: Range, within: Range): string {
  if (range.last === within.last) return `v${range.first}+`;
  return range.first === range.last ? `v${range.first}` : `v${range.first}-${range.last}`;
}
