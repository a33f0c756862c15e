import {
  type Api,
  ApiVersions,
  type ApiVersionsResponse,
  errorName,
  errors,
  KafkaError,
  Reader,
  readResponseHeader,
  type Writable,
  Writer,
  writeRequestHeader,
} from '@ottla/protocol';
import type { Address, Clock, Network, Socket, Timer, Timers } from '@ottla/runtime';
import { ApiRanges } from './api-ranges.ts';
import { FrameCutter } from './frame-cutter.ts';
import { type FrameParts, packFrames } from './outgoing-frames.ts';

export type BrokerConnectionOptions = {
  readonly network: Network;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly address: Address;
  readonly clientId: string | null;
  /** What ApiVersions tells the broker about us (KIP-511). */
  readonly clientSoftware?: { readonly name: string; readonly version: string };
  /** For TCP and the ApiVersions handshake together (`socket.connection.setup.timeout.ms`). */
  readonly connectTimeoutMs?: number;
  /** `request.timeout.ms`. */
  readonly requestTimeoutMs?: number;
  /** A larger response closes the connection. */
  readonly maxResponseBytes?: number;
  /** Called once when an established connection ends, for whatever reason. */
  readonly onClose?: (error?: Error) => void;
};

export type SendOptions = {
  /** The highest that both speak unless said otherwise. */
  readonly version?: number;
  readonly timeoutMs?: number;
};

type Pending = {
  readonly api: Api;
  readonly version: number;
  readonly correlationId: number;
  readonly sentMs: number;
  readonly deadlineMs: number;
  readonly resolve: (response: never) => void;
  readonly reject: (error: Error) => void;
};

/** A request that is not answered, until the system has taken it. */
type Leaving = Pick<Pending, 'api' | 'deadlineMs' | 'reject'> & { readonly resolve: () => void };

/** The client's end of a connection: requests are pipelined, and answered in the order they were sent. */
export class BrokerConnection {
  readonly address: Address;
  /** What the broker said about itself: its APIs, and the features of its cluster. */
  apiVersions!: ApiVersionsResponse;

  readonly #options: BrokerConnectionOptions;
  readonly #socket: Socket;
  readonly #cutter: FrameCutter;
  /** In the order sent, which is the order of the answers. */
  readonly #pending: Pending[] = [];
  #unsent: FrameParts[] = [];
  /** Some of them still wait for this turn's write. */
  readonly #leaving = new Set<Leaving>();
  #ranges: ApiRanges | undefined;
  #nextCorrelationId = 0;
  #timeout: Timer | undefined;
  #timeoutAtMs = Number.POSITIVE_INFINITY;
  #ending: (() => void) | undefined;
  #closed = false;
  #heardMs = Number.NEGATIVE_INFINITY;

  /** Connects, and agrees on versions. Rejects with IoError, or NETWORK_EXCEPTION, UNSUPPORTED_VERSION or REQUEST_TIMED_OUT. */
  static async connect(options: BrokerConnectionOptions): Promise<BrokerConnection> {
    const { network, clock, address, connectTimeoutMs = 10_000 } = options;
    const deadlineMs = clock.monotonicMs() + connectTimeoutMs;
    const connection = new BrokerConnection(options, await network.connect(address, { timeoutMs: connectTimeoutMs }));
    try {
      await connection.#agreeOnVersions(deadlineMs);
    } catch (error) {
      connection.#close(error as Error);
      throw error;
    }
    return connection;
  }

  private constructor(options: BrokerConnectionOptions, socket: Socket) {
    this.address = options.address;
    this.#options = options;
    this.#socket = socket;
    this.#cutter = new FrameCutter(options.maxResponseBytes ?? 1 << 30);
    socket.onData = (chunk) => this.#received(chunk);
    socket.onClose = (error) => this.#close(error);
  }

  get closed(): boolean {
    return this.#closed;
  }

  get requestsInFlight(): number {
    return this.#pending.length;
  }

  /** How long the broker has owed an answer without a sign of life; 0 while it owes none. */
  get silentMs(): number {
    const [oldest] = this.#pending;
    return oldest ? this.#options.clock.monotonicMs() - Math.max(oldest.sentMs, this.#heardMs) : 0;
  }

  /** Bytes of requests that the system has not taken yet. */
  get queuedBytes(): number {
    return this.#socket.queuedBytes;
  }

  /** The highest version that both speak, within the bounds. Throws UNSUPPORTED_VERSION. */
  versionFor(api: Api, bounds?: { min?: number; max?: number }): number {
    return this.#ranges!.versionFor(api, bounds);
  }

  offers(api: Api): boolean {
    return this.#ranges!.offers(api);
  }

  /**
   * Rejects with NETWORK_EXCEPTION when the connection ends first, with REQUEST_TIMED_OUT after the timeout (which closes the
   * connection, for later answers are stuck behind this one), and with what encoding or decoding throws. Byte fields of the
   * request must not change until the answer is here.
   */
  send<Request, Response>(api: Api<Request, Response>, request: Writable<Request>, options: SendOptions = {}): Promise<Response> {
    const { requestTimeoutMs = 30_000, clock } = this.#options;
    const sentMs = clock.monotonicMs();
    const deadlineMs = sentMs + (options.timeoutMs ?? requestTimeoutMs);
    return new Promise<Response>((resolve, reject) => {
      this.#assertOpen(api);
      const version = options.version ?? this.versionFor(api as Api);
      const correlationId = this.#enqueue(api as Api, request as object, version);
      this.#pending.push({ api: api as Api, version, correlationId, sentMs, deadlineMs, resolve, reject });
      this.#wakeAt(deadlineMs);
    });
  }

  /**
   * For requests that the broker does not answer: Produce with acks=0. Resolves when the system has taken it, so that who waits is not ahead of
   * a connection that takes nothing; rejects as `send` does.
   */
  sendNoResponse<Request, Response>(
    api: Api<Request, Response>,
    request: Writable<Request>,
    options: SendOptions = {},
  ): Promise<void> {
    const { requestTimeoutMs = 30_000, clock } = this.#options;
    const deadlineMs = clock.monotonicMs() + (options.timeoutMs ?? requestTimeoutMs);
    return new Promise<void>((resolve, reject) => {
      this.#assertOpen(api);
      this.#enqueue(api as Api, request as object, options.version ?? this.versionFor(api as Api));
      this.#leaving.add({ api: api as Api, deadlineMs, resolve, reject });
      this.#wakeAt(deadlineMs);
    });
  }

  /** Sends nothing more; requests in flight have `graceMs` to be answered, the rest is rejected with NETWORK_EXCEPTION. */
  async close(graceMs = 0): Promise<void> {
    if (this.#closed) return;
    if (graceMs > 0 && this.#pending.length > 0) {
      await new Promise<void>((resolve) => {
        const deadline = this.#options.timers.after(graceMs, resolve);
        this.#ending = () => {
          deadline.cancel();
          resolve();
        };
      });
    }
    // The last requests without an answer may still wait for this turn's write.
    this.#flush();
    this.#close();
  }

  /** Closes at once; requests in flight are rejected with NETWORK_EXCEPTION, and what has not left never does. */
  giveUp(why: Error): void {
    this.#close(why);
  }

  /** The broker may be older than this client: it then answers in version 0, with the range of ApiVersions it speaks. */
  async #agreeOnVersions(deadlineMs: number): Promise<void> {
    const { clientSoftware = { name: 'ottla', version: '0.1.0' }, clock } = this.#options;
    const request = { clientSoftwareName: clientSoftware.name, clientSoftwareVersion: clientSoftware.version };
    let version = ApiVersions.maxVersion;
    for (;;) {
      const timeoutMs = Math.max(0, deadlineMs - clock.monotonicMs());
      const response = await this.send(ApiVersions, request, { version, timeoutMs });
      if (response.errorCode === 0) {
        this.apiVersions = response;
        this.#ranges = new ApiRanges(this.#name, response.apiKeys);
        return;
      }
      const theirs = response.apiKeys.find(({ apiKey }) => apiKey === ApiVersions.apiKey);
      const next = Math.min(version - 1, theirs?.maxVersion ?? 0);
      if (response.errorCode !== errors.UNSUPPORTED_VERSION.code || next < (theirs?.minVersion ?? 0)) {
        throw new KafkaError(errorName(response.errorCode), `${this.#name} refused ApiVersions version ${version}`);
      }
      version = next;
    }
  }

  get #name(): string {
    return `${this.address.host}:${this.address.port}`;
  }

  #assertOpen(api: { readonly name: string }): void {
    if (this.#closed || this.#ending) throw this.#lost(`${api.name} was not sent`);
  }

  /** Frames the request, to leave with all others of this turn; returns its correlation id. */
  #enqueue(api: Api, request: object, version: number): number {
    const correlationId = this.#nextCorrelationId;
    this.#nextCorrelationId = (correlationId + 1) & 0x7fff_ffff;
    const writer = new Writer();
    writeRequestHeader(writer, api, version, correlationId, this.#options.clientId);
    api.request.write(writer, request, version);
    if (this.#unsent.length === 0) process.nextTick(this.#flush);
    this.#unsent.push(writer.chunks());
    return correlationId;
  }

  readonly #flush = (): void => {
    if (this.#closed || this.#unsent.length === 0) return;
    const frames = packFrames(this.#unsent);
    this.#unsent = [];
    if (this.#leaving.size === 0) this.#socket.write(frames);
    else {
      const leaving = [...this.#leaving];
      this.#socket.write(frames, () => this.#left(leaving));
    }
  };

  #left(leaving: readonly Leaving[]): void {
    for (const one of leaving) {
      this.#leaving.delete(one);
      one.resolve();
    }
  }

  #received(chunk: Uint8Array): void {
    this.#heardMs = this.#options.clock.monotonicMs();
    this.#cutter.feed(chunk);
    try {
      for (let frame = this.#cutter.next(); frame && !this.#closed; frame = this.#cutter.next()) this.#answered(frame);
      this.#cutter.keep();
    } catch (error) {
      this.#close(error as Error);
    }
  }

  /** Throws where the stream makes no sense any more. */
  #answered(frame: Uint8Array): void {
    const pending = this.#pending[0];
    if (!pending) throw new Error('an answer came although nothing was asked');
    const reader = new Reader(frame);
    const correlationId = readResponseHeader(reader, pending.api, pending.version);
    if (correlationId !== pending.correlationId) {
      throw new Error(`the answer to request ${pending.correlationId} has correlation id ${correlationId}`);
    }
    const response = readResponse(pending.api, frame.subarray(reader.offset), pending.version);
    this.#pending.shift();
    pending.resolve(response as never);
    if (this.#pending.length === 0) this.#ending?.();
  }

  /** One timer serves all requests: it waits for the earliest deadline it was told of. */
  #wakeAt(deadlineMs: number): void {
    if (deadlineMs >= this.#timeoutAtMs) return;
    const { timers, clock } = this.#options;
    this.#timeout?.cancel();
    this.#timeoutAtMs = deadlineMs;
    this.#timeout = timers.after(Math.max(0, deadlineMs - clock.monotonicMs()), () => this.#closeIfOverdue());
  }

  #closeIfOverdue(): void {
    this.#timeoutAtMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#options.clock.monotonicMs();
    const waiting = [...this.#pending, ...this.#leaving];
    const overdue = waiting.find(({ deadlineMs }) => deadlineMs <= nowMs);
    if (overdue) {
      const error = new KafkaError('REQUEST_TIMED_OUT', `${this.#name} did not answer ${overdue.api.name} in time`);
      overdue.reject(error);
      this.#close(error);
    } else if (waiting.length > 0) {
      this.#wakeAt(Math.min(...waiting.map(({ deadlineMs }) => deadlineMs)));
    }
  }

  #close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timeout?.cancel();
    this.#ending?.();
    // Errors of the stream cut the connection; an orderly end lets what was written go out.
    if (error) this.#socket.destroy();
    else this.#socket.end();
    for (const { api, reject } of this.#pending.splice(0)) reject(this.#lost(`${api.name} was not answered`, error));
    if (error) for (const { api, reject } of this.#leaving) reject(this.#lost(`${api.name} was not sent`, error));
    if (this.#ranges) this.#options.onClose?.(error);
  }

  #lost(what: string, cause?: Error): KafkaError {
    const why = cause ? `: ${cause.message}` : '';
    return new KafkaError('NETWORK_EXCEPTION', `the connection to ${this.#name} is closed, ${what}${why}`, { cause });
  }
}

function readResponse(api: Api, body: Uint8Array, version: number): object {
  // A broker that does not know the version answers in the oldest form; the error code comes first in all of them.
  const isOldest = (api as object) === ApiVersions && new Reader(body).int16() === errors.UNSUPPORTED_VERSION.code;
  return api.response.read(new Reader(body), isOldest ? 0 : version);
}
