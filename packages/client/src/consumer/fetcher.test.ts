import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildBatch, errors, type FetchRequest, type FetchResponse, KafkaError, ZERO_UUID } from '@ottla/protocol';
import { nodeRuntime } from '@ottla/runtime';
import type { Cluster } from '../cluster/cluster.ts';
import type { CompleteConsumerConfig } from './consumer-config.ts';
import { Fetcher } from './fetcher.ts';
import { PartitionState } from './partition-state.ts';

/** Two brokers that answer when the test says so, and one partition that either may lead. */
class Brokers {
  leaderId = 1;
  /** What another broker says when it is asked; nothing comes of it while it is undefined. */
  leaderToOthers: number | undefined;
  outOfRange = 0;
  readonly state = new PartitionState({ topic: 't', partition: 0 });
  readonly fetcher: Fetcher;
  /** What has to come before a connection is there. */
  connecting = Promise.resolve();
  readonly #asked = new Map<number, { request: FetchRequest; answer: (response: FetchResponse) => void }>();

  constructor() {
    const connectionTo = async (id: number) => {
      await this.connecting;
      return {
        versionFor: () => 12,
        send: (_: unknown, request: FetchRequest) =>
          new Promise<FetchResponse>((answer) => this.#asked.set(id, { request, answer })),
      };
    };
    const cluster = {
      runtime: nodeRuntime(),
      closed: false,
      metadata: {
        nodes: new Map([1, 2].map((id) => [id, {}])),
        topic: () => ({ topicId: ZERO_UUID }),
        partition: () => ({ leaderId: this.leaderId, leaderEpoch: this.leaderId }),
        learnLeader: () => {},
      },
      backoff: { delayMs: () => 0 },
      refreshFromOtherThan: async (id: number) => {
        assert.equal(id, this.leaderId);
        if (this.leaderToOthers === undefined) throw new KafkaError('NETWORK_EXCEPTION');
        this.leaderId = this.leaderToOthers;
      },
      connectionTo,
    };
    const config = { isolationLevel: 'read_uncommitted', checkCrcs: true } as CompleteConsumerConfig;
    this.fetcher = new Fetcher(cluster as unknown as Cluster, config, {
      assigned: () => [this.state],
      onProgress: () => {},
      onOutOfRange: () => void this.outOfRange++,
    });
    this.state.seek(0);
  }

  /** Asks whoever leads now; gives the offset that was asked for. */
  async fetchFrom(brokerId: number): Promise<number> {
    this.fetcher.send();
    await new Promise(setImmediate);
    return this.askedOf(brokerId).fetchOffset;
  }

  askedOf(brokerId: number): FetchRequest['topics'][number]['partitions'][number] {
    return this.#asked.get(brokerId)!.request.topics[0]!.partitions[0]!;
  }

  async answer(brokerId: number, ...values: string[]): Promise<void> {
    const { answer } = this.#asked.get(brokerId)!;
    const baseOffset = this.askedOf(brokerId).fetchOffset;
    const records = buildBatch({ baseOffset, records: values.map((value) => ({ key: null, value: Buffer.from(value) })) });
    const partition = { partitionIndex: 0, errorCode: 0, abortedTransactions: null, records };
    answer({ errorCode: 0, responses: [{ topic: 't', partitions: [partition] }] } as unknown as FetchResponse);
    await new Promise(setImmediate);
  }

  /** Asks whoever leads now, which says that the position is not in its log. */
  async fetchOutOfRange(): Promise<void> {
    const brokerId = this.leaderId;
    await this.fetchFrom(brokerId);
    const partition = { partitionIndex: 0, errorCode: errors.OFFSET_OUT_OF_RANGE.code };
    this.#asked.get(brokerId)!.answer({ errorCode: 0, responses: [{ topic: 't', partitions: [partition] }] } as never);
    await new Promise(setImmediate);
  }

  take(): string[] {
    const given: string[] = [];
    this.fetcher.take(100, (_, { value }) => given.push(Buffer.from(value!).toString()));
    return given;
  }
}

test('what a former leader still answers is not given once more', async () => {
  const brokers = new Brokers();
  assert.equal(await brokers.fetchFrom(1), 0);
  brokers.leaderId = 2;
  assert.equal(await brokers.fetchFrom(2), 0);
  await brokers.answer(2, 'a', 'b', 'c');
  assert.deepEqual(brokers.take(), ['a', 'b', 'c']);
  await brokers.answer(1, 'a', 'b');
  assert.deepEqual(brokers.take(), []);
  assert.equal(await brokers.fetchFrom(2), 3);
});

test('of two answers that are held for one partition the first counts', async () => {
  const brokers = new Brokers();
  await brokers.fetchFrom(1);
  brokers.leaderId = 2;
  await brokers.fetchFrom(2);
  await brokers.answer(1, 'a', 'b');
  await brokers.answer(2, 'a', 'b', 'c');
  assert.deepEqual(brokers.take(), ['a', 'b']);
  assert.deepEqual(brokers.take(), []);
  assert.equal(await brokers.fetchFrom(2), 2);
});

test('a leader is asked with the epoch in which it led, also when another one is known before the connection is there', async () => {
  const brokers = new Brokers();
  const connected = Promise.withResolvers<void>();
  brokers.connecting = connected.promise;
  brokers.fetcher.send();
  brokers.leaderId = 2;
  connected.resolve();
  await new Promise(setImmediate);
  assert.equal(brokers.askedOf(1).currentLeaderEpoch, 1);
});

test('a former leader, in whose log a position is not, is not believed: another broker knows of its successor', async () => {
  const brokers = new Brokers();
  brokers.state.seek(5);
  // However long nobody could be asked before.
  brokers.state.failures = 100;
  await brokers.fetchOutOfRange();
  await brokers.fetchOutOfRange();
  assert.equal(brokers.outOfRange, 0);
  brokers.leaderToOthers = 2;
  await brokers.fetchOutOfRange();
  assert.equal(await brokers.fetchFrom(2), 5);
  assert.equal(brokers.outOfRange, 0);
});

test('a position that is not in the log of the leader by another broker’s word too is given up', async () => {
  const brokers = new Brokers();
  brokers.leaderToOthers = 1;
  brokers.state.seek(5);
  await brokers.fetchOutOfRange();
  assert.equal(brokers.outOfRange, 1);
});

test('a position of a later epoch than any broker knows of is given up when several have been asked', async () => {
  const brokers = new Brokers();
  brokers.leaderToOthers = 1;
  brokers.state.seek(5, 2);
  for (let count = 0; count < 10; count++) await brokers.fetchOutOfRange();
  assert.equal(brokers.outOfRange, 0);
  await brokers.fetchOutOfRange();
  assert.equal(brokers.outOfRange, 1);
});
