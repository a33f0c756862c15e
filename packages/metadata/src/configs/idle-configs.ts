import { configResource } from '../image/configs-image.ts';
import { clientMetricsConfigs } from './client-metrics-configs.ts';
import { brokerDefinition, dynamicBrokerDefinition, listenerOverrideOf } from './config-layers.ts';
import type { ConfigDefinition, ConfigTable } from './define-configs.ts';
import { groupConfigs } from './group-configs.ts';
import { topicConfigs } from './topic-configs.ts';

/** A config that was set and changes nothing, wholly or in part: what to say of it, and whether to worry. */
export type IdleConfig = {
  readonly moot: boolean;
  readonly sentence: string;
  /** The sentence for several that are idle for the same reason; absent where the reason is its value. */
  readonly sentenceOfMany?: (names: readonly string[]) => string;
};

/** Of a config in server.properties. Undefined when Ottla acts on it, or nobody knows its name. */
export function idleBrokerConfig(name: string, value: string): IdleConfig | undefined {
  return idle(name, brokerDefinition(listenerOverrideOf(name) ?? name), value);
}

/** Of a config that was set dynamically for a topic, broker, group or client metrics subscription. */
export function idleDynamicConfig(resourceType: number, name: string, value: string): IdleConfig | undefined {
  const table = tables.get(resourceType);
  const definition = table
    ? Object.hasOwn(table, name)
      ? table[name]
      : undefined
    : dynamicBrokerDefinition(listenerOverrideOf(name) ?? name);
  return idle(name, definition, value);
}

const tables: ReadonlyMap<number, ConfigTable> = new Map([
  [configResource.topic, topicConfigs as ConfigTable],
  [configResource.group, groupConfigs as ConfigTable],
  [configResource.clientMetrics, clientMetricsConfigs as ConfigTable],
]);

function idle(name: string, definition: ConfigDefinition | undefined, value: string): IdleConfig | undefined {
  if (!definition) return undefined;
  const { doc } = definition;
  if (definition.honoured === 'moot') {
    return {
      moot: true,
      sentence: `${name} has no meaning in Ottla: ${doc}`,
      sentenceOfMany: (names) => `${names.join(', ')} have no meaning in Ottla: ${doc}`,
    };
  }
  if (!definition.honoured) {
    return {
      moot: false,
      sentence: `${name} is set, but Ottla does not act on it yet`,
      sentenceOfMany: (names) => `${names.join(', ')} are set, but Ottla does not act on them yet`,
    };
  }
  const idleValues = value
    .split(',')
    .map((each) => each.trim())
    .filter((each) => definition.idleValues.includes(each));
  if (idleValues.length === 0) return undefined;
  return { moot: false, sentence: `${name} is set to ${value}, but Ottla does not act on ${idleValues.join(', ')} yet` };
}
