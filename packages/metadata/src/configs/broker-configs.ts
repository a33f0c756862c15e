import { groupConfigs } from './broker/group-configs.ts';
import { logConfigs } from './broker/log-configs.ts';
import { networkConfigs } from './broker/network-configs.ts';
import { nodeConfigs } from './broker/node-configs.ts';
import { ottlaConfigs } from './broker/ottla-configs.ts';
import { quotaConfigs } from './broker/quota-configs.ts';
import { remoteConfigs } from './broker/remote-configs.ts';
import { replicationConfigs } from './broker/replication-configs.ts';
import { securityConfigs } from './broker/security-configs.ts';
import { transactionConfigs } from './broker/transaction-configs.ts';
import { type ConfigValues, defineConfigs } from './define-configs.ts';

/**
 * Every config of Kafka's server.properties, controller and quorum included, and Ottla's own, by its dotted name. One file per subject holds the entries:
 * search for the name.
 */
export const brokerConfigs = defineConfigs({
  ...nodeConfigs,
  ...networkConfigs,
  ...replicationConfigs,
  ...logConfigs,
  ...groupConfigs,
  ...transactionConfigs,
  ...securityConfigs,
  ...remoteConfigs,
  ...quotaConfigs,
  ...ottlaConfigs,
});

/** Typed values: `config['log.segment.bytes']` is a number. */
export type BrokerConfig = ConfigValues<typeof brokerConfigs>;
export type BrokerConfigName = keyof typeof brokerConfigs;
