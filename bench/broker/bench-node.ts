/** A node as its users run it: Ottla by its published command, Kafka with the options of its own start script. */
import type { ChildProcess } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { end, freePort, start } from '../../test/interop/processes.ts';
import { type TargetName, TargetNode } from '../../test/interop/targets/node.ts';
import type { Profiler } from './cpu-profile.ts';
import type { Loads } from './load/main.ts';
import { type LoadOf, type LoadResult, runLoad } from './load/run-load.ts';
import { publishedCommand } from './published-command.ts';
import { shippedKafka } from './shipped-kafka.ts';

export type BenchNodeOptions = {
  readonly properties?: Readonly<Record<string, string>>;
  /** Lets a `Profiler` into Ottla, which then runs from its sources, so that a profile names their files. */
  readonly inspected?: boolean;
};

/** So that no run pays for what the one before it left: neither the deletion nor the disk's work on deleted data. */
const deletesAtOnce = { 'log.segment.delete.delay.ms': '0' };

export class BenchNode {
  readonly target: TargetName;
  /** Of Ottla's inspector, if it was asked for. */
  readonly inspectorPort: number | undefined;
  /** Set as long as loads are profiled. */
  profiler: Profiler | undefined;
  readonly #node: TargetNode;
  #child: ChildProcess | undefined;

  /** A formatted directory with a node on it, started. */
  static async start(target: TargetName, options: BenchNodeOptions = {}): Promise<BenchNode> {
    const formatted = await TargetNode.format(target, { ...deletesAtOnce, ...options.properties });
    const node = new BenchNode(formatted, options.inspected && target === 'ottla' ? await freePort() : undefined);
    try {
      await node.start();
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
    return node;
  }

  private constructor(node: TargetNode, inspectorPort: number | undefined) {
    this.#node = node;
    this.target = node.target;
    this.inspectorPort = inspectorPort;
  }

  get port(): number {
    return this.#node.port;
  }

  get bootstrap(): string {
    return this.#node.bootstrap;
  }

  get dataDirectory(): string {
    return this.#node.dataDirectory;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** Starts it and gives the milliseconds from exec to the first Metadata answer. */
  async start(timeoutMs = 300_000): Promise<number> {
    const [command, ...args] = await this.#command();
    const output = openSync(this.#logFile, 'a');
    const beganMs = performance.now();
    const child = start(command!, args, { cwd: this.#node.directory, stdio: ['ignore', output, output] });
    this.#child = child;
    while (!(await answersMetadata(this.port))) {
      const waitedMs = performance.now() - beganMs;
      if (child.exitCode !== null || waitedMs > timeoutMs) {
        child.kill('SIGKILL');
        throw new Error(`${this.target} did not start:\n${readFileSync(this.#logFile, 'utf8').slice(-2000)}`);
      }
      await sleep(Math.max(2, waitedMs / 100)); // asking takes CPU time from who starts
    }
    return performance.now() - beganMs;
  }

  /** A load in a process of its own, against this node. */
  load<Kind extends keyof Loads>(
    kind: Kind,
    load: Omit<LoadOf<Kind>, 'port' | 'brokerPid'>,
    timeoutMs?: number,
  ): Promise<LoadResult<Kind>> {
    const whole = { ...load, port: this.port, brokerPid: this.pid } as unknown as LoadOf<Kind>;
    return this.underLoad(() => runLoad(kind, whole, timeoutMs));
  }

  /** Does what loads the node; with a profile of it, if there is to be one. */
  async underLoad<Result>(work: () => Promise<Result>): Promise<Result> {
    await this.profiler?.start();
    try {
      return await work();
    } finally {
      await this.profiler?.stop();
    }
  }

  async stop(): Promise<void> {
    await end(this.#child!, 'SIGTERM', 60_000);
  }

  async kill(): Promise<void> {
    await end(this.#child!, 'SIGKILL', 10_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child) await this.kill();
    await this.#node.destroy();
  }

  async #command(): Promise<readonly string[]> {
    if (this.target === 'kafka') return shippedKafka(this.#node);
    if (this.inspectorPort === undefined) {
      return [process.execPath, await publishedCommand(), 'start', '--config', this.#node.propertiesFile];
    }
    const [node, ...args] = this.#node.command([]);
    return [node!, `--inspect=127.0.0.1:${this.inspectorPort}`, ...args];
  }

  get #logFile(): string {
    return join(this.#node.directory, 'bench.log');
  }
}

/** Metadata v1 without topics: size, api key 3, version 1, correlation id, client id, no topics. */
const metadataRequest = Buffer.from('0000000f000300010000000700017000000000', 'hex');

/** Whether Metadata is answered with at least one live broker. */
function answersMetadata(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const done = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.on('error', () => done(false));
    socket.on('close', () => done(false));
    socket.on('connect', () => socket.write(metadataRequest));
    socket.on('data', (chunk) => done(chunk.length >= 12 && chunk.readInt32BE(8) > 0));
  });
}
