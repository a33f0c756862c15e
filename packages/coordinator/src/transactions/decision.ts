import { KafkaError } from '@ottla/protocol';
import type { ProducerIdAndEpoch, Transaction } from './transaction.ts';
import type { TransactionConfig } from './transaction-config.ts';

/** An operation's response when it needs a producer id that it was not given: draw one, and decide again. Nothing has happened. */
export const PRODUCER_ID_NEEDED = Symbol('a producer id is needed');

/** A decision about one transactional id: what it becomes, unless it stays, and what is answered once that is committed. */
export type Decision<Response> = { readonly next: Transaction | undefined; readonly response: Response };

/** What decisions about a transactional id look at besides it. */
export type DecisionContext = {
  readonly config: TransactionConfig;
  readonly nowMs: number;
  /** A fresh producer id, if one was drawn. */
  readonly newProducerId: number | undefined;
};

/** Throws INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED. */
export function requireProducer(transaction: Transaction, { producerId, producerEpoch }: ProducerIdAndEpoch): void {
  if (transaction.producerId !== producerId) throw otherProducer(transaction, producerId);
  if (transaction.producerEpoch !== producerEpoch) throw fenced(transaction, producerEpoch);
}

export function otherProducer({ transactionalId, producerId }: Transaction, asked: number): KafkaError {
  return new KafkaError(
    'INVALID_PRODUCER_ID_MAPPING',
    `the transactional id ${transactionalId} belongs to producer ${producerId}, not to ${asked}`,
  );
}

export function fenced({ transactionalId, producerEpoch }: Transaction, asked: number): KafkaError {
  return new KafkaError(
    'PRODUCER_FENCED',
    `the transactional id ${transactionalId} is at epoch ${producerEpoch}, the producer at ${asked}: another one has taken over`,
  );
}

export function concurrentTransactions(transactionalId: string): KafkaError {
  return new KafkaError(
    'CONCURRENT_TRANSACTIONS',
    `the transaction of ${transactionalId} before this one is still being ended: retry`,
  );
}
