/** A node of a cluster in a process of its own: Kafka or Ottla, with the same server.properties. */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { ApiVersions } from '@ottla/protocol';
import { ottlaCommand } from '../interop/home.ts';
import { serverCommand } from '../interop/kafka/kafka.ts';
import { end, eventually, howItEnded, run, start } from '../interop/processes.ts';
import type { TargetName } from '../interop/targets/node.ts';
import { type Address, ask } from './ask.ts';
import type { FaultyNode } from './cluster-faults.ts';
import type { ClusterNetwork, Ports } from './network.ts';

export type Roles = 'broker,controller' | 'broker' | 'controller';

export type Properties = Readonly<Record<string, string>>;

export type NodePlan = {
  readonly id: number;
  readonly target: TargetName;
  readonly roles: Roles;
  readonly properties?: Properties;
  /** What runs it, where that is not the quickest to start. */
  readonly command?: (node: ClusterNode) => readonly string[];
};

export class ClusterNode implements FaultyNode {
  readonly comesBack = false;
  readonly id: number;
  readonly roles: Roles;
  readonly host: string;
  readonly directory: string;
  /** Of its log directory; a voter is known by it. */
  readonly directoryId: string;
  readonly #ports: Ports;
  readonly #network: ClusterNetwork;
  readonly #commandOf: NodePlan['command'];
  #target: TargetName;
  #properties: Properties;
  #child: ChildProcess | undefined;
  #isPaused = false;

  constructor(
    plan: NodePlan,
    place: { readonly network: ClusterNetwork; readonly host: string; readonly ports: Ports; readonly directory: string },
    properties: Properties,
  ) {
    this.id = plan.id;
    this.roles = plan.roles;
    this.#target = plan.target;
    this.#commandOf = plan.command;
    this.#network = place.network;
    this.host = place.host;
    this.#ports = place.ports;
    this.directory = place.directory;
    this.directoryId = Buffer.from(crypto.getRandomValues(new Uint8Array(16)).fill(0x41, 0, 1)).toString('base64url');
    this.#properties = { ...properties, ...plan.properties };
    mkdirSync(this.dataDirectory, { recursive: true });
    this.#configure();
  }

  get target(): TargetName {
    return this.#target;
  }

  get isBroker(): boolean {
    return this.roles.includes('broker');
  }

  get isController(): boolean {
    return this.roles.includes('controller');
  }

  get isRunning(): boolean {
    return this.#child !== undefined && howItEnded(this.#child) === null;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get brokerAddress(): Address {
    return { host: this.host, port: this.#ports.broker };
  }

  get controllerAddress(): Address {
    return { host: this.host, port: this.#ports.controller };
  }

  get dataDirectory(): string {
    return join(this.directory, 'data');
  }

  get propertiesFile(): string {
    return join(this.directory, 'server.properties');
  }

  get logFile(): string {
    return join(this.directory, 'server.log');
  }

  get log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** How its last process ended; null while it runs. */
  get ending(): number | NodeJS.Signals | null {
    return this.#child ? howItEnded(this.#child) : null;
  }

  /** The voter as `--initial-controllers` writes it. */
  get voter(): string {
    return `${this.id}@${this.host}:${this.#ports.controller}:${this.directoryId}`;
  }

  /**
   * Writes what a node must find before its first start; `options` say which quorum it is for. Kafka's nodes are formatted by Ottla,
   * too: the files are the same (test/interop/interchange.test.ts), and a JVM for each would take a quarter of a short test's time.
   */
  format(clusterId: string, options: readonly string[]): void {
    const args = ['storage', 'format', '--cluster-id', clusterId, '--config', this.propertiesFile, ...options];
    run(process.execPath, [ottlaCommand, ...args]);
  }

  /** From its next start on it is that one, on the data of the other. */
  become(target: TargetName): void {
    this.#target = target;
  }

  configure(properties: Properties): void {
    this.#properties = { ...this.#properties, ...properties };
    this.#configure();
  }

  /** Begins a life; `answers` tells when the node takes part. */
  launch(): void {
    if (this.isRunning) throw new Error(`node ${this.id} runs already`);
    const output = openSync(this.logFile, 'a');
    const command = this.#network.at(this.id, this.#command());
    this.#isPaused = false;
    this.#child = start(command[0]!, command.slice(1), { cwd: this.directory, stdio: ['ignore', output, output] });
  }

  /** Resolves when its listeners answer; rejects when the process ends before. */
  async answers(): Promise<void> {
    await eventually(
      `${this} answers`,
      async () => {
        if (!this.isRunning) return true;
        const addresses = [
          ...(this.isBroker ? [this.brokerAddress] : []),
          ...(this.isController ? [this.controllerAddress] : []),
        ];
        for (const address of addresses) await ask(address, ApiVersions, 0, {}, 2000);
        return true;
      },
      { timeoutMs: 300_000 },
    );
    if (!this.isRunning) throw new Error(`${this} ended with ${this.ending}; the end of its log:\n${this.log.slice(-3000)}`);
  }

  async start(): Promise<void> {
    this.launch();
    await this.answers();
  }

  /** As an operator stops it: SIGTERM, and it ends by itself. */
  async stop(graceMs = 120_000): Promise<void> {
    this.resume();
    if (this.#child) await end(this.#child, 'SIGTERM', graceMs);
  }

  async kill(): Promise<void> {
    if (this.#child) await end(this.#child, 'SIGKILL', 10_000);
  }

  /** It hangs, and does not know. */
  pause(): void {
    if (!this.isRunning) return;
    this.#isPaused = true;
    this.#child!.kill('SIGSTOP');
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#child!.kill('SIGCONT');
  }

  toString(): string {
    return `node ${this.id} (${this.#target}, ${this.roles})`;
  }

  #command(): readonly string[] {
    if (this.#commandOf) return this.#commandOf(this);
    if (this.#target === 'kafka') return ['java', ...serverCommand(this.propertiesFile, this.directory)];
    return [process.execPath, ottlaCommand, 'start', '--config', this.propertiesFile];
  }

  #configure(): void {
    const { host, port } = this.brokerAddress;
    const broker = `PLAINTEXT://${host}:${port}`;
    const controller = `CONTROLLER://${host}:${this.#ports.controller}`;
    const listeners = [...(this.isBroker ? [broker] : []), ...(this.isController ? [controller] : [])].join();
    const all: Record<string, string> = {
      'process.roles': this.roles,
      'node.id': String(this.id),
      listeners,
      'advertised.listeners': listeners,
      'controller.listener.names': 'CONTROLLER',
      'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
      'log.dirs': this.dataDirectory,
      ...this.#properties,
    };
    writeFileSync(
      this.propertiesFile,
      Object.entries(all)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    );
  }
}
