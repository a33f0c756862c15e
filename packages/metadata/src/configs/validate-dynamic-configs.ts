import type { BrokerConfig } from './broker-configs.ts';
import { checkBrokerConfig } from './check-broker-config.ts';
import { ConfigError } from './config-error.ts';
import {
  type BrokerConfigLayers,
  dynamicBrokerDefinition,
  effectiveBrokerConfig,
  listenerOverrideOf,
  type Properties,
} from './config-layers.ts';
import { parseConfigValue } from './config-value.ts';

/** TLS stores can change for one listener only, under its prefix. */
const perListenerOnly = new Set([
  'ssl.keystore.type',
  'ssl.keystore.location',
  'ssl.keystore.password',
  'ssl.keystore.key',
  'ssl.keystore.certificate.chain',
  'ssl.key.password',
  'ssl.truststore.type',
  'ssl.truststore.location',
  'ssl.truststore.password',
  'ssl.truststore.certificates',
]);

/** With a listener's prefix these may be set for all brokers, too. */
const clusterWideWithListenerPrefix = new Set(['max.connections', 'max.connection.creation.rate', 'num.network.threads']);

const threadCounts = [
  'num.io.threads',
  'num.network.threads',
  'num.recovery.threads.per.data.dir',
  'num.replica.fetchers',
  'background.threads',
];

/** Whether a running broker takes a new value; what DescribeConfigs calls not read-only. */
export const isDynamic = (name: string): boolean => {
  const definition = dynamicBrokerDefinition(name);
  return definition !== undefined && definition.dynamic !== 'read-only';
};

export type DynamicBrokerChange = {
  /** All dynamic configs the resource would have afterwards. */
  readonly properties: Properties;
  /** 'broker': one broker's own; 'cluster': the default of all. */
  readonly scope: 'broker' | 'cluster';
};

/** May these become dynamic configs? Throws ConfigError (INVALID_REQUEST) in Kafka's words. Unknown names may. */
export function validateDynamicBrokerConfigs({ properties, scope }: DynamicBrokerChange): void {
  const names = [...properties.keys()];
  refuse(names.filter(isStatic), 'Cannot update these configs dynamically');
  refuse(
    names.filter((name) => perListenerOnly.has(name)),
    'These security configs can be dynamically updated only per-listener using the listener prefix',
  );
  for (const [name, text] of properties) {
    const definition = dynamicBrokerDefinition(listenerOverrideOf(name) ?? name);
    if (definition) asInvalidRequest(() => parseConfigValue(listenerOverrideOf(name) ?? name, definition, text));
  }
  if (scope === 'broker') return;
  refuse(names.filter(isPerBroker), 'Cannot update these configs at default cluster level, broker id must be specified');
}

/**
 * Would this broker run with the change? Throws ConfigError (INVALID_REQUEST) when settings no longer fit together, or a number of threads
 * changes by more than a factor of two at once.
 */
export function validateDynamicChangeOnBroker(
  broker: { readonly config: BrokerConfig; readonly layers: BrokerConfigLayers },
  change: DynamicBrokerChange,
): BrokerConfig {
  validateDynamicBrokerConfigs(change);
  const { config, layers } = broker;
  const now = effectiveBrokerConfig(config, layers);
  const key = change.scope === 'broker' ? 'dynamicBroker' : 'dynamicDefault';
  const then = effectiveBrokerConfig(config, { ...layers, [key]: change.properties });
  asInvalidRequest(() => checkBrokerConfig(then, layers.static));
  requireModestThreadChanges(now, then);
  return then;
}

const isStatic = (name: string): boolean => dynamicBrokerDefinition(name)?.dynamic === 'read-only';

function isPerBroker(name: string): boolean {
  if (dynamicBrokerDefinition(name)?.dynamic === 'per-broker') return true;
  const base = listenerOverrideOf(name);
  return base !== undefined && !clusterWideWithListenerPrefix.has(base);
}

function refuse(names: readonly string[], problem: string): void {
  if (names.length > 0) throw new ConfigError(`${problem}: [${names.join(', ')}]`, 'INVALID_REQUEST');
}

function requireModestThreadChanges(now: BrokerConfig, then: BrokerConfig): void {
  const counts = (config: BrokerConfig) => config as unknown as Readonly<Record<string, number>>;
  for (const name of threadCounts) {
    const before = counts(now)[name]!;
    const after = counts(then)[name]!;
    if (after === before) continue;
    const failed = `Dynamic thread count update validation failed for ${name}=${after}`;
    if (after > before * 2) refuseChange(`${failed}, value should not be greater than double the current value ${before}`);
    if (after < before / 2) refuseChange(`${failed}, value should be at least half the current value ${before}`);
  }
  const before = now['log.cleaner.threads'];
  const after = then['log.cleaner.threads'];
  if (after === before) return;
  if (after < 1) refuseChange('Log cleaner threads should be at least 1');
  if (after < before / 2) refuseChange(`Log cleaner threads cannot be reduced to less than half the current value ${before}`);
  if (after > before * 2) refuseChange(`Log cleaner threads cannot be increased to more than double the current value ${before}`);
}

/** Kafka wraps a component's refusal once more, and so its text does here. */
function refuseChange(problem: string): never {
  const message = `Invalid value org.apache.kafka.common.config.ConfigException: ${problem} for configuration Invalid dynamic configuration`;
  throw new ConfigError(message, 'INVALID_REQUEST');
}

function asInvalidRequest(check: () => unknown): void {
  try {
    check();
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(error.message, 'INVALID_REQUEST');
    throw error;
  }
}
