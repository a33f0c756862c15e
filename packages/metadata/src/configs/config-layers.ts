import { dynamicQuotaConfigs } from './broker/dynamic-quota-configs.ts';
import { type BrokerConfig, brokerConfigs } from './broker-configs.ts';
import { ConfigError } from './config-error.ts';
import { parseConfigValue } from './config-value.ts';
import type { ConfigDefinition, ConfigValue } from './define-configs.ts';

/** Names and texts, as a file or the metadata log holds them. */
export type Properties = ReadonlyMap<string, string>;
export const noProperties: Properties = new Map();

/** Where a broker's configs come from, weakest first; below them all stand the defaults of the table. */
export type BrokerConfigLayers = {
  /** server.properties. */
  readonly static: Properties;
  /** The cluster-wide dynamic configs: config records of resource type broker with an empty name. */
  readonly dynamicDefault: Properties;
  /** The dynamic configs of this broker alone. */
  readonly dynamicBroker: Properties;
};

/** Undefined for a name that server.properties does not know. */
export function brokerDefinition(name: string): ConfigDefinition | undefined {
  return Object.hasOwn(brokerConfigs, name) ? (brokerConfigs as Record<string, ConfigDefinition>)[name] : undefined;
}

/** As `brokerDefinition`, with the names that exist as dynamic configs only. */
export function dynamicBrokerDefinition(name: string): ConfigDefinition | undefined {
  if (Object.hasOwn(dynamicQuotaConfigs, name)) return (dynamicQuotaConfigs as Record<string, ConfigDefinition>)[name];
  return brokerDefinition(name);
}

const listenerOverride = /^listener\.name\.[^.]*\.(.*)$/;
const perMechanism = [
  'sasl.jaas.config',
  'sasl.server.callback.handler.class',
  'sasl.login.callback.handler.class',
  'sasl.login.class',
  'connections.max.reauth.ms',
];

/** The config that `listener.name.<listener>.[<mechanism>.]<name>` sets for one listener: its plain name. Undefined for any other name. */
export function listenerOverrideOf(name: string): string | undefined {
  const rest = listenerOverride.exec(name)?.[1];
  if (rest === undefined) return undefined;
  return perMechanism.find((each) => rest.endsWith(each)) ?? rest;
}

const synonymGroups: readonly (readonly string[])[] = [
  ['log.roll.ms', 'log.roll.hours'],
  ['log.roll.jitter.ms', 'log.roll.jitter.hours'],
  ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'],
];

/** The names that set the same thing, the strongest first, as DescribeConfigs shows them. */
export function brokerSynonyms(name: string): readonly string[] {
  if (name === 'log.flush.interval.ms') return [name, 'log.flush.scheduler.interval.ms'];
  const group = synonymGroups.find((each) => each.includes(name));
  if (group) return group;
  const base = listenerOverrideOf(name);
  return base === undefined ? [name] : [name, base];
}

/**
 * The broker's typed config with the dynamic layers on top. A dynamic value also pushes aside the weaker names for the same thing: a dynamic
 * log.roll.ms makes the log.roll.hours of server.properties count as not set.
 */
export function effectiveBrokerConfig(
  config: BrokerConfig,
  { dynamicDefault, dynamicBroker }: Omit<BrokerConfigLayers, 'static'>,
): BrokerConfig {
  const values: Record<string, ConfigValue> = { ...config };
  for (const layer of [dynamicDefault, dynamicBroker]) {
    for (const [name, text] of layer) {
      const definition = brokerDefinition(name);
      if (!definition) continue;
      for (const weaker of brokerSynonyms(name)) values[weaker] = brokerDefinition(weaker)?.default ?? null;
      const value = parsedOrUndefined(name, definition, text);
      if (value !== undefined) values[name] = value;
    }
  }
  return values as BrokerConfig;
}

/** Texts were validated when they were set; one that another version wrote and that no longer parses counts as not set. */
function parsedOrUndefined(name: string, definition: ConfigDefinition, text: string): ConfigValue | undefined {
  try {
    return parseConfigValue(name, definition, text);
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}
