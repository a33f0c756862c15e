/** The load programs (load-settings.ts) as child processes, and what they were told. */
import type { ChildProcess } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { python } from '../../interop/home.ts';
import { programCommand } from '../../interop/kafka/kafka.ts';
import { end, howItEnded, start } from '../../interop/processes.ts';
import { type LoadProgram, type LoadSettings, loadPrograms } from './load-settings.ts';
import { Numbers } from './numbers.ts';

export type LoadPlan = {
  readonly bootstrap: string;
  readonly seed: number;
  readonly programs: readonly LoadProgram[];
  readonly plainTopic: string;
  readonly transactionalTopic: string;
  /** Of either topic. */
  readonly partitions: number;
  /** Of each program. */
  readonly streams: number;
  readonly writers: number;
  /** Of all programs together. */
  readonly recordsPerSecond: number;
  readonly transactionalPerSecond: number;
  readonly valueBytes: number;
  /** Each program is a member of a group of its own besides. */
  readonly groups: boolean;
  /** Where the programs note what they are told. */
  readonly directory: string;
};

export type GroupStep =
  | { readonly what: 'given'; readonly partition: number; readonly offset: number; readonly end: number; readonly count: number }
  | { readonly what: 'committed'; readonly partition: number; readonly offset: number };

export type Outcome = 'committed' | 'aborted' | 'unknown';

/** What the programs were told, together. */
export class LoadOutcomes {
  /** By stream: the offset that each number was acknowledged at. */
  readonly acknowledged = new Map<number, Numbers>();
  /** By stream: how many were sent. */
  readonly sent = new Map<number, number>();
  /** By writer: how each transaction ended, and with how many records. */
  readonly transactions = new Map<number, { outcome: Outcome; count: number }[]>();
  /** By group, in order: the records it was given, and what it was told to be committed. */
  readonly groups = new Map<string, GroupStep[]>();
  readonly failures: string[] = [];
  readonly notes: string[] = [];
  acknowledgedCount = 0;

  hear(line: string): void {
    const words = line.split(' ');
    const id = Number(words[1]);
    if (words[0] === 'a') {
      this.acknowledgedCount++;
      let offsets = this.acknowledged.get(id);
      if (!offsets) this.acknowledged.set(id, (offsets = new Numbers()));
      offsets.set(Number(words[2]), Number(words[3]));
    } else if (words[0] === 't') {
      let all = this.transactions.get(id);
      if (!all) this.transactions.set(id, (all = []));
      all[Number(words[2])] = { outcome: words[3] as Outcome, count: Number(words[4]) };
    } else if (words[0] === 's') this.sent.set(id, Number(words[2]));
    else if (words[0] === 'g' || words[0] === 'c') {
      let steps = this.groups.get(words[1]!);
      if (!steps) this.groups.set(words[1]!, (steps = []));
      const [partition, offset, end, count] = words.slice(2).map(Number) as [number, number, number, number];
      steps.push(words[0] === 'g' ? { what: 'given', partition, offset, end, count } : { what: 'committed', partition, offset });
    } else if (words[0] === 'f') this.failures.push(line);
    else this.notes.push(line);
  }
}

export class ClusterLoad {
  readonly #running: { readonly name: LoadProgram; readonly child: ChildProcess; complaints: string }[] = [];
  readonly #plan: LoadPlan;

  private constructor(plan: LoadPlan) {
    this.#plan = plan;
  }

  /** Resolves when all programs write. */
  static async start(plan: LoadPlan): Promise<ClusterLoad> {
    const load = new ClusterLoad(plan);
    try {
      await Promise.all(plan.programs.map((name) => load.#launch(name)));
    } catch (error) {
      await load.kill();
      throw error;
    }
    return load;
  }

  async #launch(name: LoadProgram): Promise<void> {
    const settings = JSON.stringify(this.#settingsOf(name));
    const command = {
      ottla: () => [process.execPath, join(import.meta.dirname, 'own-load.ts'), settings],
      java: () => ['java', ...programCommand(join(import.meta.dirname, 'ClusterLoad.java'), [settings])],
      librdkafka: () => [python, join(import.meta.dirname, 'librdkafka_load.py'), settings],
    }[name]();
    const child = start(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
    const program = { name, child, complaints: '' };
    this.#running.push(program);
    child.stderr!.setEncoding('utf8').on('data', (text) => {
      program.complaints = (program.complaints + text).slice(-8000);
    });
    await new Promise<void>((resolve, reject) => {
      child.stdout!.once('data', () => resolve());
      child.once('exit', (code, signal) => reject(new Error(`${name} ended with ${code ?? signal}:\n${program.complaints}`)));
    });
  }

  /** Each program has streams and writers of its own; their ids are known to all. */
  #settingsOf(name: LoadProgram): LoadSettings {
    const { bootstrap, seed, valueBytes, partitions, programs, directory } = this.#plan;
    const base = 100 * (1 + loadPrograms.indexOf(name));
    const share = 1 / programs.length;
    return {
      ...{ bootstrap, seed, valueBytes },
      plain: {
        topic: this.#plan.plainTopic,
        partitions,
        streams: Array.from({ length: this.#plan.streams }, (_, index) => base + index),
        recordsPerSecond: this.#plan.recordsPerSecond * share,
      },
      transactional: {
        topic: this.#plan.transactionalTopic,
        partitions,
        writers: Array.from({ length: this.#plan.writers }, (_, index) => base + index),
        recordsPerSecond: this.#plan.transactionalPerSecond * share,
        recordsAtMost: 40,
      },
      group: this.#plan.groups ? `readers-${name}` : null,
      outcomes: join(directory, `${name}.outcomes`),
    };
  }

  /** Sends no more; resolves with what the programs were told when all that was sent has been answered. */
  async finish(timeoutMs = 240_000): Promise<LoadOutcomes> {
    const outcomes = new LoadOutcomes();
    for (const { child } of this.#running) child.stdin!.on('error', () => {}).write('\n');
    for (const program of this.#running) {
      const { name, child } = program;
      if (howItEnded(child) === null) {
        const late = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
        await new Promise((resolve) => child.once('exit', resolve));
        clearTimeout(late);
      }
      const status = howItEnded(child);
      if (status !== 0) throw new Error(`the load of ${name} ended with ${status}:\n${program.complaints}`);
      const lines = createInterface({ input: createReadStream(join(this.#plan.directory, `${name}.outcomes`)) });
      for await (const line of lines) outcomes.hear(line);
    }
    return outcomes;
  }

  async kill(): Promise<void> {
    for (const { child } of this.#running) await end(child, 'SIGKILL', 5000);
  }
}
