/**
 * The clients of a history: HistoryWorkload.java in a process of its own. They know nothing of nodes but their addresses; who kills
 * nodes meanwhile is faults.ts.
 */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { HistoryEvent } from '@ottla/testing';
import { programCommand } from '../interop/kafka/kafka.ts';
import { end, start } from '../interop/processes.ts';

export type WorkloadOptions = {
  readonly bootstrap: string;
  readonly seed: number;
  /** Undefined: until `finish`. */
  readonly seconds: number | undefined;
  readonly writers: number;
  readonly partitions: number;
  readonly replicas: number;
  /** Of the groups: each has members that transform and members that only read. */
  readonly protocols: readonly ('classic' | 'consumer')[];
  /** A bug of the clients, to see that it is found. */
  readonly plant?: Plant;
};

export const plants = ['read-uncommitted', 'offsets-outside'] as const;
export type Plant = (typeof plants)[number];

export const transactionTimeoutMs = 4000;

export class Workload {
  readonly history: HistoryEvent[] = [];
  readonly #child: ChildProcess;
  readonly #isOpenEnded: boolean;
  readonly #ready = Promise.withResolvers<void>();
  readonly #quiet = Promise.withResolvers<void>();
  readonly #done = Promise.withResolvers<void>();
  #complaints = '';

  constructor(options: WorkloadOptions) {
    const settings = JSON.stringify({ ...options, transactionTimeoutMs });
    // Compiled as it is started: a second, and nothing to install.
    const program = programCommand(join(import.meta.dirname, 'HistoryWorkload.java'), [settings]);
    const quietLogs = ['-Dorg.slf4j.simpleLogger.defaultLogLevel=error'];
    const child = start('java', [...quietLogs, ...program.filter((argument) => !argument.includes('defaultLogLevel'))], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#isOpenEnded = options.seconds === undefined;
    for (const { promise } of [this.#ready, this.#quiet, this.#done]) promise.catch(() => {});
    child.stderr!.setEncoding('utf8').on('data', (text) => {
      this.#complaints = (this.#complaints + text).slice(-8000);
    });
    createInterface({ input: child.stdout! }).on('line', (line) => this.#hear(JSON.parse(line)));
    child.on('exit', (code, signal) => {
      const error = new Error(`the clients ended with ${code ?? signal}:\n${this.#complaints}`);
      this.#ready.reject(error);
      this.#quiet.reject(error);
      this.#done.reject(error);
    });
  }

  /** Resolves when their topics are made and they begin. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Resolves when the time of the clients is over and none of them does anything any more. */
  get quiet(): Promise<void> {
    return this.#quiet.promise;
  }

  /** Lets them end what is open and read all that there is. The nodes must be well by now. */
  async finish(): Promise<readonly HistoryEvent[]> {
    if (this.#isOpenEnded) this.#child.stdin!.write('\n');
    await this.quiet;
    this.#child.stdin!.write('\n');
    await this.#done.promise;
    return this.history;
  }

  note(process: string, text: string): void {
    this.history.push({ type: 'note', atMs: performance.now(), process, text });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child, 'SIGKILL', 1000);
  }

  #hear(line: HistoryEvent | { readonly type: 'ready' } | { readonly type: 'quiet' } | { readonly type: 'done' }): void {
    if (line.type === 'ready') this.#ready.resolve();
    else if (line.type === 'quiet') this.#quiet.resolve();
    else if (line.type === 'done') this.#done.resolve();
    else this.history.push(line);
  }
}
