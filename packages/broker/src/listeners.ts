import {
  type MetadataImage,
  type ParsedBrokerConfig,
  parseConnectionOverrides,
  resolveListeners,
  securityProtocolIds,
} from '@ottla/metadata';
import {
  acceptConnections,
  ConnectionQuota,
  type ConnectionQuotaLimits,
  type RequestHandler,
  type ServerListener,
} from '@ottla/network';
import type { Runtime } from '@ottla/runtime';
import type { BrokerSettings } from './broker-settings.ts';
import type { ClusterMetadata } from './cluster-metadata.ts';

/** What a node tells others of where it listens. */
export type RegisteredEndpoint = {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly securityProtocol: number;
};

type ListenOptions = {
  readonly runtime: Runtime;
  readonly parsed: ParsedBrokerConfig;
  readonly settings: BrokerSettings;
  /** Of the quotas of addresses, as they are now. */
  readonly metadata: ClusterMetadata;
  readonly onBrokerRequest: RequestHandler;
  readonly onControllerRequest: RequestHandler;
  /** See AcceptOptions. */
  readonly onRequestsTaken: () => void;
};

/** The listening sockets of a node, for clients and for those who talk to its controller. They share one quota of connections. */
export class NodeListeners {
  readonly broker: readonly ServerListener[];
  readonly controller: readonly ServerListener[];
  readonly #parsed: ParsedBrokerConfig;

  /** Rejects with IoError (EADDRINUSE …); then nothing stays open. */
  static async open(options: ListenOptions): Promise<NodeListeners> {
    const { runtime, parsed, settings, metadata, onBrokerRequest, onControllerRequest, onRequestsTaken } = options;
    const { config, properties } = parsed;
    const { brokerListeners, controllerListeners, interBrokerListenerName } = resolveListeners(config, properties);
    const listenerNames = [...brokerListeners, ...controllerListeners].map(({ name }) => name);
    const perListener = (config: 'max.connections' | 'max.connection.creation.rate') =>
      new Map(
        listenerNames.flatMap((name) => {
          const limit = settings.limitOfListener(name, config);
          return limit === undefined ? [] : [[name, limit]];
        }),
      );
    const limits = (): ConnectionQuotaLimits => ({
      maxConnections: settings.get('max.connections'),
      maxConnectionsPerIp: settings.get('max.connections.per.ip'),
      maxConnectionsPerIpOverrides: parseConnectionOverrides(settings.get('max.connections.per.ip.overrides')),
      maxConnectionsPerListener: perListener('max.connections'),
      maxCreationRate: settings.get('max.connection.creation.rate'),
      maxCreationRatePerListener: perListener('max.connection.creation.rate'),
      creationRateOfIp: (ip) => connectionCreationRate(metadata.image, ip),
      protectedListener: interBrokerListenerName,
    });
    const quota = new ConnectionQuota(limits(), {
      samples: config['quota.window.num'],
      windowMs: config['quota.window.size.seconds'] * 1000,
    });
    settings.onChange(() => void (quota.limits = limits()));
    const open: ServerListener[] = [];
    const listen = async (
      { name, host, port }: { name: string; host: string; port: number },
      onRequest: RequestHandler,
    ): Promise<ServerListener> => {
      const listener = await acceptConnections({
        network: runtime.network,
        timers: runtime.timers,
        clock: runtime.clock,
        logger: runtime.logger,
        address: { host: host === '' ? '::' : host, port },
        listenerName: name,
        limits: {
          maxFrameBytes: config['socket.request.max.bytes'],
          idleMs: config['connections.max.idle.ms'],
          maxWaitingConnections: config['socket.listen.backlog.size'],
        },
        quota,
        onRequest,
        onRequestsTaken,
      });
      open.push(listener);
      return listener;
    };
    try {
      const broker: ServerListener[] = [];
      const controller: ServerListener[] = [];
      for (const endpoint of brokerListeners) broker.push(await listen(endpoint, onBrokerRequest));
      for (const endpoint of controllerListeners) controller.push(await listen(endpoint, onControllerRequest));
      return new NodeListeners(parsed, broker, controller);
    } catch (error) {
      for (const listener of open) await listener.close();
      throw error;
    }
  }

  private constructor(parsed: ParsedBrokerConfig, broker: readonly ServerListener[], controller: readonly ServerListener[]) {
    this.#parsed = parsed;
    this.broker = broker;
    this.controller = controller;
  }

  /** The advertised addresses, with the real port where any free one was asked for. */
  get advertised(): { broker: RegisteredEndpoint[]; controller: RegisteredEndpoint[] } {
    const { advertisedBrokerListeners, advertisedControllerListeners } = resolveListeners(
      this.#parsed.config,
      this.#parsed.properties,
    );
    const registered = (endpoints: typeof advertisedBrokerListeners, bound: readonly ServerListener[]): RegisteredEndpoint[] =>
      endpoints.map(({ name, host, port, securityProtocol }) => ({
        name,
        host: host === '' ? 'localhost' : host,
        port: port === 0 ? (bound.find(({ listenerName }) => listenerName === name)?.address.port ?? 0) : port,
        securityProtocol: securityProtocolIds[securityProtocol],
      }));
    return {
      broker: registered(advertisedBrokerListeners, this.broker),
      controller: registered(advertisedControllerListeners, this.controller),
    };
  }

  /** Clients come no more; those who talk to the controller still do. */
  async closeBroker(graceMs = 0): Promise<void> {
    await Promise.all(this.broker.map((listener) => listener.close(graceMs)));
  }

  /** Stops accepting; requests in flight have `graceMs` to be answered. */
  async close(graceMs = 0): Promise<void> {
    await Promise.all([...this.broker, ...this.controller].map((listener) => listener.close(graceMs)));
  }
}

/** The quota of the address, or of all that have none of their own; undefined where neither is set (KIP-612). */
function connectionCreationRate({ clientQuotas }: MetadataImage, ip: string): number | undefined {
  const rateOf = (entityName: string | null) =>
    clientQuotas.of([{ entityType: 'ip', entityName }]).get('connection_creation_rate');
  return rateOf(ip) ?? rateOf(null);
}
