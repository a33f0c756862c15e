import type { Transaction } from '@ottla/coordinator';
import { type ErrorName, KafkaError } from '@ottla/protocol';
import type { Runtime, Timer } from '@ottla/runtime';
import type { MarkerDestination } from './marker-writer.ts';
import type { TransactionMarker } from './transaction-marker.ts';

export type MarkerSenderOptions = {
  readonly runtime: Pick<Runtime, 'timers' | 'logger'>;
  readonly destination: MarkerDestination;
  readonly hasPartition: (topic: string, partition: number) => boolean;
};

/** A coordinator's partition, for as long as it is led here: markers are sent on its behalf. */
export type MarkerOrigin = { readonly coordinatorEpoch: number; readonly isOver: () => boolean };

const FIRST_BACKOFF_MS = 20;
const LONGEST_BACKOFF_MS = 1_000;

/** A newer coordinator, or an administrator, has ended the transaction there already: this one has nothing more to say. */
const finalErrors: ReadonlySet<ErrorName> = new Set(['INVALID_PRODUCER_EPOCH', 'TRANSACTION_COORDINATOR_FENCED']);

/**
 * Tells the partitions of a transaction how it ended. What is decided must reach every one of them, so it is tried for ever: until it is written,
 * the partition is deleted, or the coordinator's partition is led elsewhere.
 */
export class MarkerSender {
  readonly #options: MarkerSenderOptions;
  /** Those who wait for their next attempt. */
  readonly #waiting = new Map<Timer, () => void>();
  #isStopped = false;

  constructor(options: MarkerSenderOptions) {
    this.#options = options;
  }

  /** True when all partitions know; false when that is no longer this coordinator's to see to. */
  async send(prepared: Transaction, origin: MarkerOrigin): Promise<boolean> {
    const { producerId, producerEpoch, status, partitions, clientTransactionVersion: transactionVersion } = prepared;
    const { coordinatorEpoch } = origin;
    const marker = { producerId, producerEpoch, isCommit: status === 'PrepareCommit', coordinatorEpoch, transactionVersion };
    const sent: Promise<boolean>[] = [];
    for (const [topic, indexes] of partitions) {
      for (const index of indexes) sent.push(this.#sendTo(topic, index, marker, origin));
    }
    const results = await Promise.all(sent);
    return results.every((isDone) => isDone);
  }

  /** Nothing more is sent, and whoever waits is told. */
  stop(): void {
    this.#isStopped = true;
    for (const [timer, wake] of this.#waiting) {
      timer.cancel();
      wake();
    }
    this.#waiting.clear();
  }

  /** How many markers wait for another attempt. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  async #sendTo(topic: string, index: number, marker: TransactionMarker, origin: MarkerOrigin): Promise<boolean> {
    const { runtime, destination, hasPartition } = this.#options;
    for (let backoffMs = FIRST_BACKOFF_MS; ; backoffMs = Math.min(backoffMs * 2, LONGEST_BACKOFF_MS)) {
      if (this.#isStopped || origin.isOver()) return false;
      if (!hasPartition(topic, index)) return true;
      try {
        await destination.write(topic, index, marker);
        return true;
      } catch (error) {
        // Nothing can have been written there, so nothing has to be ended.
        if (error instanceof KafkaError && error.name === 'INVALID_TOPIC_EXCEPTION') return true;
        if (error instanceof KafkaError && finalErrors.has(error.name)) {
          runtime.logger.info('a transaction marker was refused for good', {
            topic,
            partition: index,
            ...marker,
            error: error.message,
          });
          return false;
        }
        runtime.logger.debug('a transaction marker could not be written and is sent again', {
          topic,
          partition: index,
          backoffMs,
          error,
        });
      }
      await this.#after(backoffMs);
    }
  }

  #after(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.runtime.timers.after(delayMs, () => {
        this.#waiting.delete(timer);
        resolve();
      });
      this.#waiting.set(timer, resolve);
    });
  }
}
