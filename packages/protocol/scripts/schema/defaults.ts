/** The default of a field: as a TypeScript expression, and as the test whether a value differs from it. */
import type { Field } from './model.ts';

/** Whether null is the value of a field that was never set. */
export function isNullByDefault(field: Field): boolean {
  return (
    field.default === 'null' ||
    (field.element.kind === 'primitive' && field.element.name === 'records' && !field.isArray && field.nullable !== null)
  );
}

/** `structDefault` gives the expression for a struct of defaults. */
export function defaultOf(field: Field, structDefault: (struct: string) => string): string {
  if (isNullByDefault(field)) return 'null';
  if (field.isArray) return '[]';
  if (field.element.kind === 'struct') return structDefault(field.element.name);
  switch (field.element.name) {
    case 'bool':
      return field.default ?? 'false';
    case 'string':
      return `'${field.default ?? ''}'`;
    case 'uuid':
      return 'ZERO_UUID';
    case 'bytes':
    case 'records':
      return 'NO_BYTES';
    case 'bits64':
      return `${field.default ?? '0'}n`;
    case 'int64':
      return field.default === '9223372036854775807' ? '2 ** 63' : (field.default ?? '0');
    default:
      return field.default ?? '0';
  }
}

/** An expression that is true where `value`, not undefined, is not the field's default. */
export function differsFromDefault(field: Field, value: string, isDefaultStruct: (struct: string) => string): string {
  if (isNullByDefault(field)) return `${value} !== null`;
  const orNull = field.nullable === null ? '' : `${value} === null || `;
  if (field.isArray) return `${orNull}${value}.length > 0`;
  if (field.element.kind === 'struct') return `${orNull}!${isDefaultStruct(field.element.name)}(${value})`;
  switch (field.element.name) {
    case 'bytes':
    case 'records':
      return `${orNull}${value}.length > 0`;
    case 'bool':
      return field.default === 'true' ? `!${value}` : value;
    default:
      return `${value} !== ${defaultOf(field, () => '')}`;
  }
}
