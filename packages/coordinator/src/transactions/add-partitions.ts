import { concurrentTransactions, type Decision, type DecisionContext, requireProducer } from './decision.ts';
import {
  containsAll,
  isAtRest,
  isPrepared,
  type ProducerIdAndEpoch,
  type Transaction,
  type TransactionPartitions,
  union,
} from './transaction.ts';

export type PartitionsToAdd = ProducerIdAndEpoch & {
  readonly transactionalId: string;
  readonly partitions: TransactionPartitions;
  /** 2 when a partition's leader adds on behalf of the producer (KIP-890), else 0. */
  readonly clientTransactionVersion: number;
};

/** The first partition begins the transaction. Throws INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS. */
export function addPartitions(
  transaction: Transaction,
  request: PartitionsToAdd,
  { nowMs }: DecisionContext,
): Decision<undefined> {
  requireProducer(transaction, request);
  if (isPrepared(transaction)) throw concurrentTransactions(transaction.transactionalId);
  if (transaction.status === 'Ongoing' && containsAll(transaction.partitions, request.partitions)) {
    return { next: undefined, response: undefined };
  }
  return {
    next: {
      ...transaction,
      previousProducerId: transaction.producerId,
      status: 'Ongoing',
      partitions: union(transaction.partitions, request.partitions),
      startMs: isAtRest(transaction) ? nowMs : transaction.startMs,
      lastUpdateMs: nowMs,
      clientTransactionVersion: request.clientTransactionVersion,
    },
    response: undefined,
  };
}
