/** A node in a process of its own, that is killed and started again on the same directory and port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

const command = join(import.meta.dirname, '../../packages/ottla/bin/ottla.js');

export class KilledNode {
  readonly #directory: string;
  #port = 0;
  #child: ChildProcess | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    process.once('exit', () => this.#child?.kill('SIGKILL'));
  }

  get bootstrapServers(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get logFile(): string {
    return join(this.#directory, 'node.log');
  }

  /** Resolves with true when it serves, or with false when it ended before. */
  start(): Promise<boolean> {
    const options = ['--port', String(this.#port), '--data', join(this.#directory, 'data')];
    const child = spawn(process.execPath, [command, 'start', ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    return new Promise((resolve, reject) => {
      let printed = '';
      const hear = (chunk: Buffer) => {
        appendFileSync(this.logFile, chunk);
        if (printed.length > 100_000) return;
        printed += chunk;
        const [, port] = /Kafka on [\w.]+:(\d+)/.exec(printed) ?? [];
        if (!port) return;
        this.#port = Number(port);
        resolve(true);
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      child.once('error', reject);
      child.once('exit', () => resolve(false));
    });
  }

  /** As `kill -9` does. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}
