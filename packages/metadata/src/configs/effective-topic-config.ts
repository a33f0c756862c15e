import type { BrokerConfig } from './broker-configs.ts';
import { logFlushIntervalMs, logRetentionMs, logRollJitterMs, logRollMs } from './check-broker-config.ts';
import { ConfigError } from './config-error.ts';
import type { Properties } from './config-layers.ts';
import { parseConfigValue } from './config-value.ts';
import type { ConfigDefinition, ConfigTable, ConfigValue } from './define-configs.ts';
import { type GroupConfig, groupConfigs } from './group-configs.ts';
import { type TopicConfig, topicConfigs } from './topic-configs.ts';

/** One request may change thousands of topics, and a start makes as many logs: all with the same defaults. */
const defaultsByBroker = new WeakMap<BrokerConfig, TopicConfig>();

/** What a topic without configs of its own gets. `broker` has its dynamic layers already (`effectiveBrokerConfig`). */
export function topicDefaults(broker: BrokerConfig): TopicConfig {
  let defaults = defaultsByBroker.get(broker);
  if (!defaults) defaultsByBroker.set(broker, (defaults = defaultsOf(broker)));
  return defaults;
}

function defaultsOf(broker: BrokerConfig): TopicConfig {
  return {
    ...(fromBroker(topicConfigs as ConfigTable, broker) as TopicConfig),
    'segment.ms': logRollMs(broker),
    'segment.jitter.ms': logRollJitterMs(broker),
    'retention.ms': logRetentionMs(broker),
    'flush.ms': logFlushIntervalMs(broker),
  };
}

/** The typed configs of a topic: its own over the broker's. */
export const effectiveTopicConfig = (topic: Properties, broker: BrokerConfig): TopicConfig =>
  overlaid(topicConfigs as ConfigTable, topicDefaults(broker), topic);

/** The typed configs of a group: its own over the broker's. */
export const effectiveGroupConfig = (group: Properties, broker: BrokerConfig): GroupConfig =>
  overlaid(groupConfigs as ConfigTable, fromBroker(groupConfigs as ConfigTable, broker) as GroupConfig, group);

/**
 * As a group's coordinator uses them: what was set for the group is kept within the broker's bounds, which may have become narrower since
 * (KIP-1240).
 */
export function groupConfigInForce(group: Properties, broker: BrokerConfig): GroupConfig {
  const values = effectiveGroupConfig(group, broker);
  if (group.size === 0) return values;
  const clamped = { ...values } as unknown as Record<string, number>;
  for (const name of group.keys()) {
    const { min, max } = groupConfigBounds(name, broker);
    if (max !== undefined && clamped[name]! > max) clamped[name] = max;
    if (min !== undefined && clamped[name]! < min) clamped[name] = min;
  }
  return clamped as unknown as GroupConfig;
}

/** The broker's bounds for a config of a group, with the names of the configs that say so. Most have none. */
export function groupConfigBounds(name: string, broker: BrokerConfig): GroupConfigBounds {
  const [kind, ...rest] = name.split('.') as [string, ...string[]];
  const minName = `group.${kind}.min.${rest.join('.')}`;
  const maxName =
    name === 'streams.num.standby.replicas' ? 'group.streams.max.standby.replicas' : `group.${kind}.max.${rest.join('.')}`;
  const limits = broker as unknown as Readonly<Record<string, number | undefined>>;
  return { min: limits[minName], minName, max: limits[maxName], maxName };
}

type GroupConfigBounds = {
  readonly min: number | undefined;
  readonly minName: string;
  readonly max: number | undefined;
  readonly maxName: string;
};

function fromBroker(table: ConfigTable, broker: BrokerConfig): Record<string, ConfigValue> {
  const values = broker as Readonly<Record<string, ConfigValue>>;
  return Object.fromEntries(
    Object.entries(table).map(([name, definition]) => {
      const source = definition.broker[0];
      return [name, source === undefined ? (definition.default ?? null) : values[source]!];
    }),
  );
}

function overlaid<Config extends object>(table: ConfigTable, defaults: Config, properties: Properties): Config {
  if (properties.size === 0) return defaults;
  const values = { ...defaults } as Record<string, ConfigValue>;
  for (const [name, text] of properties) {
    const definition: ConfigDefinition | undefined = table[name];
    if (!definition) continue;
    try {
      values[name] = parseConfigValue(name, definition, text);
    } catch (error) {
      // Validated when it was set: a text that another version wrote and that we cannot read leaves the default.
      if (!(error instanceof ConfigError)) throw error;
    }
  }
  return values as Config;
}
