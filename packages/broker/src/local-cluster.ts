/**
 * Nodes of one cluster that share a machine: which of them are controllers, where each listens, where it keeps its logs, and what it is
 * told to be. Every node could be started by itself with the properties that are made here.
 */
import { ConfigError, listenerNameOf, metadataLogDirectory, parseBrokerConfig } from '@ottla/metadata';
import { KafkaError, type Uuid } from '@ottla/protocol';
import { type Address, IoError, type Network, type Runtime } from '@ottla/runtime';
import { formatDirectories, isFormatted } from './format.ts';

export type LocalClusterOptions = {
  /** Settings of all nodes, under the names of server.properties. `listeners` and `log.dirs` are those of the first node. "%i" is the node's id. */
  readonly settings: Readonly<Record<string, string>>;
  /** Of the listener that clients find first, by node. */
  readonly clientPorts: readonly number[];
  /** Of the controllers: the first so many nodes. */
  readonly controllers: readonly LocalController[];
};

export type LocalController = { readonly port: number; readonly directoryId: Uuid };

export type LocalNode = {
  readonly nodeId: number;
  readonly isController: boolean;
  readonly properties: Readonly<Record<string, string>>;
};

export type LocalCluster = {
  readonly nodes: readonly LocalNode[];
  /** Where the controllers listen. */
  readonly controllers: readonly Address[];
  /** As `storage format --initial-controllers` takes them. */
  readonly initialControllers: string;
};

/** A quorum of three survives the loss of one; with two, the loss of either would stop both. */
export const localControllerCount = (nodes: number): number => (nodes < 3 ? 1 : 3);

/** What the nodes' own settings are made of: given for all, they would be passed over. */
const ownSettings = ['controller.quorum.voters', 'controller.quorum.bootstrap.servers'];

/** Throws ConfigError for settings that cannot be shared. */
export function localCluster({ settings, clientPorts, controllers }: LocalClusterOptions): LocalCluster {
  const own = ownSettings.find((name) => settings[name]);
  if (own !== undefined) throw new ConfigError(`several nodes make a quorum of their own: take ${own} out of their settings`);
  const controllerName = settings['controller.listener.names']?.split(',')[0]?.trim() || 'CONTROLLER';
  const isControllerListener = (entry: string): boolean =>
    (settings['controller.listener.names'] ?? controllerName)
      .split(',')
      .some((name) => name.trim().toUpperCase() === listenerNameOf(entry));
  const entries = entriesOf(settings['listeners'] ?? 'PLAINTEXT://127.0.0.1:9092');
  const clientEntries = entries.filter((entry) => !isControllerListener(entry));
  const advertised = entriesOf(settings['advertised.listeners'] ?? '').filter((entry) => !isControllerListener(entry));
  const controllerHost = hostOf(entries.find(isControllerListener)) ?? hostOf(clientEntries[0]) ?? '127.0.0.1';
  const quorumHost = ['', '0.0.0.0', '[::]'].includes(controllerHost) ? 'localhost' : controllerHost;
  const directories = (settings['log.dirs'] ?? settings['log.dir'] ?? '/tmp/kafka-logs').split(',').map((each) => each.trim());
  const bootstrap = controllers.map(({ port }) => `${quorumHost}:${port}`).join(',');

  const nodes = clientPorts.map((clientPort, index): LocalNode => {
    const nodeId = index + 1;
    const controller = controllers[index];
    const listeners = clientEntries.map((entry, at) => (at === 0 ? withPort(entry, clientPort) : shifted(entry, index)));
    if (controller) listeners.push(`${controllerName}://${controllerHost}:${controller.port}`);
    const properties: Record<string, string> = {
      ...settings,
      'process.roles': controller ? 'broker,controller' : 'broker',
      'node.id': String(nodeId),
      listeners: listeners.join(','),
      'controller.listener.names': settings['controller.listener.names'] ?? controllerName,
      'controller.quorum.bootstrap.servers': bootstrap,
      'log.dirs': directories.map((directory) => localNodeDirectory(directory, nodeId)).join(','),
    };
    delete properties['log.dir'];
    if (settings['metadata.log.dir']) properties['metadata.log.dir'] = localNodeDirectory(settings['metadata.log.dir'], nodeId);
    if (advertised.length > 0) properties['advertised.listeners'] = advertised.map((entry) => shifted(entry, index)).join(',');
    for (const [name, value] of Object.entries(properties)) properties[name] = value.replaceAll('%i', String(nodeId));
    return { nodeId, isController: controller !== undefined, properties };
  });
  const initialControllers = controllers.map(
    ({ port, directoryId }, index) => `${index + 1}@${quorumHost}:${port}:${directoryId}`,
  );
  return {
    nodes,
    controllers: controllers.map(({ port }) => ({ host: quorumHost, port })),
    initialControllers: initialControllers.join(','),
  };
}

/** Not "node-1": a directory of logs with one of that name in it would look like one that holds the partition of a topic. */
export const localNodeDirectory = (directory: string, nodeId: number): string => `${directory}/node${nodeId}`;

export type LocalFormat = {
  readonly clusterId: Uuid;
  readonly initialControllers: string;
  /** Of nodes that have run before. */
  readonly isKnown: (nodeId: number) => boolean;
};

/**
 * Formats the directories of nodes that are new. Throws LOG_DIR_NOT_FOUND for a controller that has run before: with its metadata log it has
 * lost whom it voted for, and what it promised to keep.
 */
export function formatLocalNode(
  { files, random, clock }: Pick<Runtime, 'files' | 'random' | 'clock'>,
  { nodeId, isController, properties }: LocalNode,
  { clusterId, initialControllers, isKnown }: LocalFormat,
): void {
  const parsed = parseBrokerConfig(properties);
  const metadataDirectory = metadataLogDirectory(parsed.config);
  if (isController && isKnown(nodeId) && !isFormatted(files, [metadataDirectory])) {
    const remedy = `bring it back, or start node ${nodeId} by itself as a new controller: docs/cluster.md says how`;
    throw new KafkaError('LOG_DIR_NOT_FOUND', `the metadata log of node ${nodeId} in ${metadataDirectory} is gone: ${remedy}`);
  }
  formatDirectories({
    files,
    random,
    nowMs: clock.nowMs(),
    ...parsed,
    clusterId,
    ...(isController ? { initialControllers } : { noInitialControllers: true }),
    ignoreFormatted: true,
  });
}

/** Ports that nobody listens on now: the first from `from` on, or any for 0. */
export async function freePorts(
  network: Network,
  { host, count, from }: { readonly host: string; readonly count: number; readonly from: number },
): Promise<number[]> {
  const ports: number[] = [];
  const listeners = [];
  let next = from === 0 ? 0 : Math.min(from, 65_000);
  try {
    while (ports.length < count) {
      try {
        // All are held until the last is found, so that none is found twice.
        const listener = await network.listen({ host, port: next }, (socket) => socket.destroy());
        listeners.push(listener);
        ports.push(listener.address.port);
      } catch (error) {
        if (!(error instanceof IoError) || error.code !== 'EADDRINUSE' || next === 0 || next === 65_535) throw error;
      }
      if (next !== 0) next++;
    }
  } finally {
    await Promise.all(listeners.map((listener) => listener.close()));
  }
  return ports;
}

function entriesOf(listeners: string): string[] {
  return listeners
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

const hostOf = (entry: string | undefined): string | undefined => entry?.replace(/^[^:]*:\/\//, '').replace(/:\d*$/, '');

const withPort = (entry: string, port: number): string => entry.replace(/:\d*$/, `:${port}`);

/** The port of the first node's listener, and so many more. */
function shifted(entry: string, by: number): string {
  const port = Number(/:(\d+)$/.exec(entry)?.[1] ?? 0);
  if (port === 0) throw new ConfigError(`listener ${entry} needs a port, for that of each node counts from it`);
  return withPort(entry, port + by);
}
