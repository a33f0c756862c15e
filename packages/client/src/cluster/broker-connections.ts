import { BrokerConnection } from '@ottla/network';
import { KafkaError } from '@ottla/protocol';
import type { Address } from '@ottla/runtime';
import { ClientClosedError } from '../client-closed-error.ts';
import type { CompleteClientConfig } from '../client-config.ts';
import { Backoff } from './backoff.ts';
import type { Pauses } from './pauses.ts';

/** Answers come in the order of the requests, so what may take long has connections of its own: long polls, and joining a group. */
export type Purpose = 'default' | 'fetch' | 'group';

type Slot = {
  connection?: BrokerConnection;
  connecting?: Promise<BrokerConnection>;
  /** In a row. */
  failures: number;
  retryAtMs: number;
};

/** At most one connection for each broker and purpose, opened when first needed, with Kafka's patience between attempts. */
export class BrokerConnections {
  readonly #config: CompleteClientConfig;
  readonly #pauses: Pauses;
  readonly #backoff: Backoff;
  readonly #slots = new Map<string, Slot>();

  constructor(config: CompleteClientConfig, pauses: Pauses) {
    this.#config = config;
    this.#pauses = pauses;
    const { reconnectBackoffMs: initialMs, reconnectBackoffMaxMs: maxMs, runtime } = config;
    this.#backoff = new Backoff(runtime.random, { initialMs, maxMs });
  }

  /** The connection if it is open now. */
  open(address: Address, purpose: Purpose): BrokerConnection | undefined {
    const connection = this.#slots.get(keyOf(address, purpose))?.connection;
    return connection?.closed ? undefined : connection;
  }

  /** Rejects with NETWORK_EXCEPTION when the broker cannot be reached, and with what the agreement on versions ends in. */
  get(address: Address, purpose: Purpose): Promise<BrokerConnection> {
    const slot = this.#slotOf(keyOf(address, purpose));
    if (slot.connection && !slot.connection.closed) return Promise.resolve(slot.connection);
    slot.connecting ??= this.#connect(address, slot).finally(() => {
      slot.connecting = undefined;
    });
    return slot.connecting;
  }

  async close(graceMs: number): Promise<void> {
    const open = [...this.#slots.values()].map(({ connection }) => connection);
    this.#slots.clear();
    await Promise.all(open.map((connection) => connection?.close(graceMs)));
  }

  #slotOf(key: string): Slot {
    let slot = this.#slots.get(key);
    if (!slot) this.#slots.set(key, (slot = { failures: 0, retryAtMs: 0 }));
    return slot;
  }

  async #connect(address: Address, slot: Slot): Promise<BrokerConnection> {
    const { clientId, requestTimeoutMs, socketConnectionSetupTimeoutMs: connectTimeoutMs, runtime } = this.#config;
    const { network, timers, clock } = runtime;
    if (slot.retryAtMs > clock.monotonicMs()) await this.#pauses.pause(slot.retryAtMs - clock.monotonicMs());
    this.#pauses.assertOpen();
    try {
      const connection = await BrokerConnection.connect({
        network,
        timers,
        clock,
        address,
        clientId,
        connectTimeoutMs,
        requestTimeoutMs,
      });
      if (this.#pauses.closed) {
        await connection.close();
        this.#pauses.assertOpen();
      }
      if (slot.failures > 0) runtime.logger.info(`connected to ${address.host}:${address.port} again`);
      slot.failures = 0;
      slot.connection = connection;
      return connection;
    } catch (error) {
      if (error instanceof ClientClosedError) throw error;
      slot.failures++;
      slot.retryAtMs = clock.monotonicMs() + this.#backoff.delayMs(slot.failures);
      if (error instanceof KafkaError && !error.retriable) throw error;
      const what = `connect to ${address.host}:${address.port}`;
      const { message } = error as Error;
      const text = message.startsWith(what) ? `cannot ${message}` : `cannot ${what}: ${message}`;
      if (slot.failures === 1) runtime.logger.warn(`${text}; trying on`);
      throw new KafkaError('NETWORK_EXCEPTION', text, { cause: error });
    }
  }
}

function keyOf({ host, port }: Address, purpose: Purpose): string {
  return `${purpose} ${host}:${port}`;
}
