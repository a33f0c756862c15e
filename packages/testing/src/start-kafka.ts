import process from 'node:process';
import {
  BrokerServer,
  formatForDevelopment,
  formatLocalNode,
  freePorts,
  isFormatted,
  localCluster,
  localControllerCount,
  randomUuid,
  withOwnQuorum,
} from '@ottla/broker';
import { Admin, type NewTopic } from '@ottla/client';
import { KafkaError } from '@ottla/protocol';
import { type Logger, MemoryFiles, nodeLogger, nodeRuntime, type Runtime } from '@ottla/runtime';

export type StartKafkaOptions = {
  /** Of a cluster, all in this process; 1 unless given. Several are kept in memory only. Topics then have up to three replicas. */
  readonly nodes?: number;
  /** 'memory', the default, leaves nothing behind. In a directory, a later call with the same one finds all records again. */
  readonly files?: 'memory' | (string & {});
  /** More settings, under the names of server.properties. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Created before this returns: by name with one partition, or as told. */
  readonly topics?: readonly (string | NewTopic)[];
  /** For a simulated world: where files, sockets and time come from. `files` is then the directory within. */
  readonly runtime?: Runtime;
  /** What the node has to tell. Unless given, its warnings and errors go to the standard error, and a `runtime` of yours has its own. */
  readonly logger?: Logger;
  /** The address to listen on. */
  readonly host?: string;
  /** Any free one unless given. */
  readonly port?: number;
};

/** A running node, or several. */
export type Kafka = AsyncDisposable & {
  /** For any Kafka client: "127.0.0.1:41234", of several nodes with commas between. The only property that `{ ...kafka }` copies, so that it can be spread into a client's options. */
  readonly bootstrapServers: string;
  readonly clusterId: string;
  /** One for all callers; it is closed with the node. */
  admin(): Admin;
  /** Stops cleanly, as SIGTERM does. */
  stop(): Promise<void>;
};

/**
 * A real Kafka, broker and controller, inside this process: it listens on a port, and any client in any language can use it.
 * Rejects with ConfigError for settings that are wrong, with IoError for a port or directory that is taken.
 */
export async function startKafka(options: StartKafkaOptions = {}): Promise<Kafka> {
  const { topics = [], nodes = 1 } = options;
  const runtime = runtimeFrom(options);
  const servers = nodes === 1 ? [await startNode(runtime, options)] : await startNodes(runtime, options, nodes);
  const kafka = new StartedKafka(servers, runtime);
  try {
    const wanted = topics.map((topic) => (typeof topic === 'string' ? { name: topic, partitions: 1 } : topic));
    if (wanted.length > 0) await kafka.admin().createTopics(wanted);
  } catch (error) {
    await kafka.stop();
    throw error;
  }
  return kafka;
}

async function startNode(runtime: Runtime, options: StartKafkaOptions): Promise<BrokerServer> {
  const { files = 'memory', host = '127.0.0.1', port = 0 } = options;
  const directory = files === 'memory' ? 'kafka' : files;
  const properties = withOwnQuorum({
    'process.roles': 'broker,controller',
    'node.id': '1',
    listeners: `PLAINTEXT://${host}:${port},CONTROLLER://${host}:0`,
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': directory,
    ...testDefaults(1),
    ...options.settings,
  });
  if (!isFormatted(runtime.files, [directory])) formatForDevelopment(runtime, properties);
  return BrokerServer.start({ runtime, properties });
}

async function startNodes(runtime: Runtime, options: StartKafkaOptions, nodes: number): Promise<BrokerServer[]> {
  const { files = 'memory', host = '127.0.0.1', port = 0, settings } = options;
  if (files !== 'memory')
    throw new KafkaError('INVALID_REQUEST', 'several nodes are kept in memory: "ottla start --nodes" keeps them in a directory');
  const count = localControllerCount(nodes);
  const ports = await freePorts(runtime.network, { host, count: nodes + count, from: 0 });
  const cluster = localCluster({
    settings: {
      listeners: `PLAINTEXT://${host}:${port},CONTROLLER://${host}:0`,
      'controller.listener.names': 'CONTROLLER',
      'log.dirs': 'kafka',
      ...testDefaults(Math.min(nodes, 3)),
      ...settings,
    },
    clientPorts: port === 0 ? ports.slice(count) : ports.slice(count).map((_, index) => port + index),
    controllers: ports.slice(0, count).map((each) => ({ port: each, directoryId: randomUuid(runtime.random) })),
  });
  const { initialControllers } = cluster;
  const clusterId = randomUuid(runtime.random);
  for (const node of cluster.nodes) formatLocalNode(runtime, node, { clusterId, initialControllers, isKnown: () => false });
  const starting = cluster.nodes.map(({ properties }) => BrokerServer.start({ runtime, properties }));
  try {
    return await Promise.all(starting);
  } catch (error) {
    for (const { value } of (await Promise.allSettled(starting)) as { value?: BrokerServer }[]) await value?.stop();
    throw error;
  }
}

function runtimeFrom({ runtime, logger, files = 'memory' }: StartKafkaOptions): Runtime {
  if (runtime) return logger ? { ...runtime, logger } : runtime;
  return nodeRuntime({ logger: logger ?? warningsOnly(), ...(files === 'memory' ? { files: new MemoryFiles() } : {}) });
}

/** A misspelled setting, or one that does nothing yet, must not go unnoticed. */
function warningsOnly(): Logger {
  return nodeLogger({ level: 'warn', write: (line) => void process.stderr.write(`ottla: ${line}`) });
}

class StartedKafka implements Kafka {
  readonly bootstrapServers: string;
  readonly #servers: readonly BrokerServer[];
  readonly #runtime: Runtime;
  #admin: Admin | undefined;

  constructor(servers: readonly BrokerServer[], runtime: Runtime) {
    this.bootstrapServers = servers.map(({ address: { host, port } }) => `${host}:${port}`).join(',');
    this.#servers = servers;
    this.#runtime = runtime;
  }

  get clusterId(): string {
    return this.#servers[0]!.clusterId;
  }

  admin(): Admin {
    const { bootstrapServers } = this;
    this.#admin ??= new Admin({ bootstrapServers, clientId: 'testing', runtime: this.#runtime });
    return this.#admin;
  }

  async stop(): Promise<void> {
    await this.#admin?.close();
    if (this.#servers.length === 1) return this.#servers[0]!.stop();
    const left = this.#servers.map(() => Promise.withResolvers<void>());
    const allLeft = async (): Promise<void> => void (await Promise.all(left.map(({ promise }) => promise)));
    await Promise.all(
      this.#servers.map((server, index) => {
        const stopped = server.stop(() => {
          left[index]!.resolve();
          return allLeft();
        });
        return stopped.finally(() => left[index]!.resolve());
      }),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** What a test does not want to wait for, or to have fifty of. */
const testDefaults = (replicas: number): Record<string, string> => {
  const replicationFactor = String(replicas);
  const minIsr = String(Math.min(replicas, 2));
  return {
    'offsets.topic.replication.factor': replicationFactor,
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': replicationFactor,
    'transaction.state.log.min.isr': minIsr,
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': replicationFactor,
    'share.coordinator.state.topic.min.isr': minIsr,
    'share.coordinator.state.topic.num.partitions': '1',
    'group.initial.rebalance.delay.ms': '0',
    ...(replicas > 1 ? { 'default.replication.factor': replicationFactor } : {}),
    ...(replicas > 2 ? { 'min.insync.replicas': minIsr } : {}),
  };
};
