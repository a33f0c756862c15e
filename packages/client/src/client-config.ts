import { type Logger, nodeRuntime, type Runtime } from '@ottla/runtime';
import { fromZero, fromZeroToLong, type OptionRules } from './option-rules.ts';

/** What every client has in common: Kafka's names in camel case, with Kafka's defaults. */
export type ClientConfig = {
  /** "host:port,host:port", or a list of those: enough brokers to find the others. */
  readonly bootstrapServers: string | readonly string[];
  /** What brokers call this client in logs, quotas and group descriptions. */
  readonly clientId?: string;
  /** How long one request may take. */
  readonly requestTimeoutMs?: number;
  /** How long a call may take with all its retries, where it has no limit of its own. */
  readonly defaultApiTimeoutMs?: number;
  readonly retryBackoffMs?: number;
  readonly retryBackoffMaxMs?: number;
  readonly reconnectBackoffMs?: number;
  readonly reconnectBackoffMaxMs?: number;
  readonly socketConnectionSetupTimeoutMs?: number;
  /** Metadata older than this is asked for again. */
  readonly metadataMaxAgeMs?: number;
  /** Is told when a broker cannot be reached, and when it can again. Silent unless given. */
  readonly logger?: Logger;
  /** Where clock, timers, randomness and sockets come from; this machine's, unless a test brings its own. */
  readonly runtime?: Runtime;
};

export const clientDefaults = {
  clientId: 'ottla',
  requestTimeoutMs: 30_000,
  defaultApiTimeoutMs: 60_000,
  retryBackoffMs: 100,
  retryBackoffMaxMs: 1000,
  reconnectBackoffMs: 50,
  reconnectBackoffMaxMs: 1000,
  socketConnectionSetupTimeoutMs: 10_000,
  metadataMaxAgeMs: 300_000,
} as const;

export const clientRules: OptionRules<ClientConfig> = {
  bootstrapServers: 'text or list',
  clientId: 'text',
  requestTimeoutMs: fromZero,
  defaultApiTimeoutMs: fromZero,
  retryBackoffMs: fromZero,
  retryBackoffMaxMs: fromZero,
  reconnectBackoffMs: fromZero,
  reconnectBackoffMaxMs: fromZero,
  socketConnectionSetupTimeoutMs: fromZero,
  metadataMaxAgeMs: fromZeroToLong,
  logger: 'object',
  runtime: 'object',
};

export type CompleteClientConfig = Required<Omit<ClientConfig, 'logger'>>;

/** Fills in what is absent or undefined. The runtime is made here, so that importing the client costs nothing. */
export function withDefaults<Config extends ClientConfig, Defaults extends object>(
  config: Config,
  defaults: Defaults,
): Config & Defaults & CompleteClientConfig {
  const given = Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
  const machine = config.runtime ?? nodeRuntime();
  const runtime = config.logger ? { ...machine, logger: config.logger } : machine;
  return { ...clientDefaults, ...defaults, ...given, runtime } as unknown as Config & Defaults & CompleteClientConfig;
}
