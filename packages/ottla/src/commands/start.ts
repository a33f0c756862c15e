import { resolve } from 'node:path';
import process from 'node:process';
import { BrokerServer, formatForDevelopment, isFormatted, type ServerOptions, withOwnQuorum } from '@ottla/broker';
import { parseJavaProperties } from '@ottla/metadata';
import { KafkaError } from '@ottla/protocol';
import {
  type Files,
  IoError,
  MemoryFiles,
  nodeLogger,
  nodeParentProcess,
  nodeRuntime,
  type ParentProcess,
  type Runtime,
} from '@ottla/runtime';
import { diskFaultOf } from '@ottla/storage';
import { Command, InvalidArgumentError, Option } from 'commander';
import { readClusterFile } from '../cluster/cluster-file.ts';
import type { NodeMessage, SupervisorMessage } from '../cluster/supervisor.ts';
import { DEFAULT_DATA, DEFAULT_PORT, developmentDefaults, developmentPlace } from '../development-defaults.ts';
import { wholeNumber } from '../terminal/arguments.ts';

type StartOptions = {
  config?: string;
  data?: string;
  port?: number;
  nodes?: number;
  ephemeral?: boolean;
  format?: boolean;
  set: string[];
  logLevel: 'debug' | 'info' | 'warn' | 'error';
};

export function startCommand(): Command {
  return new Command('start')
    .description(
      'Run a node: a broker and the controller of a cluster, in this process, until it is told to stop. Or several, in a process each.',
    )
    .option(
      '-c, --config <file>',
      "a server.properties as Kafka's; without it, development defaults: one node on 127.0.0.1, no security",
    )
    .option('-d, --data <directory>', `where the records are kept (default: ./${DEFAULT_DATA}, or log.dirs of the --config file)`)
    .option(
      '-p, --port <port>',
      `port of the PLAINTEXT listener, 0 for any free one (default: ${DEFAULT_PORT}, or what the --config file says)`,
      portOf,
    )
    .option(
      '-n, --nodes <number>',
      'so many nodes of one cluster, on ports from --port on (default: 1, or as many as --data has)',
      wholeNumber(1),
    )
    .option('--ephemeral', 'keep everything in memory (of several nodes in a temporary directory): gone when the process ends')
    .option(
      '--format',
      'format the fresh data directory of a lone node first, as "ottla storage format --standalone" does (always done with development defaults)',
    )
    .option(
      '--set <name=value>',
      'one more setting of server.properties; may be repeated. With --nodes, "%i" in it is the id of each node',
      (setting: string, all: string[]) => [...all, setting],
      [] as string[],
    )
    .addOption(new Option('--log-level <level>', 'how much to tell').choices(['debug', 'info', 'warn', 'error']).default('info'))
    .addHelpText(
      'after',
      `
Examples:
  ottla start                              a Kafka on 127.0.0.1:9092, records in ./${DEFAULT_DATA}
  ottla start --port 0 --ephemeral         one for a test: any free port, nothing on disk
  ottla start --config server.properties   as "kafka-server-start.sh server.properties" would
  ottla start --set num.partitions=6       with other settings of Kafka's
  ottla start --nodes 3                    a cluster on 127.0.0.1:9092, 9093 and 9094
  ottla start --nodes 3 --set broker.rack=r%i`,
    )
    .action(start);
}

function portOf(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new InvalidArgumentError('a port is a number from 0 to 65535');
  return port;
}

async function start(options: StartOptions): Promise<void> {
  if (options.ephemeral && options.data !== undefined)
    throw new KafkaError('INVALID_REQUEST', '--ephemeral keeps nothing in a directory: drop it, or --data');
  const isDevelopment = options.config === undefined;
  const machine = nodeRuntime({ logger: nodeLogger({ level: 'debug' }) });
  const runtime: Runtime = options.ephemeral ? { ...machine, files: new MemoryFiles(), workers: undefined } : machine;
  const beganMs = machine.clock.monotonicMs();
  const settings = settingsFrom(options, machine.files);
  const directories = (settings['log.dirs'] ?? settings['log.dir'] ?? DEFAULT_DATA)
    .split(',')
    .map((directory) => directory.trim());
  const nodes = nodesOf(options, machine.files, directories[0]!);
  if (nodes > 1) {
    const { startCluster } = await import('../cluster/start-cluster.ts');
    const { ephemeral: isEphemeral = false, logLevel } = options;
    const shared = isDevelopment ? { ...developmentDefaults(nodes), ...settings } : settings;
    return startCluster({ nodes, settings: shared, directories, isDevelopment, isEphemeral, logLevel });
  }
  const properties = isDevelopment ? withOwnQuorum({ ...developmentDefaults(1), ...settings }) : settings;
  // Before the node touches a file: one that has begun ends in order, too.
  const started = Promise.withResolvers<BrokerServer>();
  const stopping = new AbortController();
  const parent = nodeParentProcess();
  stopOnSignal(started.promise, stopping, parent);
  if ((isDevelopment || options.format || options.ephemeral) && !isFormatted(runtime.files, directories))
    formatForDevelopment(runtime, properties);
  startServer({ runtime, properties, logLevel: options.logLevel, onFatal: () => process.exit(1), signal: stopping.signal }).then(
    started.resolve,
    started.reject,
  );
  const server = await started.promise;
  const { host, port } = server.address;
  parent?.send({ ottla: 'serves', brokerEpoch: server.brokerEpoch } satisfies NodeMessage);
  if (isDevelopment)
    welcome(`${host}:${port}`, options.ephemeral ? 'memory' : resolve(directories[0]!), machine.clock.monotonicMs() - beganMs);
}

async function startServer(options: ServerOptions): Promise<BrokerServer> {
  try {
    return await BrokerServer.start(options);
  } catch (error) {
    if (!(error instanceof IoError)) throw error;
    const { code, path, message } = error;
    if (diskFaultOf(error) === 'full')
      throw new IoError(`${message}: make room on that disk, or have it mounted for writing, and start again`, {
        code,
        path,
        cause: error,
      });
    if (code !== 'EADDRINUSE') throw error;
    const text = `cannot ${message}: stop who listens there, or choose another port with --port, or in listeners of the --config file`;
    throw new IoError(text, { code, path, cause: error });
  }
}

/** Without --nodes, what lies in the directory decides. */
function nodesOf({ nodes, ephemeral }: StartOptions, files: Files, directory: string): number {
  const known = ephemeral ? undefined : readClusterFile(files, directory);
  if (nodes === 1 && known)
    throw new KafkaError(
      'INVALID_REQUEST',
      `${directory} has a cluster of several nodes: leave out --nodes, or give another --data`,
    );
  return nodes ?? known?.nodes ?? 1;
}

function settingsFrom({ config, data, port, set }: StartOptions, files: Files): Record<string, string> {
  const properties: Record<string, string> =
    config === undefined
      ? { ...developmentPlace }
      : Object.fromEntries(parseJavaProperties(new TextDecoder().decode(files.readFile(config))));
  if (data !== undefined) {
    delete properties['log.dir'];
    properties['log.dirs'] = data;
  }
  if (port !== undefined || config === undefined)
    properties['listeners'] = withPort(properties['listeners'], port ?? DEFAULT_PORT);
  for (const setting of set) {
    const at = setting.indexOf('=');
    if (at < 1) throw new KafkaError('INVALID_CONFIG', `--set takes name=value, not "${setting}"`);
    properties[setting.slice(0, at).trim()] = setting.slice(at + 1).trim();
  }
  return properties;
}

function withPort(listeners: string | undefined, port: number): string {
  const all = (listeners ?? `PLAINTEXT://127.0.0.1:${DEFAULT_PORT}`).split(',');
  const plain = all.findIndex((listener) => listener.trim().startsWith('PLAINTEXT://'));
  if (plain < 0) throw new KafkaError('INVALID_CONFIG', '--port sets the port of a PLAINTEXT listener, and the config has none');
  return all.map((listener, index) => (index === plain ? listener.replace(/:\d*$/, `:${port}`) : listener)).join(',');
}

function didNotStop(error: unknown): never {
  console.error('ottla: the node did not stop cleanly:', error);
  process.exit(1);
}

function stopOnSignal(starting: Promise<BrokerServer>, early: AbortController, parent: ParentProcess | undefined): void {
  let stopping = false;
  const stop = (allHandedOver?: () => Promise<void>): void => {
    stopping = true;
    const reason = new Error('the node was told to stop while it opened its logs');
    early.abort(reason);
    const didNotStart = (error: unknown): never => process.exit(error === reason ? 0 : 1);
    starting.then((server) => server.stop(allHandedOver).then(() => process.exit(0), didNotStop), didNotStart);
  };
  const onSignal = (): void => {
    // A second signal means now.
    if (stopping) process.exit(130);
    stop();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  if (parent) stopAsParentSays(parent, (allHandedOver) => stopping || stop(allHandedOver));
}

function stopAsParentSays(parent: ParentProcess, stop: (allHandedOver?: () => Promise<void>) => unknown): void {
  const released = Promise.withResolvers<void>();
  parent.onMessage((message) => {
    const { ottla } = message as SupervisorMessage;
    if (ottla === 'stop') released.resolve();
    if (ottla !== 'handOver') return;
    stop(() => {
      parent.send({ ottla: 'handedOver' } satisfies NodeMessage);
      return released.promise;
    });
  });
  // Nobody would look after this node any more, nor stop it, and its port would be taken when the cluster is started again.
  parent.onGone(() => {
    // Its lines have nowhere to go either.
    for (const output of [process.stdout, process.stderr]) output.on('error', () => {});
    released.resolve();
    stop();
  });
}

function welcome(address: string, place: string, tookMs: number): void {
  const where = address === `127.0.0.1:${DEFAULT_PORT}` ? '' : ` --bootstrap ${address}`;
  console.log(`
Ottla is a Kafka on ${address} (up in ${Math.round(tookMs)} ms, records in ${place}). Try, in another terminal:

  npx ottla topics create greetings --partitions 3${where}
  echo hello | npx ottla produce greetings${where}
  npx ottla consume greetings --from-beginning${where}

or any Kafka client with bootstrap.servers=${address}. Ctrl-C stops it.
`);
}
