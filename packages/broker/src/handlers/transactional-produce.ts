import type { ProducerIdAndEpoch } from '@ottla/coordinator';
import { BatchView, type ErrorName, KafkaError, type ProduceRequest, type ProduceResponse } from '@ottla/protocol';
import { NO_GUARD, type VerificationGuard } from '@ottla/storage';
import { supportOfProduce } from '../transactions/transaction-verifier.ts';
import type { Answer, RequestContext, TurnAnswer } from './handler.ts';
import { isTransactional } from './produced-batches.ts';

const BATCH_HEADER_BYTES = 61;
const FIRST_VERSION_WITH_TOPIC_IDS = 13;

/** What is known of a request's partitions before their batches are appended. */
export type Admission = {
  /** By `partitionKey`: what lets the first batch of a transaction in. */
  readonly guards: ReadonlyMap<string, VerificationGuard>;
  /** By `partitionKey`: the partitions that take no batch of this transaction. */
  readonly refusals: ReadonlyMap<string, KafkaError>;
  /** transaction.partition.verification.enable */
  readonly isVerified: boolean;
};

export function partitionKey(topic: string, index: number): string {
  return `${index} ${topic}`;
}

/**
 * Produce with batches of a transaction. Where the transaction goes on, they are appended like any others. Where it begins, the coordinator is
 * asked first, and they, with whatever else comes of this producer meanwhile, wait: its batches must stay in their order.
 * `append` stages the batches of a request that may be appended.
 */
export function produceInTransaction(
  request: ProduceRequest,
  context: RequestContext,
  append: (request: ProduceRequest, admission: Admission) => TurnAnswer<ProduceResponse>,
): TurnAnswer<ProduceResponse> | Promise<Answer<ProduceResponse>> {
  const { transactionalId } = request;
  if (transactionalId === null)
    throw new KafkaError('TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'a transactional batch needs a transactional id');
  const producer = onlyProducer(request);
  const { verifier, produceTurn } = context.broker;
  if (producer === undefined) return append(request, NOTHING_KNOWN);
  if (!verifier.isWaiting(producer.producerId)) {
    const { admission, isComplete } = lookAt(request, context);
    if (isComplete) return append(request, admission);
  }
  const kept = copyOf(request);
  return verifier
    .inOrder(producer.producerId, async () => {
      const answer = append(kept, await admit(kept, transactionalId, producer, context));
      // It comes between turns, and is finished before another append to the same partitions can speak for this one. What comes behind it
      // need not wait until it is committed.
      produceTurn.commit();
      return { finished: answer.finish() };
    })
    .then(({ finished }) => finished);
}

type Looked = {
  readonly admission: Admission;
  /** Nothing has to be asked of the coordinator. */
  readonly isComplete: boolean;
  /** To be asked about. */
  readonly partitions: ReadonlyMap<string, Set<number>>;
};

/** Finds out where the transaction goes on, and where it begins. */
function lookAt({ topicData }: ProduceRequest, { broker, apiVersion }: RequestContext): Looked {
  const isVerified = broker.config.get('transaction.partition.verification.enable');
  const supportsEpochBump = supportOfProduce(apiVersion) === 'add';
  const guards = new Map<string, VerificationGuard>();
  const refusals = new Map<string, KafkaError>();
  const partitions = new Map<string, Set<number>>();
  const admission = { guards, refusals, isVerified };
  if (!isVerified && !supportsEpochBump) return { admission, isComplete: true, partitions };
  for (const { name, topicId, partitionData } of topicData) {
    const topic = apiVersion >= FIRST_VERSION_WITH_TOPIC_IDS ? broker.metadata.topicName(topicId) : name;
    for (const { index, records } of topic === undefined ? [] : partitionData) {
      const partition = broker.partitions.get(topic!, index);
      // What there is to say of a partition that is not led here, its append will say.
      if (records === null || !isWholeTransactional(records) || !partition?.isLeader) continue;
      const { producerId, producerEpoch, baseSequence } = new BatchView(records);
      const key = partitionKey(topic!, index);
      try {
        const guard = partition.log.startVerification({ producerId, producerEpoch, baseSequence, supportsEpochBump });
        if (guard === NO_GUARD) continue;
        guards.set(key, guard);
        partitions.set(topic!, (partitions.get(topic!) ?? new Set()).add(index));
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error;
        refusals.set(key, error);
      }
    }
  }
  return { admission, isComplete: guards.size === 0, partitions };
}

/** Has the coordinator confirm what is to be confirmed. While it still ends the producer's last transaction, it is asked again for a short while. */
async function admit(
  request: ProduceRequest,
  transactionalId: string,
  producer: ProducerIdAndEpoch,
  context: RequestContext,
): Promise<Admission> {
  const { verifier, config, runtime } = context.broker;
  const support = supportOfProduce(context.apiVersion);
  const patienceMs = Math.min(config.get('add.partitions.to.txn.retry.backoff.max.ms'), config.get('request.timeout.ms'));
  const startedMs = runtime.clock.monotonicMs();
  for (;;) {
    const { admission, isComplete, partitions } = lookAt(request, context);
    if (isComplete) return admission;
    const missing = await verifier.confirm(transactionalId, producer, partitions, support);
    const isLate = runtime.clock.monotonicMs() - startedMs >= patienceMs;
    if (support !== 'add' || isLate || !missing.some(({ error }) => error === 'CONCURRENT_TRANSACTIONS')) {
      const refusals = new Map(admission.refusals);
      for (const { topic, partition, error } of missing)
        refusals.set(partitionKey(topic, partition), refusalOf(error, support === 'add'));
      return { ...admission, refusals };
    }
    await verifier.untilComplete(transactionalId, config.get('add.partitions.to.txn.retry.backoff.ms'));
  }
}

/** What a producer is told: one of the errors that its version knows what to do about. */
function refusalOf(error: ErrorName, knowsConcurrent: boolean): KafkaError {
  if (error === 'INVALID_TXN_STATE') return new KafkaError(error, 'Partition was not added to the transaction');
  if (retriableErrors.has(error) || (error === 'CONCURRENT_TRANSACTIONS' && !knowsConcurrent)) {
    return new KafkaError(
      'NOT_ENOUGH_REPLICAS',
      `Unable to verify the partition has been added to the transaction. Underlying error: ${error}`,
    );
  }
  return new KafkaError(error);
}

const retriableErrors: ReadonlySet<ErrorName> = new Set([
  'NETWORK_EXCEPTION',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
]);

/** Undefined when no batch is whole. Throws INVALID_PRODUCER_ID_MAPPING when there are several. */
function onlyProducer({ topicData }: ProduceRequest): ProducerIdAndEpoch | undefined {
  let found: ProducerIdAndEpoch | undefined;
  for (const { partitionData } of topicData) {
    for (const { records } of partitionData) {
      if (records === null || !isWholeTransactional(records)) continue;
      const { producerId, producerEpoch } = new BatchView(records);
      if (producerId < 0) continue;
      if (found !== undefined && (found.producerId !== producerId || found.producerEpoch !== producerEpoch)) {
        throw new KafkaError('INVALID_PRODUCER_ID_MAPPING', 'Transactional records contained more than one producer ID');
      }
      found = { producerId, producerEpoch };
    }
  }
  return found;
}

function isWholeTransactional(records: Uint8Array): boolean {
  return records.length >= BATCH_HEADER_BYTES && isTransactional(records);
}

/** The bytes of a request are used again when its turn is over. */
function copyOf(request: ProduceRequest): ProduceRequest {
  return {
    ...request,
    topicData: request.topicData.map((topic) => ({
      ...topic,
      partitionData: topic.partitionData.map((data) => ({ ...data, records: data.records && new Uint8Array(data.records) })),
    })),
  };
}

const NOTHING_KNOWN: Admission = { guards: new Map(), refusals: new Map(), isVerified: true };
