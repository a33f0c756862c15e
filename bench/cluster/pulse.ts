import { setTimeout as sleep } from 'node:timers/promises';
import { Producer } from '@ottla/client';

const betweenMs = 5;

/**
 * A producer that sends a record, waits until it is acknowledged by all, and sends the next: how long it goes without an acknowledgement is
 * how long users see a failure. It retries and looks for leaders as a client of ours does by default.
 */
export class Pulse implements AsyncDisposable {
  readonly #producer: Producer;
  readonly #beating: Promise<void>;
  #isOver = false;
  #lastMs = performance.now();
  #longestMs = 0;
  #count = 0;

  static async start(bootstrapServers: string, topic: string, partition: number): Promise<Pulse> {
    const producer = new Producer({ bootstrapServers, acks: 'all', lingerMs: 0 });
    await producer.send({ topic, partition, value: 'first' });
    return new Pulse(producer, topic, partition);
  }

  private constructor(producer: Producer, topic: string, partition: number) {
    this.#producer = producer;
    this.#beating = this.#beat(topic, partition);
    this.#beating.catch(() => {});
  }

  async #beat(topic: string, partition: number): Promise<void> {
    while (!this.#isOver) {
      await this.#producer.send({ topic, partition, value: 'beat' });
      const nowMs = performance.now();
      this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastMs);
      this.#lastMs = nowMs;
      this.#count++;
      await sleep(betweenMs);
    }
  }

  /** Resolves after so many more acknowledgements. */
  async beats(more: number): Promise<void> {
    const until = this.#count + more;
    while (this.#count < until) await Promise.race([sleep(betweenMs), this.#failure]);
  }

  get #failure(): Promise<void> {
    return this.#beating.then(() => new Promise<void>(() => {}));
  }

  /** The longest time between two acknowledgements since it was last asked. */
  longestMs(): number {
    const longest = this.#longestMs;
    this.#longestMs = 0;
    return longest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#beating;
    await this.#producer.close();
  }
}
