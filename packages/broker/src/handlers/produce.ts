import { KafkaError, Produce, type ProduceRequest, type ProduceResponse, type Writable } from '@ottla/protocol';
import { decompressionBudget } from '@ottla/storage';
import { type Answer, type Failure, handler, type RequestContext, TurnAnswer } from './handler.ts';
import { LeaderHints } from './leader-hints.ts';
import { PartitionAppend, refusedAppend } from './partition-append.ts';
import { hasTransactionalBatch } from './produced-batches.ts';
import { type Admission, produceInTransaction } from './transactional-produce.ts';

type TopicData = ProduceRequest['topicData'][number];

const FIRST_VERSION_WITH_TOPIC_IDS = 13;
const FIRST_VERSION_WITH_LEADER_HINTS = 10;
const NOT_LEADER_OR_FOLLOWER = new KafkaError('NOT_LEADER_OR_FOLLOWER').code;
const CORRUPT_MESSAGE = new KafkaError('CORRUPT_MESSAGE').code;

/**
 * Produce: appends one record batch to each partition.
 * acks 0: no answer, the connection is closed on an error; 1: after the leader's append; -1: when the isr has it
 * v7 zstd may be used (KIP-110)
 * v8 recordErrors name the records at fault (KIP-467)
 * v10 tells the current leader when this is not it (KIP-951)
 * v11 TRANSACTION_ABORTABLE when a partition is not part of the transaction; v12 it is added by being written to (KIP-890)
 * v13 topics by id (KIP-516)
 *
 * The batches are only staged here: all of a turn are written together, see ProduceTurn.
 */
export const produce = handler(
  Produce,
  (request, context): TurnAnswer<ProduceResponse> | Promise<Answer<ProduceResponse>> => {
    if (!hasTransactionalBatch(request)) return new ProduceAnswer(request, context);
    return produceInTransaction(request, context, (admitted, admission) => new ProduceAnswer(admitted, context, admission));
  },
  (failure, request, { connection }) => {
    if (request.acks === 0) {
      connection.close();
      return null;
    }
    return refusedWhole(failure, request);
  },
);

function refusedWhole({ errorCode, errorMessage }: Failure, { topicData }: ProduceRequest): Writable<ProduceResponse> {
  const message = errorCode === CORRUPT_MESSAGE ? errorMessage : null;
  return {
    responses: topicData.map(({ name, topicId, partitionData }) => ({
      name,
      topicId,
      partitionResponses: partitionData.map(({ index }) => refusedAppend(index, errorCode, message)),
    })),
  };
}

type TopicAppends = { readonly name: string; readonly topicId: string; readonly partitionResponses: PartitionAppend[] };

/** What became of one request's batches. */
class ProduceAnswer extends TurnAnswer<ProduceResponse> {
  readonly #acks: number;
  readonly #timeoutMs: number;
  readonly #context: RequestContext;
  readonly #topics: TopicAppends[] = [];

  constructor(request: ProduceRequest, context: RequestContext, admission?: Admission) {
    super();
    this.#acks = request.acks;
    this.#timeoutMs = request.timeoutMs;
    this.#context = context;
    const topics = lastOfEach(request, context.apiVersion);
    const rules = { acks: request.acks, decompression: decompressionBudget(recordsBytes(topics)), admission };
    for (const topic of topics) {
      const partitionResponses: PartitionAppend[] = [];
      for (const data of topic.partitionData) {
        const append = new PartitionAppend(data.index);
        append.stage(topic, data.records, rules, context);
        partitionResponses.push(append);
      }
      this.#topics.push({ name: topic.name, topicId: topic.topicId, partitionResponses });
    }
  }

  override finish(): Answer<ProduceResponse> | Promise<Answer<ProduceResponse>> {
    let waiting: Promise<void>[] | undefined;
    for (const { partitionResponses } of this.#topics) {
      for (const append of partitionResponses) {
        if (append.settle(this.#acks)) continue;
        waiting ??= [];
        waiting.push(append.whenCommitted(this.#timeoutMs, this.#context));
      }
    }
    if (this.#acks === 0) return this.#acknowledgeNothing();
    return waiting ? Promise.all(waiting).then(() => this.#answer()) : this.#answer();
  }

  #answer(): Writable<ProduceResponse> {
    if (this.#context.apiVersion < FIRST_VERSION_WITH_LEADER_HINTS) return { responses: this.#topics };
    let hints: LeaderHints | undefined;
    for (const { name, topicId, partitionResponses } of this.#topics) {
      for (const append of partitionResponses) {
        if (append.errorCode !== NOT_LEADER_OR_FOLLOWER) continue;
        hints ??= new LeaderHints(this.#context);
        const topic = name === '' ? this.#context.broker.metadata.topicName(topicId) : name;
        append.currentLeader = hints.of(topic, append.index, append.errorCode);
      }
    }
    return hints === undefined ? { responses: this.#topics } : { responses: this.#topics, nodeEndpoints: hints.endpoints() };
  }

  /** The producer does not listen, so the one way to tell it of an error is to close the connection: it will refresh its metadata. */
  #acknowledgeNothing(): null {
    const { connection, broker } = this.#context;
    for (const { partitionResponses } of this.#topics) {
      const failed = partitionResponses.find(({ errorCode }) => errorCode !== 0);
      if (!failed) continue;
      broker.runtime.logger.info('closing the connection of an acks=0 producer after a failed append', {
        client: connection.remote,
        errorCode: failed.errorCode,
      });
      connection.close();
      break;
    }
    return null;
  }
}

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
