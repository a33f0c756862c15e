/**
 * A node to test against: real Kafka, or Ottla. Both are given the same server.properties and a data directory of their own,
 * so that whatever differs is theirs.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { ottlaCommand } from '../home.ts';
import { programCommand, serverCommand } from '../kafka/kafka.ts';
import { end, eventually, freePort, howItEnded, run, start } from '../processes.ts';
import { metadataSettled } from './settled.ts';

export type TargetName = 'ottla' | 'kafka';

/** Against whom to run: `INTEROP_TARGETS=ottla,kafka`. */
export const targets = (process.env['INTEROP_TARGETS'] ?? 'ottla,kafka').split(',') as TargetName[];

export const clusterId = '4L6g3nShT-eMCtK--X86sw';
export const nodeId = 1;

export class TargetNode {
  #target: TargetName;
  #properties: Readonly<Record<string, string>>;
  readonly directory: string;
  readonly port: number;
  readonly controllerPort: number;
  #child: ChildProcess | undefined;

  private constructor(
    target: TargetName,
    properties: Readonly<Record<string, string>>,
    directory: string,
    port: number,
    controllerPort: number,
  ) {
    this.#target = target;
    this.#properties = properties;
    this.directory = directory;
    this.port = port;
    this.controllerPort = controllerPort;
  }

  /** Formats a fresh data directory, starts a node on it and waits until it answers. */
  static async create(
    target: TargetName,
    properties: Readonly<Record<string, string>> = {},
    features: Readonly<Record<string, number>> = {},
    formattedBy?: TargetName,
  ): Promise<TargetNode> {
    for (let attempts = 5; ; attempts--) {
      try {
        return await TargetNode.#createOnce(target, properties, features, formattedBy);
      } catch (error) {
        // Somebody else may have taken a port between our choice and the node's use of it.
        if (attempts === 1 || !/EADDRINUSE|Address already in use/.test(String(error))) throw error;
      }
    }
  }

  static async #createOnce(
    target: TargetName,
    properties: Readonly<Record<string, string>>,
    features: Readonly<Record<string, number>>,
    formattedBy?: TargetName,
  ): Promise<TargetNode> {
    const node = await TargetNode.format(target, properties, features, formattedBy);
    try {
      await node.start();
    } catch (error) {
      await node.destroy();
      throw error;
    }
    return node;
  }

  /**
   * One node of each, formatted by itself. When one does not start the others are ended too, because a test's process never ends
   * before its nodes.
   */
  static async createEach(
    names: readonly TargetName[],
    properties: Readonly<Record<string, string>> = {},
  ): Promise<TargetNode[]> {
    const outcomes = await Promise.allSettled(names.map((name) => TargetNode.create(name, properties, {}, name)));
    const nodes = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      for (const node of nodes) await node.destroy();
      throw outcome.reason;
    }
    return nodes;
  }

  /**
   * Formats a fresh data directory for a node that is not started yet. Kafka's nodes are formatted by Ottla, too, unless that is what
   * is tested: the files are the same (test/interop/interchange.test.ts), and a JVM for each would take half as long as its start.
   */
  static async format(
    target: TargetName,
    properties: Readonly<Record<string, string>> = {},
    features: Readonly<Record<string, number>> = {},
    formattedBy: TargetName = 'ottla',
  ): Promise<TargetNode> {
    const directory = mkdtempSync(join(tmpdir(), `ottla-interop-${target}-`));
    const node = new TargetNode(target, properties, directory, await freePort(), await freePort());
    try {
      mkdirSync(node.dataDirectory);
      node.#configure();
      const args = ['format', '--cluster-id', clusterId, '--standalone', '--config', node.propertiesFile];
      for (const [name, level] of Object.entries(features)) args.push('--feature', `${name}=${level}`);
      if (formattedBy === 'kafka') run('java', programCommand('kafka.tools.StorageTool', args));
      else run(process.execPath, [ottlaCommand, 'storage', ...args]);
    } catch (error) {
      await node.destroy();
      throw error;
    }
    return node;
  }

  get target(): TargetName {
    return this.#target;
  }

  /** From its next start on it is that one, on the data of the other. */
  become(target: TargetName, properties: Readonly<Record<string, string>> = {}): void {
    this.#target = target;
    this.#properties = { ...this.#properties, ...properties };
    this.#configure();
  }

  get bootstrap(): string {
    return `127.0.0.1:${this.port}`;
  }

  get dataDirectory(): string {
    return join(this.directory, 'data');
  }

  get log(): string {
    return readFileSync(this.#logFile, 'utf8');
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(options: { recordArchive?: boolean } = {}): Promise<void> {
    const output = openSync(this.#logFile, 'a');
    const kafka = ['java', ...serverCommand(this.propertiesFile, this.directory, options.recordArchive ? 'record' : 'use')];
    const command = this.command(kafka);
    const child = start(command[0]!, command.slice(1), { cwd: this.directory, stdio: ['ignore', output, output] });
    this.#child = child;
    await eventually(`${this.target} answers`, async () => howItEnded(child) !== null || (await this.#knowsItself()), {
      timeoutMs: 300_000,
    })
      .then(() => {
        const status = howItEnded(child);
        if (status !== null) throw new Error(`${this.target} ended with ${status}`);
      })
      .catch((error) => {
        child.kill('SIGKILL');
        throw new Error(`${this.target} did not start; the end of its log:\n${this.log.slice(-3000)}`, { cause: error });
      });
  }

  /** Resolves when the broker acts on all the metadata that was changed before. */
  settled(): Promise<void> {
    return metadataSettled(this.port);
  }

  /** The command line that starts the node; for Kafka the one given. */
  command(kafka: readonly string[] = ['java', ...serverCommand(this.propertiesFile, this.directory)]): readonly string[] {
    return this.target === 'kafka' ? kafka : [process.execPath, ottlaCommand, 'start', '--config', this.propertiesFile];
  }

  /** As an operator stops it: SIGTERM, and it ends by itself. */
  async stop(): Promise<void> {
    if (this.#child) await end(this.#child, 'SIGTERM', 240_000);
  }

  async kill(): Promise<void> {
    if (this.#child) await end(this.#child, 'SIGKILL', 5000);
  }

  /** Ends the node and forgets its data. */
  async destroy(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }

  get propertiesFile(): string {
    return join(this.directory, 'server.properties');
  }

  get #logFile(): string {
    return join(this.directory, 'server.log');
  }

  #configure(): void {
    const all: Record<string, string> = {
      'process.roles': 'broker,controller',
      'node.id': String(nodeId),
      listeners: `PLAINTEXT://127.0.0.1:${this.port},CONTROLLER://127.0.0.1:${this.controllerPort}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${this.port}`,
      'controller.listener.names': 'CONTROLLER',
      'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
      'controller.quorum.bootstrap.servers': `127.0.0.1:${this.controllerPort}`,
      'log.dirs': this.dataDirectory,
      'offsets.topic.replication.factor': '1',
      'transaction.state.log.replication.factor': '1',
      'transaction.state.log.min.isr': '1',
      'share.coordinator.state.topic.replication.factor': '1',
      'share.coordinator.state.topic.min.isr': '1',
      'group.initial.rebalance.delay.ms': '0',
      'controller.quorum.append.linger.ms': '0', // every change of metadata would take Kafka 25 ms more
      ...this.#properties,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(this.propertiesFile, lines.join(''));
  }

  /** Whether a Metadata request (v1, no topics) is answered with at least one live broker. */
  #knowsItself(): Promise<boolean> {
    return new Promise((resolve) => {
      let answer = Buffer.alloc(0);
      const socket = connect(this.port, '127.0.0.1');
      const done = (known: boolean) => {
        socket.destroy();
        resolve(known);
      };
      socket.setTimeout(2000, () => done(false));
      socket.on('error', () => done(false));
      socket.on('close', () => done(false));
      socket.on('connect', () => socket.write(metadataRequest));
      socket.on('data', (chunk) => {
        answer = Buffer.concat([answer, chunk]);
        if (answer.length >= 12) done(answer.readInt32BE(8) > 0);
      });
    });
  }
}

/** size, api key 3, version 1, correlation id, client id, no topics. */
const metadataRequest = Buffer.from('0000000f000300010000000700017000000000', 'hex');
