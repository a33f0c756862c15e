import { KafkaError, Produce, type ProduceRequest, type ProduceResponse, type Writable } from '@ottla/protocol';
import { type DecompressionBudget, decompressionBudget, RecordValidationError } from '@ottla/storage';
import { isInternalTopic } from '../internal-topics.ts';
import type { Partition } from '../replication/partition.ts';
import { failureOf, handler, type RequestContext } from './handler.ts';
import { hasTransactionalBatch, isTransactional, requireOneBatch } from './produced-batches.ts';

type WrittenAnswer = NonNullable<NonNullable<Writable<ProduceResponse>['responses']>[number]['partitionResponses']>[number];
/** Filled in bit by bit, until it is written. */
type PartitionAnswer = { -readonly [Key in keyof WrittenAnswer]: WrittenAnswer[Key] };
type TopicData = ProduceRequest['topicData'][number];

const FIRST_VERSION_WITH_TOPIC_IDS = 13;
const FIRST_VERSION_WITH_LEADER_HINTS = 10;

const CORRUPT_MESSAGE = new KafkaError('CORRUPT_MESSAGE').code;

const NO_RECORDS = new Uint8Array(0);

/** Tools that repair a cluster use this client id; nobody else may write to internal topics. */
const ADMIN_CLIENT_ID = '__admin_client';

/**
 * Produce: appends one record batch to each partition.
 * acks 0: no answer, the connection is closed on an error; 1: after the leader's append; -1: when the isr has it
 * v7 zstd may be used (KIP-110)
 * v8 recordErrors name the records at fault (KIP-467)
 * v10 tells the current leader when this is not it (KIP-951)
 * v13 topics by id (KIP-516)
 */
export const produce = handler(
  Produce,
  (request, context): Writable<ProduceResponse> | null | Promise<Writable<ProduceResponse> | null> => {
    if (hasTransactionalBatch(request) && request.transactionalId === null)
      throw new KafkaError('TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'a transactional batch needs a transactional id');
    const topics = lastOfEach(request, context.apiVersion);
    const decompression = decompressionBudget(recordsBytes(topics));
    const appends = topics.map((topic) => ({
      topic,
      partitions: topic.partitionData.map((data) => append(topic, data, request, context, decompression)),
    }));
    const waiting = appends.flatMap(({ partitions }) => partitions.flatMap(({ committed }) => (committed ? [committed] : [])));
    if (request.acks === 0) return acknowledgeNothing(appends, context);
    const answer = (): Writable<ProduceResponse> => ({
      responses: appends.map(({ topic, partitions }) => ({
        name: topic.name,
        topicId: topic.topicId,
        partitionResponses: partitions.map((partition) => partition.answer),
      })),
      nodeEndpoints: leaderEndpoints(appends, context),
    });
    return waiting.length === 0 ? answer() : Promise.all(waiting).then(answer);
  },
  (failure, request, { connection }) => {
    if (request.acks === 0) {
      connection.close();
      return null;
    }
    const errorMessage = failure.errorCode === CORRUPT_MESSAGE ? failure.errorMessage : null;
    return {
      responses: request.topicData.map(({ name, topicId, partitionData }) => ({
        name,
        topicId,
        partitionResponses: partitionData.map(({ index }) => refused(index, failure.errorCode, errorMessage)),
      })),
    };
  },
);

type Append = {
  answer: PartitionAnswer;
  /** Set when the answer has to wait for the isr; it settles the answer. */
  committed?: Promise<void>;
};

/** A partition named twice counts once, as the last time says, and a topic without partitions not at all. */
function lastOfEach({ topicData }: ProduceRequest, apiVersion: number): readonly TopicData[] {
  const single = topicData[0];
  if (topicData.length === 1 && single!.partitionData.length === 1) return topicData;
  const topics = new Map<string, { topic: TopicData; partitions: Map<number, TopicData['partitionData'][number]> }>();
  for (const topic of topicData) {
    const key = apiVersion >= FIRST_VERSION_WITH_TOPIC_IDS ? topic.topicId : topic.name;
    const known = topics.get(key) ?? { topic, partitions: new Map() };
    topics.set(key, known);
    for (const data of topic.partitionData) known.partitions.set(data.index, data);
  }
  return [...topics.values()]
    .filter(({ partitions }) => partitions.size > 0)
    .map(({ topic, partitions }) => ({ ...topic, partitionData: [...partitions.values()] }));
}

function recordsBytes(topics: readonly TopicData[]): number {
  let bytes = 0;
  for (const { partitionData } of topics) for (const { records } of partitionData) bytes += records?.length ?? 0;
  return bytes;
}

function append(
  topic: TopicData,
  { index, records }: TopicData['partitionData'][number],
  request: ProduceRequest,
  context: RequestContext,
  decompression: DecompressionBudget,
): Append {
  const { broker, apiVersion } = context;
  let partition: Partition | undefined;
  try {
    const name = apiVersion >= FIRST_VERSION_WITH_TOPIC_IDS ? broker.metadata.topicName(topic.topicId) : topic.name;
    if (name === undefined) throw new KafkaError('UNKNOWN_TOPIC_ID', `no topic has the id ${topic.topicId}: refresh metadata`);
    if (!broker.metadata.hasPartition(name, index))
      throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no partition ${name}-${index}`);
    requireOneBatch(records ?? NO_RECORDS, apiVersion);
    if (isTransactional(records!)) throw new KafkaError('INVALID_TXN_STATE', 'this release of Ottla has no transactions');
    if (request.acks < -1 || request.acks > 1)
      throw new KafkaError('INVALID_REQUIRED_ACKS', `acks must be -1, 0 or 1, not ${request.acks}`);
    if (isInternalTopic(name) && context.clientId !== ADMIN_CLIENT_ID)
      throw new KafkaError('INVALID_TOPIC_EXCEPTION', `Cannot append to internal topic ${name}`);
    partition = broker.partitions.get(name, index);
    if (!partition) throw new KafkaError('NOT_LEADER_OR_FOLLOWER', `${name}-${index} is not on this broker: refresh metadata`);
    const minInsyncReplicas = request.acks === -1 ? broker.config.topic(name)['min.insync.replicas'] : 1;
    const result = partition.appendAsLeader(
      records ?? NO_RECORDS,
      { origin: 'client', apiVersion, decompression },
      request.acks,
      minInsyncReplicas,
    );
    const answer: PartitionAnswer = {
      index,
      errorCode: 0,
      baseOffset: result.firstOffset,
      logAppendTimeMs: result.logAppendTimeMs,
      logStartOffset: result.logStartOffset,
    };
    if (request.acks !== -1 || partition.highWatermark > result.lastOffset) return { answer };
    return { answer, committed: settleWhenCommitted(answer, partition, result.lastOffset + 1, request.timeoutMs, context) };
  } catch (error) {
    if (!(error instanceof KafkaError))
      broker.runtime.logger.error('append failed unexpectedly', {
        topic: topic.name || broker.metadata.topicName(topic.topicId),
        partition: index,
        error,
      });
    return { answer: refusal(error, index, partition, context) };
  }
}

function settleWhenCommitted(
  answer: PartitionAnswer,
  partition: Partition,
  endOffset: number,
  timeoutMs: number,
  { broker }: RequestContext,
): Promise<void> {
  return new Promise((resolve) => {
    const settle = (errorCode: number): void => {
      answer.errorCode = errorCode;
      timer.cancel();
      resolve();
    };
    const timer = broker.runtime.timers.after(Math.max(0, timeoutMs), () =>
      settle(failureOf(new KafkaError('REQUEST_TIMED_OUT')).errorCode),
    );
    partition.whenCommitted(endOffset).then(
      () => settle(0),
      (error: unknown) => settle(failureOf(error).errorCode),
    );
  });
}

function refused(index: number, errorCode: number, errorMessage: string | null): PartitionAnswer {
  return { index, errorCode, baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1, errorMessage };
}

/** Errors that a refresh or a smaller batch mends carry no offsets; of the others Kafka tells where the log starts. */
const errorsWithoutOffsets = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'NOT_LEADER_OR_FOLLOWER',
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'CORRUPT_MESSAGE',
  'KAFKA_STORAGE_ERROR',
  'UNKNOWN_TOPIC_ID',
]);

function refusal(
  error: unknown,
  index: number,
  partition: Partition | undefined,
  { apiVersion }: RequestContext,
): PartitionAnswer {
  const answer = refused(index, failureOf(error).errorCode, null);
  if (!(error instanceof KafkaError) || !partition) return answer;
  if (!errorsWithoutOffsets.has(error.name)) answer.logStartOffset = partition.log.logStartOffset;
  if (error instanceof RecordValidationError) {
    answer.errorMessage = error.message;
    answer.recordErrors = error.recordErrors.map(({ batchIndex, message }) => ({ batchIndex, batchIndexErrorMessage: message }));
  }
  if (apiVersion >= FIRST_VERSION_WITH_LEADER_HINTS && error.name === 'NOT_LEADER_OR_FOLLOWER') {
    answer.currentLeader = { leaderId: partition.leader, leaderEpoch: partition.leaderEpoch };
  }
  return answer;
}

function leaderEndpoints(
  appends: readonly { partitions: Append[] }[],
  { broker, connection }: RequestContext,
): Writable<ProduceResponse>['nodeEndpoints'] {
  const leaders = new Set<number>();
  for (const { partitions } of appends)
    for (const { answer } of partitions)
      if ((answer.currentLeader?.leaderId ?? -1) >= 0) leaders.add(answer.currentLeader!.leaderId!);
  return [...leaders].flatMap((leader) => broker.metadata.endpointOf(leader, connection.listenerName) ?? []);
}

/** The producer does not listen, so the one way to tell it of an error is to close the connection: it will refresh its metadata. */
function acknowledgeNothing(
  appends: readonly { topic: TopicData; partitions: Append[] }[],
  { connection, broker }: RequestContext,
): null {
  const failed = appends.flatMap(({ partitions }) => partitions.filter(({ answer }) => answer.errorCode !== 0));
  if (failed.length > 0) {
    broker.runtime.logger.info('closing the connection of an acks=0 producer after a failed append', {
      client: connection.remote,
      errorCode: failed[0]!.answer.errorCode,
    });
    connection.close();
  }
  return null;
}
