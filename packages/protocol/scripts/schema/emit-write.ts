/** Emits the functions that write a struct, and that test whether a struct holds nothing but defaults. */
import { compactnessOf, flexibilityOf, inRange, needsVersion, outOfRange } from './conditions.ts';
import { defaultOf, differsFromDefault } from './defaults.ts';
import type { Emitter } from './emitter.ts';
import type { Field, Message, Struct } from './model.ts';
import { variableOf } from './names.ts';

export function emitWrite(emitter: Emitter, message: Message, struct: Struct): void {
  const type = emitter.typeName(message, struct);
  const flexibility = flexibilityOf(message, struct.versions);
  const parameters = [
    'writer: Writer',
    `message: Writable<${type}>`,
    ...(needsVersion(message, struct) ? ['version: number'] : []),
  ];
  emitter.openFunction(`write${type}`, parameters, 'void');
  if (struct === message.root) emitter.checkVersion(message);
  if (flexibility === 'some') emitter.line(`const flexible = version >= ${message.flexibleFrom};`);
  for (const field of struct.fields.filter(({ tag }) => tag === null)) emitField(emitter, message, struct, field);
  emitTags(emitter, message, struct);
  emitter.close('}');
  emitter.blank();
}

/** A field's value with its default filled in. */
function valueWithDefault(field: Field): string {
  const access = `message.${field.name}`;
  const fallback = defaultOf(field, () => '{}');
  if (field.nullable === null || fallback === 'null') return `${access} ?? ${fallback}`;
  return `${access} === undefined ? ${fallback} : ${access}`;
}

function emitVariable(emitter: Emitter, field: Field): void {
  emitter.line(`const ${variableOf(field.name)} = ${valueWithDefault(field)};`);
}

function emitField(emitter: Emitter, message: Message, struct: Struct, field: Field): void {
  const condition = inRange(field.versions, struct.versions);
  const mustBeDefault = condition !== null && !field.isIgnorable;
  if (!mustBeDefault && isWrittenByOneCall(message, field)) {
    emitter.guard(condition, () => emitter.line(writeElement(message, field, valueWithDefault(field), field.nullable !== null)));
    return;
  }
  emitVariable(emitter, field);
  const refuse = `throw unsupportedField('${emitter.typeName(message, struct)}.${field.name}', version);`;
  const otherwise = mustBeDefault ? `if (${differs(emitter, message, field)}) {\n${refuse}` : undefined;
  emitter.guard(condition, () => emitValue(emitter, message, struct, field), otherwise);
}

/** Then its value needs no variable. */
function isWrittenByOneCall(message: Message, field: Field): boolean {
  if (field.isArray || field.element.kind === 'struct') return false;
  if (field.nullable !== null && inRange(field.nullable, field.versions) !== null) return false;
  const isVariable = field.element.name === 'string' || field.element.name === 'bytes' || field.element.name === 'records';
  return !isVariable || compactnessOf(message, field) !== 'some';
}

function differs(emitter: Emitter, message: Message, field: Field): string {
  return differsFromDefault(field, variableOf(field.name), (name) => emitter.isDefaultStruct(message, name));
}

/** Writes an untagged field in a version that has it. */
function emitValue(emitter: Emitter, message: Message, struct: Struct, field: Field): void {
  const variable = variableOf(field.name);
  if (field.nullable !== null) {
    const never = outOfRange(field.nullable, field.versions);
    if (never !== null)
      emitter.line(
        `if (${variable} === null && ${never}) throw unexpectedNull('${emitter.typeName(message, struct)}.${field.name}', version);`,
      );
  }
  if (field.isArray) {
    emitArray(emitter, message, field);
  } else if (field.element.kind === 'struct') {
    const write = writeStruct(emitter, message, field, variable);
    if (field.nullable === null) {
      emitter.line(write);
    } else {
      emitter.open(`if (${variable} === null) {`);
      emitter.line('writer.int8(-1);');
      emitter.close('}', 'else {');
      emitter.line('writer.int8(1);');
      emitter.line(write);
      emitter.close('}');
    }
  } else {
    emitter.line(writeElement(message, field, variable, field.nullable !== null));
  }
}

function emitArray(emitter: Emitter, message: Message, field: Field): void {
  const variable = variableOf(field.name);
  const length = field.nullable === null ? `${variable}.length` : `${variable}?.length ?? -1`;
  const compactness = compactnessOf(message, field);
  if (compactness === 'some')
    emitter.line(`if (flexible) writer.compactArrayLength(${length}); else writer.arrayLength(${length});`);
  if (compactness === 'all') emitter.line(`writer.compactArrayLength(${length});`);
  if (compactness === 'none') emitter.line(`writer.arrayLength(${length});`);
  const element =
    field.element.kind === 'struct'
      ? writeStruct(emitter, message, field, 'element')
      : writeElement(message, field, 'element', false);
  const loop = `for (const element of ${variable}) ${element}`;
  if (field.nullable === null) {
    emitter.line(loop);
  } else {
    emitter.open(`if (${variable} !== null) {`);
    emitter.line(loop);
    emitter.close('}');
  }
}

function writeStruct(emitter: Emitter, message: Message, field: Field, value: string): string {
  const struct = message.structs.get(field.element.name)!;
  return `write${emitter.typeName(message, struct)}(writer, ${value}${needsVersion(message, struct) ? ', version' : ''});`;
}

function writeElement(message: Message, field: Field, value: string, nullable: boolean): string {
  if (field.element.kind !== 'primitive') throw new Error('only primitives are written by one call');
  const { name } = field.element;
  if (name !== 'string' && name !== 'bytes' && name !== 'records') return `writer.${name}(${value});`;
  const noun = name === 'string' ? 'String' : 'Bytes';
  const plain = nullable
    ? `writer.nullable${noun}(${value});`
    : `writer.${name === 'string' ? 'string' : 'sizedBytes'}(${value});`;
  const compact = `writer.compact${nullable ? 'Nullable' : ''}${noun}(${value});`;
  const compactness = compactnessOf(message, field);
  return compactness === 'some' ? `if (flexible) ${compact} else ${plain}` : compactness === 'all' ? compact : plain;
}

function emitTags(emitter: Emitter, message: Message, struct: Struct): void {
  const flexibility = flexibilityOf(message, struct.versions);
  if (flexibility === 'none') return;
  const type = emitter.typeName(message, struct);
  const tagged = struct.fields.filter(({ tag }) => tag !== null).sort((a, b) => a.tag! - b.tag!);
  const refuse = `refuseUnknownTags('${type}', message.unknownTags, version);`;
  if (tagged.length === 0) {
    if (flexibility === 'all') {
      emitter.line('writeUnknownTags(writer, message.unknownTags);');
    } else {
      emitter.line('if (flexible) writeUnknownTags(writer, message.unknownTags);');
      emitter.line(`else ${refuse}`);
    }
    return;
  }
  const flexibleVersions = { first: Math.max(struct.versions.first, message.flexibleFrom!), last: struct.versions.last };
  for (const field of tagged) {
    const never = outOfRange(field.versions, struct.versions);
    emitVariable(emitter, field);
    emitter.line(`const ${field.name}IsSet = ${differs(emitter, message, field)};`);
    if (never !== null && !field.isIgnorable) {
      emitter.line(`if (${field.name}IsSet && ${never}) throw unsupportedField('${type}.${field.name}', version);`);
    }
  }
  if (flexibility === 'some') emitter.open('if (flexible) {');
  const isWritten = tagged.map((field) => {
    const condition = field.isIgnorable ? inRange(field.versions, flexibleVersions) : null;
    return condition === null ? `${field.name}IsSet` : `${field.name}IsSet && ${condition}`;
  });
  emitter.line(`const unknownTags = message.unknownTags ?? NO_TAGS;`);
  emitter.line('let tags = unknownTags.length;');
  for (const condition of isWritten) emitter.line(`if (${condition}) tags++;`);
  emitter.line('writer.uvarint(tags);');
  for (const [at, field] of tagged.entries()) {
    emitter.open(`if (${isWritten[at]}) {`);
    emitter.line(`const start = writer.beginTag(${field.tag});`);
    emitTaggedValue(emitter, message, struct, field);
    emitter.line('writer.endTag(start);');
    emitter.close('}');
  }
  emitter.line('appendUnknownTags(writer, unknownTags);');
  if (flexibility === 'some') {
    emitter.close('}', 'else {');
    emitter.line(refuse);
    emitter.close('}');
  }
}

function emitTaggedValue(emitter: Emitter, message: Message, struct: Struct, field: Field): void {
  if (field.element.kind !== 'struct' || field.nullable === null || field.isArray) {
    emitValue(emitter, message, struct, field);
    return;
  }
  const variable = variableOf(field.name);
  emitter.open(`if (${variable} === null) {`);
  emitter.line('writer.uvarint(0);');
  emitter.close('}', 'else {');
  emitter.line('writer.uvarint(1);');
  emitter.line(writeStruct(emitter, message, field, variable));
  emitter.close('}');
}

/** Whether a struct equals one that was never touched. */
export function emitIsDefault(emitter: Emitter, message: Message, struct: Struct): void {
  const type = emitter.typeName(message, struct);
  emitter.open(`function isDefault${type}(message: Writable<${type}>): boolean {`);
  for (const field of struct.fields) {
    emitVariable(emitter, field);
    emitter.line(`if (${differs(emitter, message, field)}) return false;`);
  }
  const flexible = flexibilityOf(message, struct.versions) !== 'none';
  emitter.line(flexible ? 'return message.unknownTags === undefined || message.unknownTags.length === 0;' : 'return true;');
  emitter.close('}');
  emitter.blank();
}

/** A struct never touched, for readers of versions that lack it. */
export function emitDefault(emitter: Emitter, message: Message, struct: Struct): void {
  const type = emitter.typeName(message, struct);
  const members = struct.fields.map(
    (field) => `${field.name}: ${defaultOf(field, (name) => emitter.defaultStruct(message, name))}`,
  );
  emitter.open(`function default${type}(): ${type} {`);
  emitter.list('return ', members, ';');
  emitter.close('}');
  emitter.blank();
}
