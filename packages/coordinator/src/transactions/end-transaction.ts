import { KafkaError } from '@ottla/protocol';
import {
  concurrentTransactions,
  type Decision,
  type DecisionContext,
  fenced,
  otherProducer,
  PRODUCER_ID_NEEDED,
  requireProducer,
} from './decision.ts';
import {
  bumpedEpoch,
  isEpochExhausted,
  isPrepared,
  LAST_EPOCH,
  NO_PARTITIONS,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  type ProducerIdAndEpoch,
  type Transaction,
} from './transaction.ts';

export type EndTransaction = ProducerIdAndEpoch & {
  readonly transactionalId: string;
  readonly isCommit: boolean;
  /** 2 for a client that expects a new epoch with every end (KIP-890), else 0. */
  readonly clientTransactionVersion: number;
};

/**
 * Decides how the transaction ends. The answer does not wait for the markers.
 * Throws INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS, INVALID_TXN_STATE.
 */
export function endTransaction(
  transaction: Transaction,
  request: EndTransaction,
  isPending: boolean,
  context: DecisionContext,
): Decision<ProducerIdAndEpoch> | typeof PRODUCER_ID_NEEDED {
  return request.clientTransactionVersion >= 2
    ? endWithBump(transaction, request, isPending, context)
    : endWithoutBump(transaction, request, isPending, context);
}

function endWithoutBump(
  transaction: Transaction,
  request: EndTransaction,
  isPending: boolean,
  { nowMs }: DecisionContext,
): Decision<ProducerIdAndEpoch> {
  requireProducer(transaction, request);
  if (isPending || isPrepared(transaction)) throw concurrentTransactions(transaction.transactionalId);
  if (transaction.status === 'Ongoing') {
    const next = preparedWithoutBump(transaction, request.isCommit, nowMs);
    return { next, response: producerAfter(next) };
  }
  // A repeated request: its answer got lost.
  if (transaction.status === completeStatus(request.isCommit)) return { next: undefined, response: producerOf(transaction) };
  throw wrongState(transaction, request.isCommit);
}

/**
 * Every end takes the producer to the next epoch, so nothing that it sent before can come after. A repeated request is known by its epoch,
 * which is one too low; the same epoch means another end. That is an abort of nothing, when it has to do with no partition: it bumps the epoch, too.
 */
function endWithBump(
  transaction: Transaction,
  request: EndTransaction,
  isPending: boolean,
  context: DecisionContext,
): Decision<ProducerIdAndEpoch> | typeof PRODUCER_ID_NEEDED {
  const { transactionalId, status, producerEpoch } = transaction;
  const { isCommit } = request;
  const repeatsOverflow =
    transaction.previousProducerId === request.producerId && request.producerEpoch === LAST_EPOCH && producerEpoch === 0;
  const repeatsBump = producerEpoch === request.producerEpoch + 1;
  const isRepeated = repeatsOverflow || repeatsBump;

  if (isPending || isPrepared(transaction)) throw concurrentTransactions(transactionalId);
  if (transaction.producerId !== request.producerId && !repeatsOverflow) throw otherProducer(transaction, request.producerId);
  const isCurrent = producerEpoch === request.producerEpoch;
  const mayRepeat = status === 'CompleteCommit' || status === 'CompleteAbort';
  if (!isCurrent && !(mayRepeat && isRepeated)) throw fenced(transaction, request.producerEpoch);

  if (status === 'Ongoing') return prepare(isCommit);
  if (isRepeated) {
    if (status === completeStatus(isCommit)) return { next: undefined, response: producerOf(transaction) };
    throw wrongState(transaction, isCommit);
  }
  if (isCommit) throw wrongState(transaction, isCommit);
  return prepare(false);

  function prepare(commit: boolean): Decision<ProducerIdAndEpoch> | typeof PRODUCER_ID_NEEDED {
    const next = preparedWithBump(transaction, commit, context);
    return next === PRODUCER_ID_NEEDED ? next : { next, response: producerAfter(next) };
  }
}

/** The coordinator's own abort: of a transaction that was open too long, or whose producer has a successor, which must find nobody at its epoch. */
export function abortByCoordinator(transaction: Transaction, context: DecisionContext): Transaction | typeof PRODUCER_ID_NEEDED {
  if (context.config.transactionVersion >= 2) return preparedWithBump(transaction, false, context);
  const prepared = preparedWithoutBump(transaction, false, context.nowMs);
  return { ...prepared, producerEpoch: bumpedEpoch(transaction.producerEpoch), lastProducerEpoch: NO_PRODUCER_EPOCH };
}

/** The transaction once its markers are written. */
export function completedTransaction(prepared: Transaction, nowMs: number): Transaction {
  return {
    ...prepared,
    ...producerAfter(prepared),
    previousProducerId: prepared.producerId,
    nextProducerId: NO_PRODUCER_ID,
    status: completeStatus(prepared.status === 'PrepareCommit'),
    partitions: NO_PARTITIONS,
    lastUpdateMs: nowMs,
  };
}

function preparedWithoutBump(transaction: Transaction, isCommit: boolean, nowMs: number): Transaction {
  return {
    ...transaction,
    previousProducerId: transaction.producerId,
    nextProducerId: NO_PRODUCER_ID,
    status: isCommit ? 'PrepareCommit' : 'PrepareAbort',
    lastUpdateMs: nowMs,
    clientTransactionVersion: 0,
  };
}

function preparedWithBump(
  transaction: Transaction,
  isCommit: boolean,
  { nowMs, newProducerId }: DecisionContext,
): Transaction | typeof PRODUCER_ID_NEEDED {
  const { producerId, producerEpoch } = transaction;
  const needsProducerId = isEpochExhausted(producerEpoch);
  if (needsProducerId && newProducerId === undefined) return PRODUCER_ID_NEEDED;
  return {
    ...transaction,
    previousProducerId: producerId,
    nextProducerId: needsProducerId ? newProducerId! : NO_PRODUCER_ID,
    producerEpoch: bumpedEpoch(producerEpoch),
    lastProducerEpoch: producerEpoch,
    status: isCommit ? 'PrepareCommit' : 'PrepareAbort',
    startMs: transaction.status === 'Ongoing' ? transaction.startMs : nowMs,
    lastUpdateMs: nowMs,
    clientTransactionVersion: 2,
  };
}

/** What the producer is once a prepared end is complete. */
function producerAfter({ clientTransactionVersion, nextProducerId, producerId, producerEpoch }: Transaction): ProducerIdAndEpoch {
  if (clientTransactionVersion >= 2 && nextProducerId !== NO_PRODUCER_ID) return { producerId: nextProducerId, producerEpoch: 0 };
  return { producerId, producerEpoch };
}

function producerOf({ producerId, producerEpoch }: Transaction): ProducerIdAndEpoch {
  return { producerId, producerEpoch };
}

function completeStatus(isCommit: boolean): 'CompleteCommit' | 'CompleteAbort' {
  return isCommit ? 'CompleteCommit' : 'CompleteAbort';
}

function wrongState({ transactionalId, status }: Transaction, isCommit: boolean): KafkaError {
  return new KafkaError(
    'INVALID_TXN_STATE',
    `the transaction of ${transactionalId} cannot be ${isCommit ? 'committed' : 'aborted'}: it is in state ${status}`,
  );
}
