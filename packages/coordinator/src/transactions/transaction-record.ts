/**
 * The records of `__transaction_state`: an int16 record type, which is 0, and the key's body, the transactional id; an int16 version and the
 * value's body. A null value forgets the id. Version 0 is written until transaction.version 1 is in force, and has no room for the ids before
 * and after and the client's version.
 */
import { KafkaError, readTransactionRecord, writeTransactionRecordKey, writeTransactionRecordValue } from '@ottla/protocol';
import { NO_PARTITIONS, NO_PRODUCER_EPOCH, type Transaction, type TransactionStatus } from './transaction.ts';

/** What a record says: `transaction` null forgets the id. */
export type TransactionRecord = {
  readonly transactionalId: string;
  readonly transaction: Transaction | null;
  /** Of the value. */
  readonly version: number;
};

/** Indexed by the number that stands for it. 6 (Dead) and 7 (PrepareEpochFence) are never written. */
const statuses: readonly TransactionStatus[] = [
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
];

export function encodeTransactionRecord({ transactionalId, transaction, version }: TransactionRecord): {
  key: Uint8Array;
  value: Uint8Array | null;
} {
  const record = {
    type: 'TransactionLog',
    version,
    key: { transactionalId },
    value: transaction && valueToWrite(transaction, version),
  } as const;
  return { key: writeTransactionRecordKey(record), value: writeTransactionRecordValue(record) };
}

/** Null: a type that a later Kafka invented. It is skipped, as Kafka does. Throws for a status that cannot be: going on would lose a transaction. */
export function decodeTransactionRecord(key: Uint8Array, value: Uint8Array | null): TransactionRecord | null {
  const record = readTransactionRecord(key, value);
  if (record.type === 'unknown') return null;
  const { transactionalId } = record.key;
  if (record.value === null) return { transactionalId, transaction: null, version: record.version };
  const status = statuses[record.value.transactionStatus];
  if (status === undefined) {
    throw new KafkaError(
      'INVALID_RECORD',
      `the transactional id ${transactionalId} has status ${record.value.transactionStatus}, which nothing writes`,
    );
  }
  const { producerId, previousProducerId, nextProducerId, producerEpoch, clientTransactionVersion } = record.value;
  const transaction: Transaction = {
    transactionalId,
    producerId,
    previousProducerId,
    nextProducerId,
    producerEpoch,
    lastProducerEpoch: NO_PRODUCER_EPOCH,
    timeoutMs: record.value.transactionTimeoutMs,
    status,
    partitions: partitionsOf(record.value.transactionPartitions),
    lastUpdateMs: record.value.transactionLastUpdateTimestampMs,
    startMs: record.value.transactionStartTimestampMs,
    clientTransactionVersion,
  };
  return { transactionalId, transaction, version: record.version };
}

function valueToWrite(transaction: Transaction, version: number) {
  const { status, partitions, previousProducerId, nextProducerId, clientTransactionVersion } = transaction;
  return {
    producerId: transaction.producerId,
    producerEpoch: transaction.producerEpoch,
    transactionTimeoutMs: transaction.timeoutMs,
    transactionStatus: statuses.indexOf(status),
    transactionPartitions:
      status === 'Empty' ? null : [...partitions].map(([topic, indexes]) => ({ topic, partitionIds: [...indexes] })),
    transactionLastUpdateTimestampMs: transaction.lastUpdateMs,
    transactionStartTimestampMs: transaction.startMs,
    ...(version >= 1 && { previousProducerId, nextProducerId, clientTransactionVersion }),
  };
}

function partitionsOf(topics: readonly { topic: string; partitionIds: readonly number[] }[] | null): Transaction['partitions'] {
  if (topics === null || topics.length === 0) return NO_PARTITIONS;
  return new Map(topics.map(({ topic, partitionIds }) => [topic, new Set(partitionIds)]));
}
