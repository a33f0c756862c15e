export { type BrokerConfig, type BrokerConfigName, brokerConfigs } from './broker-configs.ts';
export {
  isBroker,
  isController,
  logDirectories,
  logFlushIntervalMs,
  logRetentionMs,
  logRollJitterMs,
  logRollMs,
  metadataLogDirectory,
  parseConnectionOverrides,
  resolveListeners,
} from './check-broker-config.ts';
export { type ClientAttribute, type ClientPatterns, clientAttributes, matchesClient } from './client-match.ts';
export {
  type ClientMetricsConfig,
  type ClientMetricsSubscription,
  clientMetricsConfigs,
  readClientMetricsSubscription,
} from './client-metrics-configs.ts';
export { parseHostAndPort, parseQuorumVoters, type QuorumVoterAddress } from './config-checks.ts';
export { ConfigError } from './config-error.ts';
export {
  type BrokerConfigLayers,
  brokerDefinition,
  brokerSynonyms,
  effectiveBrokerConfig,
  noProperties,
  type Properties,
} from './config-layers.ts';
export { canonicalText, configText, defaultText, parseConfigValue } from './config-value.ts';
export {
  type ConfigDefinition,
  type ConfigTable,
  type ConfigType,
  type ConfigValue,
  type ConfigValues,
  type DynamicScope,
  defineConfigs,
  type Honoured,
  type Importance,
  LONG_MAX,
} from './define-configs.ts';
export {
  type BrokerConfigState,
  type ConfigSynonym,
  configSources,
  type DescribedConfig,
  describeBroker,
  describeClientMetrics,
  describeDefaultBroker,
  describeGroup,
  describeTopic,
} from './describe-configs.ts';
export { effectiveGroupConfig, effectiveTopicConfig, groupConfigInForce, topicDefaults } from './effective-topic-config.ts';
export { type GroupConfig, groupConfigs } from './group-configs.ts';
export { type IdleConfig, idleBrokerConfig, idleDynamicConfig } from './idle-configs.ts';
export { parseJavaProperties } from './java-properties.ts';
export {
  type ListenerEndpoint,
  listenerNameOf,
  listenerUrl,
  parseListeners,
  parseSecurityProtocolMap,
  type SecurityProtocol,
  securityProtocolIds,
} from './listeners.ts';
export { type ParsedBrokerConfig, parseBrokerConfig } from './parse-broker-config.ts';
export { type TopicConfig, type TopicConfigName, topicConfigs } from './topic-configs.ts';
export { validateClientMetricsConfigs, validateGroupConfigs, validateTopicConfigs } from './validate-configs.ts';
export { isDynamic, validateDynamicBrokerConfigs, validateDynamicChangeOnBroker } from './validate-dynamic-configs.ts';
