/** What happens to nodes while clients work. Knows nothing of the clients: a run gives it what may happen, and stops it. */
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '@ottla/runtime';

/** By name: one thing that happens. It ends when all is as before, and says to whom it happened. */
export type FaultTable<Name extends string = string> = Readonly<Record<Name, (random: SeededRandom) => Promise<string>>>;

/** What a node must be able to have done to it. */
export type Breakable = {
  readonly pid: number | undefined;
  kill(): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void>;
};

export const nodeFaults = ['kill', 'restart', 'pause'] as const;
export type Fault = (typeof nodeFaults)[number];

/** What happens to one node. */
export function faultsOf(node: Breakable): FaultTable<Fault> {
  return {
    /** SIGKILL, and started again on its data. */
    async kill() {
      await node.kill();
      await node.start();
      return 'kill';
    },
    /** As an operator does. */
    async restart() {
      await node.stop();
      await node.start();
      return 'restart';
    },
    /** Hangs, and goes on as if no time had passed. */
    async pause(random) {
      const { pid } = node;
      if (pid === undefined) return 'pause of nobody';
      process.kill(pid, 'SIGSTOP');
      await sleep(300 + random.fraction() * 2500);
      process.kill(pid, 'SIGCONT');
      return 'pause';
    },
  };
}

export type FaultsOptions<Name extends string> = {
  readonly seed: number;
  /** Which of them; a name that stands here twice comes twice as often. */
  readonly kinds: readonly Name[];
  /** From one to the next, at least and at most. */
  readonly everyMs: readonly [number, number];
  /** Each of them in their order, and no more, instead of at random for ever. */
  readonly eachOnce?: boolean;
  readonly onFault: (fault: Name) => void;
  /** When it is over, and to whom it happened. */
  readonly onMended?: (fault: Name, whom: string, tookMs: number) => void;
};

export class Faults<Name extends string> {
  readonly #options: FaultsOptions<Name>;
  readonly #table: FaultTable<Name>;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;

  constructor(table: FaultTable<Name>, options: FaultsOptions<Name>) {
    this.#table = table;
    this.#options = options;
    this.#running = this.#run();
    this.#running.catch(() => {});
  }

  /** Resolves when each has been, where that was asked for; rejects when something could not be mended. */
  get over(): Promise<void> {
    return this.#running;
  }

  /** Resolves when all is as it should be; rejects when something could not be mended. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { seed, kinds, everyMs, eachOnce, onFault, onMended } = this.#options;
    if (kinds.length === 0) return;
    const random = new SeededRandom(seed);
    const [least, most] = everyMs;
    for (let count = 0; !eachOnce || count < kinds.length; count++) {
      const { signal } = this.#stopped;
      await sleep(least + random.fraction() * (most - least), undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      const fault = kinds[eachOnce ? count : Math.floor(random.fraction() * kinds.length)]!;
      onFault(fault);
      const beganMs = performance.now();
      const whom = await this.#table[fault](random);
      onMended?.(fault, whom, performance.now() - beganMs);
    }
  }
}
