/** Emits the function that reads a struct: one line per field, in the order of the wire. */
import { compactnessOf, flexibilityOf, inRange, needsVersion, outOfRange } from './conditions.ts';
import { defaultOf } from './defaults.ts';
import type { Emitter } from './emitter.ts';
import type { Field, Message, Struct } from './model.ts';
import { variableOf } from './names.ts';
import { smallestElement } from './sizes.ts';
import { typeOf } from './types.ts';

export function emitRead(emitter: Emitter, message: Message, struct: Struct): void {
  const type = emitter.typeName(message, struct);
  const flexibility = flexibilityOf(message, struct.versions);
  emitter.openFunction(`read${type}`, ['reader: Reader', ...(needsVersion(message, struct) ? ['version: number'] : [])], type);
  if (struct === message.root) emitter.checkVersion(message);
  const usesFlexible = flexibility === 'some';
  if (usesFlexible) emitter.line(`const flexible = version >= ${message.flexibleFrom};`);
  for (const field of struct.fields.filter(({ tag }) => tag === null)) emitField(emitter, message, struct, field);
  const tagged = struct.fields.filter(({ tag }) => tag !== null);
  if (tagged.length > 0) emitTagged(emitter, message, struct, tagged);
  const members = struct.fields.map(({ name }) => (variableOf(name) === name ? name : `${name}: ${variableOf(name)}`));
  if (flexibility === 'none') {
    emitter.list('return ', members, ';');
  } else {
    emitter.list(`const message: ${type} = `, members, ';');
    if (tagged.length > 0) emitter.line('if (unknownTags !== undefined) message.unknownTags = unknownTags;');
    else emitter.line(`${usesFlexible ? 'if (flexible) ' : ''}readUnknownTags(reader, message);`);
    emitter.line('return message;');
  }
  emitter.close('}');
  emitter.blank();
}

function emitField(emitter: Emitter, message: Message, struct: Struct, field: Field): void {
  const variable = variableOf(field.name);
  const condition = inRange(field.versions, struct.versions);
  const fallback = condition === null ? '' : defaultOf(field, (name) => emitter.defaultStruct(message, name));
  if (!field.isArray) {
    const value = valueExpression(emitter, message, field);
    if (condition === null) emitter.line(`const ${variable} = ${value};`);
    else emitter.line(`const ${variable} = ${condition} ? ${/ \? /.test(value) ? `(${value})` : value} : ${fallback};`);
    return;
  }
  if (condition === null) {
    emitArray(emitter, message, field, 'const');
    return;
  }
  emitter.line(`let ${variable}: ${typeOf(emitter, message, field)} = ${fallback};`);
  emitter.open(`if (${condition}) {`);
  emitArray(emitter, message, field, fallback === '[]' ? 'declared empty' : 'declared');
  emitter.close('}');
}

/** Reads an array into its variable, which is declared here (`const`) or was before, perhaps as an empty array. */
function emitArray(emitter: Emitter, message: Message, field: Field, declare: 'const' | 'declared' | 'declared empty'): void {
  const variable = variableOf(field.name);
  const length = `${field.name}Length`;
  emitter.line(`const ${length} = ${lengthExpression(message, field)};`);
  const empty = field.nullable === null ? '[]' : `${length} < 0 ? null : []`;
  if (declare === 'const') emitter.line(`const ${variable}: ${typeOf(emitter, message, field)} = ${empty};`);
  else if (declare === 'declared' || empty !== '[]') emitter.line(`${variable} = ${empty};`);
  const target = field.nullable === null ? variable : `${variable}!`;
  emitter.line(`for (let i = 0; i < ${length}; i++) ${target}.push(${elementExpression(emitter, message, field, false)});`);
}

/** Kinds of `compactArrayLength(...)`, chosen by flexibility and by where null is allowed. */
function lengthExpression(message: Message, field: Field): string {
  const call = (compact: boolean, nullable: boolean): string => {
    const verb = compact
      ? nullable
        ? 'compactNullableArrayLength'
        : 'compactArrayLength'
      : nullable
        ? 'nullableArrayLength'
        : 'arrayLength';
    return `reader.${verb}(${smallestElement(message, field, compact)})`;
  };
  return chooseNullable(field, (nullable) => chooseCompact(compactnessOf(message, field), (compact) => call(compact, nullable)));
}

function valueExpression(emitter: Emitter, message: Message, field: Field): string {
  if (field.element.kind === 'struct') {
    const read = elementExpression(emitter, message, field, false);
    return chooseNullable(field, (nullable) => (nullable ? `reader.int8() < 0 ? null : ${read}` : read));
  }
  if (!isVariable(field)) return elementExpression(emitter, message, field, false);
  return chooseNullable(field, (nullable) => elementExpression(emitter, message, field, nullable));
}

/** Reads one value of the field's element type, without the prefix of a nullable struct. */
function elementExpression(emitter: Emitter, message: Message, field: Field, nullable: boolean): string {
  if (field.element.kind === 'struct') {
    const struct = message.structs.get(field.element.name)!;
    return `read${emitter.typeName(message, struct)}(reader${needsVersion(message, struct) ? ', version' : ''})`;
  }
  if (!isVariable(field)) return `reader.${field.element.name}()`;
  const noun = field.element.name === 'string' ? 'String' : 'Bytes';
  return chooseCompact(compactnessOf(message, field), (compact) => {
    if (compact) return `reader.compact${nullable ? 'Nullable' : ''}${noun}()`;
    return nullable ? `reader.nullable${noun}()` : `reader.${noun.toLowerCase()}()`;
  });
}

function isVariable({ element }: Field): boolean {
  return element.kind === 'primitive' && (element.name === 'string' || element.name === 'bytes' || element.name === 'records');
}

function chooseCompact(compactness: 'all' | 'none' | 'some', expression: (compact: boolean) => string): string {
  if (compactness === 'some') return `flexible ? ${expression(true)} : ${expression(false)}`;
  return expression(compactness === 'all');
}

function chooseNullable(field: Field, expression: (nullable: boolean) => string): string {
  if (field.nullable === null) return expression(false);
  const condition = inRange(field.nullable, field.versions);
  if (condition === null) return expression(true);
  const [whenNullable, otherwise] = [expression(true), expression(false)].map((text) => (/ \? /.test(text) ? `(${text})` : text));
  return `${condition} ? ${whenNullable} : ${otherwise}`;
}

function emitTagged(emitter: Emitter, message: Message, struct: Struct, tagged: readonly Field[]): void {
  for (const field of tagged) {
    const fallback = defaultOf(field, (name) => emitter.defaultStruct(message, name));
    emitter.line(`let ${variableOf(field.name)}: ${typeOf(emitter, message, field)} = ${fallback};`);
  }
  emitter.line('let unknownTags: UnknownTag[] | undefined;');
  const sometimes = flexibilityOf(message, struct.versions) === 'some';
  if (sometimes) emitter.open('if (flexible) {');
  emitter.open('for (let left = reader.tagCount(); left > 0; left--) {');
  emitter.line('const tag = reader.uvarint();');
  emitter.line('const end = reader.tagEnd();');
  emitter.open('switch (tag) {');
  const flexibleVersions = { first: Math.max(struct.versions.first, message.flexibleFrom!), last: struct.versions.last };
  for (const field of tagged) {
    emitter.open(`case ${field.tag}: {`);
    const wrong = outOfRange(field.versions, flexibleVersions);
    if (wrong !== null)
      emitter.line(`if (${wrong}) throw unexpectedTag('${emitter.typeName(message, struct)}', ${field.tag}, version);`);
    if (field.isArray) {
      emitArray(emitter, message, field, 'declared');
    } else if (field.element.kind === 'struct' && field.nullable !== null) {
      emitter.line(
        `${variableOf(field.name)} = reader.uvarint() === 0 ? null : ${elementExpression(emitter, message, field, false)};`,
      );
    } else {
      emitter.line(`${variableOf(field.name)} = ${valueExpression(emitter, message, field)};`);
    }
    emitter.line('reader.expectTagEnd(end, tag);');
    emitter.line('break;');
    emitter.close('}');
  }
  emitter.open('default:');
  emitter.line('unknownTags = withUnknownTag(unknownTags, reader, tag, end);');
  emitter.dedent();
  emitter.close('}');
  emitter.close('}');
  if (sometimes) emitter.close('}');
}
