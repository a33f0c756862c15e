import type { TransactionPartitions } from '@ottla/coordinator';
import { isTransactionState } from '@ottla/coordinator';
import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  type AddPartitionsToTxnRequest,
  type AddPartitionsToTxnResponse,
  DescribeTransactions,
  type DescribeTransactionsResponse,
  EndTxn,
  errorName,
  errors,
  KafkaError,
  ListTransactions,
  type ListTransactionsResponse,
  partitionForGroup,
  TxnOffsetCommit,
  type TxnOffsetCommitResponse,
  type Writable,
  WriteTxnMarkers,
  type WriteTxnMarkersResponse,
} from '@ottla/protocol';
import { inSteps } from '../in-steps.ts';
import { OFFSETS_TOPIC } from '../internal-topics.ts';
import { whoAsks } from './groups.ts';
import { type Failure, failureOf, type Handler, handler, type RequestContext } from './handler.ts';

type AddedTransaction = AddPartitionsToTxnRequest['transactions'][number];
type TopicResults = NonNullable<Writable<AddPartitionsToTxnResponse>['resultsByTopicV3AndBelow']>;
type MarkersOfProducer = NonNullable<Writable<WriteTxnMarkersResponse>['markers']>[number];
type DescribedTransaction = NonNullable<Writable<DescribeTransactionsResponse>['transactionStates']>[number];

const FIRST_VERSION_BETWEEN_BROKERS = 4;
/** From these versions on, clients know PRODUCER_FENCED; before, INVALID_PRODUCER_EPOCH says it. */
const FIRST_VERSION_WITH_FENCED = 2;

/**
 * AddPartitionsToTxn: partitions become part of a transaction.
 * v0-3 from producers; v2 PRODUCER_FENCED; v4-5 from brokers, many transactions at once, to be added or only verified (KIP-890)
 */
export const addPartitionsToTxn = handler(
  AddPartitionsToTxn,
  async (request, context): Promise<Writable<AddPartitionsToTxnResponse>> => {
    const { apiVersion } = context;
    if (apiVersion < FIRST_VERSION_BETWEEN_BROKERS) {
      const transaction = {
        transactionalId: request.v3AndBelowTransactionalId,
        producerId: request.v3AndBelowProducerId,
        producerEpoch: request.v3AndBelowProducerEpoch,
        verifyOnly: false,
        topics: request.v3AndBelowTopics,
      };
      return { resultsByTopicV3AndBelow: await addOne(transaction, context) };
    }
    const resultsByTransaction = await inSteps(request.transactions, context.broker.runtime, async (transaction) => ({
      transactionalId: transaction.transactionalId,
      topicResults: await addOne(transaction, context),
    }));
    return { resultsByTransaction };
  },
  ({ errorCode }, request, { apiVersion }) =>
    apiVersion < FIRST_VERSION_BETWEEN_BROKERS
      ? { resultsByTopicV3AndBelow: resultsOf(partitionsOf(request.v3AndBelowTopics), () => errorCode) }
      : { errorCode },
);

/** All partitions or none: one that does not exist keeps the others out. */
async function addOne(transaction: AddedTransaction, { broker, apiVersion }: RequestContext): Promise<TopicResults> {
  const { transactionalId, producerId, producerEpoch, verifyOnly } = transaction;
  const partitions = partitionsOf(transaction.topics);
  const isUnknown = (topic: string, index: number): boolean => !broker.metadata.hasPartition(topic, index);
  if ([...partitions].some(([topic, indexes]) => [...indexes].some((index) => isUnknown(topic, index)))) {
    return resultsOf(partitions, (topic, index) =>
      isUnknown(topic, index) ? errors.UNKNOWN_TOPIC_OR_PARTITION.code : errors.OPERATION_NOT_ATTEMPTED.code,
    );
  }
  try {
    if (verifyOnly) {
      const producer = { producerId, producerEpoch };
      const verified = await broker.transactions.verifyPartitions(transactionalId, producer, partitions);
      const isAdded = new Set(verified.filter((each) => each.isAdded).map(({ topic, partition }) => `${partition} ${topic}`));
      return resultsOf(partitions, (topic, index) => (isAdded.has(`${index} ${topic}`) ? 0 : errors.TRANSACTION_ABORTABLE.code));
    }
    const clientTransactionVersion = apiVersion >= FIRST_VERSION_BETWEEN_BROKERS ? 2 : 0;
    await broker.transactions.addPartitions({ transactionalId, producerId, producerEpoch, partitions, clientTransactionVersion });
    return resultsOf(partitions, () => 0);
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    const { errorCode } = fencedByVersion(error, apiVersion, FIRST_VERSION_WITH_FENCED);
    return resultsOf(partitions, () => errorCode);
  }
}

function partitionsOf(
  topics: readonly { readonly name: string; readonly partitions: readonly number[] }[],
): TransactionPartitions {
  const all = new Map<string, Set<number>>();
  for (const { name, partitions } of topics) {
    const known = all.get(name) ?? new Set();
    all.set(name, known);
    for (const partition of partitions) known.add(partition);
  }
  return all;
}

function resultsOf(partitions: TransactionPartitions, errorCodeOf: (topic: string, index: number) => number): TopicResults {
  return [...partitions].map(([name, indexes]) => ({
    name,
    resultsByPartition: [...indexes].map((partitionIndex) => ({
      partitionIndex,
      partitionErrorCode: errorCodeOf(name, partitionIndex),
    })),
  }));
}

/** An error as a client of this version knows it. */
export function fencedByVersion(error: unknown, apiVersion: number, firstVersionWithFenced: number): Failure {
  const failure = failureOf(error);
  if (apiVersion >= firstVersionWithFenced || failure.errorCode !== errors.PRODUCER_FENCED.code) return failure;
  return { ...failure, errorCode: errors.INVALID_PRODUCER_EPOCH.code };
}

/** AddOffsetsToTxn: the partition that keeps a group's offsets becomes part of a transaction. */
export const addOffsetsToTxn = handler(AddOffsetsToTxn, async (request, { broker, apiVersion }) => {
  try {
    const { transactionalId, producerId, producerEpoch, groupId } = request;
    const count = await broker.topicCreation.partitionCountOf(OFFSETS_TOPIC);
    const partitions = new Map([[OFFSETS_TOPIC, new Set([partitionForGroup(groupId, count)])]]);
    await broker.transactions.addPartitions({
      transactionalId,
      producerId,
      producerEpoch,
      partitions,
      clientTransactionVersion: 0,
    });
    return { errorCode: 0 };
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return { errorCode: fencedByVersion(error, apiVersion, FIRST_VERSION_WITH_FENCED).errorCode };
  }
});

/**
 * EndTxn: a transaction is committed, or aborted.
 * v2 PRODUCER_FENCED; v4 TRANSACTION_ABORTABLE; v5 the producer goes on with the id and epoch of the answer (KIP-890)
 */
export const endTxn = handler(EndTxn, async (request, { broker, apiVersion }) => {
  const { transactionalId, producerId, producerEpoch, committed: isCommit } = request;
  try {
    const clientTransactionVersion = apiVersion >= 5 ? 2 : 0;
    const ended = { transactionalId, producerId, producerEpoch, isCommit, clientTransactionVersion };
    const next = await broker.transactions.endTransaction(ended);
    return { errorCode: 0, ...(apiVersion >= 5 && next) };
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return { errorCode: fencedByVersion(error, apiVersion, FIRST_VERSION_WITH_FENCED).errorCode };
  }
});

/**
 * TxnOffsetCommit: offsets that count when a transaction is committed.
 * v3 the member and its generation, by which a group fences zombies (KIP-447); v5 the group's partition is added by being written to (KIP-890)
 */
const txnOffsetCommit = handler(
  TxnOffsetCommit,
  async (request, context): Promise<Writable<TxnOffsetCommitResponse>> => {
    const response = await context.broker.groups.offsets.txnOffsetCommit(request, whoAsks(context));
    return context.apiVersion >= 2 ? response : withoutLoadInProgress(response);
  },
  ({ errorCode }, { topics }) => ({
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
    })),
  }),
);

/** Before v2, clients took it for an error that ends the producer. */
function withoutLoadInProgress({ topics = [] }: Writable<TxnOffsetCommitResponse>): Writable<TxnOffsetCommitResponse> {
  return {
    topics: topics.map(({ partitions = [], ...topic }) => ({
      ...topic,
      partitions: partitions.map(({ errorCode, ...partition }) => ({
        ...partition,
        errorCode:
          errorName(errorCode ?? 0) === 'COORDINATOR_LOAD_IN_PROGRESS' ? errors.COORDINATOR_NOT_AVAILABLE.code : (errorCode ?? 0),
      })),
    })),
  };
}

/**
 * WriteTxnMarkers: transactions end in the partitions that this broker leads. From their coordinators, and from administrators who end one that
 * was left behind (KIP-664).
 * v2 says which rules for epochs hold (KIP-890)
 */
const writeTxnMarkers = handler(
  WriteTxnMarkers,
  async (request, { broker }): Promise<Writable<WriteTxnMarkersResponse>> => {
    const byProducer = new Map<number, Map<string, Map<number, number>>>();
    const writes = request.markers.flatMap(
      ({ producerId, producerEpoch, transactionResult: isCommit, coordinatorEpoch, transactionVersion, topics }) => {
        const ofProducer = byProducer.get(producerId) ?? new Map<string, Map<number, number>>();
        byProducer.set(producerId, ofProducer);
        const marker = { producerId, producerEpoch, isCommit, coordinatorEpoch, transactionVersion };
        return topics.flatMap(({ name, partitionIndexes }) => {
          const ofTopic = ofProducer.get(name) ?? new Map<number, number>();
          ofProducer.set(name, ofTopic);
          return [...new Set(partitionIndexes)].map((index) => async () => {
            ofTopic.set(index, 0);
            try {
              await committed(broker.markers.write(name, index, marker), broker);
            } catch (error) {
              if (!(error instanceof KafkaError))
                broker.runtime.logger.error('a transaction marker could not be written', {
                  topic: name,
                  partition: index,
                  error,
                });
              ofTopic.set(index, failureOf(error).errorCode);
            }
          });
        });
      },
    );
    await inSteps(writes, broker.runtime, (write) => write());
    const answered = [...byProducer].filter(([, topics]) => topics.size > 0);
    return { markers: answered.map(([producerId, topics]): MarkersOfProducer => ({ producerId, topics: topicsOf(topics) })) };
  },
  ({ errorCode }, { markers }) => ({
    markers: markers.map(({ producerId, topics }) => ({
      producerId,
      topics: topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, errorCode })),
      })),
    })),
  }),
);

/** A coordinator elsewhere sends the marker again: one that is written twice does no harm. Rejects with REQUEST_TIMED_OUT. */
function committed(writing: Promise<void>, { config, runtime }: RequestContext['broker']): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = runtime.timers.after(config.get('request.timeout.ms'), () =>
      reject(new KafkaError('REQUEST_TIMED_OUT', 'the replicas do not have the marker yet')),
    );
    writing.then(resolve, reject).finally(() => timer.cancel());
  });
}

function topicsOf(topics: ReadonlyMap<string, ReadonlyMap<number, number>>): NonNullable<MarkersOfProducer['topics']> {
  return [...topics].map(([name, partitions]) => ({
    name,
    partitions: [...partitions].map(([partitionIndex, errorCode]) => ({ partitionIndex, errorCode })),
  }));
}

/** DescribeTransactions: where transactional ids stand (KIP-664). */
const describeTransactions = handler(
  DescribeTransactions,
  async (request, { broker }): Promise<Writable<DescribeTransactionsResponse>> => {
    const describe = async (transactionalId: string): Promise<DescribedTransaction> => {
      try {
        const { status, timeoutMs, startMs, producerId, producerEpoch, partitions } =
          await broker.transactions.describe(transactionalId);
        return {
          errorCode: 0,
          transactionalId,
          transactionState: status,
          transactionTimeoutMs: timeoutMs,
          transactionStartTimeMs: startMs,
          producerId,
          producerEpoch,
          topics: [...partitions].map(([topic, indexes]) => ({ topic, partitions: [...indexes] })),
        };
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error;
        return { errorCode: error.code, transactionalId };
      }
    };
    return { transactionStates: await inSteps(request.transactionalIds, broker.runtime, describe) };
  },
);

/**
 * ListTransactions: the transactional ids that this broker coordinates (KIP-664).
 * v1 durationFilter (KIP-994); v2 transactionalIdPattern (KIP-1152)
 */
const listTransactions = handler(ListTransactions, async (request, { broker }): Promise<Writable<ListTransactionsResponse>> => {
  const { stateFilters, producerIdFilters, durationFilter, transactionalIdPattern } = request;
  const listed = await broker.transactions.list({
    states: new Set(stateFilters),
    producerIds: new Set(producerIdFilters),
    durationMs: durationFilter,
    transactionalIdPattern,
  });
  return {
    errorCode: 0,
    unknownStateFilters: [...new Set(stateFilters)].filter((name) => !isTransactionState(name)),
    transactionStates: listed.map(({ transactionalId, producerId, status }) => ({
      transactionalId,
      producerId,
      transactionState: status,
    })),
  };
});

/** The APIs of transactions: who begins and ends one is the coordinator's business, what is written the partition leader's. */
export const transactionHandlers = [
  addPartitionsToTxn,
  addOffsetsToTxn,
  endTxn,
  txnOffsetCommit,
  writeTxnMarkers,
  describeTransactions,
  listTransactions,
] as unknown as Handler[];
