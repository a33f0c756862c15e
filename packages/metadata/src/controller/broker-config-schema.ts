/** The controller's view of configs, taken from the tables of `configs/` and this node's server.properties. */

import { KafkaError } from '@ottla/protocol';
import {
  type BrokerConfig,
  type BrokerConfigLayers,
  brokerConfigs,
  type ConfigDefinition,
  ConfigError,
  type ConfigTable,
  clientMetricsConfigs,
  defaultText,
  describeTopic,
  groupConfigs,
  type Properties,
  topicConfigs,
  validateClientMetricsConfigs,
  validateDynamicBrokerConfigs,
  validateGroupConfigs,
  validateTopicConfigs,
} from '../configs/index.ts';
import { configResource } from '../image/configs-image.ts';
import type { ConfigSchema, DescribedConfig, TopicConfigSources } from './config-schema.ts';

const tables: Readonly<Record<number, ConfigTable>> = {
  [configResource.topic]: topicConfigs as ConfigTable,
  [configResource.broker]: brokerConfigs as ConfigTable,
  [configResource.clientMetrics]: clientMetricsConfigs as ConfigTable,
  [configResource.group]: groupConfigs as ConfigTable,
};

export class BrokerConfigSchema implements ConfigSchema {
  readonly #config: BrokerConfig;
  readonly #static: Properties;

  /** What `parseBrokerConfig` gives. */
  constructor({ config, properties }: { readonly config: BrokerConfig; readonly properties: Properties }) {
    this.#config = config;
    this.#static = properties;
  }

  validate(resourceType: number, resourceName: string, configs: Properties, existing: Properties): void {
    try {
      this.#validate(resourceType, resourceName, configs, existing);
    } catch (error) {
      if (error instanceof ConfigError) throw new KafkaError(error.errorName, error.message);
      throw error;
    }
  }

  #validate(resourceType: number, resourceName: string, properties: Properties, before: Properties): void {
    const broker = this.#config;
    switch (resourceType) {
      case configResource.topic:
        if (resourceName === '') throw new KafkaError('INVALID_REQUEST', 'Default topic resources are not allowed.');
        validateTopicConfigs({ properties, broker, before });
        break;
      case configResource.broker:
        if (resourceName !== '') checkNodeId(resourceName);
        validateDynamicBrokerConfigs({ properties, scope: resourceName === '' ? 'cluster' : 'broker' });
        break;
      case configResource.clientMetrics:
        validateClientMetricsConfigs(resourceName, properties);
        break;
      case configResource.group:
        if (resourceName === '') throw new KafkaError('INVALID_REQUEST', 'Default group resources are not allowed.');
        validateGroupConfigs({ properties, broker });
        break;
      default:
        throw new KafkaError('INVALID_REQUEST', `Unknown resource type ${resourceType}`);
    }
  }

  isList(resourceType: number, name: string): boolean {
    return definitionOf(resourceType, name)?.type === 'list';
  }

  defaultValue(resourceType: number, name: string): string | null {
    const definition = definitionOf(resourceType, name);
    return definition ? defaultText(definition) : null;
  }

  topicValue(name: string, { topic, broker, cluster }: TopicConfigSources): string | null {
    const own = topic.get(name);
    if (own !== undefined) return own;
    const definition = definitionOf(configResource.topic, name);
    for (const layer of [broker, cluster, this.#static]) {
      for (const synonym of definition?.broker ?? []) {
        const value = layer.get(synonym);
        if (value !== undefined) return value;
      }
    }
    return definition ? defaultText(definition) : null;
  }

  describeTopic({ topic, broker, cluster }: TopicConfigSources): DescribedConfig[] {
    const layers: BrokerConfigLayers = { static: this.#static, dynamicDefault: cluster, dynamicBroker: broker };
    return describeTopic(topic, { config: this.#config, layers })
      .map(({ name, value, readOnly, configSource, isSensitive }) => ({
        name,
        value,
        readOnly,
        source: configSource,
        isSensitive,
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

function definitionOf(resourceType: number, name: string): ConfigDefinition | undefined {
  const table = tables[resourceType];
  return table && Object.hasOwn(table, name) ? table[name] : undefined;
}

function checkNodeId(name: string): void {
  if (!/^[+-]?\d+$/.test(name)) throw new KafkaError('INVALID_REQUEST', 'Unable to parse broker name as a base 10 number.');
  if (Number(name) < 0) throw new KafkaError('INVALID_REQUEST', 'Invalid negative broker ID.');
}
