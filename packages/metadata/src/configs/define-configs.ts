/**
 * The vocabulary of the config tables: one definition per name says type, default, bounds, importance, scope and documentation,
 * and everything else (parsing, validation, DescribeConfigs, the reference page) derives from it.
 */

export type ConfigType = 'boolean' | 'string' | 'int' | 'short' | 'long' | 'double' | 'list' | 'class' | 'password';

/** Whether a broker config can change without a restart: for one broker or for all, or for all together only (which implies per broker). */
export type DynamicScope = 'read-only' | 'per-broker' | 'cluster-wide';

export type Importance = 'high' | 'medium' | 'low';

/** A value that was parsed: numbers for int, short, long and double, string arrays for list. */
export type ConfigValue = boolean | string | number | readonly string[] | null;

/**
 * The greatest Java long, which Kafka uses for "no limit". As a double it is one more (2^63): exact where it counts, in comparisons.
 * Its text, also in answers to clients, stays 9223372036854775807.
 */
export const LONG_MAX = 2 ** 63;

/**
 * Whether Ottla acts on a config. What it does not yet (false) is accepted, validated, and warned about when set. What is 'moot' means nothing
 * here, by design (the threads of a JVM, the buffers of its sockets): its doc says why, and setting it is told without alarm.
 */
export type Honoured = boolean | 'moot';

export type ConfigDefinition<Value extends ConfigValue = ConfigValue> = {
  readonly type: ConfigType;
  /** What holds when nobody sets it. Absent: the config must be set. */
  readonly default?: Value;
  readonly required: boolean;
  /** Inclusive bounds of a number. */
  readonly min?: number;
  readonly max?: number;
  /** A number outside the bounds that is allowed as well. */
  readonly orEqualTo?: number;
  /** The only values allowed; in a list, of each element. */
  readonly oneOf?: readonly string[];
  readonly ignoreCase?: boolean;
  /** A string must have a character, a list an element. */
  readonly nonEmpty?: boolean;
  /** A further check of the parsed value; throws ConfigError. */
  readonly check?: (name: string, value: Value) => void;
  readonly importance: Importance;
  readonly dynamic: DynamicScope;
  /** Kafka keeps it out of its documentation, DescribeConfigs and reference. */
  readonly internal: boolean;
  readonly honoured: Honoured;
  /** Of a config that is honoured: values that Ottla does not act on yet. Setting one is warned about. */
  readonly idleValues: readonly string[];
  readonly doc: string;
  /** For topic and group configs: the broker configs that give the value when the topic or group has none, first one first. */
  readonly broker: readonly string[];
};

type Shared<Value extends ConfigValue> = {
  readonly importance?: Importance;
  readonly dynamic?: DynamicScope;
  readonly internal?: boolean;
  readonly honoured?: Honoured;
  readonly idleValues?: readonly string[];
  readonly doc?: string;
  readonly broker?: string | readonly string[];
  readonly check?: (name: string, value: Value) => void;
};
type NumberOptions<D> = Shared<number> & {
  readonly default?: D;
  readonly min?: number;
  readonly max?: number;
  readonly orEqualTo?: number;
};
type StringOptions<D> = Shared<string> & {
  readonly default?: D;
  readonly oneOf?: readonly string[];
  readonly ignoreCase?: boolean;
  readonly nonEmpty?: boolean;
};
type ListOptions<D> = Shared<readonly string[]> & {
  readonly default?: D;
  readonly oneOf?: readonly string[];
  readonly nonEmpty?: boolean;
};

/** `null` as default widens the type: the value may be absent. */
type Valued<Value extends ConfigValue, D> = ConfigDefinition<[D] extends [null] ? Value | null : Value>;

export const boolean = (options: Shared<boolean> & { readonly default: boolean }): ConfigDefinition<boolean> =>
  define('boolean', options);
export const int = <D extends number | null>(options: NumberOptions<D>): Valued<number, D> => define('int', options);
export const short = <D extends number | null>(options: NumberOptions<D>): Valued<number, D> => define('short', options);
export const long = <D extends number | null>(options: NumberOptions<D>): Valued<number, D> => define('long', options);
export const double = <D extends number | null>(options: NumberOptions<D>): Valued<number, D> => define('double', options);
export const string = <D extends string | null>(options: StringOptions<D>): Valued<string, D> => define('string', options);
export const list = <D extends readonly string[] | null>(options: ListOptions<D>): Valued<readonly string[], D> =>
  define('list', options);
/** The name of a Java class. Ottla never loads code by such a name; each is mapped, if at all, from a closed list. */
export const javaClass = <D extends string | null>(options: StringOptions<D>): Valued<string, D> => define('class', options);
/** Sensitive: never described, logged or put into a message. */
export const password = <D extends string | null>(options: StringOptions<D>): Valued<string, D> => define('password', options);

function define<Value extends ConfigValue>(
  type: ConfigType,
  // The constructors above check the options; here their value types no longer matter.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  options: Shared<any> & { readonly default?: unknown },
): ConfigDefinition<Value> {
  const { broker, ...rest } = options;
  return {
    importance: 'medium',
    dynamic: 'read-only',
    internal: false,
    honoured: false,
    idleValues: [],
    doc: '',
    ...rest,
    type,
    required: !('default' in options),
    broker: broker === undefined ? [] : typeof broker === 'string' ? [broker] : broker,
  } as ConfigDefinition<Value>;
}

export type ConfigTable = Readonly<Record<string, ConfigDefinition>>;

// biome-ignore lint/suspicious/noExplicitAny: a definition's `check` takes its own value type, which makes it invariant
export function defineConfigs<const Table extends Readonly<Record<string, ConfigDefinition<any>>>>(table: Table): Table {
  return table;
}

// biome-ignore lint/suspicious/noExplicitAny: as above
export type ConfigValues<Table extends Readonly<Record<string, ConfigDefinition<any>>>> = {
  readonly [Name in keyof Table]: Table[Name] extends ConfigDefinition<infer Value> ? Value : never;
};
