/**
 * What the nodes of a cluster are connected by. `Namespaces` gives each node a network of its own, joined by a bridge, and can break
 * any way between two of them; it needs Linux and the rights of root. `Loopback` is everybody's 127.0.0.1, on which nothing breaks.
 */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { end, freePort, run, start } from '../interop/processes.ts';

/** A node by its id, or all clients, which run outside the namespaces. */
export type Place = number | 'clients';

export type Ports = { readonly broker: number; readonly controller: number };

export interface ClusterNetwork {
  /** Whether ways can be broken here. */
  readonly canBreak: boolean;
  /** Gives a node its place; it may be there already. */
  add(nodeId: number): Promise<{ readonly host: string; readonly ports: Ports }>;
  /** The command, so that it runs at the node's place. */
  at(nodeId: number, command: readonly string[]): readonly string[];
  /** From now on nothing that one sends to the other arrives; the way back is another way. */
  cut(from: Place, to: Place): void;
  /** What the node sends and is sent takes so much longer, one way. */
  slow(nodeId: number, delay: { readonly ms: number; readonly jitterMs: number }): Promise<void>;
  /** Everything arrives again, as fast as it can. */
  heal(): Promise<void>;
  close(): Promise<void>;
}

/** Namespaces where they are permitted, and else the loopback; `whyNot` says why nothing can be broken. */
export function clusterNetwork(): ClusterNetwork {
  if (whyNoNamespaces() !== undefined) return loopback();
  removeLeftovers();
  return new Namespaces();
}

/** On which nothing can be broken, and which needs nothing. */
export function loopback(): ClusterNetwork {
  return new Loopback();
}

let reason: string | false | undefined;

/** Undefined where namespaces can be made. */
export function whyNoNamespaces(): string | undefined {
  if (reason === undefined) reason = tryNamespaces() ?? false;
  return reason === false ? undefined : reason;
}

function tryNamespaces(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are a thing of Linux';
  const name = `ottla-try-${process.pid}`;
  const tried = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  if (tried.error) return `network namespaces need the command ip (iproute2): ${tried.error.message}`;
  if (tried.status !== 0) return `network namespaces are not permitted here: ${tried.stderr.trim()}`;
  const bridged = spawnSync('ip', ['link', 'add', `ot${process.pid}`, 'type', 'bridge'], { encoding: 'utf8' });
  spawnSync('ip', ['link', 'del', `ot${process.pid}`]);
  spawnSync('ip', ['netns', 'del', name]);
  return bridged.status === 0 ? undefined : `bridges are not permitted here: ${bridged.stderr.trim()}`;
}

const clientsNumber = 254;
/** Of no interface: a frame for it is carried to everybody, and taken by nobody. */
const nobody = '02:00:00:00:00:de';

let made = 0;

class Namespaces implements ClusterNetwork {
  readonly canBreak = true;
  readonly #subnet: string;
  readonly #bridge: string;
  readonly #nodes = new Set<number>();
  readonly #cuts = new Set<string>();
  readonly #slowed = new Map<number, ChildProcess>();

  constructor() {
    this.#bridge = `ot${process.pid}${String.fromCharCode(0x61 + (made++ % 26))}`;
    const taken = run('ip', ['-o', 'addr']);
    const numbers = Array.from({ length: 250 }, (_, index) => index + 1).filter(
      (number) => !taken.includes(` 10.231.${number}.`),
    );
    const number = numbers[Math.floor(Math.random() * numbers.length)];
    if (number === undefined) throw new Error('all subnets of 10.231.0.0/16 are taken');
    this.#subnet = `10.231.${number}`;
    process.on('exit', this.#remove);
    ip('link', 'add', this.#bridge, 'type', 'bridge');
    ip('addr', 'add', `${this.#subnet}.${clientsNumber}/24`, 'dev', this.#bridge);
    ip('link', 'set', this.#bridge, 'up');
  }

  async add(nodeId: number): Promise<{ host: string; ports: Ports }> {
    const host = `${this.#subnet}.${nodeId}`;
    const ports = { broker: 9092, controller: 9093 };
    if (this.#nodes.has(nodeId)) return { host, ports };
    this.#nodes.add(nodeId);
    const name = this.#namespace(nodeId);
    const outer = this.#outer(nodeId);
    ip('netns', 'add', name);
    ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    ip('link', 'set', outer, 'master', this.#bridge);
    ip('link', 'set', outer, 'up');
    ip('-n', name, 'addr', 'add', `${host}/24`, 'dev', 'eth0');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
    ip('-n', name, 'link', 'set', 'lo', 'up');
    return { host, ports };
  }

  at(nodeId: number, command: readonly string[]): readonly string[] {
    return ['ip', 'netns', 'exec', this.#namespace(nodeId), ...command];
  }

  /** The sender takes the other for somebody who is not there, which is silent, and does not concern the way back. */
  cut(from: Place, to: Place): void {
    this.#neighbour(from, 'replace', to, 'lladdr', nobody, 'nud', 'permanent');
    this.#cuts.add(`${from} ${to}`);
  }

  /** The node's cable is cut through, and a program carries frames from one end to the other. */
  async slow(nodeId: number, { ms, jitterMs }: { ms: number; jitterMs: number }): Promise<void> {
    if (this.#slowed.has(nodeId)) return;
    const [outer, joint, plug] = [this.#outer(nodeId), `${this.#outer(nodeId)}a`, `${this.#outer(nodeId)}b`];
    ip('link', 'add', joint, 'type', 'veth', 'peer', 'name', plug);
    ip('link', 'set', plug, 'master', this.#bridge);
    ip('link', 'set', plug, 'up');
    ip('link', 'set', joint, 'up');
    ip('link', 'set', joint, 'promisc', 'on');
    ip('link', 'set', outer, 'promisc', 'on');
    const relay = start('python3', [join(import.meta.dirname, 'slow_cable.py'), outer, joint, String(ms), String(jitterMs)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#slowed.set(nodeId, relay);
    await new Promise((resolve) => relay.stdout!.once('data', resolve).once('end', resolve));
    ip('link', 'set', outer, 'nomaster');
  }

  async heal(): Promise<void> {
    for (const cut of this.#cuts) {
      const [from, to] = cut.split(' ').map((place) => (place === 'clients' ? place : Number(place))) as [Place, Place];
      this.#neighbour(from, 'del', to);
    }
    this.#cuts.clear();
    for (const [nodeId, relay] of this.#slowed) {
      ip('link', 'set', this.#outer(nodeId), 'master', this.#bridge);
      await end(relay, 'SIGKILL', 5000);
      ip('link', 'del', `${this.#outer(nodeId)}a`);
    }
    this.#slowed.clear();
  }

  async close(): Promise<void> {
    await this.heal();
    this.#remove();
    process.off('exit', this.#remove);
  }

  readonly #remove = (): void => {
    for (const nodeId of this.#nodes) spawnSync('ip', ['netns', 'del', this.#namespace(nodeId)]);
    for (const nodeId of this.#slowed.keys()) spawnSync('ip', ['link', 'del', `${this.#outer(nodeId)}a`]);
    this.#nodes.clear();
    spawnSync('ip', ['link', 'del', this.#bridge]);
  };

  #neighbour(of: Place, command: 'replace' | 'del', other: Place, ...rest: string[]): void {
    const place = of === 'clients' ? [] : ['-n', this.#namespace(of)];
    const device = of === 'clients' ? this.#bridge : 'eth0';
    const host = `${this.#subnet}.${other === 'clients' ? clientsNumber : other}`;
    ip(...place, 'neigh', command, host, ...rest, 'dev', device);
  }

  #namespace(nodeId: number): string {
    return `${this.#bridge}-${nodeId}`;
  }

  #outer(nodeId: number): string {
    return `${this.#bridge}n${nodeId}`;
  }
}

/** What a process that is no longer there has left. The names tell whose they are. */
function removeLeftovers(): void {
  const isLeft = (pid: string): boolean => {
    try {
      process.kill(Number(pid), 0);
      return false;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ESRCH';
    }
  };
  for (const [name, pid] of run('ip', ['netns', 'list']).matchAll(/^ot(\d+)[a-z]-\d+/gm))
    if (isLeft(pid!)) spawnSync('ip', ['netns', 'del', name]);
  for (const [, name, pid] of run('ip', ['-o', 'link', 'show', 'type', 'bridge']).matchAll(/^\d+: (ot(\d+)[a-z]):/gm))
    if (isLeft(pid!)) spawnSync('ip', ['link', 'del', name!]);
}

class Loopback implements ClusterNetwork {
  readonly canBreak = false;
  readonly #ports = new Map<number, Ports>();

  async add(nodeId: number): Promise<{ host: string; ports: Ports }> {
    let ports = this.#ports.get(nodeId);
    if (!ports) this.#ports.set(nodeId, (ports = { broker: await freePort(), controller: await freePort() }));
    return { host: '127.0.0.1', ports };
  }

  at(_nodeId: number, command: readonly string[]): readonly string[] {
    return command;
  }

  cut(): void {
    throw new Error(`ways cannot be broken: ${whyNoNamespaces()}`);
  }

  async slow(): Promise<void> {
    this.cut();
  }

  async heal(): Promise<void> {}

  async close(): Promise<void> {}
}

function ip(...args: string[]): void {
  run('ip', args);
}
