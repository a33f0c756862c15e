import net from 'node:net';
import { IoError } from '../files.ts';
import type { Address, Listener, Network, Socket } from '../network.ts';
import { meaningOf } from './system-error.ts';

/** Large enough for a batch of the usual size with several requests behind it, small enough to stay in the processor's cache. */
const receiveBufferBytes = 128 * 1024;

/** TCP of this machine. */
export class NodeNetwork implements Network {
  /** What arrives at any socket lands here: Node.js reads, and calls back, one socket after the other. */
  readonly #receiveBuffer = new Uint8Array(receiveBufferBytes);

  listen(address: Address, onSocket: (socket: Socket) => void): Promise<Listener> {
    return new Promise((resolve, reject) => {
      const server = net.createServer({ noDelay: true, pauseOnConnect: true });
      server.on('connection', (accepted) => {
        const socket = acceptedSocket(accepted, this.#receiveBuffer);
        onSocket(socket);
        socket.start();
      });
      server.once('error', (error) => reject(ioError('listen on', address, error)));
      // Without a host Node.js takes IPv6 and IPv4, or what of them the machine has.
      const host = address.host === '::' ? undefined : address.host || undefined;
      server.listen({ host, port: address.port, backlog: 511 }, () => {
        server.removeAllListeners('error');
        // A failed accept (EMFILE) reaches here later; the connection was refused, and the listener goes on.
        server.on('error', () => {});
        resolve(new NodeListener(server, address.host));
      });
    });
  }

  connect(address: Address, options: { timeoutMs?: number } = {}): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const inlet = new Inlet(this.#receiveBuffer);
      const raw = net.connect({ host: address.host, port: address.port, noDelay: true, onread: inlet });
      raw.pause();
      const timeout =
        options.timeoutMs === undefined
          ? undefined
          : setTimeout(() => {
              raw.destroy(Object.assign(new Error(`no answer within ${options.timeoutMs} ms`), { code: 'ETIMEDOUT' }));
            }, options.timeoutMs);
      const fail = (error: Error) => {
        clearTimeout(timeout);
        reject(ioError('connect to', address, error));
      };
      raw.once('error', fail);
      raw.once('connect', () => {
        clearTimeout(timeout);
        raw.off('error', fail);
        const socket = new NodeSocket(raw, inlet);
        resolve(socket);
        // The owner's continuation runs as a microtask, before this: it has set its handlers by then.
        setImmediate(() => socket.start());
      });
    });
  }
}

class NodeListener implements Listener {
  readonly address: Address;
  readonly #server: net.Server;

  constructor(server: net.Server, host: string) {
    this.#server = server;
    const bound = server.address() as net.AddressInfo;
    this.address = { host: host || bound.address, port: bound.port };
  }

  close(): Promise<void> {
    // net.Server calls back only once the last open socket is gone too; accepting stops at once.
    this.#server.close();
    return Promise.resolve();
  }
}

/** Node.js wants to know where a socket's data goes before there is a socket. */
class Inlet implements net.OnReadOpts {
  readonly buffer: Uint8Array;
  socket: NodeSocket | undefined;

  constructor(buffer: Uint8Array) {
    this.buffer = buffer;
  }

  readonly callback = (length: number): boolean => {
    this.socket?.onData(this.buffer.subarray(0, length));
    return true;
  };
}

/** What Node.js has inside a socket: not documented, but its own cluster, TLS and child processes make sockets of it in this way. */
type SocketHandle = { readStart(): number; readonly onread: unknown };
type SocketOfHandle = new (
  options: Omit<net.SocketConstructorOpts, 'handle'> & { handle: SocketHandle; manualStart: boolean },
) => net.Socket;

/**
 * Only a socket that this side connects can be told to read into a buffer of ours, so an accepted one's handle moves into a socket that
 * was told. Where that cannot be done, each chunk comes in memory of its own.
 */
function acceptedSocket(accepted: net.Socket, receiveBuffer: Uint8Array): NodeSocket {
  const owner = accepted as unknown as { _handle?: SocketHandle | null };
  const handle = owner._handle;
  if (typeof handle?.readStart !== 'function' || !('onread' in handle)) return new NodeSocket(accepted);
  const inlet = new Inlet(receiveBuffer);
  owner._handle = null;
  return new NodeSocket(new (net.Socket as unknown as SocketOfHandle)({ handle, onread: inlet, manualStart: true }), inlet);
}

class NodeSocket implements Socket {
  readonly remote: Address;
  readonly local: Address;
  onData: (chunk: Uint8Array) => void = ignore;
  onClose: (error?: Error) => void = ignore;
  onDrain: () => void = ignore;
  readonly #raw: net.Socket;
  readonly #hasInlet: boolean;
  #error: Error | undefined;
  #started = false;
  #paused = false;

  /** Without an inlet it takes the chunks that Node.js makes. */
  constructor(raw: net.Socket, inlet?: Inlet) {
    this.#raw = raw;
    this.#hasInlet = inlet !== undefined;
    if (inlet) inlet.socket = this;
    this.remote = { host: plainHost(raw.remoteAddress), port: raw.remotePort ?? 0 };
    this.local = { host: plainHost(raw.localAddress), port: raw.localPort ?? 0 };
    raw.on('error', (error) => {
      this.#error = ioError('connection with', this.remote, error);
    });
    raw.on('close', () => this.onClose(this.#error));
    raw.on('drain', () => this.onDrain());
  }

  start(): void {
    this.#started = true;
    if (!this.#hasInlet) this.#raw.on('data', (chunk: Buffer) => this.onData(chunk));
    if (this.#paused) this.#raw.pause();
    else this.#raw.resume();
  }

  get queuedBytes(): number {
    return this.#raw.writableLength;
  }

  write(parts: readonly Uint8Array[], onSent?: () => void): boolean {
    const raw = this.#raw;
    // A peer may be gone before its owner hears of it; that is onClose's news to tell.
    if (!raw.writable || parts.length === 0) {
      if (onSent) process.nextTick(onSent);
      return true;
    }
    const last = parts.length - 1;
    if (last === 0) return raw.write(parts[0]!, onSent && (() => onSent()));
    raw.cork();
    for (let index = 0; index < last; index++) raw.write(parts[index]!);
    // Node.js writes in order, and calls back for a write under way when a closed socket's handle is done with it: not before.
    const isRoomy = raw.write(parts[last]!, onSent && (() => onSent()));
    raw.uncork();
    return isRoomy;
  }

  pause(): void {
    this.#paused = true;
    if (this.#started) this.#raw.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#started) this.#raw.resume();
  }

  end(): void {
    this.#raw.destroySoon();
  }

  destroy(): void {
    this.#raw.destroy();
  }
}

/** An IPv4 address that came in through an IPv6 socket (`::ffff:10.0.0.1`) is written as IPv4, as Java does. */
function plainHost(host = ''): string {
  return host.startsWith('::ffff:') && host.includes('.') ? host.slice('::ffff:'.length) : host;
}

function ignore(): void {}

function ioError(operation: string, address: Address, cause: Error): IoError {
  const path = `${address.host}:${address.port}`;
  const code = (cause as NodeJS.ErrnoException).code ?? 'EIO';
  return new IoError(`${operation} ${path}: ${meaningOf(cause)}`, { code, path, cause });
}
