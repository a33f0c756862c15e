/**
 * A cluster as anybody runs one: `ottla start --nodes 3 --port P --data D`, which starts a process for each node and brings back those
 * that end. Nobody here starts a node: what is done to one is done to its process, as with kill in a terminal.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { ApiVersions } from '@ottla/protocol';
import { ottlaCommand } from '../interop/home.ts';
import { end, eventually, freePort, howItEnded, run, start } from '../interop/processes.ts';
import { type Address, ask } from './ask.ts';
import { AskedCluster } from './asked-cluster.ts';
import type { FaultyCluster, FaultyNode } from './cluster-faults.ts';
import { loopback } from './network.ts';

export class CommandCluster extends AskedCluster<CommandNode> implements FaultyCluster {
  readonly network = loopback();
  readonly nodes: readonly CommandNode[];
  readonly #directory = mkdtempSync(join(tmpdir(), 'ottla-command-'));
  readonly #arguments: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(count: number, port: number) {
    super();
    const data = join(this.#directory, 'data');
    this.#arguments = ['start', '--nodes', String(count), '--port', String(port), '--data', data];
    this.nodes = Array.from({ length: count }, (_, index) => new CommandNode(index + 1, port + index, data));
  }

  /** Runs the command, and resolves when its nodes are one cluster. */
  static async create(count: number): Promise<CommandCluster> {
    for (let attempts = 5; ; attempts--) {
      const cluster = new CommandCluster(count, await freePort());
      try {
        await cluster.start();
        return cluster;
      } catch (error) {
        await cluster.destroy();
        // Only the first of the ports was looked at, and anybody may have taken one since.
        if (attempts === 1 || !/EADDRINUSE/.test(String(error))) throw error;
      }
    }
  }

  get isRunning(): boolean {
    return this.#child !== undefined && howItEnded(this.#child) === null;
  }

  get log(): string {
    return readFileSync(this.#logFile, 'utf8');
  }

  node(id: number): CommandNode {
    return this.nodes[id - 1]!;
  }

  /** The command brings them back, but tells of each that has ended. */
  get endedUnasked(): string | undefined {
    const ended = this.log.match(/node \d+ ended .*/g) ?? [];
    const asked = this.nodes.reduce((sum, { endings }) => sum + endings, 0);
    return ended.length > asked
      ? `${ended.length} ends of nodes, of which ${asked} were asked for:\n${this.log.slice(-3000)}`
      : undefined;
  }

  /** Also after a stop: on the data that are there. */
  async start(): Promise<void> {
    if (!this.isRunning) {
      const output = openSync(this.#logFile, 'a');
      this.#child = start(process.execPath, [ottlaCommand, ...this.#arguments], { stdio: ['ignore', output, output] });
    }
    await eventually('the nodes serve', () => !this.isRunning || this.nodes.every(({ isRunning }) => isRunning));
    if (!this.isRunning) throw new Error(`ottla ${this.#arguments.join(' ')} has ended:\n${this.log.slice(-3000)}`);
    await this.whole();
  }

  /** As with Ctrl-C. */
  async stop(): Promise<void> {
    if (this.#child) await end(this.#child, 'SIGTERM', 60_000);
  }

  /** Nothing can be broken here that does not mend itself. */
  async mend(): Promise<void> {
    for (const node of this.nodes) node.resume();
    await this.whole();
  }

  async destroy(): Promise<void> {
    for (const node of this.nodes) node.resume();
    // Its nodes end with it: they notice that nobody looks after them any more.
    if (this.isRunning) await this.stop();
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 3 });
  }

  get #logFile(): string {
    return join(this.#directory, 'log');
  }
}

class CommandNode implements FaultyNode {
  readonly id: number;
  readonly isBroker = true;
  readonly comesBack = true;
  readonly brokerAddress: Address;
  /** How often it was made to end. */
  endings = 0;
  readonly #properties: string;
  #paused: number | undefined;

  constructor(id: number, port: number, data: string) {
    this.id = id;
    this.brokerAddress = { host: '127.0.0.1', port };
    this.#properties = join(data, `node${id}.properties`);
  }

  get isRunning(): boolean {
    return this.#pid !== undefined;
  }

  get isPaused(): boolean {
    return this.#paused !== undefined;
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** It is being started by the command: resolves when it answers. */
  async start(): Promise<void> {
    await eventually(`${this} is back`, () => ask(this.brokerAddress, ApiVersions, 0, {}, 2000));
  }

  pause(): void {
    this.#paused = this.#pid;
    if (this.#paused !== undefined) process.kill(this.#paused, 'SIGSTOP');
  }

  resume(): void {
    if (this.#paused !== undefined) process.kill(this.#paused, 'SIGCONT');
    this.#paused = undefined;
  }

  toString(): string {
    return `node ${this.id}`;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const pid = this.#pid;
    if (pid === undefined) return;
    this.endings++;
    process.kill(pid, signal);
    await eventually(`${this} has ended`, () => this.#pid !== pid);
  }

  /** As a person finds it. */
  get #pid(): number | undefined {
    const found = run('ps', ['-ww', '-axo', 'pid=,args=']).match(new RegExp(`^ *(\\d+) .*--config ${this.#properties} `, 'm'));
    return found ? Number(found[1]) : undefined;
  }
}
