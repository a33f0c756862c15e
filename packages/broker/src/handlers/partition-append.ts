import { KafkaError, type ProduceRequest } from '@ottla/protocol';
import { type DecompressionBudget, NO_GUARD, RecordValidationError, type VerificationGuard } from '@ottla/storage';
import { isInternalTopic } from '../internal-topics.ts';
import type { Partition } from '../replication/partition.ts';
import { failureOf, type RequestContext } from './handler.ts';
import type { CurrentLeader } from './leader-hints.ts';
import { requireOneBatch } from './produced-batches.ts';
import { type Admission, partitionKey } from './transactional-produce.ts';

const FIRST_VERSION_WITH_TOPIC_IDS = 13;

const NO_RECORDS = new Uint8Array(0);

const REQUEST_TIMED_OUT = new KafkaError('REQUEST_TIMED_OUT').code;
const NOT_ENOUGH_REPLICAS_AFTER_APPEND = new KafkaError('NOT_ENOUGH_REPLICAS_AFTER_APPEND').code;

/** Tools that repair a cluster use this client id; nobody else may write to internal topics. */
const ADMIN_CLIENT_ID = '__admin_client';

/** What holds for all partitions of a Produce request. */
export type AppendRules = {
  readonly acks: number;
  readonly decompression: DecompressionBudget;
  /** Of a request with batches of a transaction. */
  readonly admission: Admission | undefined;
};

/** One partition's part of a Produce request, and of its answer: the fields without # are those of the protocol. */
export class PartitionAppend {
  readonly index: number;
  errorCode = 0;
  baseOffset = -1;
  logAppendTimeMs = -1;
  logStartOffset = -1;
  recordErrors: { batchIndex: number; batchIndexErrorMessage: string }[] | undefined;
  errorMessage: string | null = null;
  currentLeader: CurrentLeader | undefined;
  #partition: Partition | undefined;
  /** One after the batch's last offset. */
  #endOffset = -1;

  constructor(index: number) {
    this.index = index;
  }

  /** Stages the batch with its partition, or notes why not. */
  stage(
    topic: Pick<ProduceRequest['topicData'][number], 'name' | 'topicId'>,
    records: Uint8Array | null,
    rules: AppendRules,
    context: RequestContext,
  ): void {
    const { broker } = context;
    try {
      const partition = this.#find(topic, records, rules, context);
      const refusal = rules.admission?.refusals.get(partitionKey(partition.topic, this.index));
      if (refusal) {
        this.#refuseTransaction(refusal);
        return;
      }
      const minInsyncReplicas = rules.acks === -1 ? broker.config.topic(partition.topic)['min.insync.replicas'] : 1;
      const { hasStaged } = partition;
      const result = partition.stageAsLeader(
        records!,
        {
          origin: 'client',
          apiVersion: context.apiVersion,
          decompression: rules.decompression,
          verificationGuard: rules.admission && this.#guard(partition, rules.admission),
        },
        rules.acks,
        minInsyncReplicas,
      );
      if (!hasStaged) broker.produceTurn.add(partition);
      this.baseOffset = result.firstOffset;
      this.logAppendTimeMs = result.logAppendTimeMs;
      this.logStartOffset = result.logStartOffset;
      this.#endOffset = result.lastOffset + 1;
    } catch (error) {
      if (!(error instanceof KafkaError))
        broker.runtime.logger.error('append failed unexpectedly', {
          topic: topic.name || broker.metadata.topicName(topic.topicId),
          partition: this.index,
          error,
        });
      this.#refuse(error);
    }
  }

  #guard({ topic }: Partition, { guards, isVerified }: Admission): VerificationGuard | undefined {
    return isVerified ? (guards.get(partitionKey(topic, this.index)) ?? NO_GUARD) : undefined;
  }

  /** The batch may not be part of its transaction here: nobody has looked at the log. */
  #refuseTransaction({ name, code, message }: KafkaError): void {
    this.errorCode = code;
    if (explainedRefusals.has(name)) this.errorMessage = message;
  }

  /** The partition, if the batch may be appended to it. */
  #find(
    topic: Pick<ProduceRequest['topicData'][number], 'name' | 'topicId'>,
    records: Uint8Array | null,
    { acks }: AppendRules,
    { broker, apiVersion, clientId }: RequestContext,
  ): Partition {
    const { index } = this;
    const name = apiVersion >= FIRST_VERSION_WITH_TOPIC_IDS ? broker.metadata.topicName(topic.topicId) : topic.name;
    if (name === undefined) throw new KafkaError('UNKNOWN_TOPIC_ID', `no topic has the id ${topic.topicId}: refresh metadata`);
    if (!broker.metadata.hasPartition(name, index))
      throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no partition ${name}-${index}`);
    requireOneBatch(records ?? NO_RECORDS, apiVersion);
    if (acks < -1 || acks > 1) throw new KafkaError('INVALID_REQUIRED_ACKS', `acks must be -1, 0 or 1, not ${acks}`);
    if (isInternalTopic(name) && clientId !== ADMIN_CLIENT_ID)
      throw new KafkaError('INVALID_TOPIC_EXCEPTION', `Cannot append to internal topic ${name}`);
    this.#partition = broker.partitions.get(name, index);
    if (!this.#partition) broker.partitions.requireOnline(name, index);
    if (!this.#partition)
      throw new KafkaError('NOT_LEADER_OR_FOLLOWER', `${name}-${index} is not on this broker: refresh metadata`);
    return this.#partition;
  }

  /** The turn was committed: true when the answer is known, false when it has to wait for the isr. */
  settle(acks: number): boolean {
    if (this.errorCode !== 0) return true;
    const partition = this.#partition!;
    if (!partition.isCommitted) {
      this.#fail('KAFKA_STORAGE_ERROR');
      return true;
    }
    return acks !== -1 || partition.highWatermark >= this.#endOffset;
  }

  /** Resolves when the isr has the batch, or never will, or not in time. */
  whenCommitted(timeoutMs: number, { broker }: RequestContext): Promise<void> {
    const partition = this.#partition!;
    return new Promise((resolve) => {
      const settle = (errorCode: number): void => {
        this.errorCode = errorCode;
        timer.cancel();
        resolve();
      };
      const timer = broker.runtime.timers.after(Math.max(0, timeoutMs), () => {
        partition.unwatch(watcher);
        settle(REQUEST_TIMED_OUT);
      });
      const watcher = partition.awaitCommitted(this.#endOffset, (error) => {
        if (error) settle(error.code);
        else settle(partition.hasEnoughReplicas ? 0 : NOT_ENOUGH_REPLICAS_AFTER_APPEND);
      });
    });
  }

  #refuse(error: unknown): void {
    this.errorCode = failureOf(error).errorCode;
    const partition = this.#partition;
    if (!(error instanceof KafkaError) || !partition) return;
    if (!errorsWithoutOffsets.has(error.name)) this.logStartOffset = partition.log.logStartOffset;
    if (error instanceof RecordValidationError) {
      this.errorMessage = error.message;
      this.recordErrors = error.recordErrors.map(({ batchIndex, message }) => ({ batchIndex, batchIndexErrorMessage: message }));
    }
  }

  /** What seemed well at first came to nothing. */
  #fail(name: 'KAFKA_STORAGE_ERROR'): void {
    this.errorCode = new KafkaError(name).code;
    this.baseOffset = -1;
    this.logAppendTimeMs = -1;
    this.logStartOffset = -1;
  }
}

/** For a batch that nobody tried to append. */
export function refusedAppend(index: number, errorCode: number, errorMessage: string | null): PartitionAppend {
  const append = new PartitionAppend(index);
  append.errorCode = errorCode;
  append.errorMessage = errorMessage;
  return append;
}

/** Why the coordinator did not let a partition into a transaction is told where the code says less. */
const explainedRefusals = new Set(['INVALID_TXN_STATE', 'NOT_ENOUGH_REPLICAS']);

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
