import { ConfigError } from './config-error.ts';
import type { ConfigDefinition, ConfigValue } from './define-configs.ts';

/** Reads a config's text as Kafka does, and checks it against the definition. Throws ConfigError in Kafka's words. */
export function parseConfigValue(name: string, definition: ConfigDefinition, text: string): ConfigValue {
  const value = parse(name, definition, text);
  validate(name, definition, value);
  return value;
}

/** The text Kafka shows for a value it parsed from `text`: numbers and lists in canonical form. Null for what must stay hidden. */
export function canonicalText(name: string, definition: ConfigDefinition, text: string): string | null {
  if (definition.type === 'password') return null;
  if (definition.type === 'long') return BigInt(text.trim()).toString();
  return configText(definition, parse(name, definition, text));
}

/** A typed value as text. */
export function configText(definition: ConfigDefinition, value: ConfigValue): string | null {
  if (value === null) return null;
  if (definition.type === 'password') return '[hidden]';
  if (typeof value === 'number') return definition.type === 'double' ? javaDouble(value) : javaLong(value);
  return typeof value === 'object' ? value.join(',') : String(value);
}

export function defaultText(definition: ConfigDefinition): string | null {
  return configText(definition, definition.default ?? null);
}

const integerBounds = {
  short: [-32768n, 32767n],
  int: [-2147483648n, 2147483647n],
  long: [-(2n ** 63n), 2n ** 63n - 1n],
} as const;

function parse(name: string, definition: ConfigDefinition, text: string): ConfigValue {
  const trimmed = text.trim();
  switch (definition.type) {
    case 'boolean': {
      const lower = trimmed.toLowerCase();
      if (lower === 'true' || lower === 'false') return lower === 'true';
      throw ConfigError.invalidValue(name, text, 'Expected value to be either true or false');
    }
    case 'short':
    case 'int':
    case 'long': {
      const [min, max] = integerBounds[definition.type];
      const number = /^[+-]?[0-9]+$/.test(trimmed) ? BigInt(trimmed.replace('+', '')) : undefined;
      if (number !== undefined && number >= min && number <= max) return Number(number);
      throw ConfigError.invalidValue(name, text, `Not a number of type ${definition.type.toUpperCase()}`);
    }
    case 'double': {
      const match = /^([+-]?(?:NaN|Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?))[fFdD]?$/.exec(trimmed);
      if (match) return Number(match[1]);
      throw ConfigError.invalidValue(name, text, 'Not a number of type DOUBLE');
    }
    case 'list':
      return trimmed === '' ? [] : elementsOf(trimmed, definition);
    default:
      return trimmed;
  }
}

/** A repeated element counts once, except where a check of its own judges the elements. */
function elementsOf(text: string, definition: ConfigDefinition): readonly string[] {
  const elements = text.split(/\s*,\s*/);
  return definition.check ? elements : [...new Set(elements)];
}

function validate(name: string, definition: ConfigDefinition, value: ConfigValue): void {
  if (typeof value === 'number') validateNumber(name, definition, value);
  if (typeof value === 'string') validateString(name, definition, value);
  if (typeof value === 'object' && value !== null) validateList(name, definition, value);
  definition.check?.(name, value);
}

function validateNumber(name: string, definition: ConfigDefinition, value: number): void {
  const { min, max, orEqualTo } = definition;
  if (orEqualTo !== undefined) {
    if (value === orEqualTo || (value >= min! && value <= max!)) return;
    throw ConfigError.invalidValue(name, `${value}`, `Value must be between ${min} and ${max} or equal to ${orEqualTo}`);
  }
  if (min !== undefined && value < min) {
    throw ConfigError.invalidValue(name, configText(definition, value)!, `Value must be at least ${min}`);
  }
  if (max !== undefined && value > max) {
    throw ConfigError.invalidValue(name, configText(definition, value)!, `Value must be no more than ${max}`);
  }
}

function validateString(name: string, definition: ConfigDefinition, value: string): void {
  if (definition.nonEmpty && value === '') throw ConfigError.invalidValue(name, value, 'String must be non-empty');
  requireOneOf(name, definition, value);
}

function validateList(name: string, definition: ConfigDefinition, value: readonly string[]): void {
  if (definition.nonEmpty && value.length === 0) {
    const valid = definition.oneOf ? `[${definition.oneOf.join(', ')}]` : 'any non-empty value';
    throw new ConfigError(`Configuration '${name}' must not be empty. Valid values include: ${valid}`);
  }
  // A definition with its own check judges the elements itself.
  if (definition.check) return;
  for (const element of value) {
    if (element === '') throw new ConfigError(`Configuration '${name}' values must not be empty.`);
    requireOneOf(name, definition, element);
  }
}

function requireOneOf(name: string, { oneOf, ignoreCase }: ConfigDefinition, value: string): void {
  if (!oneOf) return;
  if (ignoreCase ? oneOf.some((each) => each.toUpperCase() === value.toUpperCase()) : oneOf.includes(value)) return;
  const options = oneOf.join(', ');
  throw ConfigError.invalidValue(name, value, `String must be one of${ignoreCase ? ' (case insensitive)' : ''}: ${options}`);
}

function javaLong(value: number): string {
  if (value >= 2 ** 63) return '9223372036854775807';
  if (value <= -(2 ** 63)) return '-9223372036854775808';
  return BigInt(value).toString();
}

/** As Java's Double.toString: always with a fraction, with an exponent below 10^-3 and from 10^7. */
function javaDouble(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const magnitude = Math.abs(value);
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  if (magnitude >= 1e-3 && magnitude < 1e7) return Number.isInteger(value) ? `${value}.0` : String(value);
  const [digits, exponent] = value.toExponential().split('e') as [string, string];
  return `${digits.includes('.') ? digits : `${digits}.0`}E${Number(exponent)}`;
}
