import type { BrokerConnection } from '@ottla/network';
import { errorOfCode, InitProducerId, KafkaError, Produce, type ProduceResponse, ZERO_UUID } from '@ottla/protocol';
import type { Timer } from '@ottla/runtime';
import { type Cluster, isRetriableError } from '../cluster/cluster.ts';
import { groupByTopic, partitionName } from '../topic-partition.ts';
import { isSequenceError, type PartitionQueue, type ProducerIdentity } from './partition-queue.ts';
import type { ProducerBatch } from './producer-batch.ts';
import type { CompleteProducerConfig } from './producer-config.ts';
import type { RecordAccumulator } from './record-accumulator.ts';
import type { Transactions } from './transactions.ts';

/** From here on topics travel by id. */
const firstVersionWithIds = 13;

/** Takes ready batches from the accumulator to the leaders of their partitions, and deals with the answers. */
export class Sender {
  readonly #cluster: Cluster;
  readonly #config: CompleteProducerConfig;
  readonly #accumulator: RecordAccumulator;
  readonly #transactions: Transactions | undefined;
  /** As Kafka's producer: with idempotence, and where only one request is in flight. */
  readonly #keepsOrder: boolean;
  readonly #inFlightOf = new Map<number, number>();
  /** Requests without an answer, in the order they were sent. */
  readonly #unanswered = new Set<Unanswered>();
  readonly #connecting = new Set<number>();
  #identity: ProducerIdentity | undefined;
  #isPreparing = false;
  #preparationFailures = 0;
  /** What last kept batches from leaving. */
  #trouble: Error | undefined;
  #isScheduled = false;
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #isStopped = false;

  constructor(
    cluster: Cluster,
    config: CompleteProducerConfig,
    { accumulator, transactions }: { accumulator: RecordAccumulator; transactions: Transactions | undefined },
  ) {
    this.#cluster = cluster;
    this.#transactions = transactions;
    this.#config = config;
    this.#keepsOrder = config.enableIdempotence || config.maxInFlightRequestsPerConnection === 1;
    this.#accumulator = accumulator;
  }

  /** Something may be ready: looks at the end of this turn, so that one request carries what one turn brought. */
  wake(): void {
    if (this.#isScheduled || this.#isStopped) return;
    this.#isScheduled = true;
    this.#cluster.runtime.timers.soon(() => {
      this.#isScheduled = false;
      if (!this.#isStopped) this.#drainOrFail();
    });
  }

  /** Nobody could catch what escapes a timer: those who sent hear of it instead. */
  #drainOrFail(): void {
    try {
      this.#drain();
    } catch (error) {
      this.failAll(error as Error);
    }
  }

  wakeAt(atMs: number): void {
    if (atMs >= this.#timerAtMs || this.#isStopped) return;
    const { timers, clock } = this.#cluster.runtime;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    this.#timer = timers.after(Math.max(0, atMs - clock.monotonicMs()), () => {
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.wake();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #drain(): void {
    const nowMs = this.#cluster.runtime.clock.monotonicMs();
    this.#expire(nowMs);
    if (this.#config.enableIdempotence && !this.#transactions && !this.#identity) {
      this.#prepareIdentity(nowMs);
      return;
    }
    if (this.#cluster.isMetadataOld) this.#refreshMetadata();
    if (this.#config.enableIdempotence) this.#leaveSilentLeaders(nowMs);
    for (;;) {
      const requests = this.#collect(nowMs);
      if (requests.size === 0) return;
      for (const [leaderId, { connection, queued }] of requests) this.#send(leaderId, connection, queued);
    }
  }

  /** At most one request for each broker, with at most one batch of each partition. */
  #collect(nowMs: number): Map<number, { connection: BrokerConnection; queued: QueuedBatch[]; bytes: number }> {
    const requests = new Map<number, { connection: BrokerConnection; queued: QueuedBatch[]; bytes: number }>();
    for (const queue of this.#accumulator.busyQueues()) {
      const { leaderId = -1, leaderEpoch = -1 } = this.#cluster.metadata.partition(queue.topic, queue.partition) ?? {};
      const isReady = (first: ProducerBatch, isFull: boolean) => this.#accumulator.isReady(first, isFull, nowMs);
      const batch = queue.next({ nowMs, leaderEpoch }, isReady);
      if (!batch) {
        this.wakeAt(this.#accumulator.nextReadyMs(queue, nowMs));
        continue;
      }
      if (leaderId < 0 || !this.#cluster.metadata.nodes.has(leaderId)) {
        this.#cluster.watch([queue.topic]);
        this.#refreshMetadata();
        continue;
      }
      if (this.#keepsOrder && !queue.mayLeaveFor(leaderId)) continue;
      if ((this.#inFlightOf.get(leaderId) ?? 0) >= this.#config.maxInFlightRequestsPerConnection) continue;
      const connection = this.#cluster.openConnectionTo(leaderId);
      if (!connection) {
        this.#connect(leaderId);
        continue;
      }
      if (!this.#isBuilt(queue, batch)) continue;
      if (this.#identity && queue.hasWornOut(this.#identity)) {
        this.#identity = undefined;
        this.wake();
        break;
      }
      if (this.#transactions && !this.#transactions.admits(queue)) continue;
      const request = requests.get(leaderId);
      if (!request) requests.set(leaderId, { connection, queued: [{ queue, batch, leaderEpoch }], bytes: batch.estimatedBytes });
      else if (request.bytes + batch.estimatedBytes <= this.#config.maxRequestSize) {
        request.queued.push({ queue, batch, leaderEpoch });
        request.bytes += batch.estimatedBytes;
      }
    }
    return requests;
  }

  /** A batch that cannot be built fails alone. */
  #isBuilt(queue: PartitionQueue, batch: ProducerBatch): boolean {
    try {
      return batch.bytes.length > 0;
    } catch (error) {
      this.#giveUp(queue, batch, error as Error);
      this.wake();
      return false;
    }
  }

  #send(leaderId: number, connection: BrokerConnection, queued: readonly QueuedBatch[]): void {
    const identity = this.#transactions ? this.#transactions.identity : this.#identity;
    for (const { queue, batch, leaderEpoch } of queued) {
      batch.leaderEpoch = leaderEpoch;
      queue.sent(batch, identity, leaderId);
    }
    this.#inFlightOf.set(leaderId, (this.#inFlightOf.get(leaderId) ?? 0) + 1);
    const lookAtMs = this.#cluster.runtime.clock.monotonicMs() + this.#cluster.patienceMs;
    const unanswered = { leaderId, connection, queued, lookAtMs };
    this.#unanswered.add(unanswered);
    this.wakeAt(lookAtMs);
    this.#exchange(connection, queued)
      .catch((error: unknown) => {
        for (const one of queued) this.#failed(one, error as Error);
      })
      .finally(() => {
        this.#unanswered.delete(unanswered);
        this.#inFlightOf.set(leaderId, this.#inFlightOf.get(leaderId)! - 1);
        this.wake();
      });
  }

  /**
   * A leader that hangs answers nothing, and its connection lives on for requestTimeoutMs. Once another leads one of the partitions, the
   * connection is given up, as if it had broken: all that was sent over it is sent again in its order, and idempotence has the leaders drop what
   * they had. Without idempotence it would be written twice.
   */
  #leaveSilentLeaders(nowMs: number): void {
    for (const one of [...this.#unanswered]) {
      const isSilent = this.#cluster.isSilent(one.connection);
      const moved = isSilent ? this.#movedAwayFrom(one) : undefined;
      if (moved) {
        const what = `broker ${one.leaderId} says nothing any more, and another one leads ${partitionName(moved.batch)}`;
        one.connection.giveUp(new KafkaError('NETWORK_EXCEPTION', what));
      } else if (nowMs >= one.lookAtMs) {
        one.lookAtMs = nowMs + this.#cluster.patienceMs;
        if (isSilent) this.#refreshMetadata();
      }
      this.wakeAt(one.lookAtMs);
    }
  }

  #movedAwayFrom({ leaderId, queued }: Unanswered): QueuedBatch | undefined {
    return queued.find(({ batch: { topic, partition }, leaderEpoch: before }) => {
      const { leaderId: successor = -1, leaderEpoch = -1 } = this.#cluster.metadata.partition(topic, partition) ?? {};
      return leaderEpoch > before && successor >= 0 && successor !== leaderId;
    });
  }

  async #exchange(connection: BrokerConnection, queued: readonly QueuedBatch[]): Promise<void> {
    const { acks, requestTimeoutMs: timeoutMs } = this.#config;
    const { metadata } = this.#cluster;
    const topicIds = new Map(queued.map(({ batch: { topic } }) => [topic, metadata.topic(topic)?.topicId ?? ZERO_UUID]));
    const haveIds = ![...topicIds.values()].includes(ZERO_UUID);
    const newest = this.#transactions?.newestProduceVersion ?? (haveIds ? undefined : firstVersionWithIds - 1);
    const version = connection.versionFor(Produce, newest === undefined ? {} : { max: newest });
    const request = {
      transactionalId: this.#transactions ? this.#config.transactionalId : null,
      acks,
      timeoutMs,
      topicData: [...groupByTopic(queued.map(({ batch }) => batch))].map(([name, batches]) => ({
        name,
        topicId: topicIds.get(name)!,
        partitionData: batches.map(({ partition: index, bytes: records }) => ({ index, records })),
      })),
    };
    if (acks === 0) {
      await connection.sendNoResponse(Produce, request, { version });
      for (const one of queued) this.#succeeded(one, -1, -1);
      return;
    }
    const response = await connection.send(Produce, request, { version });
    const names = new Map([...topicIds].map(([name, id]) => [id, name]));
    const answers = new Map<string, ProduceResponse['responses'][number]['partitionResponses'][number]>();
    for (const { name, topicId, partitionResponses } of response.responses) {
      const topic = version >= firstVersionWithIds ? (names.get(topicId) ?? '') : name;
      for (const answer of partitionResponses) {
        const partition = { topic, partition: answer.index };
        answers.set(partitionName(partition), answer);
        metadata.learnLeader(partition, answer.currentLeader, response.nodeEndpoints);
      }
    }
    for (const one of queued) {
      const answer = answers.get(partitionName(one.batch));
      const error = answer
        ? errorOfCode(answer.errorCode, problemOf(answer))
        : new KafkaError('UNKNOWN_SERVER_ERROR', `the answer says nothing about ${partitionName(one.batch)}`);
      if (!error) this.#succeeded(one, answer!.baseOffset, answer!.logAppendTimeMs);
      else if (error.name === 'DUPLICATE_SEQUENCE_NUMBER') this.#succeeded(one, -1, -1);
      else this.#failed(one, error);
    }
  }

  #succeeded({ queue, batch }: QueuedBatch, baseOffset: number, logAppendTimeMs: number): void {
    // Its records were reported as failed already, when everything was given up, and what follows has started over.
    if (!queue.inFlight.has(batch)) return;
    queue.succeeded(batch);
    queue.compressionRatio = batch.compressionRatio;
    this.#accumulator.release(batch, queue);
    batch.succeed(baseOffset, logAppendTimeMs);
  }

  #failed({ queue, batch }: QueuedBatch, error: Error): void {
    const nowMs = this.#cluster.runtime.clock.monotonicMs();
    if (error instanceof KafkaError && error.refreshMetadata) this.#refreshMetadata();
    if (!queue.inFlight.has(batch)) return;
    const isSplit = error instanceof KafkaError && error.name === 'MESSAGE_TOO_LARGE' && batch.count > 1;
    const refusal = this.#refusalOf(queue, batch);
    batch.lastError = error;
    if (!isSplit && !this.#mayPass(queue, batch, error)) this.#giveUp(queue, batch, error);
    // The broker may have it: the abort marks it as aborted, and what follows has another epoch.
    else if (refusal) this.#giveUp(queue, batch, refusal);
    else if (isSplit) queue.replaced(batch, this.#accumulator.split(batch));
    else if (nowMs >= batch.createdMs + this.#config.deliveryTimeoutMs) {
      this.#giveUp(queue, batch, this.#undelivered(batch, error instanceof KafkaError ? error.name : 'REQUEST_TIMED_OUT'));
    } else {
      batch.failures++;
      batch.retryAtMs = nowMs + this.#cluster.backoff.delayMs(batch.failures);
      this.wakeAt(batch.retryAtMs);
      // A leader that does not know the producer, or knows a later epoch, takes none of these numbers ever, also not one that was overtaken.
      const mayBeTaken =
        queue.isBehindAnother(batch) || (error.name === 'OUT_OF_ORDER_SEQUENCE_NUMBER' && queue.isOvertaken(batch));
      if (!this.#transactions && isSequenceError(error) && !mayBeTaken) queue.outOfSequence(batch);
      else queue.postponed(batch);
    }
  }

  #mayPass(queue: PartitionQueue, batch: ProducerBatch, error: Error): boolean {
    if (this.#cluster.closed) return false;
    if (isRetriableError(error)) return true;
    if (!batch.isSequenced || !isSequenceError(error)) return false;
    // A transaction cannot go on under another epoch: only a batch that waits for an earlier one is tried again.
    return !this.#transactions || (error.name === 'OUT_OF_ORDER_SEQUENCE_NUMBER' && queue.isBehindAnother(batch));
  }

  #giveUp(queue: PartitionQueue, batch: ProducerBatch, error: Error): void {
    // A transaction does not go on behind a gap: in another epoch its end would not reach them.
    const lost = this.#transactions ? queue.retriesBehind(batch) : [];
    queue.gaveUp(batch);
    this.#accumulator.release(batch, queue);
    batch.fail(error);
    this.#transactions?.batchFailed(batch, error);
    for (const later of lost) if (queue.retries.includes(later)) this.#giveUp(queue, later, error);
  }

  /** Batches in flight are bounded by the request's own timeout. */
  #expire(nowMs: number): void {
    for (const queue of this.#accumulator.busyQueues()) {
      for (const batch of [...queue.retries, ...queue.waiting]) {
        const deadlineMs = batch.createdMs + this.#config.deliveryTimeoutMs;
        if (nowMs < deadlineMs) {
          this.wakeAt(deadlineMs);
          continue;
        }
        this.#giveUp(queue, batch, this.#undelivered(batch, 'REQUEST_TIMED_OUT'));
      }
    }
  }

  #undelivered(batch: ProducerBatch, name: KafkaError['name']): KafkaError {
    const { count, lastError: cause = this.#trouble } = batch;
    const what = `${count} record${count === 1 ? '' : 's'} for ${partitionName(batch)}`;
    const why = cause ? `; the last problem: ${cause.message}` : '';
    return new KafkaError(name, `${what} not delivered within deliveryTimeoutMs = ${this.#config.deliveryTimeoutMs}${why}`, {
      cause,
    });
  }

  /** Fails what has not left, or came back to leave again and is not to. */
  failUnsent(error: Error): void {
    for (const queue of this.#accumulator.busyQueues()) {
      for (const batch of [...queue.retries, ...queue.waiting])
        if (this.#refusalOf(queue, batch)) this.#giveUp(queue, batch, error);
    }
  }

  #refusalOf(queue: PartitionQueue, batch: ProducerBatch): Error | undefined {
    return this.#transactions?.refusalOf({ mayBeTaken: batch.isSequenced && !queue.isBehindGap(batch) });
  }

  /** Fails everything that was not answered yet, when the producer can never send it. */
  failAll(error: Error): void {
    for (const queue of this.#accumulator.busyQueues()) {
      for (const batch of [...queue.retries, ...queue.waiting, ...queue.inFlight]) this.#giveUp(queue, batch, error);
    }
  }

  #connect(nodeId: number): void {
    if (this.#connecting.has(nodeId)) return;
    this.#connecting.add(nodeId);
    this.#cluster
      .connectionTo(nodeId)
      .catch((error: unknown) => {
        this.#trouble = error as Error;
        this.#refreshMetadata();
      })
      .finally(() => {
        this.#connecting.delete(nodeId);
        this.wake();
      });
  }

  /** What is known has failed, or is old: who has been asked all the time may be cut off from the controllers. */
  #refreshMetadata(): void {
    if (!this.#isPreparing) this.#cluster.askAnother();
    this.#prepare(() => this.#cluster.refreshMetadata());
  }

  #prepareIdentity(nowMs: number): void {
    if (this.#accumulator.busyQueues().length === 0) return;
    this.wakeAt(nowMs + this.#config.retryBackoffMaxMs);
    this.#prepare(async () => {
      const connection = await this.#cluster.anyConnection();
      const response = await connection.send(InitProducerId, { transactionalId: null, transactionTimeoutMs: 0x7fff_ffff });
      const error = errorOfCode(response.errorCode);
      if (error) throw error;
      const { producerId, producerEpoch } = response;
      this.#identity = { producerId, producerEpoch };
    });
  }

  /** One at a time, with pauses between: what an answer lacks, a leader say, must not be asked for in a loop. */
  #prepare(task: () => Promise<void>): void {
    if (this.#isPreparing) return;
    this.#isPreparing = true;
    this.#prepareOnce(task)
      // Only a closing client ends the pause.
      .catch(() => {})
      .finally(() => {
        this.#isPreparing = false;
        this.wake();
      });
  }

  async #prepareOnce(task: () => Promise<void>): Promise<void> {
    try {
      await task();
      this.#preparationFailures = 0;
    } catch (error) {
      this.#preparationFailures++;
      this.#trouble = error as Error;
      this.#cluster.askAnother();
      if (!isRetriableError(error) && !this.#cluster.closed) this.failAll(error as Error);
    }
    this.wake();
    await this.#cluster.pause(this.#cluster.backoff.delayMs(this.#preparationFailures + 1));
  }
}

type Unanswered = {
  readonly leaderId: number;
  readonly connection: BrokerConnection;
  readonly queued: readonly QueuedBatch[];
  /** Then it is asked whether somebody else leads. */
  lookAtMs: number;
};

type QueuedBatch = {
  readonly queue: PartitionQueue;
  readonly batch: ProducerBatch;
  /** Of the leader it goes to. */
  readonly leaderEpoch: number;
};

function problemOf({
  errorMessage,
  recordErrors,
}: ProduceResponse['responses'][number]['partitionResponses'][number]): string | null {
  const records = recordErrors.map(
    ({ batchIndex, batchIndexErrorMessage }) => `record ${batchIndex}: ${batchIndexErrorMessage ?? 'refused'}`,
  );
  return [errorMessage, ...records].filter((text) => text !== null).join('; ') || null;
}
