import type { Address, Listener, Network, Socket } from '../network.ts';
import { ioError } from './io-error.ts';
import type { ProcessGate } from './process-gate.ts';
import { Lane, type Wires } from './wires.ts';

type AcceptingPort = { readonly owner: MemoryNetwork; readonly onSocket: (socket: Socket) => void };

/** The hosts of a simulated world and who listens where. */
export class MemoryHosts {
  readonly wires: Wires;
  readonly #hosts = new Set<string>();
  readonly #ports = new Map<string, AcceptingPort>();
  readonly #sockets = new Set<MemorySocket>();
  #nextPort = 32_768;

  constructor(wires: Wires) {
    this.wires = wires;
  }

  add(host: string): void {
    this.#hosts.add(host);
  }

  has(host: string): boolean {
    return this.#hosts.has(host);
  }

  freePort(): number {
    return this.#nextPort++;
  }

  accepting(address: Address): AcceptingPort | undefined {
    return this.#ports.get(keyOf(address));
  }

  open(address: Address, port: AcceptingPort): void {
    this.#ports.set(keyOf(address), port);
  }

  close(address: Address, owner: MemoryNetwork): void {
    if (this.#ports.get(keyOf(address))?.owner === owner) this.#ports.delete(keyOf(address));
  }

  opened(socket: MemorySocket): void {
    this.#sockets.add(socket);
  }

  closed(socket: MemorySocket): void {
    this.#sockets.delete(socket);
  }

  /** Both ends of the connections between the two hosts hear of a reset. */
  dropConnections(one: string, other: string): void {
    for (const socket of [...this.#sockets]) {
      const ends = [socket.local.host, socket.remote.host];
      if (ends.includes(one) && ends.includes(other)) socket.reset();
    }
  }

  /** The ends at `host` of its connections with `other` are gone, and `other` hears of it only when it sends something. */
  loseEnds(host: string, other: string): void {
    for (const socket of [...this.#sockets]) {
      if (socket.local.host === host && socket.remote.host === other) socket.loseEnd('ECONNRESET');
    }
  }

  /** A process ends. Its peers hear of it if the machine goes on, and otherwise nothing. */
  abandon(owner: MemoryNetwork, peersHear: boolean): void {
    for (const [key, port] of this.#ports) if (port.owner === owner) this.#ports.delete(key);
    for (const socket of [...this.#sockets]) if (socket.owner === owner) socket.abandon(peersHear);
  }
}

/** What one process on a simulated host sees of the network. */
export class MemoryNetwork implements Network {
  /** All that the process is called back with goes through it. */
  readonly gate: ProcessGate;
  readonly #hosts: MemoryHosts;
  readonly #host: string;
  #dead = false;

  constructor(hosts: MemoryHosts, host: string, gate: ProcessGate) {
    this.#hosts = hosts;
    this.#host = host;
    this.gate = gate;
    hosts.add(host);
  }

  async listen(address: Address, onSocket: (socket: Socket) => void): Promise<Listener> {
    const local = { host: this.#resolve(address.host), port: address.port || this.#hosts.freePort() };
    if (this.#hosts.accepting(local)) throw ioError('listen on', keyOf(address), 'EADDRINUSE');
    this.#hosts.open(local, { owner: this, onSocket });
    return {
      address: { host: address.host || this.#host, port: local.port },
      close: async () => this.#hosts.close(local, this),
    };
  }

  connect(address: Address, options: { timeoutMs?: number } = {}): Promise<Socket> {
    const hosts = this.#hosts;
    const remote = { host: this.#resolve(address.host), port: address.port };
    const local = { host: this.#host, port: hosts.freePort() };
    if (!hosts.has(remote.host)) return Promise.reject(ioError('connect to', keyOf(address), 'EHOSTUNREACH'));
    return new Promise((resolve, reject) => {
      let waiting = true;
      const settle = (outcome: () => void) => {
        if (waiting && !this.#dead) outcome();
        waiting = false;
        timeout.cancel();
      };
      const timeoutMs = options.timeoutMs ?? systemConnectTimeoutMs;
      const fail = (code: string) => this.gate.pass(() => settle(() => reject(ioError('connect to', keyOf(address), code))));
      const timeout = hosts.wires.time.after(timeoutMs, () => fail('ETIMEDOUT'));
      const there = new Lane(hosts.wires, local.host, remote.host);
      const back = new Lane(hosts.wires, remote.host, local.host);
      there.send(() => {
        const port = hosts.accepting(remote);
        hosts.wires.trace.record(`${keyOf(local)}>${keyOf(remote)} ${port ? 'connect' : 'refused'}`);
        if (!port) {
          back.send(() => fail('ECONNREFUSED'));
          return;
        }
        const client = new MemorySocket(hosts, this, local, remote, there);
        const server = new MemorySocket(hosts, port.owner, remote, local, back);
        client.peer = server;
        server.peer = client;
        // Sent before the server can send anything itself, so the client is there when data comes.
        back.send(() => {
          this.gate.pass(() => {
            if (!waiting) {
              client.abandon(true);
              return;
            }
            settle(() => resolve(client));
            hosts.wires.time.soon(() => client.start());
          });
          if (this.#dead) client.abandon(true);
        });
        // The system accepts it, also while the process is stopped.
        port.owner.gate.pass(() => {
          port.onSocket(server);
          server.start();
        });
      });
    });
  }

  /** The process that used it ended. */
  abandon(peersHear: boolean): void {
    this.#dead = true;
    this.#hosts.abandon(this, peersHear);
  }

  #resolve(host: string): string {
    return ownNames.has(host) ? this.#host : host;
  }
}

const ownNames = new Set(['', '0.0.0.0', '::', '127.0.0.1', '::1', 'localhost']);
const systemConnectTimeoutMs = 130_000;
/** What the system takes from a writer beyond what the reader has read, and what Node.js queues before `write` says false. */
const windowBytes = 64 * 1024;
const longQueueBytes = 64 * 1024;
const usedUp = 0xdb;

const noBytes = new Uint8Array(0);

/** What is left of a part; one without bytes marks the end of a write. */
type Outgoing = { bytes: Uint8Array; readonly onSent: (() => void) | undefined };

class MemorySocket implements Socket {
  readonly owner: MemoryNetwork;
  readonly local: Address;
  readonly remote: Address;
  onData: (chunk: Uint8Array) => void = ignore;
  onClose: (error?: Error) => void = ignore;
  onDrain: () => void = ignore;
  peer!: MemorySocket;

  readonly #hosts: MemoryHosts;
  readonly #lane: Lane;
  /** Written and not taken by the system: the writer's own bytes, which it must not change yet. */
  readonly #queue: Outgoing[] = [];
  #queuedBytes = 0;
  /** Taken by the system and not yet read by the peer. */
  #windowUsed = 0;
  #drainWanted = false;
  /** Arrived while paused; undefined is the end of the stream. */
  readonly #inbox: (Uint8Array | undefined)[] = [];
  #started = false;
  #paused = false;
  #delivering = false;
  #waitsForProcess = false;
  #ending = false;
  #closed = false;
  #isAbandoned = false;

  constructor(hosts: MemoryHosts, owner: MemoryNetwork, local: Address, remote: Address, lane: Lane) {
    this.#hosts = hosts;
    this.owner = owner;
    this.local = local;
    this.remote = remote;
    this.#lane = lane;
    lane.onGivenUp = () => this.loseEnd('ETIMEDOUT');
    hosts.opened(this);
  }

  start(): void {
    this.#started = true;
    this.#deliver();
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  write(parts: readonly Uint8Array[], onSent?: () => void): boolean {
    if (this.#closed || this.#ending) {
      this.#tellSent(onSent);
      return true;
    }
    for (const part of parts) {
      this.#queue.push({ bytes: part, onSent: undefined });
      this.#queuedBytes += part.length;
    }
    if (onSent) this.#queue.push({ bytes: noBytes, onSent });
    this.#fillWindow();
    this.#drainWanted ||= this.#queuedBytes >= longQueueBytes;
    return this.#queuedBytes < longQueueBytes;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#hosts.wires.time.soon(() => this.#deliver());
  }

  end(): void {
    this.#ending = true;
    this.#endIfSent();
  }

  destroy(): void {
    if (this.#closed) return;
    this.#send(() => this.peer.#arrive(undefined));
    this.#close();
  }

  /** Both ends hear of it at once, as when something between them sends resets. */
  reset(): void {
    this.#close(ioError('connection with', keyOf(this.remote), 'ECONNRESET'));
    this.peer.#close(ioError('connection with', keyOf(this.local), 'ECONNRESET'));
  }

  /** This end is gone, and the other hears nothing until it sends. */
  loseEnd(code: string): void {
    this.#close(ioError('connection with', keyOf(this.remote), code));
  }

  /** Its process ended: nobody is called back any more. */
  abandon(peerHears: boolean): void {
    this.onData = this.onDrain = this.onClose = ignore;
    this.#isAbandoned = true;
    if (this.#closed) return;
    if (peerHears) this.#sendReset();
    this.#close();
  }

  #fillWindow(): void {
    const { random, fragmentation } = this.#hosts.wires;
    // Refilled in large steps: a window refilled byte by byte would keep the packets that small for ever.
    if (this.#windowUsed > windowBytes / 2) return;
    while (this.#queue.length > 0) {
      const part = this.#queue[0]!;
      if (part.bytes.length === 0) {
        this.#queue.shift();
        this.#tellSent(part.onSent);
        continue;
      }
      if (this.#windowUsed >= windowBytes) break;
      let length = Math.min(part.bytes.length, windowBytes - this.#windowUsed);
      if (random.chance(fragmentation)) length = 1 + random.below(length);
      const packet = new Uint8Array(part.bytes.subarray(0, length));
      part.bytes = part.bytes.subarray(length);
      this.#queuedBytes -= length;
      this.#windowUsed += length;
      this.#send(() => this.peer.#arrive(packet));
    }
  }

  #tellSent(onSent: (() => void) | undefined): void {
    if (!onSent) return;
    this.#callBack(() => {
      if (!this.#isAbandoned) onSent();
    });
  }

  /** The peer has read that much. */
  #windowFreed(bytes: number): void {
    this.#windowUsed -= bytes;
    if (this.#closed) return;
    this.#fillWindow();
    this.#endIfSent();
    if (this.#drainWanted && this.#queuedBytes === 0) {
      this.#drainWanted = false;
      this.#callBack(() => {
        if (!this.#closed) this.onDrain();
      });
    }
  }

  #endIfSent(): void {
    if (this.#ending && this.#queuedBytes === 0) this.destroy();
  }

  #send(arrive: () => void): void {
    this.#lane.send(arrive);
  }

  #sendReset(): void {
    this.#send(() => this.peer.#close(ioError('connection with', keyOf(this.local), 'ECONNRESET')));
  }

  #arrive(packet: Uint8Array | undefined): void {
    if (this.#closed) {
      if (packet) this.#sendReset();
      return;
    }
    this.#inbox.push(packet);
    this.#deliver();
  }

  #deliver(): void {
    if (this.#delivering || this.#waitsForProcess) return;
    const { gate } = this.owner;
    this.#waitsForProcess = !gate.isOpen;
    gate.pass(() => {
      this.#waitsForProcess = false;
      this.#deliverNow();
    });
  }

  #deliverNow(): void {
    this.#delivering = true;
    while (this.#started && !this.#paused && !this.#closed && this.#inbox.length > 0) {
      const packet = this.#inbox.shift();
      const way = `${keyOf(this.remote)}>${keyOf(this.local)}`;
      if (!packet) {
        this.#hosts.wires.trace.record(`${way} end`);
        this.#close();
        break;
      }
      this.#hosts.wires.trace.record(`${way} ${packet.length} bytes ${checksum(packet)}`);
      this.peer.#windowFreed(packet.length);
      this.onData(packet);
      // The chunk was the owner's during the call only; whoever kept it shall notice.
      packet.fill(usedUp);
    }
    this.#delivering = false;
  }

  #close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { onSent } of this.#queue.splice(0)) this.#tellSent(onSent);
    this.#queuedBytes = 0;
    this.#inbox.length = 0;
    this.#hosts.closed(this);
    this.#callBack(() => this.onClose(error));
  }

  /** In a turn of its own, when the process runs. */
  #callBack(callback: () => void): void {
    this.#hosts.wires.time.soon(() => this.owner.gate.pass(callback));
  }
}

function keyOf(address: Address): string {
  return `${address.host}:${address.port}`;
}

function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum = (Math.imul(sum, 31) + bytes[i]!) | 0;
  return sum >>> 0;
}

function ignore(): void {}
