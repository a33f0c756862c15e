import type { BrokerConnection } from '@ottla/network';
import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  EndTxn,
  errorOfCode,
  InitProducerId,
  KafkaError,
  TxnOffsetCommit,
} from '@ottla/protocol';
import type { OffsetToCommit } from '../admin/group-offsets.ts';
import { type Cluster, isRetriableError } from '../cluster/cluster.ts';
import type { ConsumerGroupMetadata } from '../consumer/consumer.ts';
import { groupByTopic, partitionName, type TopicPartition } from '../topic-partition.ts';
import type { ProducerIdentity } from './partition-queue.ts';
import type { CompleteProducerConfig } from './producer-config.ts';

type State = 'uninitialized' | 'ready' | 'open' | 'committing' | 'aborting' | 'abortable' | 'fatal';

/** Why something cannot be begun, and what to do. */
const whyNot: Readonly<Record<State, string>> = {
  uninitialized: 'call initTransactions first',
  ready: 'the producer is ready already: call beginTransaction',
  open: 'a transaction is open: commitTransaction or abortTransaction ends it',
  committing: 'the last transaction is still being committed: await commitTransaction first',
  aborting: 'the last transaction is still being aborted: await abortTransaction first',
  abortable: 'the last transaction has failed: abortTransaction ends it',
  fatal: 'this producer has failed for good: close it',
};

/** How a producer's transactions reach its batches. */
export type TransactionEvents = {
  /** Something that was held back may leave now. */
  readonly wake: () => void;
  /** What has not left will not: the transaction is to be aborted. */
  readonly failUnsent: (error: Error) => void;
  /** The producer has another id or epoch: sequences begin at 0. Nothing is on its way. */
  readonly startOver: () => void;
};

/** The last versions of clients that add partitions and offsets to a transaction by themselves. */
const newestBeforeV2 = { produce: 11, addPartitionsToTxn: 3, txnOffsetCommit: 4, endTxn: 4 } as const;

/** Somebody else has the transactional id now, or nobody may have it: this producer is of no more use. */
const endsProducer: ReadonlySet<KafkaError['name']> = new Set([
  'PRODUCER_FENCED',
  'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  'INVALID_PRODUCER_ID_MAPPING',
  'UNSUPPORTED_VERSION',
]);

/**
 * One transaction after another, by the rules of KIP-98, and of KIP-890 where the cluster has transaction.version 2: there partition leaders
 * add partitions by themselves, and the epoch rises at each end, so that nothing of an earlier transaction can come late.
 *
 *   uninitialized ─init─► ready ─begin─► open ─► committing ─► ready
 *                                         │ └──► aborting ──► ready
 *                                         └─a failure─► abortable ─► aborting          any ─fenced─► fatal
 */
export class Transactions {
  readonly #cluster: Cluster;
  readonly #config: CompleteProducerConfig;
  readonly #transactionalId: string;
  readonly #events: TransactionEvents;
  #state: State = 'uninitialized';
  #identity: ProducerIdentity | undefined;
  /** transaction.version 2 (KIP-890). */
  #isV2 = false;
  /** Why the transaction must be aborted, or the producer is of no more use. */
  #failure: Error | undefined;
  /** In the transaction. With V2 those that something was sent to. */
  readonly #partitions = new Set<string>();
  /** Batches wait until these are in it. */
  readonly #wanted = new Map<string, TopicPartition>();
  #initializing: Promise<void> | undefined;
  #adding: Promise<void> | undefined;
  #hasOffsets = false;
  /** The coordinator was asked to add something, and may have done so though no answer came. */
  #isAsked = false;
  /**
   * A batch that has a sequence, or a request, was given up, and may have arrived or arrive yet: what comes next needs another epoch. With V2
   * every abort brings one.
   */
  #isEpochSpent = false;
  readonly #sendingOffsets = new Set<Promise<void>>();
  /**
   * The last commit or abort, from its call until somebody has heard that it is done: of the state's own kind while the state is `committing` or
   * `aborting`. One that fails is forgotten at once.
   */
  #ending: Promise<void> | undefined;
  /** Who waits for it. */
  #patient = 0;
  /** What last kept the coordinator from doing what it was asked for. */
  #trouble: Error | undefined;

  constructor(cluster: Cluster, config: CompleteProducerConfig, events: TransactionEvents) {
    this.#cluster = cluster;
    this.#config = config;
    this.#transactionalId = config.transactionalId;
    this.#events = events;
  }

  get identity(): ProducerIdentity | undefined {
    return this.#identity;
  }

  /** The newest Produce version that says what this cluster understands by a transaction. */
  get newestProduceVersion(): number | undefined {
    return this.#isV2 ? undefined : newestBeforeV2.produce;
  }

  /** Takes the transactional id over from whoever had it: their transaction is aborted, and they are fenced. */
  async init(): Promise<void> {
    this.#require('initTransactions', 'uninitialized');
    this.#initializing ??= this.#initProducerId({ producerId: -1, producerEpoch: -1 })
      .then(() => {
        this.#state = 'ready';
      })
      .finally(() => {
        this.#initializing = undefined;
      });
    await this.#initializing;
  }

  begin(): void {
    if (this.#state === 'uninitialized')
      throw new KafkaError('INVALID_TXN_STATE', 'call initTransactions before the first beginTransaction');
    this.#require('beginTransaction', 'ready');
    this.#state = 'open';
  }

  /** Throws INVALID_TXN_STATE unless a record may be sent now, or what the transaction has failed with. */
  requireOpen(what: string): void {
    if (this.#state === 'open') return;
    if (this.#failure) throw this.#failure;
    const why = this.#isIn('committing', 'aborting')
      ? `: ${whyNot[this.#state]}`
      : ' needs a transaction: call beginTransaction first';
    throw new KafkaError('INVALID_TXN_STATE', `${what}${why}`);
  }

  /** Whether a batch for the partition may leave. If not, `wake` is called when it may. */
  admits(partition: TopicPartition): boolean {
    const name = partitionName(partition);
    if (!this.#isIn('open', 'committing')) return this.#hearsOfBatches && this.#partitions.has(name);
    if (this.#partitions.has(name)) return true;
    if (this.#isV2) {
      this.#partitions.add(name);
      return true;
    }
    this.#wanted.set(name, { topic: partition.topic, partition: partition.partition });
    this.#adding ??= this.#addPartitions().finally(() => {
      this.#adding = undefined;
      this.#events.wake();
    });
    return false;
  }

  /** Why a batch does not leave any more, also if it came back to leave again; undefined while it may. */
  refusalOf({ mayBeTaken }: { readonly mayBeTaken: boolean }): Error | undefined {
    return mayBeTaken && this.#hearsOfBatches ? undefined : this.#refusal;
  }

  /**
   * Before V2 what has left once is sent until it is answered, also when the transaction is to be aborted: if it still is on some wire when the
   * transaction ends, it begins another one at its leader, which nobody ends.
   */
  get #hearsOfBatches(): boolean {
    return !this.#isV2 && this.#isIn('aborting', 'abortable');
  }

  /** Why nothing new leaves any more; undefined while the transaction takes it. */
  get #refusal(): Error | undefined {
    if (this.#isIn('open', 'committing')) return undefined;
    return this.#failure ?? new KafkaError('TRANSACTION_ABORTABLE', 'the transaction was aborted before this was acknowledged');
  }

  /** A batch was given up: what is left of the transaction is not worth keeping. One that never left is not missed by an abort. */
  batchFailed({ isSequenced }: { readonly isSequenced: boolean }, error: Error): void {
    if (isSequenced || !this.#refusal) this.#fail(error);
  }

  /** The group goes on from these offsets if, and only if, the transaction commits (KIP-447). */
  async sendOffsets(offsets: readonly OffsetToCommit[], group: ConsumerGroupMetadata): Promise<void> {
    this.requireOpen('sendOffsetsToTransaction');
    if (offsets.length === 0) return;
    const sending = this.#sendOffsets(offsets, group);
    this.#sendingOffsets.add(sending);
    try {
      await sending;
    } catch (error) {
      this.#fail(error as Error);
      throw error;
    } finally {
      this.#sendingOffsets.delete(sending);
    }
  }

  async #sendOffsets(offsets: readonly OffsetToCommit[], group: ConsumerGroupMetadata): Promise<void> {
    if (!this.#isV2) await this.#addOffsets(group.groupId);
    this.#hasOffsets = true;
    await this.#commitOffsets(offsets, group);
  }

  /**
   * `flush` resolves when no record of the transaction is on its way any more. Rejects with REQUEST_TIMED_OUT after `maxBlockMs`, and goes on:
   * called again, also while it is under way, it is the same commit.
   */
  async commit(flush: () => Promise<void>): Promise<void> {
    await this.#heardInTime(this.#committed(flush));
  }

  /** As `commit`. */
  async abort(flush: () => Promise<void>): Promise<void> {
    await this.#heardInTime(this.#aborted(flush));
  }

  /** Whether the coordinator may wait for an end of the last transaction. */
  get isUnfinished(): boolean {
    return this.#isIn('open', 'committing', 'aborting', 'abortable');
  }

  /** As Kafka's producer when it closes: a commit that was asked for goes on, also one that has timed out, and all else is aborted. */
  async close(flush: () => Promise<void>): Promise<void> {
    if (this.#state === 'committing') {
      await this.#heard(this.#committed(flush)).catch((error: unknown) => {
        if (this.#state !== 'abortable') throw error;
      });
    }
    if (this.isUnfinished) await this.#heard(this.#aborted(flush));
  }

  #committed(flush: () => Promise<void>): Promise<void> {
    if (this.#state === 'committing' && this.#ending) return this.#ending;
    if (this.#state !== 'committing') this.requireOpen('commitTransaction');
    this.#state = 'committing';
    return this.#endedAfter(flush, () => this.#end(true));
  }

  #aborted(flush: () => Promise<void>): Promise<void> {
    if (this.#isIn('fatal')) throw this.#failure!;
    if (this.#state === 'aborting' && this.#ending) return this.#ending;
    // Only the coordinator knows how far the commit is, and Kafka's clients refuse it too.
    if (this.#state === 'committing') {
      const why =
        this.#patient > 0 ? whyNot.committing : 'the commit has timed out and may have happened: call commitTransaction again';
      throw new KafkaError('INVALID_TXN_STATE', `abortTransaction: ${why}`);
    }
    if (!this.#isIn('open', 'aborting', 'abortable'))
      throw new KafkaError('INVALID_TXN_STATE', 'there is no transaction to abort');
    this.#state = 'aborting';
    this.#events.failUnsent(this.#refusal!);
    return this.#endedAfter(flush, async () => {
      await this.#end(false);
      // Before V2 nothing else keeps out a batch of this transaction that is still on some wire.
      if (this.#isEpochSpent) await this.#initProducerId(this.#identity!);
    });
  }

  /** Nothing of the transaction is on its way when it ends, and the commit that failed before an abort, if one did, is through. */
  #endedAfter(flush: () => Promise<void>, end: () => Promise<void>): Promise<void> {
    const before = this.#ending;
    const state = this.#state;
    this.#trouble = undefined;
    const run = async (): Promise<void> => {
      await before?.catch(() => {});
      await flush();
      await Promise.allSettled(this.#sendingOffsets);
      // What failed meanwhile has changed it, and an abort may have begun: a part of the transaction must not be committed.
      if (this.#state !== state) throw this.#failure!;
      await end();
    };
    const ending = run();
    this.#ending = ending;
    ending.catch(() => {
      if (this.#ending === ending) this.#ending = undefined;
    });
    return ending;
  }

  #heardInTime(ending: Promise<void>): Promise<void> {
    const { maxBlockMs } = this.#config;
    return this.#heard(
      this.#cluster.within(maxBlockMs, ending, () => this.#late('the transaction has not ended')),
      ending,
    );
  }

  /** Who has heard of the end goes on. What nobody has heard of, its caller asks for again, and must not find out by a refusal. */
  async #heard(end: Promise<void>, ending = end): Promise<void> {
    this.#patient++;
    try {
      await end;
    } finally {
      this.#patient--;
    }
    // Another caller may have gone on already.
    if (this.#ending !== ending) return;
    this.#ending = undefined;
    this.#failure = undefined;
    this.#state = 'ready';
  }

  #late(what: string): KafkaError {
    const why = this.#trouble ? `: ${this.#trouble.message}` : '';
    const text = `${what} within maxBlockMs = ${this.#config.maxBlockMs}${why}`;
    return new KafkaError('REQUEST_TIMED_OUT', text, { cause: this.#trouble });
  }

  async #end(committed: boolean): Promise<void> {
    await this.#adding;
    // With V2 an abort raises the epoch even of a transaction that the coordinator has not heard of: batches may be on some wire.
    const isKnown = this.#partitions.size > 0 || this.#hasOffsets;
    const mayBeKnown = !committed && (this.#isV2 || this.#isAsked);
    if (isKnown || mayBeKnown) {
      const { producerId, producerEpoch } = this.#identity!;
      const request = { transactionalId: this.#transactionalId, producerId, producerEpoch, committed };
      const next = await this.#atCoordinator(async (connection) => {
        const version = connection.versionFor(EndTxn, this.#isV2 ? {} : { max: newestBeforeV2.endTxn });
        const response = await connection.send(EndTxn, request, { version });
        const error = errorOfCode(response.errorCode);
        // Nothing was added after all.
        if (error?.name === 'INVALID_TXN_STATE' && !isKnown && !this.#isV2) return undefined;
        if (error) throw error;
        return version > newestBeforeV2.endTxn ? response : undefined;
      });
      if (next) this.#become(next);
    }
    this.#partitions.clear();
    this.#wanted.clear();
    this.#hasOffsets = false;
    this.#isAsked = false;
  }

  async #initProducerId(known: ProducerIdentity): Promise<void> {
    const { transactionTimeoutMs } = this.#config;
    const identity = await this.#atCoordinator(async (connection) => {
      this.#isV2 = speaksV2(connection);
      const response = await connection.send(InitProducerId, {
        transactionalId: this.#transactionalId,
        transactionTimeoutMs,
        ...(connection.versionFor(InitProducerId) >= 3 ? known : {}),
      });
      const error = errorOfCode(response.errorCode);
      if (error) throw error;
      return response;
    });
    this.#become(identity);
  }

  #become({ producerId, producerEpoch }: ProducerIdentity): void {
    this.#identity = { producerId, producerEpoch };
    this.#isEpochSpent = false;
    this.#events.startOver();
  }

  async #addPartitions(): Promise<void> {
    const asked = [...this.#wanted];
    const { producerId, producerEpoch } = this.#identity!;
    this.#isAsked = true;
    try {
      await this.#atCoordinator(async (connection) => {
        const response = await connection.send(
          AddPartitionsToTxn,
          {
            v3AndBelowTransactionalId: this.#transactionalId,
            v3AndBelowProducerId: producerId,
            v3AndBelowProducerEpoch: producerEpoch,
            v3AndBelowTopics: [...groupByTopic(asked.map(([, partition]) => partition))].map(([name, partitions]) => ({
              name,
              partitions: partitions.map(({ partition }) => partition),
            })),
          },
          { version: connection.versionFor(AddPartitionsToTxn, { max: newestBeforeV2.addPartitionsToTxn }) },
        );
        const results = response.resultsByTopicV3AndBelow.flatMap(({ name: topic, resultsByPartition }) =>
          resultsByPartition.map(({ partitionIndex: partition, partitionErrorCode }) => ({
            name: partitionName({ topic, partition }),
            error: errorOfCode(partitionErrorCode),
          })),
        );
        // Of several errors the one that started it: the others only say that nothing was attempted.
        const failed =
          results.find(({ error }) => error && error.name !== 'OPERATION_NOT_ATTEMPTED') ?? results.find(({ error }) => error);
        if (failed)
          throw new KafkaError(failed.error!.name, `adding ${failed.name} to the transaction: ${failed.error!.message}`);
      });
      for (const [name] of asked) {
        this.#wanted.delete(name);
        this.#partitions.add(name);
      }
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  async #addOffsets(groupId: string): Promise<void> {
    const { producerId, producerEpoch } = this.#identity!;
    this.#isAsked = true;
    await this.#atCoordinator(async (connection) => {
      const request = { transactionalId: this.#transactionalId, producerId, producerEpoch, groupId };
      const error = errorOfCode((await connection.send(AddOffsetsToTxn, request)).errorCode);
      if (error) throw error;
    });
  }

  async #commitOffsets(offsets: readonly OffsetToCommit[], group: ConsumerGroupMetadata): Promise<void> {
    const { groupId, memberId, generationId, groupInstanceId } = group;
    const { producerId, producerEpoch } = this.#identity!;
    const topics = [...groupByTopic(offsets)].map(([name, all]) => ({
      name,
      partitions: all.map(({ partition, offset, leaderEpoch = -1, metadata = '' }) => ({
        partitionIndex: partition,
        committedOffset: offset,
        committedLeaderEpoch: leaderEpoch,
        committedMetadata: metadata,
      })),
    }));
    const { maxBlockMs } = this.#config;
    const attempt = async (): Promise<void> => {
      try {
        const connection = await this.#cluster.coordinatorOf(groupId);
        const version = connection.versionFor(TxnOffsetCommit, this.#isV2 ? {} : { max: newestBeforeV2.txnOffsetCommit });
        const member = version >= 3 ? { memberId, generationId, groupInstanceId } : {};
        const response = await connection.send(
          TxnOffsetCommit,
          { transactionalId: this.#transactionalId, groupId, producerId, producerEpoch, ...member, topics },
          { version },
        );
        for (const { name: topic, partitions } of response.topics) {
          for (const { partitionIndex: partition, errorCode } of partitions) {
            const error = errorOfCode(errorCode);
            if (error) throw new KafkaError(error.name, `the offset of ${partitionName({ topic, partition })}: ${error.message}`);
          }
        }
      } catch (error) {
        if (isRetriableError(error)) this.#cluster.forgetCoordinator(groupId);
        throw error;
      }
    };
    await this.#cluster.retry(maxBlockMs, attempt, this.#isWorthRetrying);
  }

  /** What is going to be aborted is not tried again. */
  readonly #isWorthRetrying = (error: unknown): boolean => isRetriableError(error) && this.#isIn('open', 'committing');

  /** Errors that do not pass have done to the transaction, or to the producer, what they mean. */
  async #atCoordinator<Result>(send: (connection: BrokerConnection) => Promise<Result>): Promise<Result> {
    try {
      return await this.#cluster.retry(this.#config.maxBlockMs, async () => {
        try {
          return await send(await this.#cluster.transactionCoordinatorOf(this.#transactionalId));
        } catch (error) {
          this.#trouble = error as Error;
          if (isRetriableError(error)) this.#cluster.forgetTransactionCoordinator(this.#transactionalId);
          throw error;
        }
      });
    } catch (error) {
      if (!isRetriableError(error)) throw this.#refused(error as Error);
      // Whatever kept it from happening, it can be called again.
      throw this.#late('the transaction coordinator did not do it');
    }
  }

  /** By the coordinator, for good. */
  #refused(error: Error): Error {
    // As brokers before Kafka 2.7 call it.
    const isFenced = error.name === 'INVALID_PRODUCER_EPOCH';
    const refusal = isFenced ? new KafkaError('PRODUCER_FENCED', error.message, { cause: error }) : error;
    // What cannot be aborted has no end at all.
    if (this.#state === 'aborting' && refusal.name !== 'TRANSACTION_ABORTABLE' && !this.#cluster.closed)
      this.#failForGood(refusal);
    else this.#fail(refusal);
    return refusal;
  }

  #failForGood(error: Error): void {
    this.#state = 'fatal';
    this.#failure = error;
    this.#events.failUnsent(error);
  }

  #fail(error: Error): void {
    if (this.#state === 'fatal' || this.#cluster.closed) return;
    this.#isEpochSpent = true;
    if (error instanceof KafkaError && endsProducer.has(error.name)) this.#failForGood(error);
    if (!this.#isIn('open', 'committing')) return;
    this.#state = 'abortable';
    // Who is told of an error that passes calls again, and that would never help.
    this.#failure = isRetriableError(error)
      ? new KafkaError('TRANSACTION_ABORTABLE', `the transaction has failed, abort it: ${error.message}`, { cause: error })
      : error;
    this.#events.failUnsent(this.#failure);
  }

  #isIn(...states: readonly State[]): boolean {
    return states.includes(this.#state);
  }

  #require(call: string, state: State): void {
    if (this.#state === state) return;
    if (this.#failure) throw this.#failure;
    throw new KafkaError('INVALID_TXN_STATE', `${call}: ${whyNot[this.#state]}`);
  }
}

function speaksV2(connection: BrokerConnection): boolean {
  const feature = connection.apiVersions.finalizedFeatures.find(({ name }) => name === 'transaction.version');
  return (feature?.maxVersionLevel ?? 0) >= 2;
}
