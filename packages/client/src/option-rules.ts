import { KafkaError } from '@ottla/protocol';

/** What an option may be: one of these values, a whole number within bounds, or of a kind. */
export type OptionRule =
  | readonly (string | number)[]
  | { readonly min: number; readonly max: number }
  | 'text'
  | 'flag'
  | 'function'
  | 'list'
  | 'object'
  | 'text or list';

/** One rule for every option, so that none can be forgotten. */
export type OptionRules<Config> = { readonly [Name in keyof Config]-?: OptionRule };

export const maxInt32 = 0x7fff_ffff;
export const anyInt32: OptionRule = { min: -maxInt32 - 1, max: maxInt32 };
/** Times and sizes that travel as int32, and what a timer can wait for. */
export const fromZero: OptionRule = { min: 0, max: maxInt32 };
export const fromOne: OptionRule = { min: 1, max: maxInt32 };
export const fromZeroToLong: OptionRule = { min: 0, max: Number.MAX_SAFE_INTEGER };

/**
 * A misspelled option must not pass for one that was set. Those that are undefined count as absent. Throws INVALID_CONFIG.
 * `what` is how the message calls the owner of the options: "Producer".
 */
export function checkOptions<Config extends object>(what: string, options: Config, rules: OptionRules<Config>): void {
  const known = new Map<string, OptionRule>(Object.entries(rules));
  for (const [name, value] of Object.entries(options)) {
    const rule = known.get(name);
    if (rule === undefined)
      throw new KafkaError('INVALID_CONFIG', `${what} has no option ${name}${suggestion(name, [...known.keys()])}`);
    if (value !== undefined && !fits(value, rule)) {
      throw new KafkaError('INVALID_CONFIG', `${name} must be ${told(rule)}, not ${shown(value)}`);
    }
  }
}

function fits(value: unknown, rule: OptionRule): boolean {
  switch (rule) {
    case 'text':
      return typeof value === 'string';
    case 'flag':
      return typeof value === 'boolean';
    case 'function':
      return typeof value === 'function';
    case 'list':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null;
    case 'text or list':
      return typeof value === 'string' || (Array.isArray(value) && value.every((one) => typeof one === 'string'));
  }
  if ('min' in rule) return Number.isSafeInteger(value) && (value as number) >= rule.min && (value as number) <= rule.max;
  return rule.includes(value as string | number);
}

function told(rule: OptionRule): string {
  switch (rule) {
    case 'text':
      return 'text';
    case 'flag':
      return 'true or false';
    case 'function':
      return 'a function';
    case 'list':
      return 'a list';
    case 'object':
      return 'an object';
    case 'text or list':
      return 'text or a list of texts';
  }
  if ('min' in rule) return `a whole number from ${rule.min} to ${rule.max}`;
  return `one of ${rule.map((value) => JSON.stringify(value)).join(', ')}`;
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'function') return 'a function';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

/** Names of Kafka's own ("linger.ms") and halves of names ("linger") are understood, if not accepted. */
function suggestion(name: string, known: readonly string[]): string {
  const bare = name.toLowerCase().replace(/[^a-z]/g, '');
  const near = known.filter((one) => {
    const other = one.toLowerCase();
    return bare.length > 2 && (other.includes(bare) || bare.includes(other));
  });
  if (near.length > 0) return `: do you mean ${near.join(' or ')}?`;
  return '; those there are: docs/client.md';
}
