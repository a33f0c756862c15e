import { KafkaError, recordBytesAtMost } from '@ottla/protocol';
import type { OffsetToCommit } from '../admin/group-offsets.ts';
import { ClientClosedError } from '../client-closed-error.ts';
import { Cluster, isRetriableError } from '../cluster/cluster.ts';
import type { TopicMetadata } from '../cluster/metadata-cache.ts';
import type { ConsumerGroupMetadata } from '../consumer/consumer.ts';
import { type RecordInBytes, recordInBytes, withOwnBytes } from './prepared-record.ts';
import { type CompleteProducerConfig, completeProducerConfig, type ProducerConfig } from './producer-config.ts';
import { type Appended, RecordAccumulator } from './record-accumulator.ts';
import { Sender } from './sender.ts';
import { StickyPartitioner } from './sticky-partitioner.ts';
import { Transactions } from './transactions.ts';

/** Bytes as they are, or text to be sent as UTF-8. */
export type Content = Uint8Array | string;

export type ProducerRecord = {
  readonly topic: string;
  /** Records of equal keys stay together, in order. */
  readonly key?: Content | null;
  /** Null is a tombstone: on a compacted topic it removes the key. */
  readonly value: Content | null;
  readonly headers?:
    | Readonly<Record<string, Content | null>>
    | readonly { readonly key: string; readonly value: Content | null }[];
  /** Chosen by the key, or by the producer, unless given. */
  readonly partition?: number;
  /** Milliseconds since 1970; now unless given. */
  readonly timestamp?: number;
};

export type RecordMetadata = {
  readonly topic: string;
  readonly partition: number;
  /** -1 with acks 0. */
  readonly offset: number;
  readonly timestamp: number;
};

/** Consecutive records of one `sendAll` in one partition. */
export type SentRange = {
  readonly topic: string;
  readonly partition: number;
  /** -1 with acks 0. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly count: number;
};

/** How many records of a lane that have their place stay in it. */
const servedAtATime = 4096;

/** Sends records. They are gathered into batches, so many `send`s at a time are cheap, and one awaited after the other are not. */
export class Producer {
  readonly #config: CompleteProducerConfig;
  readonly #cluster: Cluster;
  readonly #accumulator: RecordAccumulator;
  readonly #sender: Sender;
  readonly #partitioner: StickyPartitioner;
  /** With a `transactionalId`. */
  readonly #transactions: Transactions | undefined;
  /** Records that wait, in order, for their topic's metadata or for memory. */
  readonly #lanes = new Map<string, Waiting[]>();
  #closing: Promise<void> | undefined;

  /** Throws INVALID_CONFIG. Connects when first used. */
  constructor(config: ProducerConfig) {
    this.#config = completeProducerConfig(config);
    const { metadataMaxIdleMs: topicIdleMs } = this.#config;
    this.#cluster = new Cluster(this.#config, { client: 'producer', createsTopics: true, topicIdleMs });
    this.#accumulator = new RecordAccumulator(this.#cluster, this.#config);
    if (this.#config.transactionalId !== '') {
      this.#transactions = new Transactions(this.#cluster, this.#config, {
        wake: () => this.#sender.wake(),
        failUnsent: (error) => this.#failUnsent(error),
        startOver: () => this.#accumulator.startOver(),
      });
    }
    this.#sender = new Sender(this.#cluster, this.#config, { accumulator: this.#accumulator, transactions: this.#transactions });
    this.#partitioner = new StickyPartitioner(this.#cluster.runtime.random, {
      batchSize: this.#config.batchSize,
      queueLength: (topic, partition) => this.#accumulator.queueLength(topic, partition),
    });
  }

  /** Optional: finds out at once whether there is a broker. Rejects with NETWORK_EXCEPTION. */
  connect(): Promise<void> {
    return this.#cluster.connect();
  }

  /**
   * Takes the transactional id over: what another producer left open under it is aborted, and that producer is fenced. Once, before the
   * first transaction. Rejects with INVALID_TRANSACTION_TIMEOUT, REQUEST_TIMED_OUT (KIP-98).
   */
  async initTransactions(): Promise<void> {
    await this.#requireTransactions('initTransactions').init();
  }

  /** From here on all that is sent is seen by read_committed consumers when it is committed, all of it or nothing. */
  beginTransaction(): void {
    this.#requireTransactions('beginTransaction').begin();
  }

  /**
   * The consumer's group goes on from these offsets if the transaction commits: give it the `consumer.groupMetadata` of who read. Rejects
   * with ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID when that one is no member any more: then abort (KIP-447).
   */
  async sendOffsetsToTransaction(offsets: readonly OffsetToCommit[], group: ConsumerGroupMetadata): Promise<void> {
    await this.#requireTransactions('sendOffsetsToTransaction').sendOffsets(offsets, group);
  }

  /**
   * Delivers what was sent and commits it. Rejects with what a record failed with, as TRANSACTION_ABORTABLE if it might pass: then abort; with
   * PRODUCER_FENCED when another producer has the transactional id: then close; with REQUEST_TIMED_OUT after `maxBlockMs`: then commit again.
   */
  async commitTransaction(): Promise<void> {
    await this.#requireTransactions('commitTransaction').commit(() => this.#flush());
  }

  /**
   * What was sent will never be seen by read_committed consumers. Sends that were not answered yet reject with TRANSACTION_ABORTABLE; where
   * the cluster's transaction.version is below 2 those that have left are answered first. Rejects with REQUEST_TIMED_OUT after `maxBlockMs`:
   * then abort again; with INVALID_TXN_STATE from the call of `commitTransaction` until that has failed with something else than
   * REQUEST_TIMED_OUT: it may have happened.
   */
  async abortTransaction(): Promise<void> {
    await this.#requireTransactions('abortTransaction').abort(() => this.#flush());
  }

  /**
   * Begins a transaction, runs `work`, and commits; aborts and rejects with what `work` or the commit rejected with. Only REQUEST_TIMED_OUT
   * of the commit aborts nothing, as it may have happened: `commitTransaction` finds out.
   */
  async transaction<Result>(work: () => Result | Promise<Result>): Promise<Result> {
    this.beginTransaction();
    let isCommitting = false;
    try {
      const result = await work();
      isCommitting = true;
      await this.commitTransaction();
      return result;
    } catch (error) {
      // A producer that was fenced, or lost its cluster, has nothing left to abort: why is what matters.
      const refusal = isCommitting && isRetriableError(error) ? undefined : await this.#abortIfPossible();
      throw isError(error, 'INVALID_PRODUCER_EPOCH') && isError(refusal, 'PRODUCER_FENCED') ? refusal : error;
    }
  }

  /** What the abort was refused with. */
  #abortIfPossible(): Promise<unknown> {
    return this.abortTransaction().then(
      () => undefined,
      (refusal: unknown) => refusal,
    );
  }

  #requireTransactions(call: string): Transactions {
    this.#assertOpen();
    if (this.#transactions) return this.#transactions;
    throw new KafkaError('INVALID_CONFIG', `${call} needs a producer with a transactionalId`);
  }

  #failUnsent(error: Error): void {
    // Those that wait for their place in a batch never get one.
    for (const lane of this.#lanes.values()) {
      for (const waiting of lane) {
        waiting.givenUp = error;
        waiting.appended.reject(error);
      }
    }
    this.#lanes.clear();
    this.#sender.failUnsent(error);
  }

  /** Resolves when the record is as safe as `acks` asks for. Records of one partition stay in the order of the calls. */
  async send(record: ProducerRecord): Promise<RecordMetadata> {
    const prepared = this.#prepare(record);
    const { batch, index } = this.#appendNow(prepared) ?? (await this.#appendLater(prepared));
    const ack = await batch.done;
    const { topic, partition } = batch;
    const timestamp = ack.logAppendTimeMs >= 0 ? ack.logAppendTimeMs : prepared.timestamp;
    return { topic, partition, offset: ack.offsetOf(index), timestamp };
  }

  /** As `send` for each, without the cost of a promise for each. Rejects with the first failure, after all were tried. */
  async sendAll(records: Iterable<ProducerRecord>): Promise<SentRange[]> {
    const places: (Appended | Promise<Appended>)[] = [];
    // All take their places in this turn, so that no later call comes between.
    for (const record of records) places.push(this.#placeOf(record));
    const ranges: (Appended & { count: number })[] = [];
    let failure: unknown;
    for (const place of places) {
      try {
        const { batch, index } = place instanceof Promise ? await place : place;
        const range = ranges.findLast((one) => one.batch === batch);
        if (range && range.index + range.count === index) range.count++;
        else ranges.push({ batch, index, count: 1 });
      } catch (error) {
        failure ??= error;
      }
    }
    await Promise.allSettled(ranges.map(({ batch }) => batch.done));
    if (failure) throw failure;
    return Promise.all(
      ranges.map(async ({ batch, index, count }) => {
        const ack = await batch.done;
        const { topic, partition } = batch;
        return { topic, partition, firstOffset: ack.offsetOf(index), lastOffset: ack.offsetOf(index + count - 1), count };
      }),
    );
  }

  #placeOf(record: ProducerRecord): Appended | Promise<Appended> {
    try {
      const prepared = this.#prepare(record);
      const place = this.#appendNow(prepared) ?? this.#appendLater(prepared);
      // It is awaited after the others have their places.
      if (place instanceof Promise) place.catch(() => {});
      return place;
    } catch (error) {
      const refused = Promise.reject(error);
      refused.catch(() => {});
      return refused;
    }
  }

  /** Sends what is waiting at once; resolves when all of it was answered. Who sent a record hears of its failure, not who flushes. */
  async flush(): Promise<void> {
    this.#assertOpen();
    await this.#flush();
  }

  async #flush(): Promise<void> {
    // Not what comes later: there may always be more.
    await Promise.allSettled([...this.#lanes.values()].map((lane) => lane.at(-1)!.appended.promise));
    await this.#accumulator.flush(() => this.#sender.wake());
  }

  /**
   * Delivers what was sent for up to `timeoutMs`, and gives up the rest. A transaction that is open is aborted at once, what it has sent is not
   * worth waiting for; one that is being committed is committed. If there is no time for that, and with `timeoutMs` 0, it is left to the
   * coordinator, which aborts it after `transactionTimeoutMs`: the log tells of it.
   */
  close({ timeoutMs = 30_000 }: { timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  async #close(timeoutMs: number): Promise<void> {
    const patience = Promise.withResolvers<undefined>();
    const timer = this.#cluster.runtime.timers.after(timeoutMs, () => patience.resolve(undefined));
    const ended = timeoutMs > 0 ? this.#endTransaction() : Promise.resolve(undefined);
    const reason = await Promise.race([ended, patience.promise]);
    await Promise.race([this.#flush(), patience.promise]);
    timer.cancel();
    if (this.#transactions?.isUnfinished) {
      const { transactionalId, transactionTimeoutMs } = this.#config;
      const why = reason ? `: ${reason.message}` : ` within ${timeoutMs} ms`;
      const until = `until transactionTimeoutMs = ${transactionTimeoutMs} is over, or a producer with its id calls initTransactions`;
      this.#cluster.runtime.logger.warn(
        `the transaction of "${transactionalId}" was not ended when its producer closed${why}; read_committed consumers wait for it ${until}`,
      );
    }
    this.#sender.stop();
    this.#sender.failAll(new ClientClosedError('producer'));
    await this.#cluster.close(1000);
  }

  /** What kept it from ending. */
  async #endTransaction(): Promise<Error | undefined> {
    try {
      await this.#transactions?.close(() => this.#flush());
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #assertOpen(): void {
    if (this.#closing) throw new ClientClosedError('producer');
  }

  #prepare(record: ProducerRecord): PreparedRecord {
    this.#assertOpen();
    this.#transactions?.requireOpen('send');
    const prepared = recordInBytes(record, this.#cluster.runtime.clock.nowMs());
    const bytes = recordBytesAtMost(prepared.key, prepared.value, prepared.headers);
    const limit = Math.min(this.#config.maxRequestSize, this.#config.bufferMemory);
    if (bytes > limit) {
      throw new KafkaError(
        'MESSAGE_TOO_LARGE',
        `a record of ${bytes} bytes is larger than the ${limit} that maxRequestSize and bufferMemory allow`,
      );
    }
    return { ...prepared, bytes };
  }

  /** Undefined when it has to wait: for what the lane waits for, metadata, or memory. */
  #appendNow(record: PreparedRecord): Appended | undefined {
    if (this.#lanes.has(record.topic)) return undefined;
    const topic = this.#cluster.metadata.topic(record.topic);
    return topic && this.#appendIfPossible(topic, record);
  }

  #appendIfPossible(topic: TopicMetadata, record: PreparedRecord): Appended | undefined {
    const { key, value, headers, timestamp, bytes } = record;
    if (record.partition !== undefined && !(record.partition in topic.partitions)) return undefined;
    if (!this.#accumulator.hasMemoryFor(bytes)) return undefined;
    const partition = record.partition ?? this.#partitioner.partitionFor(topic, key, bytes);
    const appended = this.#accumulator.append({ topic: topic.name, partition }, timestamp, key, value, headers);
    this.#sender.wake();
    return appended;
  }

  #appendLater(record: PreparedRecord): Promise<Appended> {
    const deadlineMs = this.#cluster.runtime.clock.monotonicMs() + this.#config.maxBlockMs;
    const waiting: Waiting = { record: withOwnBytes(record), deadlineMs, appended: Promise.withResolvers(), givenUp: undefined };
    const lane = this.#lanes.get(record.topic);
    if (lane) lane.push(waiting);
    else {
      const newLane = [waiting];
      this.#lanes.set(record.topic, newLane);
      // It reports every failure to whoever sent the record.
      void this.#serve(record.topic, newLane);
    }
    return waiting.appended.promise;
  }

  async #serve(topicName: string, lane: Waiting[]): Promise<void> {
    let at = 0;
    let failure: Error | undefined;
    while (at < lane.length) {
      const waiting = lane[at]!;
      const { record, deadlineMs, appended } = waiting;
      try {
        // What is taken now would never be sent.
        this.#cluster.assertOpen();
        const remainingMs = deadlineMs - this.#cluster.runtime.clock.monotonicMs();
        let topic = this.#cluster.metadata.topic(topicName);
        // What those before it have waited for in vain, none waits for again whose time is over too.
        if (!topic && failure && remainingMs <= 0) throw failure;
        topic ??= await this.#metadataOf(topicName, remainingMs);
        if (waiting.givenUp) throw waiting.givenUp;
        const place = this.#appendIfPossible(topic, record);
        if (!place) {
          await this.#waitForRoom(topic, record, remainingMs);
          continue;
        }
        appended.resolve(place);
      } catch (error) {
        failure = error as Error;
        appended.reject(error);
      }
      at++;
      // Shifting each would cost the length of the lane each time.
      if (at === servedAtATime) {
        lane.splice(0, at);
        at = 0;
      }
    }
    // Another lane may have taken its place when this one was given up.
    if (this.#lanes.get(topicName) === lane) this.#lanes.delete(topicName);
  }

  #metadataOf(topicName: string, timeoutMs: number): Promise<TopicMetadata> {
    return this.#cluster.within(timeoutMs, this.#cluster.topic(topicName, timeoutMs), () => this.#uninformed(topicName));
  }

  #uninformed(topicName: string): KafkaError {
    const told = this.#cluster.metadata.errorOf(topicName);
    if (told) return new KafkaError(told.name, `topic ${topicName}: ${told.message}`);
    const { maxBlockMs } = this.#config;
    return new KafkaError('REQUEST_TIMED_OUT', `no broker has told of topic ${topicName} within maxBlockMs = ${maxBlockMs}`);
  }

  async #waitForRoom(topic: TopicMetadata, { partition, bytes }: PreparedRecord, remainingMs: number): Promise<void> {
    const lacksPartition = partition !== undefined && !(partition in topic.partitions);
    if (remainingMs <= 0) {
      const { bufferMemory, maxBlockMs } = this.#config;
      throw lacksPartition
        ? new KafkaError(
            'UNKNOWN_TOPIC_OR_PARTITION',
            `there is no partition ${topic.name}-${partition}: the topic has ${topic.partitions.length}, counted from 0`,
          )
        : new KafkaError(
            'REQUEST_TIMED_OUT',
            `no room for ${bytes} bytes within maxBlockMs = ${maxBlockMs}: bufferMemory = ${bufferMemory} is full`,
          );
    }
    if (lacksPartition) {
      await this.#cluster.pause(Math.min(remainingMs, this.#config.retryBackoffMaxMs));
      this.#cluster.askAnother();
      const refreshed = this.#cluster.within(remainingMs, this.#cluster.refreshMetadata(), () => this.#uninformed(topic.name));
      // Who asks in vain asks again, until the time is over.
      await refreshed.catch((error: unknown) => {
        if (!isRetriableError(error)) throw error;
      });
    } else {
      this.#sender.wake();
      await this.#accumulator.memoryFreed(remainingMs);
    }
  }
}

function isError(error: unknown, name: KafkaError['name']): boolean {
  return error instanceof KafkaError && error.name === name;
}

type PreparedRecord = RecordInBytes & { readonly bytes: number };

type Waiting = {
  readonly record: PreparedRecord;
  readonly deadlineMs: number;
  readonly appended: PromiseWithResolvers<Appended>;
  /** Why its transaction is to be aborted. */
  givenUp: Error | undefined;
};
