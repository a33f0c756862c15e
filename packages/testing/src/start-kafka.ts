import process from 'node:process';
import { BrokerServer, formatForDevelopment, isFormatted, withOwnQuorum } from '@ottla/broker';
import { Admin, type NewTopic } from '@ottla/client';
import { type Logger, MemoryFiles, nodeLogger, nodeRuntime, type Runtime } from '@ottla/runtime';

export type StartKafkaOptions = {
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

/** A running node. */
export type Kafka = AsyncDisposable & {
  /** For any Kafka client: "127.0.0.1:41234". The only property that `{ ...kafka }` copies, so that it can be spread into a client's options. */
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
  const { files = 'memory', topics = [], host = '127.0.0.1', port = 0 } = options;
  const runtime = runtimeFrom(options);
  const directory = files === 'memory' ? 'kafka' : files;
  const properties = withOwnQuorum({
    'process.roles': 'broker,controller',
    'node.id': '1',
    listeners: `PLAINTEXT://${host}:${port},CONTROLLER://${host}:0`,
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': directory,
    ...testDefaults,
    ...options.settings,
  });
  if (!isFormatted(runtime.files, [directory])) formatForDevelopment(runtime, properties);
  const server = await BrokerServer.start({ runtime, properties });
  const kafka = new StartedKafka(server, runtime);
  try {
    const wanted = topics.map((topic) => (typeof topic === 'string' ? { name: topic, partitions: 1 } : topic));
    if (wanted.length > 0) await kafka.admin().createTopics(wanted);
  } catch (error) {
    await kafka.stop();
    throw error;
  }
  return kafka;
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
  readonly #server: BrokerServer;
  readonly #runtime: Runtime;
  #admin: Admin | undefined;

  constructor(server: BrokerServer, runtime: Runtime) {
    this.bootstrapServers = `${server.address.host}:${server.address.port}`;
    this.#server = server;
    this.#runtime = runtime;
  }

  get clusterId(): string {
    return this.#server.clusterId;
  }

  admin(): Admin {
    const { bootstrapServers } = this;
    this.#admin ??= new Admin({ bootstrapServers, clientId: 'testing', runtime: this.#runtime });
    return this.#admin;
  }

  async stop(): Promise<void> {
    await this.#admin?.close();
    await this.#server.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** What a test does not want to wait for, or to have fifty of. */
const testDefaults = {
  'offsets.topic.replication.factor': '1',
  'offsets.topic.num.partitions': '1',
  'transaction.state.log.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
  'transaction.state.log.num.partitions': '1',
  'share.coordinator.state.topic.replication.factor': '1',
  'share.coordinator.state.topic.min.isr': '1',
  'share.coordinator.state.topic.num.partitions': '1',
  'group.initial.rebalance.delay.ms': '0',
};
