/** What happens to nodes while clients work. Knows nothing of the clients: a run gives it nodes, and stops it. */
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '@ottla/runtime';

/** What a node must be able to have done to it. */
export type Breakable = {
  readonly pid: number | undefined;
  kill(): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void>;
};

const faults = {
  /** SIGKILL, and started again on its data. */
  async kill(node: Breakable) {
    await node.kill();
    await node.start();
  },
  /** As an operator does. */
  async restart(node: Breakable) {
    await node.stop();
    await node.start();
  },
  /** Hangs, and goes on as if no time had passed. */
  async pause(node: Breakable, random: SeededRandom) {
    const { pid } = node;
    if (pid === undefined) return;
    process.kill(pid, 'SIGSTOP');
    await sleep(300 + random.fraction() * 2500);
    process.kill(pid, 'SIGCONT');
  },
};

export type Fault = keyof typeof faults;
export const allFaults = Object.keys(faults) as Fault[];

export type FaultsOptions = {
  readonly seed: number;
  /** Which of them; a name that stands here twice comes twice as often. */
  readonly kinds: readonly Fault[];
  /** From one to the next, at least and at most. */
  readonly everyMs: readonly [number, number];
  readonly onFault: (fault: Fault, node: number) => void;
};

export class Faults {
  readonly #options: FaultsOptions;
  readonly #nodes: readonly Breakable[];
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;

  constructor(nodes: readonly Breakable[], options: FaultsOptions) {
    this.#nodes = nodes;
    this.#options = options;
    this.#running = this.#run();
    this.#running.catch(() => {});
  }

  /** Resolves when all nodes are as they should be; rejects when one could not be started. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { seed, kinds, everyMs, onFault } = this.#options;
    if (kinds.length === 0) return;
    const random = new SeededRandom(seed);
    const [least, most] = everyMs;
    for (;;) {
      const { signal } = this.#stopped;
      await sleep(least + random.fraction() * (most - least), undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      const node = Math.floor(random.fraction() * this.#nodes.length);
      const fault = kinds[Math.floor(random.fraction() * kinds.length)]!;
      onFault(fault, node);
      await faults[fault](this.#nodes[node]!, random);
    }
  }
}
