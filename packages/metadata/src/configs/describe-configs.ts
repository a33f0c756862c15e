import type { BrokerConfig } from './broker-configs.ts';
import { brokerConfigs } from './broker-configs.ts';
import { clientMetricsConfigs } from './client-metrics-configs.ts';
import {
  type BrokerConfigLayers,
  brokerDefinition,
  brokerSynonyms,
  dynamicBrokerDefinition,
  effectiveBrokerConfig,
  listenerOverrideOf,
  type Properties,
} from './config-layers.ts';
import { canonicalText, configText, defaultText } from './config-value.ts';
import type { ConfigDefinition, ConfigTable, ConfigType, ConfigValue } from './define-configs.ts';
import { effectiveGroupConfig, effectiveTopicConfig } from './effective-topic-config.ts';
import { groupConfigs } from './group-configs.ts';
import { topicConfigs } from './topic-configs.ts';
import { isDynamic } from './validate-dynamic-configs.ts';

/** The numbers that DescribeConfigs has for where a value comes from. */
export const configSources = {
  topic: 1,
  dynamicBroker: 2,
  dynamicDefaultBroker: 3,
  staticBroker: 4,
  default: 5,
  dynamicBrokerLogger: 6,
  clientMetrics: 7,
  group: 8,
} as const;

const typeCodes: Readonly<Record<ConfigType, number>> = {
  boolean: 1,
  string: 2,
  int: 3,
  short: 4,
  long: 5,
  double: 6,
  list: 7,
  class: 8,
  password: 9,
};

export type ConfigSynonym = { readonly name: string; readonly value: string | null; readonly source: number };

/** One entry of a DescribeConfigs answer, under the names of its fields. */
export type DescribedConfig = {
  readonly name: string;
  readonly value: string | null;
  readonly readOnly: boolean;
  readonly configSource: number;
  readonly isSensitive: boolean;
  readonly synonyms: readonly ConfigSynonym[];
  readonly configType: number;
  readonly documentation: string | null;
};

/** What a broker holds for describing: its start config and the three layers of texts. */
export type BrokerConfigState = { readonly config: BrokerConfig; readonly layers: BrokerConfigLayers };

export function describeTopic(topic: Properties, { config, layers }: BrokerConfigState): DescribedConfig[] {
  const effective = effectiveTopicConfig(topic, effectiveBrokerConfig(config, layers));
  return describeTable({ table: topicConfigs as ConfigTable, effective, own: topic, ownSource: configSources.topic, layers });
}

/** A group config without a broker config behind it shows its own default as a synonym, unlike a topic's. */
export function describeGroup(group: Properties, { config, layers }: BrokerConfigState): DescribedConfig[] {
  const effective = effectiveGroupConfig(group, effectiveBrokerConfig(config, layers));
  const described = describeTable({
    table: groupConfigs as ConfigTable,
    effective,
    own: group,
    ownSource: configSources.group,
    layers,
  });
  return described.map((entry) => {
    const definition = (groupConfigs as ConfigTable)[entry.name]!;
    if (definition.broker.length > 0) return entry;
    const ownDefault = { name: entry.name, value: defaultText(definition), source: configSources.default };
    return { ...entry, synonyms: [...entry.synonyms, ownDefault] };
  });
}

export function describeClientMetrics(subscription: Properties): DescribedConfig[] {
  const table = clientMetricsConfigs as ConfigTable;
  return Object.entries(table).map(([name, definition]) => {
    const text = subscription.get(name);
    const value = text === undefined ? defaultText(definition) : canonicalText(name, definition, text);
    const synonyms = text === undefined ? [] : [{ name, value, source: configSources.clientMetrics }];
    return entry({ name, definition, value, synonyms, readOnly: false });
  });
}

/** All configs of this broker: every public name, and whatever else was set. */
export function describeBroker({ config, layers }: BrokerConfigState): DescribedConfig[] {
  const effective = effectiveBrokerConfig(config, layers) as Readonly<Record<string, ConfigValue>>;
  const names = new Set(Object.entries(brokerConfigs as ConfigTable).flatMap(([name, { internal }]) => (internal ? [] : [name])));
  for (const layer of [layers.static, layers.dynamicDefault, layers.dynamicBroker])
    for (const name of layer.keys()) names.add(name);
  return [...names].map((name) => {
    const known = brokerDefinition(name);
    const definition = known ?? dynamicBrokerDefinition(listenerOverrideOf(name) ?? name);
    const set = layers.dynamicBroker.get(name) ?? layers.dynamicDefault.get(name) ?? layers.static.get(name) ?? null;
    const value = known ? configText(known, effective[name]!) : set;
    const synonyms = brokerLayerSynonyms(name, brokerSynonyms(name), layers, isSensitive(definition));
    return entry({ name, definition, value, synonyms, readOnly: !isDynamic(name) });
  });
}

/** The cluster-wide dynamic broker configs: only those that are set. */
export function describeDefaultBroker(dynamicDefault: Properties): DescribedConfig[] {
  return [...dynamicDefault].map(([name, text]) => {
    const definition = dynamicBrokerDefinition(listenerOverrideOf(name) ?? name);
    const value = isSensitive(definition) ? null : text;
    const synonyms = [{ name, value, source: configSources.dynamicDefaultBroker }];
    return entry({ name, definition, value, synonyms, readOnly: !isDynamic(name) });
  });
}

type Described = {
  readonly table: ConfigTable;
  readonly effective: object;
  readonly own: Properties;
  readonly ownSource: number;
  readonly layers: BrokerConfigLayers;
};

function describeTable({ table, effective, own, ownSource, layers }: Described): DescribedConfig[] {
  const values = effective as Readonly<Record<string, ConfigValue>>;
  return Object.entries(table).flatMap(([name, definition]) => {
    const text = own.get(name);
    if (definition.internal && text === undefined) return [];
    const value = text === undefined ? configText(definition, values[name]!) : safelyCanonical(name, definition, text);
    const synonyms = text === undefined ? [] : [{ name, value, source: ownSource }];
    const broker = definition.broker[0];
    if (broker !== undefined)
      synonyms.push(...brokerLayerSynonyms(broker, brokerSynonyms(broker), layers, isSensitive(definition)));
    return [entry({ name, definition, value, synonyms, readOnly: false })];
  });
}

function safelyCanonical(name: string, definition: ConfigDefinition, text: string): string | null {
  try {
    return canonicalText(name, definition, text);
  } catch {
    return text;
  }
}

/**
 * Layer by layer, and in each the names from strong to weak. What comes before the first mention of `name` itself is left out, and so is
 * everything when it is not mentioned: Kafka does so, which hides log.roll.hours behind an unset log.roll.ms.
 */
function brokerLayerSynonyms(
  name: string,
  names: readonly string[],
  { dynamicBroker, dynamicDefault, static: fromFile }: BrokerConfigLayers,
  sensitive: boolean,
): ConfigSynonym[] {
  const all: ConfigSynonym[] = [];
  const add = (source: number, textOf: (each: string) => string | null | undefined): void => {
    for (const each of names) {
      const text = textOf(each);
      if (typeof text === 'string') all.push({ name: each, value: sensitive ? null : text, source });
    }
  };
  add(configSources.dynamicBroker, (each) => dynamicBroker.get(each));
  add(configSources.dynamicDefaultBroker, (each) => dynamicDefault.get(each));
  add(configSources.staticBroker, (each) => fromFile.get(each));
  add(configSources.default, (each) => {
    const definition = brokerDefinition(each);
    return definition && defaultText(definition);
  });
  const first = all.findIndex((each) => each.name === name);
  return first < 0 ? [] : all.slice(first);
}

/** Nobody knows what an unknown name holds: it could be a secret. */
const isSensitive = (definition: ConfigDefinition | undefined): boolean =>
  definition === undefined || definition.type === 'password';

type Entry = {
  readonly name: string;
  readonly definition: ConfigDefinition | undefined;
  readonly value: string | null;
  readonly synonyms: readonly ConfigSynonym[];
  readonly readOnly: boolean;
};

function entry({ name, definition, value, synonyms, readOnly }: Entry): DescribedConfig {
  const sensitive = isSensitive(definition);
  return {
    name,
    value: sensitive ? null : value,
    readOnly,
    configSource: synonyms[0]?.source ?? configSources.default,
    isSensitive: sensitive,
    synonyms,
    configType: definition ? typeCodes[definition.type] : 0,
    documentation: documentationOf(definition),
  };
}

function documentationOf(definition: ConfigDefinition | undefined): string | null {
  if (!definition) return null;
  return definition.honoured === false ? 'Known and validated, but Ottla does not act on it yet.' : definition.doc;
}
