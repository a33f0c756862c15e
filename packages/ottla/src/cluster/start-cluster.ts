import { resolve } from 'node:path';
import process from 'node:process';
import { formatLocalNode, freePorts, type LocalCluster, localCluster, randomUuid } from '@ottla/broker';
import { KafkaError } from '@ottla/protocol';
import { type LogLevel, nodeLogger, nodeProcesses, nodeRuntime, type Runtime } from '@ottla/runtime';
import { lockDirectory } from '@ottla/storage';
import { DEFAULT_PORT } from '../development-defaults.ts';
import { type ClusterFile, newClusterFile, readClusterFile, writeClusterFile } from './cluster-file.ts';
import { tellDeath } from './death-notice.ts';
import { NodeFailedError, Supervisor } from './supervisor.ts';

export type StartClusterOptions = {
  /** Undefined: as many as there have been. */
  readonly nodes: number | undefined;
  /** As a single node would have them; those of the first node where each needs its own. */
  readonly settings: Readonly<Record<string, string>>;
  /** What the cluster shares is kept in the first. */
  readonly directories: readonly string[];
  readonly isDevelopment: boolean;
  readonly isEphemeral: boolean;
  readonly logLevel: LogLevel;
};

/** Runs the nodes of a cluster, a process each, until it is told to stop. */
export async function startCluster(options: StartClusterOptions): Promise<void> {
  const runtime = nodeRuntime({ logger: nodeLogger({ level: options.logLevel }) });
  const { files, clock } = runtime;
  const beganMs = clock.monotonicMs();
  const directories = options.isEphemeral
    ? [`${process.env['TMPDIR'] ?? '/tmp'}/ottla-${randomUuid(runtime.random)}`]
    : options.directories;
  const settings = withWholePaths(options.settings, directories);
  const home = resolve(directories[0]!);
  if (files.stat(`${home}/meta.properties`))
    throw new KafkaError('INVALID_REQUEST', `${home} has the records of a single node: give several --data of their own`);
  files.makeDirectory(home);
  const lock = lockDirectory(files, home);
  try {
    const { cluster, file } = await prepare(runtime, home, { ...options, settings });
    const supervisor = new Supervisor({
      ...runtime,
      processes: nodeProcesses,
      program: process.argv[1]!,
      nodes: cluster.nodes.map(({ nodeId, isController, properties }) => {
        const path = `${home}/node${nodeId}.properties`;
        files.writeFileDurably(path, propertiesText(properties));
        return { nodeId, isController, args: ['start', '--config', path, '--log-level', options.logLevel] };
      }),
      onDeath: (broker) => void tellDeath(runtime, cluster.controllers, broker),
      onLine: (nodeId, line) => void process.stdout.write(`node ${nodeId} | ${line}\n`),
    });
    const end = (status: number): never => {
      if (options.isEphemeral) files.removeDirectory(home);
      else lock.release();
      process.exit(status);
    };
    stopOnSignal(supervisor, end);
    try {
      await supervisor.start();
    } catch (error) {
      await supervisor.stop();
      if (!(error instanceof NodeFailedError)) return;
      console.error(`ottla: ${error.message}`);
      end(1);
    }
    if (options.isDevelopment)
      welcome(cluster, options.isEphemeral ? 'a temporary directory' : home, clock.monotonicMs() - beganMs);
    runtime.logger.info('the cluster serves', { nodes: cluster.nodes.length, clusterId: file.clusterId });
  } catch (error) {
    lock.release();
    if (options.isEphemeral) files.removeDirectory(home);
    throw error;
  }
}

/** The settings of a node are kept, and whoever starts it by itself may do so in another working directory. */
function withWholePaths(settings: Readonly<Record<string, string>>, directories: readonly string[]): Record<string, string> {
  const whole = { ...settings, 'log.dirs': directories.map((directory) => resolve(directory)).join(',') };
  const metadata = settings['metadata.log.dir'];
  return metadata ? { ...whole, 'metadata.log.dir': resolve(metadata) } : whole;
}

type Prepared = { readonly cluster: LocalCluster; readonly file: ClusterFile };

async function prepare(runtime: Runtime, home: string, { nodes: asked, settings }: StartClusterOptions): Promise<Prepared> {
  const { files, network } = runtime;
  const { host, port } = firstListener(settings['listeners'] ?? '');
  const known = readClusterFile(files, home);
  const nodes = asked ?? known!.nodes;
  if (known && nodes < known.nodes) {
    throw new KafkaError(
      'INVALID_REQUEST',
      `the cluster in ${home} has ${known.nodes} nodes, and what lies on node ${known.nodes} would be missed: start it with --nodes ${known.nodes}`,
    );
  }
  const file = known ?? (await newClusterFile(runtime, { nodes, firstPort: port, host }));
  // Before anything is formatted with these ids: a start that was cut short is gone on with.
  if (!known) writeClusterFile(files, home, file);
  const clientPorts =
    port === 0
      ? await freePorts(network, { host, count: nodes, from: 0 })
      : Array.from({ length: nodes }, (_, index) => port + index);
  const cluster = localCluster({ settings, clientPorts, controllers: file.controllers });
  for (const node of cluster.nodes) {
    const { clusterId } = file;
    const { initialControllers } = cluster;
    formatLocalNode(runtime, node, { clusterId, initialControllers, isKnown: (nodeId) => nodeId <= file.nodes });
  }
  if (file.nodes !== nodes) writeClusterFile(files, home, { ...file, nodes });
  return { cluster, file };
}

function firstListener(listeners: string): { host: string; port: number } {
  const found = /^[^:]*:\/\/(.*):(\d*)$/.exec(listeners.split(',')[0]!.trim());
  if (!found)
    throw new KafkaError('INVALID_CONFIG', `listeners must begin with one such as PLAINTEXT://127.0.0.1:${DEFAULT_PORT}`);
  return { host: found[1]!.replace(/^\[|\]$/g, ''), port: Number(found[2]) };
}

/** A server.properties: "ottla start --config" on it would run the same node by itself. */
function propertiesText(properties: Readonly<Record<string, string>>): string {
  const lines = Object.entries(properties).map(
    ([name, value]) => `${name}=${value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`,
  );
  return `# Written at each start of the cluster.\n${lines.sort().join('\n')}\n`;
}

function stopOnSignal(supervisor: Supervisor, end: (status: number) => never): void {
  let isStopping = false;
  const stop = (): void => {
    // A second signal means now.
    if (isStopping) {
      supervisor.kill();
      end(130);
    }
    isStopping = true;
    void supervisor.stop().then((isClean) => end(isClean ? 0 : 1));
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', stop);
}

function welcome({ nodes }: LocalCluster, place: string, tookMs: number): void {
  const addresses = nodes.map(({ properties }) => {
    const { host, port } = firstListener(properties['listeners']!);
    return `${host}:${port}`;
  });
  const where = addresses[0] === `127.0.0.1:${DEFAULT_PORT}` ? '' : ` --bootstrap ${addresses[0]}`;
  console.log(`
Ottla is a Kafka of ${nodes.length} nodes on ${addresses.join(',')} (up in ${Math.round(tookMs)} ms, records in ${place}). Try, in another terminal:

  npx ottla topics create greetings --partitions 3${where}
  echo hello | npx ottla produce greetings${where}
  npx ottla consume greetings --from-beginning${where}

or any Kafka client with bootstrap.servers=${addresses.join(',')}. Ctrl-C stops it.
`);
}
