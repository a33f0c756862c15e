import type { BrokerConfig } from './broker-configs.ts';
import { parseQuorumVoters } from './config-checks.ts';
import { ConfigError } from './config-error.ts';
import type { Properties } from './config-layers.ts';
import {
  type ListenerEndpoint,
  listenerNameOf,
  normalListenerName,
  parseListeners,
  parseSecurityProtocolMap,
  type SecurityProtocol,
} from './listeners.ts';

const MiB = 1024 * 1024;

/** The checks of settings against each other, in Kafka's order and words. Throws ConfigError. */
export function checkBrokerConfig(config: BrokerConfig, properties: Properties): void {
  if (config['node.id'] !== config['broker.id'])
    throw new ConfigError('You must set `node.id` to the same value as `broker.id`.');
  checkGroups(config);
  checkQuorum(config);
  checkListeners(config, properties);
  checkLogs(config);
  checkReplication(config);
  checkConnections(config);
}

export const isBroker = (config: BrokerConfig): boolean => config['process.roles'].includes('broker');
export const isController = (config: BrokerConfig): boolean => config['process.roles'].includes('controller');

/** What `listeners` and its companions amount to. Throws ConfigError. */
export function resolveListeners(config: BrokerConfig, properties: Properties) {
  const protocols = securityProtocols(config, properties);
  const controllerNames = config['controller.listener.names'].map(normalListenerName);
  const listeners = parseListeners(config['listeners'], { protocols, requireDistinctPorts: true });
  const advertisedSetting = config['advertised.listeners'];
  const advertised = advertisedSetting
    ? parseListeners(advertisedSetting, { protocols, requireDistinctPorts: false })
    : listeners;
  const isControllers = ({ name }: ListenerEndpoint): boolean => controllerNames.includes(name);
  return {
    protocols,
    listeners,
    /** Where this node itself listens for clients and brokers, and for controllers. */
    brokerListeners: listeners.filter((each) => !isControllers(each)),
    controllerListeners: listeners.filter(isControllers),
    /** What brokers and controllers register, in the order of the setting. */
    advertisedBrokerListeners: advertised.filter((each) => !isControllers(each)),
    advertisedControllerListeners: listeners
      .filter(isControllers)
      .map((each) => advertised.find(({ name }) => name === each.name) ?? each),
    controllerNames,
    interBrokerListenerName: interBrokerListenerName(config),
  };
}

/** Unless the map is set or a listener is named after TLS or SASL, controller listeners of any name are PLAINTEXT. */
function securityProtocols(config: BrokerConfig, properties: Properties): Map<string, SecurityProtocol> {
  const protocols = parseSecurityProtocolMap(config['listener.security.protocol.map']);
  if (properties.has('listener.security.protocol.map')) return protocols;
  const controllerNames = config['controller.listener.names'].map(normalListenerName);
  const isSecure = (name: string): boolean => ['SSL', 'SASL_PLAINTEXT', 'SASL_SSL'].includes(name);
  if (controllerNames.some(isSecure) || config['listeners'].map(listenerNameOf).some(isSecure)) return protocols;
  for (const name of controllerNames) protocols.set(name, 'PLAINTEXT');
  return protocols;
}

function interBrokerListenerName(config: BrokerConfig): string {
  const name = config['inter.broker.listener.name'];
  return name === null ? config['security.inter.broker.protocol'] : normalListenerName(name);
}

function checkQuorum(config: BrokerConfig): void {
  const voterEntries = config['controller.quorum.voters'];
  if (voterEntries.length === 0 && config['controller.quorum.bootstrap.servers'].length === 0) {
    throw new ConfigError(
      'If using process.roles, either controller.quorum.bootstrap.servers must contain the set of bootstrap controllers or ' +
        'controller.quorum.voters must contain a parseable set of controllers.',
    );
  }
  if (voterEntries.length === 0) return;
  const ids = parseQuorumVoters('controller.quorum.voters', voterEntries).map(({ id }) => id);
  const nodeId = config['node.id'];
  const voters = `controller.quorum.voters=Set(${ids.join(', ')})`;
  require(!isController(config) ||
    ids.includes(
      nodeId,
    ), `If process.roles contains the 'controller' role, the node id ${nodeId} must be included in the set of voters ${voters}`);
  require(isController(config) ||
    !ids.includes(
      nodeId,
    ), `If process.roles contains just the 'broker' role, the node id ${nodeId} must not be included in the set of voters ${voters}`);
}

function checkListeners(config: BrokerConfig, properties: Properties): void {
  if (config['inter.broker.listener.name'] !== null && properties.has('security.inter.broker.protocol')) {
    throw new ConfigError('Only one of inter.broker.listener.name and security.inter.broker.protocol should be set.');
  }
  for (const entry of [...config['listeners'], ...(config['advertised.listeners'] ?? [])]) listenerNameOf(entry);
  const resolved = resolveListeners(config, properties);
  const { protocols, listeners, controllerListeners, controllerNames, advertisedBrokerListeners } = resolved;
  const interBrokerName = config['inter.broker.listener.name'];
  if (interBrokerName !== null && !protocols.has(resolved.interBrokerListenerName)) {
    throw new ConfigError(
      `Listener with name ${resolved.interBrokerListenerName} defined in inter.broker.listener.name not found in listener.security.protocol.map.`,
    );
  }
  if (!isController(config)) {
    require(controllerListeners.length ===
      0, `controller.listener.names must not contain a value appearing in the 'listeners' configuration when running KRaft with just the broker role`);
    for (const name of controllerNames) {
      if (!protocols.has(name)) {
        throw new ConfigError(
          `Controller listener with name ${name} defined in controller.listener.names not found in listener.security.protocol.map  (an explicit security mapping for each controller listener is required if listener.security.protocol.map is non-empty, or if there are security protocols other than PLAINTEXT in use)`,
        );
      }
    }
  } else if (!isBroker(config)) {
    require(controllerListeners.length ===
      listeners.length, 'The listeners config must only contain KRaft controller listeners from controller.listener.names when process.roles=controller');
  } else {
    require(controllerListeners.length >
      0, `controller.listener.names must contain at least one value appearing in the 'listeners' configuration when running the KRaft controller role`);
  }
  const early = config['early.start.listeners'] ?? [];
  for (const name of early.map(normalListenerName)) {
    if (controllerNames.includes(name) || listeners.some((each) => each.name === name)) continue;
    throw new ConfigError(
      `early.start.listeners contains listener ${name}, but this is not contained in listeners or controller.listener.names`,
    );
  }
  if (isBroker(config)) {
    require(advertisedBrokerListeners.length >
      0, 'There must be at least one broker advertised listener. Perhaps all listeners appear in controller.listener.names?');
    requireAdvertised(resolved);
  }
  require(!advertisedBrokerListeners.some(
    ({ host }) => host === '0.0.0.0',
  ), 'advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.');
}

function requireAdvertised({
  advertisedBrokerListeners,
  listeners,
  interBrokerListenerName,
}: ReturnType<typeof resolveListeners>): void {
  const names = advertisedBrokerListeners.map(({ name }) => name);
  require(names.includes(
    interBrokerListenerName,
  ), `inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options based on currently configured listeners are ${names.join(',')}`);
  const listening = listeners.map(({ name }) => name);
  require(names.every((name) =>
    listening.includes(name),
  ), `advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. Found ${names.join(',')}. The valid options based on the current configuration are ${listening.join(',')}`);
}

function checkLogs(config: BrokerConfig): void {
  const rollMs = config['log.roll.ms'];
  require(rollMs === null || rollMs >= 1, 'log.roll.ms must be greater than or equal to 1');
  const jitterMs = config['log.roll.jitter.ms'];
  require(jitterMs === null || jitterMs >= 0, 'log.roll.jitter.ms must be greater than or equal to 0');
  require(logRetentionMs(config) !== 0, 'log.retention.ms must be unlimited (-1) or, greater than or equal to 1');
  require(config['log.cleaner.threads'] === 0 ||
    config['log.cleaner.dedupe.buffer.size'] / config['log.cleaner.threads'] >
      MiB, 'log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.');
  const directories = logDirectories(config);
  const missing = config['cordoned.log.dirs'].filter((each) => each !== '*' && !directories.includes(each));
  require(missing.length ===
    0, `All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : ${missing.join(', ')}`);
}

/** `log.dirs`, or `log.dir` when that is not set. */
export const logDirectories = (config: BrokerConfig): readonly string[] => config['log.dirs'] ?? config['log.dir'];

/** Where the metadata log lives. */
export const metadataLogDirectory = (config: BrokerConfig): string => config['metadata.log.dir'] ?? logDirectories(config)[0]!;

/** The retention in force: milliseconds, else minutes, else hours. -1 for no limit. */
export function logRetentionMs(config: BrokerConfig): number {
  const minutes = config['log.retention.minutes'];
  const ms = config['log.retention.ms'] ?? (minutes === null ? config['log.retention.hours'] * 3_600_000 : minutes * 60_000);
  return ms < 0 ? -1 : ms;
}

/** The time to roll in force: milliseconds, else hours. */
export const logRollMs = (config: BrokerConfig): number => config['log.roll.ms'] ?? config['log.roll.hours'] * 3_600_000;
export const logRollJitterMs = (config: BrokerConfig): number =>
  config['log.roll.jitter.ms'] ?? config['log.roll.jitter.hours'] * 3_600_000;
export const logFlushIntervalMs = (config: BrokerConfig): number =>
  config['log.flush.interval.ms'] ?? config['log.flush.scheduler.interval.ms'];

function checkReplication(config: BrokerConfig): void {
  require(config['replica.fetch.wait.max.ms'] <=
    config[
      'replica.socket.timeout.ms'
    ], 'replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent unnecessary socket timeouts');
  require(config['replica.fetch.wait.max.ms'] <=
    config[
      'replica.lag.time.max.ms'
    ], 'replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent frequent changes in ISR');
}

function checkConnections(config: BrokerConfig): void {
  require(config['queued.max.request.bytes'] <= 0 ||
    config['queued.max.request.bytes'] >=
      config['socket.request.max.bytes'], 'queued.max.request.bytes must be larger or equal to socket.request.max.bytes');
  const overrides = parseConnectionOverrides(config['max.connections.per.ip.overrides']);
  require(config['max.connections.per.ip'] !== 0 ||
    overrides.size > 0, 'max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.');
}

/** Reads `address:limit,...`. Throws ConfigError. */
export function parseConnectionOverrides(text: string): Map<string, number> {
  const overrides = new Map<string, number>();
  for (const entry of text.split(',').map((each) => each.trim())) {
    if (entry === '') continue;
    const colon = entry.lastIndexOf(':');
    if (colon < 0) {
      throw new ConfigError(
        `Error parsing configuration property 'max.connections.per.ip.overrides': begin 0, end -1, length ${entry.length}`,
      );
    }
    const limit = entry.slice(colon + 1).trim();
    if (!/^[+-]?[0-9]+$/.test(limit)) throw new ConfigError(`For input string: "${limit}"`);
    overrides.set(entry.slice(0, colon).trim(), Number(limit));
  }
  return overrides;
}

function checkGroups(config: BrokerConfig): void {
  for (const codec of ['offsets.topic.compression.codec', 'share.coordinator.state.topic.compression.codec'] as const) {
    if (config[codec] < 0 || config[codec] > 4) throw new ConfigError(`Unknown compression type id: ${config[codec]}`);
  }
  if (!config['group.coordinator.rebalance.protocols'].includes('classic')) {
    throw new ConfigError(`Disabling the 'classic' protocol is not supported.`);
  }
  for (const kind of ['consumer', 'share', 'streams'] as const) {
    checkBetween(config, kind, 'heartbeat.interval.ms');
    checkBetween(config, kind, 'session.timeout.ms');
    checkBetween(config, kind, 'assignment.interval.ms');
    const heartbeat = `group.${kind}.heartbeat.interval.ms` as const;
    const session = `group.${kind}.session.timeout.ms` as const;
    atMost(config[heartbeat] < config[session], heartbeat, session, 'must be less than');
  }
  checkBetween(config, 'share', 'record.lock.duration.ms');
  checkBetween(config, 'share', 'delivery.count.limit');
  checkBetween(config, 'share', 'partition.max.record.locks');
  atMost(
    config['group.streams.num.standby.replicas'] <= config['group.streams.max.standby.replicas'],
    'group.streams.num.standby.replicas',
    'group.streams.max.standby.replicas',
    'must be less than or equal to',
  );
}

/** `group.<kind>.min.<what>` <= `group.<kind>.<what>` <= `group.<kind>.max.<what>`. */
function checkBetween(config: BrokerConfig, kind: 'consumer' | 'share' | 'streams', what: string): void {
  const values = config as unknown as Readonly<Record<string, number>>;
  const min = `group.${kind}.min.${what}`;
  const max = `group.${kind}.max.${what}`;
  const name = `group.${kind}.${what}`;
  const isLimitFirst = kind === 'share' && !/(interval|timeout)\.ms$/.test(what);
  atMost(values[max]! >= values[min]!, max, min, 'must be greater than or equal to');
  atMost(values[name]! >= values[min]!, name, min, 'must be greater than or equal to');
  if (isLimitFirst) atMost(values[max]! >= values[name]!, max, name, 'must be greater than or equal to');
  else atMost(values[name]! <= values[max]!, name, max, 'must be less than or equal to');
}

function atMost(holds: boolean, first: string, second: string, relation: string): void {
  if (!holds) throw new ConfigError(`${first} ${relation} ${second}`);
}

function require(holds: boolean, message: string): void {
  if (!holds) throw new ConfigError(`requirement failed: ${message}`);
}
