import { KafkaError } from '@ottla/protocol';
import { concurrentTransactions, type Decision, type DecisionContext, fenced, PRODUCER_ID_NEEDED } from './decision.ts';
import { abortByCoordinator } from './end-transaction.ts';
import {
  isAtRest,
  isEpochExhausted,
  NO_PARTITIONS,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  type ProducerIdAndEpoch,
  type Transaction,
} from './transaction.ts';

export type InitProducerId = {
  readonly transactionalId: string;
  readonly timeoutMs: number;
  /** What the producer was until now, if it goes on after an error (KIP-360). */
  readonly expected: ProducerIdAndEpoch | undefined;
};

/**
 * A producer begins, or begins anew: whoever had the transactional id before is fenced by a higher epoch. What it left open is aborted first:
 * the response is CONCURRENT_TRANSACTIONS then, and the producer asks again.
 * Throws INVALID_TRANSACTION_TIMEOUT, PRODUCER_FENCED.
 */
export function initProducerId(
  transaction: Transaction | undefined,
  { transactionalId, timeoutMs, expected }: InitProducerId,
  context: DecisionContext,
): Decision<ProducerIdAndEpoch | KafkaError> | typeof PRODUCER_ID_NEEDED {
  requireTimeout(timeoutMs, context);
  const { nowMs, newProducerId } = context;
  if (transaction === undefined) {
    if (newProducerId === undefined) return PRODUCER_ID_NEEDED;
    return become({
      transactionalId,
      producerId: newProducerId,
      previousProducerId: newProducerId,
      nextProducerId: NO_PRODUCER_ID,
      producerEpoch: 0,
      lastProducerEpoch: NO_PRODUCER_EPOCH,
      timeoutMs,
      status: 'Empty',
      partitions: NO_PARTITIONS,
      lastUpdateMs: nowMs,
      startMs: -1,
      clientTransactionVersion: 0,
    });
  }
  if (expected !== undefined && !isOwner(transaction, expected)) throw fenced(transaction, expected.producerEpoch);
  if (!isAtRest(transaction)) {
    const aborted = abortByCoordinator(transaction, context);
    return aborted === PRODUCER_ID_NEEDED ? aborted : { next: aborted, response: concurrentTransactions(transactionalId) };
  }
  const empty: Transaction = {
    ...transaction,
    previousProducerId: transaction.producerId,
    status: 'Empty',
    timeoutMs,
    partitions: NO_PARTITIONS,
    lastUpdateMs: nowMs,
    startMs: -1,
  };
  const isCurrent = expected === undefined || expected.producerEpoch === transaction.producerEpoch;
  if (isEpochExhausted(transaction.producerEpoch) && isCurrent) {
    if (newProducerId === undefined) return PRODUCER_ID_NEEDED;
    const lastProducerEpoch = expected === undefined ? NO_PRODUCER_EPOCH : transaction.producerEpoch;
    return become({ ...empty, producerId: newProducerId, producerEpoch: 0, lastProducerEpoch });
  }
  return become({ ...empty, ...nextEpoch(transaction, expected) });
}

/** Throws PRODUCER_FENCED. */
function nextEpoch(
  transaction: Transaction,
  expected: ProducerIdAndEpoch | undefined,
): Pick<Transaction, 'producerEpoch' | 'lastProducerEpoch'> {
  const { producerEpoch, lastProducerEpoch } = transaction;
  if (expected === undefined) return { producerEpoch: producerEpoch + 1, lastProducerEpoch: NO_PRODUCER_EPOCH };
  if (expected.producerEpoch === producerEpoch) return { producerEpoch: producerEpoch + 1, lastProducerEpoch: producerEpoch };
  // The answer to the same request got lost: the epoch was bumped already.
  if (expected.producerEpoch === lastProducerEpoch) return { producerEpoch, lastProducerEpoch };
  throw fenced(transaction, expected.producerEpoch);
}

/** The producer that the id belongs to, or the one it belonged to before its epochs were used up. */
function isOwner(transaction: Transaction, { producerId, producerEpoch }: ProducerIdAndEpoch): boolean {
  if (producerId === transaction.producerId) return true;
  return producerId === transaction.previousProducerId && isEpochExhausted(producerEpoch);
}

function requireTimeout(timeoutMs: number, { config: { maxTimeoutMs } }: DecisionContext): void {
  if (timeoutMs > 0 && timeoutMs <= maxTimeoutMs) return;
  throw new KafkaError(
    'INVALID_TRANSACTION_TIMEOUT',
    `a transaction timeout of ${timeoutMs} ms is not between 1 and transaction.max.timeout.ms, ${maxTimeoutMs}`,
  );
}

function become(next: Transaction): Decision<ProducerIdAndEpoch> {
  return { next, response: { producerId: next.producerId, producerEpoch: next.producerEpoch } };
}
