import { Admin } from '@ottla/client';
import { KafkaError } from '@ottla/protocol';
import { type Command, Option } from 'commander';

export type ClusterOptions = { readonly bootstrap: string };

function bootstrapOption(): Option {
  return new Option('-b, --bootstrap <host:port,...>', 'one or more brokers of the cluster')
    .env('OTTLA_BOOTSTRAP')
    .default('127.0.0.1:9092');
}

export function jsonOption(what = 'print JSON, for programs'): Option {
  return new Option('--json', what);
}

/** Adds how the command is told which cluster; as Kafka's tools call it, too, for who has typed that for years. */
export function withBootstrap(command: Command): Command {
  const kafkas = new Option('--bootstrap-server <host:port,...>').hideHelp();
  return command
    .addOption(bootstrapOption())
    .addOption(kafkas)
    .on('option:bootstrap-server', (value: string) => command.setOptionValueWithSource('bootstrap', value, 'cli'));
}

/** Adds what all subcommands of a cluster command share. */
export function clusterCommand(command: Command): Command {
  return withBootstrap(command).addOption(jsonOption());
}

type Client = { connect(): Promise<void>; close(): Promise<void> };

/** Connects, works, disconnects. Rejects with a sentence that says what to do when nobody answers. */
export async function withClient<C extends Client, T>(
  client: C,
  { bootstrap }: ClusterOptions,
  work: (client: C) => Promise<T>,
): Promise<T> {
  try {
    await connect(client, bootstrap);
    return await work(client);
  } finally {
    await client.close();
  }
}

export function withAdmin<T>(options: ClusterOptions, work: (admin: Admin) => Promise<T>): Promise<T> {
  return withClient(adminOf(options), options, work);
}

export function adminOf({ bootstrap }: ClusterOptions): Admin {
  return new Admin({ bootstrapServers: bootstrap, clientId: 'ottla-command', defaultApiTimeoutMs: 15_000 });
}

export async function connect(client: Client, bootstrap: string): Promise<void> {
  try {
    await client.connect();
  } catch (error) {
    if (!(error instanceof KafkaError) || error.name !== 'NETWORK_EXCEPTION') throw error;
    const isRefused = error.message.includes('ECONNREFUSED');
    throw new KafkaError(
      'NETWORK_EXCEPTION',
      isRefused
        ? `nothing listens on ${bootstrap}: start a node with "ottla start", or name another with --bootstrap HOST:PORT`
        : `${error.message}. Is it a Kafka, and is --bootstrap ${bootstrap} right?`,
      { cause: error },
    );
  }
}
