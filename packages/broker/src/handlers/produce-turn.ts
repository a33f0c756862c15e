import type { Logger } from '@ottla/runtime';
import type { Partition } from '../replication/partition.ts';

/** Waits for what it staged to be written, or not. */
export interface TurnWaiter {
  /** Called once, after the turn's partitions were committed. */
  committed(): void;
}

/**
 * What the Produce requests of one turn have staged, and who waits for it: each partition is written once, however many requests were for
 * it, and their answers leave together. It is committed before the bytes that the requests came in are used again, and before any request
 * that may look at the partitions.
 */
export class ProduceTurn {
  readonly #logger: Logger;
  readonly #partitions: Partition[] = [];
  readonly #waiters: TurnWaiter[] = [];

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** `partition` has something staged, and had not before. */
  add(partition: Partition): void {
    this.#partitions.push(partition);
  }

  whenCommitted(waiter: TurnWaiter): void {
    this.#waiters.push(waiter);
  }

  commit(): void {
    for (const partition of this.#partitions) {
      try {
        partition.commitStaged();
      } catch (error) {
        this.#logger.error('append failed unexpectedly', { topic: partition.topic, partition: partition.index, error });
      }
    }
    this.#partitions.length = 0;
    for (const waiter of this.#waiters) waiter.committed();
    this.#waiters.length = 0;
  }
}
