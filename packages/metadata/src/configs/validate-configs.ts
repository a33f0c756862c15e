import type { BrokerConfig } from './broker-configs.ts';
import { parseClientMatch } from './client-match.ts';
import { clientMetricsConfigs } from './client-metrics-configs.ts';
import { ConfigError } from './config-error.ts';
import type { Properties } from './config-layers.ts';
import { configText, parseConfigValue } from './config-value.ts';
import type { ConfigDefinition, ConfigTable } from './define-configs.ts';
import { effectiveGroupConfig, effectiveTopicConfig, groupConfigBounds } from './effective-topic-config.ts';
import { groupConfigs } from './group-configs.ts';
import { type TopicConfig, topicConfigs } from './topic-configs.ts';

type Proposal = {
  /** All configs the resource would have afterwards, of its own. */
  readonly properties: Properties;
  /** With its dynamic layers. */
  readonly broker: BrokerConfig;
};

/** Throws ConfigError in Kafka's words for an unknown name, a bad value, or values that do not go together. */
export function validateTopicConfigs({ properties, broker, before }: Proposal & { readonly before?: Properties }): void {
  parseAll('topic config name', topicConfigs as ConfigTable, properties);
  const config = effectiveTopicConfig(properties, broker);
  const minLagMs = config['min.compaction.lag.ms'];
  const maxLagMs = config['max.compaction.lag.ms'];
  if (minLagMs > maxLagMs) {
    const max = configText(topicConfigs['max.compaction.lag.ms'] as ConfigDefinition, maxLagMs);
    throw new ConfigError(`conflict topic config setting min.compaction.lag.ms (${minLagMs}) > max.compaction.lag.ms (${max})`);
  }
  if (config['remote.storage.enable']) validateTiered(config, broker);
  else if (before) validateTieringTurnedOff(effectiveTopicConfig(before, broker), config);
}

function validateTiered(config: TopicConfig, broker: BrokerConfig): void {
  if (!broker['remote.log.storage.system.enable']) {
    throw new ConfigError(
      'Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.',
    );
  }
  if (config['cleanup.policy'].includes('compact')) {
    throw new ConfigError(
      'Remote log storage only supports topics with cleanup.policy=delete or cleanup.policy being an empty list.',
    );
  }
  for (const unit of ['bytes', 'ms'] as const) {
    const local = config[`local.retention.${unit}`];
    const total = config[`retention.${unit}`];
    if (local !== -2) validateLocalRetention(unit, local, total);
  }
  if (!config['remote.log.copy.disable']) return;
  for (const unit of ['ms', 'bytes'] as const) {
    const local = config[`local.retention.${unit}`];
    if (local === -2 || local === config[`retention.${unit}`]) continue;
    const names = `the \`local.retention.${unit}\` and \`retention.${unit}\` must be set to the identical value`;
    throw new ConfigError(
      `When \`remote.log.copy.disable\` is set to true, ${names} because there will be no more logs copied to the remote storage.`,
    );
  }
}

function validateLocalRetention(unit: 'bytes' | 'ms', local: number, total: number): void {
  if (total === -1) return;
  const name = `local.retention.${unit}`;
  if (local === -1)
    throw ConfigError.invalidValue(name, '-1', `Value must not be -1 as retention.${unit} value is set as ${total}.`);
  if (local > total) {
    throw ConfigError.invalidValue(name, `${local}`, `Value must not be more than retention.${unit} property value: ${total}`);
  }
}

function validateTieringTurnedOff(before: TopicConfig, after: TopicConfig): void {
  if (!before['remote.storage.enable'] || after['remote.log.delete.on.disable']) return;
  throw new ConfigError(
    'It is invalid to disable remote storage without deleting remote data. ' +
      'If you want to keep the remote data and turn to read only, please set `remote.storage.enable=true,remote.log.copy.disable=true`. ' +
      'If you want to disable remote storage and delete all remote data, please set `remote.storage.enable=false,remote.log.delete.on.disable=true`.',
  );
}

/** Throws ConfigError. A group's timeouts must lie within the broker's bounds. */
export function validateGroupConfigs({ properties, broker }: Proposal): void {
  parseAll('group config name', groupConfigs as ConfigTable, properties);
  const group = effectiveGroupConfig(properties, broker) as unknown as Readonly<Record<string, number>>;
  for (const name of boundedGroupConfigs) {
    const { min, minName, max, maxName } = groupConfigBounds(name, broker);
    if (min !== undefined && group[name]! < min) throw new ConfigError(`${name} must be greater than or equal to ${minName}`);
    if (max !== undefined && group[name]! > max) throw new ConfigError(`${name} must be less than or equal to ${maxName}`);
  }
  for (const kind of ['consumer', 'share', 'streams']) {
    const heartbeat = `${kind}.heartbeat.interval.ms`;
    const session = `${kind}.session.timeout.ms`;
    if (group[heartbeat]! >= group[session]!) throw new ConfigError(`${session} must be greater than ${heartbeat}`);
  }
}

const boundedGroupConfigs = [
  'consumer.heartbeat.interval.ms',
  'consumer.session.timeout.ms',
  'consumer.assignment.interval.ms',
  'share.heartbeat.interval.ms',
  'share.session.timeout.ms',
  'share.assignment.interval.ms',
  'share.record.lock.duration.ms',
  'share.delivery.count.limit',
  'share.partition.max.record.locks',
  'streams.heartbeat.interval.ms',
  'streams.session.timeout.ms',
  'streams.assignment.interval.ms',
  'streams.num.standby.replicas',
];

/** Throws ConfigError. */
export function validateClientMetricsConfigs(subscription: string, properties: Properties): void {
  if (subscription === '') throw new ConfigError(`Subscription name can't be empty`, 'INVALID_REQUEST');
  for (const name of properties.keys()) {
    if (!Object.hasOwn(clientMetricsConfigs, name)) {
      throw new ConfigError(`Unknown client metrics configuration: ${name}`, 'INVALID_REQUEST');
    }
  }
  const values = parseAll('client metrics config name', clientMetricsConfigs as ConfigTable, properties);
  const intervalMs = values.get('interval.ms') as number | undefined;
  if (intervalMs !== undefined && (intervalMs < 100 || intervalMs > 3_600_000)) {
    const problem = `Invalid value ${intervalMs} for interval.ms, interval must be between 100 and 3600000 (1 hour)`;
    throw new ConfigError(problem, 'INVALID_REQUEST');
  }
  parseClientMatch((values.get('match') as readonly string[] | undefined) ?? []);
}

function parseAll(what: string, table: ConfigTable, properties: Properties) {
  for (const name of properties.keys()) {
    if (!Object.hasOwn(table, name)) throw new ConfigError(`Unknown ${what}: ${name}`);
  }
  return new Map([...properties].map(([name, text]) => [name, parseConfigValue(name, table[name]!, text)]));
}
