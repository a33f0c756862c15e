import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  type Api,
  buildBatch,
  EndTxn,
  type ErrorName,
  errorName,
  errors,
  FindCoordinator,
  InitProducerId,
  KafkaError,
  OffsetFetch,
  Produce,
  TxnOffsetCommit,
  type Writable,
} from '@ottla/protocol';
import type { TestCluster } from './testing-cluster.ts';
import type { TransactionVersion } from './testing-transactions.ts';

/** Long enough for a cluster to have leaders again. */
const PATIENCE_MS = 120_000;
const RETRY_MS = 100;

/** Errors upon which a client looks for the right broker, and asks again. */
const retried: ReadonlySet<ErrorName> = new Set([
  'NETWORK_EXCEPTION',
  'REQUEST_TIMED_OUT',
  'NOT_LEADER_OR_FOLLOWER',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'LEADER_NOT_AVAILABLE',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'COORDINATOR_NOT_AVAILABLE',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'NOT_COORDINATOR',
  'CONCURRENT_TRANSACTIONS',
  'KAFKA_STORAGE_ERROR',
]);

export type CoordinatorKind = 'group' | 'transaction';

/** Test support: finds the broker to ask, and asks again for as long as clients do. */
export class ClusterClient {
  readonly cluster: TestCluster;

  constructor(cluster: TestCluster) {
    this.cluster = cluster;
  }

  /** The id of the leader of a partition, as some live broker says; -1 for none. */
  async leaderOf(topic: string, index = 0): Promise<number> {
    return (await this.#some((id) => this.cluster.partition(id, topic, index))).leader;
  }

  async coordinatorOf(kind: CoordinatorKind, key: string): Promise<number> {
    const keyType = kind === 'group' ? 0 : 1;
    const { coordinators } = await this.#some((id) =>
      this.cluster.ask(id, FindCoordinator, { keyType, coordinatorKeys: [key] }, 4),
    );
    return coordinators[0]!.nodeId;
  }

  /** To the leader of a partition, or a coordinator. The error's name, NONE in the end: or one that a client gives up on. */
  async ask<Request, Response>(
    whom: () => Promise<number>,
    api: Api<Request, Response>,
    version: number,
    request: Writable<Request>,
    codeOf: (answer: Response) => number,
  ): Promise<{ error: ErrorName; answer: Response | undefined }> {
    const deadlineMs = this.cluster.world.time.nowMs + PATIENCE_MS;
    for (;;) {
      let answer: Response | undefined;
      let error: ErrorName;
      try {
        const id = await whom();
        if (id < 0) error = 'LEADER_NOT_AVAILABLE';
        else {
          answer = await this.#askOnce(id, api, version, request);
          error = errorName(codeOf(answer));
        }
      } catch (cause) {
        error = (cause as KafkaError).name in errors ? ((cause as KafkaError).name as ErrorName) : 'NETWORK_EXCEPTION';
      }
      if (!retried.has(error) || this.cluster.world.time.nowMs > deadlineMs) return { error, answer };
      await this.cluster.advance(RETRY_MS);
    }
  }

  /** A client gives up on a request after a while: its broker may have been cut off. */
  async #askOnce<Request, Response>(
    id: number,
    api: Api<Request, Response>,
    version: number,
    request: Writable<Request>,
  ): Promise<Response> {
    const { connection } = await this.cluster.client(id);
    return this.cluster.run(connection.send(api, request, { version, timeoutMs: 10_000 }));
  }

  async #some<Result>(ask: (id: number) => Promise<Result>): Promise<Result> {
    let failure: unknown = new KafkaError('BROKER_NOT_AVAILABLE');
    for (const { id } of this.cluster.brokers.filter(({ isServing }) => isServing)) {
      try {
        return await ask(id);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** What a group has committed of a topic's partition 0, when no transaction is open on it; -1 for nothing. */
  async committedOffset(groupId: string, topic: string): Promise<number> {
    const groups = [{ groupId, topics: [{ name: topic, partitionIndexes: [0] }] }];
    const { error, answer } = await this.ask(
      () => this.coordinatorOf('group', groupId),
      OffsetFetch,
      9,
      { groups, requireStable: true },
      (given) => given.groups[0]!.errorCode || given.groups[0]!.topics[0]!.partitions[0]!.errorCode,
    );
    if (error !== 'NONE') throw new KafkaError(error);
    return answer!.groups[0]!.topics[0]!.partitions[0]!.committedOffset;
  }

  /** What a read_committed consumer delivers of a partition, from its start. */
  async committedValues(topic: string, partition = 0): Promise<string[]> {
    const leader = await this.leaderOf(topic, partition);
    return (await this.cluster.client(leader)).fetchCommitted(topic, { partition });
  }
}

/** Test support: a transactional producer of a cluster, whose coordinator and whose partitions' leaders come and go. */
export class ClusterProducer {
  readonly #client: ClusterClient;
  readonly transactionalId: string;
  readonly version: TransactionVersion;
  producerId = -1;
  producerEpoch = -1;
  timeoutMs = 60_000;
  readonly #sequences = new Map<string, number>();

  constructor(client: ClusterClient, transactionalId: string, version: TransactionVersion = 2) {
    this.#client = client;
    this.transactionalId = transactionalId;
    this.version = version;
  }

  async init(): Promise<ErrorName> {
    const { transactionalId, timeoutMs } = this;
    const request = { transactionalId, transactionTimeoutMs: timeoutMs, producerId: -1, producerEpoch: -1 };
    const { error, answer } = await this.#client.ask(this.#coordinator, InitProducerId, 5, request, ({ errorCode }) => errorCode);
    if (error === 'NONE') this.#become(answer!);
    return error;
  }

  async produce(topic: string, values: readonly string[], partition = 0): Promise<ErrorName> {
    const { transactionalId, producerId, producerEpoch, version } = this;
    if (version === 1) {
      const added = {
        v3AndBelowTransactionalId: transactionalId,
        v3AndBelowProducerId: producerId,
        v3AndBelowProducerEpoch: producerEpoch,
        v3AndBelowTopics: [{ name: topic, partitions: [partition] }],
      };
      const { error } = await this.#client.ask(
        this.#coordinator,
        AddPartitionsToTxn,
        3,
        added,
        (answer) => answer.resultsByTopicV3AndBelow[0]!.resultsByPartition[0]!.partitionErrorCode,
      );
      if (error !== 'NONE') return error;
    }
    const key = `${topic}-${partition}`;
    const baseSequence = this.#sequences.get(key) ?? 0;
    this.#sequences.set(key, baseSequence + values.length);
    const timestamp = Math.floor(this.#client.cluster.world.startMs + this.#client.cluster.world.time.nowMs);
    const batch = { producerId, producerEpoch, baseSequence, isTransactional: true };
    const records = new Uint8Array(
      buildBatch({ ...batch, records: values.map((value) => ({ timestamp, value: Buffer.from(value) })) }),
    );
    const topicData = [{ name: topic, partitionData: [{ index: partition, records }] }];
    const { error } = await this.#client.ask(
      () => this.#client.leaderOf(topic, partition),
      Produce,
      version === 1 ? 11 : 12,
      { transactionalId, acks: -1, timeoutMs: 5_000, topicData },
      (answer) => answer.responses[0]!.partitionResponses[0]!.errorCode,
    );
    // The attempt before was taken, and its answer lost.
    return error === 'DUPLICATE_SEQUENCE_NUMBER' ? 'NONE' : error;
  }

  /** Of the topic's partition 0. */
  async commitOffset(groupId: string, topic: string, offset: number): Promise<ErrorName> {
    const { transactionalId, producerId, producerEpoch, version } = this;
    if (version === 1) {
      const added = { transactionalId, producerId, producerEpoch, groupId };
      const { error } = await this.#client.ask(this.#coordinator, AddOffsetsToTxn, 3, added, ({ errorCode }) => errorCode);
      if (error !== 'NONE') return error;
    }
    const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata: '' }];
    const topics = [{ name: topic, partitions }];
    const member = { generationId: -1, memberId: '', groupInstanceId: null };
    const { error } = await this.#client.ask(
      () => this.#client.coordinatorOf('group', groupId),
      TxnOffsetCommit,
      version === 1 ? 4 : 5,
      { transactionalId, groupId, producerId, producerEpoch, ...member, topics },
      (answer) => answer.topics[0]!.partitions[0]!.errorCode,
    );
    return error;
  }

  async end(committed: boolean): Promise<ErrorName> {
    const { transactionalId, producerId, producerEpoch, version } = this;
    const { error, answer } = await this.#client.ask(
      this.#coordinator,
      EndTxn,
      version === 1 ? 4 : 5,
      { transactionalId, producerId, producerEpoch, committed },
      ({ errorCode }) => errorCode,
    );
    if (error === 'NONE' && version === 2) this.#become(answer!);
    return error;
  }

  /** Asks the coordinator for the end, and does not wait for the answer: nothing passes until the test makes it. */
  async askForEnd(committed: boolean): Promise<void> {
    const { transactionalId, producerId, producerEpoch, version } = this;
    const client = await this.#client.cluster.client(await this.#coordinator());
    const request = { transactionalId, producerId, producerEpoch, committed };
    client.later(EndTxn, request, version === 1 ? 4 : 5).catch(() => {});
  }

  readonly #coordinator = (): Promise<number> => this.#client.coordinatorOf('transaction', this.transactionalId);

  #become({ producerId, producerEpoch }: { readonly producerId: number; readonly producerEpoch: number }): void {
    if (producerId !== this.producerId || producerEpoch !== this.producerEpoch) this.#sequences.clear();
    this.producerId = producerId;
    this.producerEpoch = producerEpoch;
  }
}
