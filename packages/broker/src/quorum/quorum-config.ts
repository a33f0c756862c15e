import { isController, type ParsedBrokerConfig, parseHostAndPort, parseQuorumVoters } from '@ottla/metadata';
import { metadataLogConfig } from './metadata-log-config.ts';
import type { MetadataQuorumOptions } from './metadata-quorum.ts';

type FromProperties = Required<
  Pick<
    MetadataQuorumOptions,
    | 'nodeId'
    | 'isController'
    | 'controllerListenerName'
    | 'staticVoters'
    | 'bootstrapServers'
    | 'isAutoJoining'
    | 'timing'
    | 'fetchMaxBytes'
    | 'fetchSnapshotMaxBytes'
    | 'appendLingerMs'
    | 'connectTimeoutMs'
    | 'config'
  >
>;

/** What the metadata quorum takes from server.properties. */
export function quorumConfig({ config, properties }: Pick<ParsedBrokerConfig, 'config' | 'properties'>): FromProperties {
  return {
    nodeId: config['node.id'],
    isController: isController(config),
    controllerListenerName: config['controller.listener.names'][0] ?? 'CONTROLLER',
    staticVoters: parseQuorumVoters('controller.quorum.voters', config['controller.quorum.voters']),
    bootstrapServers: config['controller.quorum.bootstrap.servers']
      .map(parseHostAndPort)
      .filter((address) => address !== undefined),
    isAutoJoining: config['controller.quorum.auto.join.enable'],
    timing: {
      electionTimeoutMs: config['controller.quorum.election.timeout.ms'],
      electionBackoffMaxMs: config['controller.quorum.election.backoff.max.ms'],
      fetchTimeoutMs: config['controller.quorum.fetch.timeout.ms'],
      requestTimeoutMs: config['controller.quorum.request.timeout.ms'],
      retryBackoffMs: config['controller.quorum.retry.backoff.ms'],
    },
    fetchMaxBytes: config['controller.quorum.fetch.max.bytes'],
    fetchSnapshotMaxBytes: config['controller.quorum.fetch.snapshot.max.bytes'],
    // What comes while the disk is busy shares the next write anyway: only who asks for more of that waits for it.
    appendLingerMs: properties.has('controller.quorum.append.linger.ms') ? config['controller.quorum.append.linger.ms'] : 0,
    connectTimeoutMs: config['socket.connection.setup.timeout.ms'],
    config: metadataLogConfig(config),
  };
}
