import { type BrokerConfig, brokerConfigs } from './broker-configs.ts';
import { checkBrokerConfig } from './check-broker-config.ts';
import { ConfigError } from './config-error.ts';
import { brokerDefinition, listenerOverrideOf, type Properties } from './config-layers.ts';
import { parseConfigValue } from './config-value.ts';
import type { ConfigDefinition, ConfigValue } from './define-configs.ts';
import { type IdleConfig, idleBrokerConfig } from './idle-configs.ts';
import { parseJavaProperties } from './java-properties.ts';

export type ParsedBrokerConfig = {
  /** Every name with its typed value: as set, else the default. */
  readonly config: BrokerConfig;
  /** The names and texts that were set, unknown ones included: what DescribeConfigs calls static. */
  readonly properties: Properties;
  /** One sentence each, for the log at start: names that are unknown, and settings that Ottla does not act on yet. */
  readonly warnings: readonly string[];
  /** The same for settings that have no meaning here. */
  readonly notices: readonly string[];
};

/**
 * Reads what server.properties says: its text, or names and values. Throws ConfigError, in Kafka's words, for a value that cannot be read or is
 * out of bounds, a required name that is missing, and settings that do not fit together.
 */
export function parseBrokerConfig(source: string | Properties | Readonly<Record<string, string>>): ParsedBrokerConfig {
  const properties = withNodeIdUnderBothNames(toProperties(source));
  const values: Record<string, ConfigValue> = {};
  for (const [name, definition] of Object.entries(brokerConfigs) as [string, ConfigDefinition][]) {
    const text = properties.get(name);
    if (text !== undefined) values[name] = parseConfigValue(name, definition, text);
    else if (definition.required) throw new ConfigError(`Missing required configuration "${name}" which has no default value.`);
    else values[name] = definition.default ?? null;
  }
  const config = values as BrokerConfig;
  checkBrokerConfig(config, properties);
  return { config, properties, ...remarksOn(properties) };
}

function toProperties(source: string | Properties | Readonly<Record<string, string>>): Properties {
  if (typeof source === 'string') return parseJavaProperties(source);
  return source instanceof Map ? source : new Map(Object.entries(source as Readonly<Record<string, string>>));
}

/** `broker.id` and `node.id` are one setting: each also counts as the other. */
function withNodeIdUnderBothNames(properties: Properties): Properties {
  const nodeId = properties.get('node.id') ?? properties.get('broker.id');
  if (nodeId === undefined) return properties;
  const brokerId = properties.get('broker.id') ?? nodeId;
  // The same text is read for both names; a bad one is reported under the name that Kafka reads first.
  parseConfigValue('broker.id', brokerConfigs['broker.id'] as ConfigDefinition, brokerId);
  return new Map(properties).set('node.id', nodeId).set('broker.id', brokerId);
}

function remarksOn(properties: Properties): Pick<ParsedBrokerConfig, 'warnings' | 'notices'> {
  const warnings: string[] = [];
  /** By the sentence that tells of all of them. */
  const groups = new Map<string, { readonly names: string[]; readonly idle: IdleConfig }>();
  for (const [name, text] of properties) {
    if (!brokerDefinition(listenerOverrideOf(name) ?? name)) {
      warnings.push(`${name} is not a broker config of Kafka 4.3.1: it is ignored`);
      continue;
    }
    const idle = idleBrokerConfig(name, text);
    if (!idle) continue;
    const reason = idle.sentenceOfMany?.([]) ?? idle.sentence;
    const group = groups.get(reason);
    if (group) group.names.push(name);
    else groups.set(reason, { names: [name], idle });
  }
  const told = [...groups.values()].map(({ names, idle: { moot, sentence, sentenceOfMany } }) => ({
    moot,
    text: names.length > 1 && sentenceOfMany ? sentenceOfMany(names) : sentence,
  }));
  for (const { moot, text } of told) if (!moot) warnings.push(text);
  return { warnings, notices: told.filter(({ moot }) => moot).map(({ text }) => text) };
}
