import { Producer } from '@ottla/client';
import { errorName, KafkaError } from '@ottla/protocol';
import { sleep } from '@ottla/runtime';
import type { Step, Transaction } from '../../histories/history.ts';
import { tellError } from '../node-log.ts';
import { closeSoon, SimulatedClient } from './simulated-client.ts';

/** Whoever is told this of a commit knows that it has not happened, and never will. */
const refusals = new Set(['TRANSACTION_ABORTABLE']);

/** What one transaction has done so far, as it will be written down. */
export type Work = { readonly steps: Step[]; commitBeganMs: number | null };

/** One transaction after another, over several partitions and with every kind of end; now and then a successor takes over. */
export class TransactionalClient extends SimulatedClient {
  protected producer: Producer | undefined;
  #sent = 0;
  #unanswered: Promise<unknown>[] = [];

  protected async doNext(): Promise<void> {
    const producer = (this.producer ??= await this.#initialized());
    const beganMs = this.nowMs;
    const work: Work = { steps: [], commitBeganMs: null };
    let outcome: Transaction['outcome'] = 'aborted';
    this.#unanswered = [];
    try {
      producer.beginTransaction();
      await this.fill(producer, work);
      if (this.random.chance(0.15)) {
        await producer.abortTransaction();
        await this.aborted();
      } else if (this.random.chance(0.05)) {
        // It is left open, as by a program that is killed: whoever takes the transactional id over ends it.
        await closeSoon(this.runtime, producer.close({ timeoutMs: 0 }));
        await this.beginAnew();
      } else {
        work.commitBeganMs = this.nowMs;
        outcome = 'unknown';
        outcome = await this.#commit(producer);
      }
    } catch (error) {
      this.note(`transaction: ${tellError(error)}`);
      await this.beginAnew();
    } finally {
      const { steps, commitBeganMs } = work;
      const { transactionalId } = this;
      const process = this.#processOf(producer);
      this.history.push({
        ...{ type: 'transaction', process, transactionalId, beganMs, commitBeganMs, endedMs: this.nowMs, outcome, steps },
      });
    }
  }

  /** What a transaction consists of. */
  protected async fill(producer: Producer, work: Work): Promise<void> {
    const count = 1 + this.random.below(4);
    for (let index = 0; index < count; index++) {
      this.sendInTransaction(producer, work, this.anyPartition());
      if (this.random.chance(0.3)) await sleep(this.runtime.timers, this.random.below(200));
    }
    if (this.random.chance(0.5)) await Promise.all(this.#unanswered);
  }

  /** The transaction has not happened. */
  protected async aborted(): Promise<void> {}

  protected sendInTransaction(
    producer: Producer,
    { steps }: Work,
    { topic, partition }: { topic: string; partition: number },
  ): void {
    const value = `${this.process}-${this.#sent++}`;
    const send: { partition: string; value: string; offset: number | null } = {
      ...{ partition: `${topic}-${partition}`, value, offset: null },
    };
    steps.push({ send });
    const sent = producer.send({ topic, partition, value }).then(({ offset }) => {
      send.offset = offset;
      this.hear({ type: 'acknowledged', client: this.process, topic, partition, offset });
    });
    sent.catch(() => {});
    this.#unanswered.push(sent);
  }

  async #commit(producer: Producer): Promise<Transaction['outcome']> {
    for (let attempt = 0; ; attempt++) {
      try {
        await producer.commitTransaction();
        return 'committed';
      } catch (error) {
        const name = error instanceof KafkaError ? errorName(error.code) : undefined;
        this.note(`commit: ${tellError(error)}`);
        if (name === 'REQUEST_TIMED_OUT' && attempt < 3) continue;
        if (attempt === 0 && name !== undefined && refusals.has(name)) {
          await this.#abort(producer);
          return 'aborted';
        }
        // It may have happened.
        await this.beginAnew();
        return 'unknown';
      }
    }
  }

  async #abort(producer: Producer): Promise<void> {
    try {
      await producer.abortTransaction();
      await this.aborted();
    } catch {
      await this.beginAnew();
    }
  }

  protected get transactionalId(): string {
    return this.plan.transactionalId ?? this.plan.name;
  }

  #processes = new WeakMap<Producer, string>();

  #processOf(producer: Producer): string {
    return this.#processes.get(producer) ?? this.process;
  }

  async #initialized(): Promise<Producer> {
    const { transactionalId } = this;
    const producer = new Producer({
      ...this.common,
      clientId: this.process,
      transactionalId,
      transactionTimeoutMs: 4_000,
      deliveryTimeoutMs: 10_000,
      maxBlockMs: 10_000,
    });
    this.#processes.set(producer, this.process);
    const beganMs = this.nowMs;
    try {
      await producer.initTransactions();
    } catch (error) {
      await closeSoon(this.runtime, producer.close());
      throw error;
    }
    this.history.push({ type: 'initialized', process: this.process, transactionalId, beganMs, endedMs: this.nowMs });
    return producer;
  }

  protected async close(): Promise<void> {
    const { producer } = this;
    this.producer = undefined;
    await closeSoon(this.runtime, producer?.close());
  }
}
