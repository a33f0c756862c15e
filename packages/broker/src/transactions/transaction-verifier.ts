import type { ProducerIdAndEpoch, TransactionPartitions } from '@ottla/coordinator';
import { type ErrorName, KafkaError } from '@ottla/protocol';
import type { TransactionCoordinatorService } from '../coordinators/transaction-coordinator-service.ts';

/** What a producer of a request's version makes of an error, and whether its partitions are added by being written to (KIP-890). */
export type TransactionSupport = 'verify, old errors' | 'verify' | 'add';

export function supportOfProduce(apiVersion: number): TransactionSupport {
  if (apiVersion > 11) return 'add';
  return apiVersion > 10 ? 'verify' : 'verify, old errors';
}

export function supportOfOffsetCommit(apiVersion: number): TransactionSupport {
  if (apiVersion > 4) return 'add';
  return apiVersion > 3 ? 'verify' : 'verify, old errors';
}

/** The coordinator of a transactional id, wherever it is. Both reject with what it says of the transaction as a whole. */
export type TransactionCoordinators = Pick<TransactionCoordinatorService, 'addPartitions' | 'verifyPartitions' | 'untilComplete'>;

/**
 * Asks the coordinator whether partitions are part of a transaction, or adds them, before the first batch of it is written: so that nothing is
 * written into a transaction that the coordinator does not know, and that would never be ended.
 */
export class TransactionVerifier {
  readonly #coordinators: TransactionCoordinators;
  /** Per producer id, the end of the row of those whose batches wait to be written. */
  readonly #rows = new Map<number, Promise<unknown>>();

  constructor(coordinators: TransactionCoordinators) {
    this.#coordinators = coordinators;
  }

  /** Something of this producer's waits for its turn: what comes later must wait behind it. */
  isWaiting(producerId: number): boolean {
    return this.#rows.has(producerId);
  }

  /** Runs the work after all that the producer has asked for before. */
  inOrder<Result>(producerId: number, work: () => Promise<Result>): Promise<Result> {
    const before = this.#rows.get(producerId) ?? Promise.resolve();
    const result = before.then(work);
    const settled = result
      .catch(() => undefined)
      .then(() => {
        if (this.#rows.get(producerId) === settled) this.#rows.delete(producerId);
      });
    this.#rows.set(producerId, settled);
    return result;
  }

  /** For who was told CONCURRENT_TRANSACTIONS: until it is worth asking again, and not longer than that. */
  untilComplete(transactionalId: string, atMostMs: number): Promise<void> {
    return this.#coordinators.untilComplete(transactionalId, atMostMs);
  }

  /** The partitions that are not part of the transaction, and why. */
  async confirm(
    transactionalId: string,
    producer: ProducerIdAndEpoch,
    partitions: TransactionPartitions,
    support: TransactionSupport,
  ): Promise<{ topic: string; partition: number; error: ErrorName }[]> {
    try {
      if (support === 'add') {
        await this.#coordinators.addPartitions({ transactionalId, ...producer, partitions, clientTransactionVersion: 2 });
        return [];
      }
      const verified = await this.#coordinators.verifyPartitions(transactionalId, producer, partitions);
      const error = support === 'verify' ? 'TRANSACTION_ABORTABLE' : 'INVALID_TXN_STATE';
      return verified.filter(({ isAdded }) => !isAdded).map(({ topic, partition }) => ({ topic, partition, error }));
    } catch (cause) {
      if (!(cause instanceof KafkaError)) throw cause;
      const error = producerErrors.get(cause.name) ?? cause.name;
      return [...partitions].flatMap(([topic, indexes]) => [...indexes].map((partition) => ({ topic, partition, error })));
    }
  }
}

/** Producers know what a partition says of them, and that a coordinator is out of reach, not where it went. */
const producerErrors: ReadonlyMap<ErrorName, ErrorName> = new Map([
  ['PRODUCER_FENCED', 'INVALID_PRODUCER_EPOCH'],
  ['NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE'],
]);
