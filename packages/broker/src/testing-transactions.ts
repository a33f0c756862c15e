import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  EndTxn,
  type ErrorName,
  errorName,
  InitProducerId,
  Produce,
  TxnOffsetCommit,
} from '@ottla/protocol';
import type { ProduceOptions, TestClient } from './testing-node.ts';

/** Which protocol a producer speaks: 1 adds partitions itself, 2 has them added by writing to them and bumps its epoch with every end (KIP-890). */
export type TransactionVersion = 1 | 2;

const CONCURRENT = 'CONCURRENT_TRANSACTIONS';
const retried: ReadonlySet<ErrorName> = new Set([
  CONCURRENT,
  'COORDINATOR_LOAD_IN_PROGRESS',
  'NOT_COORDINATOR',
  'NOT_ENOUGH_REPLICAS',
]);
/** More than a coordinator needs to end a transaction. */
const ATTEMPTS = 50;

/** Test support: a transactional producer that does what it is told, retries where clients do, and keeps its sequences. */
export class TestProducer {
  readonly transactionalId: string;
  readonly version: TransactionVersion;
  producerId = -1;
  producerEpoch = -1;
  timeoutMs = 60_000;
  #client: TestClient;
  readonly #sequences = new Map<string, number>();

  constructor(client: TestClient, transactionalId: string, version: TransactionVersion = 2) {
    this.#client = client;
    this.transactionalId = transactionalId;
    this.version = version;
  }

  static async begin(client: TestClient, transactionalId: string, version: TransactionVersion = 2): Promise<TestProducer> {
    const producer = new TestProducer(client, transactionalId, version);
    const error = await producer.init();
    if (error !== 'NONE') throw new Error(`the producer ${transactionalId} cannot begin: ${error}`);
    return producer;
  }

  /** After its connection was lost, it goes on where it was. */
  reconnect(client: TestClient): void {
    this.#client = client;
  }

  /** Of InitProducerId, once nothing is in its way any more. */
  init(expected = { producerId: -1, producerEpoch: -1 }): Promise<ErrorName> {
    return this.#retried(async () => {
      const request = { transactionalId: this.transactionalId, transactionTimeoutMs: this.timeoutMs, ...expected };
      const { errorCode, producerId, producerEpoch } = await this.#client.ask(InitProducerId, request, 5);
      if (errorCode === 0) this.#become(producerId, producerEpoch);
      return errorName(errorCode);
    });
  }

  /** One batch; the transaction's first in a partition is what adds it, or was added before. */
  async produce(
    topic: string,
    values: readonly string[],
    { partition = 0, ...options }: ProduceOptions = {},
  ): Promise<ErrorName> {
    const version = this.version === 1 ? 11 : 12;
    if (this.version === 1) {
      const error = await this.addPartition(topic, partition);
      if (error !== 'NONE') return error;
    }
    return this.write(topic, values, { partition, version, ...options });
  }

  /** Without adding anything first. */
  async write(topic: string, values: readonly string[], { partition = 0, ...options }: ProduceOptions = {}): Promise<ErrorName> {
    const request = await this.request(topic, values, { partition, ...options });
    return this.#retried(async () => {
      const { responses } = await this.#client.ask(Produce, request, options.version ?? 12);
      return errorName(responses[0]!.partitionResponses[0]!.errorCode);
    });
  }

  /** The next batch; its sequence counts as used. */
  async request(topic: string, values: readonly string[], { partition = 0, ...options }: ProduceOptions = {}) {
    const key = `${topic}-${partition}`;
    const baseSequence = options.baseSequence ?? this.#sequences.get(key) ?? 0;
    this.#sequences.set(key, baseSequence + values.length);
    const { producerId, producerEpoch } = this;
    const batch = { producerId, producerEpoch, isTransactional: true, ...options, partition, baseSequence };
    return { ...(await this.#client.produceRequest(topic, values, batch)), transactionalId: this.transactionalId };
  }

  addPartition(topic: string, partition = 0): Promise<ErrorName> {
    const { transactionalId, producerId, producerEpoch } = this;
    const request = {
      v3AndBelowTransactionalId: transactionalId,
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: [{ name: topic, partitions: [partition] }],
    };
    return this.#retried(async () => {
      const { resultsByTopicV3AndBelow } = await this.#client.ask(AddPartitionsToTxn, request, 3);
      return errorName(resultsByTopicV3AndBelow[0]!.resultsByPartition[0]!.partitionErrorCode);
    });
  }

  /** Offset `offset` of the topic's partition 0, for a group. */
  async commitOffset(groupId: string, topic: string, offset: number, member = {}): Promise<ErrorName> {
    const { transactionalId, producerId, producerEpoch, version } = this;
    if (version === 1) {
      const error = await this.#retried(async () => {
        const { errorCode } = await this.#client.ask(AddOffsetsToTxn, { transactionalId, producerId, producerEpoch, groupId }, 3);
        return errorName(errorCode);
      });
      if (error !== 'NONE') return error;
    }
    const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata: '' }];
    const request = {
      transactionalId,
      groupId,
      producerId,
      producerEpoch,
      generationId: -1,
      memberId: '',
      groupInstanceId: null,
      ...member,
      topics: [{ name: topic, partitions }],
    };
    return this.#retried(async () => {
      const { topics } = await this.#client.ask(TxnOffsetCommit, request, version === 1 ? 4 : 5);
      return errorName(topics[0]!.partitions[0]!.errorCode);
    });
  }

  commit(): Promise<ErrorName> {
    return this.end(true);
  }

  abort(): Promise<ErrorName> {
    return this.end(false);
  }

  end(committed: boolean): Promise<ErrorName> {
    const { transactionalId, producerId, producerEpoch } = this;
    return this.#retried(async () => {
      const request = { transactionalId, producerId, producerEpoch, committed };
      const answer = await this.#client.ask(EndTxn, request, this.version === 1 ? 4 : 5);
      if (answer.errorCode === 0 && this.version === 2) this.#become(answer.producerId, answer.producerEpoch);
      return errorName(answer.errorCode);
    });
  }

  #become(producerId: number, producerEpoch: number): void {
    if (producerId !== this.producerId || producerEpoch !== this.producerEpoch) this.#sequences.clear();
    this.producerId = producerId;
    this.producerEpoch = producerEpoch;
  }

  /** As clients do while the transaction before is still being ended. */
  async #retried(attempt: () => Promise<ErrorName>): Promise<ErrorName> {
    let error: ErrorName = CONCURRENT;
    for (let count = 0; count < ATTEMPTS && retried.has(error); count++) {
      error = await attempt();
      if (retried.has(error)) await this.#client.pause(20);
    }
    return error;
  }
}
