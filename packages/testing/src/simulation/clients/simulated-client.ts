import { type Runtime, type SeededRandom, sleep } from '@ottla/runtime';
import type { HistoryEvent } from '../../histories/history.ts';
import { tellError } from '../node-log.ts';
import type { ClientPlan, TopicPlan } from '../plan.ts';
import type { ClientNews } from './client-news.ts';

export type ClientSurroundings = {
  readonly plan: ClientPlan;
  readonly runtime: Runtime;
  readonly random: SeededRandom;
  readonly bootstrapServers: readonly string[];
  readonly topics: readonly TopicPlan[];
  /** What a client does is added when it begins, and completed when it ends. */
  readonly history: HistoryEvent[];
  readonly hear: (news: ClientNews) => void;
};

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };
export type OpenEvent<Type extends HistoryEvent['type']> = Mutable<Extract<HistoryEvent, { type: Type }>>;

/** Patience of clients in runs that shall be short. */
export const clientTiming = {
  requestTimeoutMs: 3_000,
  defaultApiTimeoutMs: 12_000,
  retryBackoffMs: 50,
  retryBackoffMaxMs: 500,
  reconnectBackoffMs: 20,
  reconnectBackoffMaxMs: 500,
  socketConnectionSetupTimeoutMs: 2_000,
  metadataMaxAgeMs: 5_000,
} as const;

/** A program that uses @ottla/client: it does one thing after another until it is told to stop. */
export abstract class SimulatedClient {
  readonly plan: ClientPlan;
  protected readonly runtime: Runtime;
  protected readonly random: SeededRandom;
  protected readonly topics: readonly TopicPlan[];
  protected readonly history: HistoryEvent[];
  protected readonly hear: (news: ClientNews) => void;
  protected readonly common: typeof clientTiming & { bootstrapServers: readonly string[]; runtime: Runtime };
  /** A process is one life of one client. */
  protected life = 0;
  protected isStopping = false;
  #running: Promise<void> | undefined;

  constructor({ plan, runtime, random, bootstrapServers, topics, history, hear }: ClientSurroundings) {
    this.plan = plan;
    this.runtime = runtime;
    this.random = random;
    this.topics = topics;
    this.history = history;
    this.hear = hear;
    this.common = { ...clientTiming, bootstrapServers, runtime };
  }

  protected get process(): string {
    return `${this.plan.name}.${this.life}`;
  }

  protected get nowMs(): number {
    return this.runtime.clock.monotonicMs();
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Resolves when it has done what it was doing. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.isStopping) {
      try {
        await this.doNext();
      } catch (error) {
        this.note(tellError(error));
        await this.beginAnew();
      }
      await sleep(this.runtime.timers, this.plan.everyMs * (0.5 + this.random.fraction()));
    }
    await this.close();
  }

  protected abstract doNext(): Promise<void>;

  /** After an error of which it knows no more than that. */
  protected async beginAnew(): Promise<void> {
    await this.close();
    this.life++;
  }

  protected abstract close(): Promise<void>;

  protected note(text: string): void {
    this.history.push({ type: 'note', atMs: this.nowMs, process: this.process, text });
  }

  protected anyPartition(): { topic: string; partition: number } {
    const { name, partitions } = this.topics[this.random.below(this.topics.length)]!;
    return { topic: name, partition: this.random.below(partitions) };
  }
}

/** Closing may take as long as the cluster does; a program that ends does not wait for it that long. */
export async function closeSoon(runtime: Runtime, closing: Promise<void> | undefined): Promise<void> {
  if (!closing) return;
  await Promise.race([closing.catch(() => {}), sleep(runtime.timers, 5_000)]);
}
