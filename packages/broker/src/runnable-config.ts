import { relative, sep } from 'node:path';
import { type BrokerConfig, ConfigError, type ListenerEndpoint, logDirectories } from '@ottla/metadata';
import { isConsumerAssignor } from './coordinators/group-service-config.ts';
import { rackAwareSelector } from './replication/rack-aware-replica-selector.ts';

/**
 * Refuses what this release cannot be, rather than run as something else: a setting that promises security must not be
 * passed over with a warning. Throws ConfigError.
 */
export function requireRunnable(config: BrokerConfig, listeners: readonly ListenerEndpoint[]): void {
  for (const { name, securityProtocol } of listeners) {
    if (securityProtocol !== 'PLAINTEXT') {
      throw new ConfigError(
        `this release of Ottla has no TLS and no SASL yet: listener ${name} must be PLAINTEXT, not ${securityProtocol}`,
      );
    }
  }
  if (config['authorizer.class.name'] !== '') {
    throw new ConfigError(
      'this release of Ottla does not enforce ACLs yet: unset authorizer.class.name, or keep such a cluster on Apache Kafka',
    );
  }
  for (const name of policyClasses) {
    if (config[name] !== null) throw new ConfigError(`Ottla loads no classes: unset ${name}, for nothing would enforce it`);
  }
  const selector = config['replica.selector.class'];
  if (selector !== null && selector !== '' && selector !== rackAwareSelector)
    throw new ConfigError(`Ottla loads no classes: replica.selector.class must be ${rackAwareSelector}, or unset`);
  for (const name of config['group.consumer.assignors']) {
    if (!isConsumerAssignor(name))
      throw new ConfigError(`group.consumer.assignors: ${name} is none that Ottla has: use uniform and range`);
  }
  if (config['remote.log.storage.system.enable'])
    throw new ConfigError('this release of Ottla has no tiered storage yet: remote.log.storage.system.enable must be false');
  const telemetryDirectory = config['ottla.telemetry.directory'];
  if (telemetryDirectory) {
    const owner = logDirectories(config).find((directory) => isInside(telemetryDirectory, directory));
    if (owner !== undefined)
      throw new ConfigError(`ottla.telemetry.directory must not lie in a log directory: choose another one than ${owner}`);
  }
}

const isInside = (path: string, directory: string): boolean => relative(directory, path).split(sep)[0] !== '..';

/** Code of the cluster's owner that refuses requests: running without it would allow what they forbid. */
const policyClasses = [
  'create.topic.policy.class.name',
  'alter.config.policy.class.name',
  'client.quota.callback.class',
] as const;
