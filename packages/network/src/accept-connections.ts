import type { Address, Clock, Listener, Logger, Network, Socket, Timer, Timers } from '@ottla/runtime';
import { ConnectionQuota } from './connection-quota.ts';
import { FrameBuffers } from './frame-buffers.ts';
import { type ConnectionLimits, type RequestHandler, ServerConnection } from './server-connection.ts';

export type ListenerLimits = ConnectionLimits & {
  /** A connection without traffic and without requests in flight is closed after it (`connections.max.idle.ms`); -1 never. */
  readonly idleMs: number;
  /** Connections that may wait for another to close; further ones are closed at once (`socket.listen.backlog.size`). */
  readonly maxWaitingConnections: number;
};

/** Kafka's where Kafka has one. */
export const defaultListenerLimits: ListenerLimits = {
  maxFrameBytes: 104_857_600,
  maxRequestsInFlight: 64,
  maxRequestBytesInFlight: 32 << 20,
  maxQueuedBytes: 1 << 20,
  idleMs: 600_000,
  maxWaitingConnections: 50,
};

export type AcceptOptions = {
  readonly network: Network;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly address: Address;
  readonly listenerName: string;
  /** What is absent has its default. */
  readonly limits?: Partial<ListenerLimits>;
  /** Shared by the listeners of a broker; without one nothing is limited. */
  readonly quota?: ConnectionQuota;
  readonly onRequest: RequestHandler;
  /** Called after the requests at hand were given to `onRequest`, before the bytes of their frames are used again. */
  readonly onRequestsTaken?: (connection: ServerConnection) => void;
  readonly onOpen?: (connection: ServerConnection) => void;
  /** Once per opened connection; `error` is present if its end was not orderly. */
  readonly onClose?: (connection: ServerConnection, error?: Error) => void;
};

/** Listens, and hands the requests of all connections to `onRequest`. Rejects with IoError (EADDRINUSE …). */
export async function acceptConnections(options: AcceptOptions): Promise<ServerListener> {
  const server = new ServerListener(options);
  await server.listen();
  return server;
}

export class ServerListener {
  readonly listenerName: string;
  readonly #options: AcceptOptions;
  readonly #limits: ListenerLimits;
  readonly #quota: ConnectionQuota;
  readonly #connections = new Set<ServerConnection>();
  readonly #queued = { bytes: 0 };
  readonly #frameBuffers = new FrameBuffers();
  /** Accepted but not read from: the quota has no room for them yet. In the order in which they came. */
  readonly #waiting = new Set<Socket>();
  /** Of those that wait, the one that the quota knows to have come. */
  #arrived: Socket | undefined;
  #isAdmitting = false;
  /** Runs while connections come too fast: until then none is let in. */
  #pause: Timer | undefined;
  /** Came too fast from one address, and are closed when their time is over. */
  readonly #closingLate = new Map<Socket, Timer>();
  #listener: Listener | undefined;
  #nextConnectionId = 0;
  #idleSweep: Timer | undefined;
  #closing = false;
  #onEmpty: (() => void) | undefined;

  constructor(options: AcceptOptions) {
    this.#options = options;
    this.listenerName = options.listenerName;
    this.#limits = { ...defaultListenerLimits, ...options.limits };
    this.#quota = options.quota ?? new ConnectionQuota();
  }

  /** For acceptConnections. */
  async listen(): Promise<void> {
    const { network, address } = this.#options;
    this.#listener = await network.listen(address, (socket) => this.#accepted(socket));
    this.#quota.join(this);
    this.#scheduleIdleSweep(this.#limits.idleMs);
  }

  /** With the real port. */
  get address(): Address {
    return this.#listener!.address;
  }

  get connections(): ReadonlySet<ServerConnection> {
    return this.#connections;
  }

  /** Stops accepting and reading; requests in flight have `graceMs` to be answered. Resolves when all connections are closed. */
  async close(graceMs = 0): Promise<void> {
    this.#closing = true;
    this.#idleSweep?.cancel();
    this.#quota.leave(this);
    await this.#listener?.close();
    this.#pause?.cancel();
    for (const socket of this.#waiting) socket.destroy();
    this.#waiting.clear();
    for (const [socket, timer] of this.#closingLate) {
      timer.cancel();
      socket.destroy();
    }
    this.#closingLate.clear();
    for (const connection of this.#connections) connection.end();
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const deadline = this.#options.timers.after(graceMs, () => {
        for (const connection of this.#connections) connection.close();
      });
      this.#onEmpty = () => {
        deadline.cancel();
        resolve();
      };
    });
  }

  /** For the quota. */
  roomMayHaveCome(): void {
    // Letting one in may close another, which makes room: the loop below comes to that.
    if (this.#isAdmitting) return;
    this.#isAdmitting = true;
    for (const socket of this.#waiting) if (!this.#admit(socket)) break;
    this.#isAdmitting = false;
  }

  /** For the quota. */
  closeLeastRecentlyUsed(): void {
    let oldest: ServerConnection | undefined;
    for (const connection of this.#connections) {
      if (!oldest || connection.lastActiveMs < oldest.lastActiveMs) oldest = connection;
    }
    oldest?.close();
  }

  #accepted(socket: Socket): void {
    if (this.#closing) {
      socket.destroy();
      return;
    }
    socket.pause();
    socket.onClose = () => this.#waiting.delete(socket);
    this.#waiting.add(socket);
    this.roomMayHaveCome();
    if (this.#waiting.has(socket) && this.#waiting.size > this.#limits.maxWaitingConnections) {
      this.#waiting.delete(socket);
      this.#refuse(socket);
    }
  }

  /** Whether the connection need wait no longer: it was let in, or turned away. */
  #admit(socket: Socket): boolean {
    if (!this.#mayTry(socket)) return false;
    const outcome = this.#quota.open(this.listenerName, socket.remote.host, this.#options.clock.monotonicMs());
    if (outcome === 'wait') return false;
    this.#waiting.delete(socket);
    this.#arrived = undefined;
    if (outcome === 'opened') {
      this.#open(socket);
      socket.resume();
    } else if (outcome === 'refused') this.#refuse(socket);
    else this.#closeLate(socket, outcome.tooFastMs);
    return true;
  }

  /** No connection is let in while they come too fast; each counts once, when its turn has come. */
  #mayTry(socket: Socket): boolean {
    if (!this.#pause && this.#arrived !== socket) {
      this.#arrived = socket;
      const throttleMs = this.#quota.arrived(this.listenerName, this.#options.clock.monotonicMs());
      if (throttleMs > 0) {
        this.#pause = this.#options.timers.after(throttleMs, () => {
          this.#pause = undefined;
          this.roomMayHaveCome();
        });
      }
    }
    return this.#pause === undefined;
  }

  #closeLate(socket: Socket, afterMs: number): void {
    if (this.#closingLate.size >= this.#limits.maxWaitingConnections) {
      this.#refuse(socket);
      return;
    }
    const { timers, logger } = this.#options;
    logger.debug('connections come too fast from one address', { listener: this.listenerName, remote: socket.remote.host });
    const forget = (): void => {
      this.#closingLate.get(socket)?.cancel();
      this.#closingLate.delete(socket);
    };
    const close = (): void => {
      forget();
      socket.destroy();
    };
    this.#closingLate.set(socket, timers.after(afterMs, close));
    socket.onClose = forget;
  }

  #refuse(socket: Socket): void {
    this.#options.logger.info('refusing a connection: there are too many', {
      listener: this.listenerName,
      remote: socket.remote.host,
      limitOfAddress: this.#quota.maxOfIp(socket.remote.host),
    });
    socket.destroy();
  }

  #open(socket: Socket): void {
    const { clock, timers, logger, onRequest, onRequestsTaken = nothing, onOpen } = this.#options;
    const connection = new ServerConnection(this.#nextConnectionId++, this.listenerName, socket, {
      clock,
      timers,
      logger,
      limits: this.#limits,
      onRequest,
      onRequestsTaken,
      onClose: (closed, error) => this.#closed(closed, error),
      queued: this.#queued,
      frameBuffers: this.#frameBuffers,
    });
    this.#connections.add(connection);
    logger.debug('connection opened', { listener: this.listenerName, remote: `${socket.remote.host}:${socket.remote.port}` });
    onOpen?.(connection);
  }

  #closed(connection: ServerConnection, error: Error | undefined): void {
    this.#connections.delete(connection);
    const { logger, onClose } = this.#options;
    logger.debug('connection closed', {
      listener: this.listenerName,
      remote: `${connection.remote.host}:${connection.remote.port}`,
      error,
    });
    onClose?.(connection, error);
    this.#quota.close(this.listenerName, connection.remote.host);
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  /** One timer for all connections: it wakes when the one that is idle for longest may be due, but not more often than need be. */
  #scheduleIdleSweep(inMs: number): void {
    const { idleMs } = this.#limits;
    if (idleMs < 0 || this.#closing) return;
    const leastMs = idleMs / idleSweepsPerPeriod;
    this.#idleSweep = this.#options.timers.after(Math.max(inMs, leastMs), () => this.#closeIdle());
  }

  #closeIdle(): void {
    const { idleMs } = this.#limits;
    const nowMs = this.#options.clock.monotonicMs();
    let nextInMs = idleMs;
    for (const connection of this.#connections) {
      const leftMs = connection.lastActiveMs + idleMs - nowMs;
      if (leftMs > 0) nextInMs = Math.min(nextInMs, leftMs);
      else if (connection.requestsInFlight === 0) connection.close();
    }
    this.#scheduleIdleSweep(nextInMs);
  }
}

const idleSweepsPerPeriod = 100;

function nothing(): void {}
