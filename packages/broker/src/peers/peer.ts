import { BrokerConnection } from '@ottla/network';
import { type Api, KafkaError, type Writable } from '@ottla/protocol';
import { type Address, IoError, type Runtime, type Timer } from '@ottla/runtime';

export type PeerOptions = {
  readonly runtime: Pick<Runtime, 'network' | 'timers' | 'clock' | 'random'>;
  readonly address: Address;
  readonly clientId: string;
  /** For a request, the wait for the connection included, where `send` does not say otherwise. Default 30 s. */
  readonly requestTimeoutMs?: number;
  /** After a connection that failed or ended, no other is tried for so long; doubled with each failure in a row. Default 50 ms. */
  readonly reconnectBackoffMs?: number;
  readonly reconnectBackoffMaxMs?: number;
  readonly connectTimeoutMs?: number;
  /** Requests that are sent and not answered, or wait for the connection: one more is refused. */
  readonly maxRequests?: number;
  /** A larger answer closes the connection. */
  readonly maxResponseBytes?: number;
};

export type PeerSendOptions = {
  readonly timeoutMs?: number;
  /** This one. Without, it is the highest that both ends speak, within the bounds. */
  readonly version?: number;
  readonly minVersion?: number;
  readonly maxVersion?: number;
};

type Attempt = { readonly connection: Promise<BrokerConnection>; readonly cancel: (error: Error) => void };

/**
 * Another node, as this one talks to it: one connection, which is made when there is something to send, and made anew when it was lost. Requests
 * are pipelined, and answered in the order they were sent.
 */
export class Peer {
  readonly #options: PeerOptions;
  #address: Address;
  #attempt: Attempt | undefined;
  #connection: BrokerConnection | undefined;
  #requests = 0;
  #failuresInRow = 0;
  #notBeforeMs = 0;
  #isClosed = false;

  constructor(options: PeerOptions) {
    this.#options = options;
    this.#address = options.address;
  }

  get address(): Address {
    return this.#address;
  }

  /** Sent and not answered, or waiting for the connection. */
  get requestsInFlight(): number {
    return this.#requests;
  }

  /** What the node said of itself when the connection was made; undefined while there is none. */
  get apiVersions(): BrokerConnection['apiVersions'] | undefined {
    return this.isConnected ? this.#connection!.apiVersions : undefined;
  }

  get isConnected(): boolean {
    return this.#connection?.closed === false;
  }

  /**
   * Rejects with NETWORK_EXCEPTION when there is no connection to be had or it ends first, REQUEST_TIMED_OUT when the time is over, and
   * UNSUPPORTED_VERSION when the two do not speak a common version. The request must not change until the answer is here.
   */
  async send<Request, Response>(
    api: Api<Request, Response>,
    request: Writable<Request>,
    options: PeerSendOptions = {},
  ): Promise<Response> {
    const { requestTimeoutMs = 30_000, maxRequests = 1_000, runtime } = this.#options;
    if (this.#requests >= maxRequests)
      throw new KafkaError('NETWORK_EXCEPTION', `${this.#name} has ${this.#requests} requests to answer, and gets no more`);
    const deadlineMs = runtime.clock.monotonicMs() + (options.timeoutMs ?? requestTimeoutMs);
    this.#requests++;
    try {
      const connection = this.isConnected ? this.#connection! : await this.#connectedBy(deadlineMs, api.name);
      const { version, minVersion: min, maxVersion: max } = options;
      return await connection.send(api, request, {
        version: version ?? connection.versionFor(api as Api, definedOf({ min, max })),
        timeoutMs: Math.max(0, deadlineMs - runtime.clock.monotonicMs()),
      });
    } finally {
      this.#requests--;
    }
  }

  /** Where the node is to be found from now on. Requests on their way to another address are rejected with NETWORK_EXCEPTION. */
  lookAt(address: Address): void {
    if (address.host === this.#address.host && address.port === this.#address.port) return;
    this.#disconnect(`${this.#name} is now to be found at ${address.host}:${address.port}`);
    this.#address = address;
    this.#failuresInRow = 0;
    this.#notBeforeMs = 0;
  }

  /** What waits or is in flight is rejected with NETWORK_EXCEPTION, and so is what would be sent later. */
  close(): void {
    this.#isClosed = true;
    this.#disconnect(`this node talks no more to ${this.#name}`);
  }

  get #name(): string {
    return `${this.#address.host}:${this.#address.port}`;
  }

  #disconnect(why: string): void {
    this.#attempt?.cancel(new KafkaError('NETWORK_EXCEPTION', why));
    this.#attempt = undefined;
    void this.#connection?.close();
    this.#connection = undefined;
  }

  /** One attempt serves all who wait. Each gives up at its own time, and the attempt goes on for who comes next. */
  #connectedBy(deadlineMs: number, what: string): Promise<BrokerConnection> {
    if (this.#isClosed)
      throw new KafkaError('NETWORK_EXCEPTION', `this node talks no more to ${this.#name}: ${what} was not sent`);
    const { timers, clock } = this.#options.runtime;
    this.#attempt ??= this.#connectAfterBackoff();
    const { connection } = this.#attempt;
    return new Promise((resolve, reject) => {
      const timeout = timers.after(Math.max(0, deadlineMs - clock.monotonicMs()), () =>
        reject(new KafkaError('REQUEST_TIMED_OUT', `no connection to ${this.#name} in time: ${what} was not sent`)),
      );
      connection.then(resolve, reject).finally(() => timeout.cancel());
    });
  }

  #connectAfterBackoff(): Attempt {
    const { timers, clock } = this.#options.runtime;
    let wait: Timer | undefined;
    let cancel!: Attempt['cancel'];
    const connection = new Promise<BrokerConnection>((resolve, reject) => {
      const fail = (error: unknown) => {
        if (this.#attempt?.connection !== connection) return;
        this.#attempt = undefined;
        this.#backOff();
        reject(asKafkaError(error));
      };
      cancel = (error) => {
        wait?.cancel();
        reject(error);
      };
      const connect = () =>
        void this.#connect().then((made) => {
          // Called off meanwhile: the address changed, or nobody talks any more.
          if (this.#attempt?.connection !== connection) return void made.close();
          this.#attempt = undefined;
          this.#connection = made;
          this.#failuresInRow = 0;
          resolve(made);
        }, fail);
      const waitMs = this.#notBeforeMs - clock.monotonicMs();
      if (waitMs <= 0) connect();
      else wait = timers.after(waitMs, connect);
    });
    // Who waits may have given up before it fails.
    connection.catch(() => {});
    return { connection, cancel };
  }

  #connect(): Promise<BrokerConnection> {
    const { runtime, clientId, connectTimeoutMs, requestTimeoutMs, maxResponseBytes } = this.#options;
    const { network, timers, clock } = runtime;
    const address = this.#address;
    return BrokerConnection.connect({
      network,
      timers,
      clock,
      address,
      clientId,
      ...definedOf({ connectTimeoutMs, requestTimeoutMs, maxResponseBytes }),
      onClose: () => {
        if (address === this.#address) this.#backOff();
      },
    });
  }

  /** With some randomness, so that the nodes of a cluster do not all knock at once. */
  #backOff(): void {
    const { runtime, reconnectBackoffMs = 50, reconnectBackoffMaxMs = 1_000 } = this.#options;
    const backoffMs = Math.min(reconnectBackoffMs * 2 ** this.#failuresInRow, reconnectBackoffMaxMs);
    this.#failuresInRow = Math.min(this.#failuresInRow + 1, 20);
    this.#notBeforeMs = runtime.clock.monotonicMs() + backoffMs * (0.8 + 0.4 * runtime.random.fraction());
  }
}

function asKafkaError(error: unknown): Error {
  if (!(error instanceof IoError)) return error as Error;
  return new KafkaError('NETWORK_EXCEPTION', error.message, { cause: error });
}

type Defined<T> = { [Name in keyof T]: Exclude<T[Name], undefined> };

/** Without the properties that are undefined. */
function definedOf<T extends object>(options: T): Partial<Defined<T>> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<Defined<T>>;
}
