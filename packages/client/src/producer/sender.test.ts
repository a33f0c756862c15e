import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchView, type ErrorName, errorCodeOf, InitProducerId, KafkaError } from '@ottla/protocol';
import { World } from '@ottla/runtime';
import { Backoff } from '../cluster/backoff.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { ProducerBatch } from './producer-batch.ts';
import { completeProducerConfig, type ProducerConfig } from './producer-config.ts';
import { RecordAccumulator } from './record-accumulator.ts';
import { Sender } from './sender.ts';
import type { Transactions } from './transactions.ts';

/** A request for log-0: to whom it went, and its batch as "value epoch/sequence". */
type Sent = {
  readonly to: number;
  readonly batch: string;
  readonly producerId: number;
  answer(error?: ErrorName): Promise<void>;
};

/** A sender of records of log-0 to two brokers that answer when the test does. */
class Brokers {
  readonly sent: Sent[] = [];
  readonly sender: Sender;
  leaderId = 1;
  /** Who is asked for an id, until another is asked for. */
  #informant = 1;
  /** What who asks for an id is given. */
  producerId = 5;
  producerEpoch = 0;
  /** These give no ids. */
  readonly withoutIds = new Set<number>();
  readonly #world = new World({ seed: 1 });
  readonly #accumulator: RecordAccumulator;

  constructor(config: Partial<ProducerConfig> = {}, transactions?: Partial<Transactions>) {
    const runtime = this.#world.machine('client').boot();
    const cluster = {
      runtime,
      backoff: new Backoff(runtime.random, { initialMs: 100, maxMs: 1000 }),
      closed: false,
      isMetadataOld: false,
      isSilent: () => false,
      patienceMs: 2000,
      metadata: {
        nodes: new Map([1, 2].map((id) => [id, {}])),
        topic: () => undefined,
        partition: () => ({ leaderId: this.leaderId, leaderEpoch: this.leaderId }),
        learnLeader: () => {},
      },
      openConnectionTo: (id: number) => this.#connection(id),
      anyConnection: async () => this.#connection(this.#informant),
      refreshMetadata: async () => {},
      watch: () => {},
      askAnother: () => {
        this.#informant = 2;
      },
      pause: async () => {},
    } as unknown as Cluster;
    const complete = completeProducerConfig({ bootstrapServers: 'broker:9092', runtime, lingerMs: 0, batchSize: 0, ...config });
    this.#accumulator = new RecordAccumulator(cluster, complete);
    this.sender = new Sender(cluster, complete, {
      accumulator: this.#accumulator,
      transactions: transactions as Transactions | undefined,
    });
  }

  #connection(to: number): object {
    return {
      versionFor: () => 12,
      send: (api: object, request: { topicData: [{ partitionData: [{ records: Uint8Array }] }] }) => {
        if (api === InitProducerId) {
          const errorCode = this.withoutIds.has(to) ? errorCodeOf(new KafkaError('COORDINATOR_LOAD_IN_PROGRESS')) : 0;
          const { producerId, producerEpoch } = this;
          return Promise.resolve({ errorCode, producerId, producerEpoch });
        }
        const view = new BatchView(request.topicData[0].partitionData[0].records);
        const [record] = [...view.records({ maxBytes: 1000 })];
        const { promise, resolve } = Promise.withResolvers<object>();
        this.sent.push({
          to,
          producerId: Number(view.producerId),
          batch: `${Buffer.from(record!.value!)} ${view.producerEpoch}/${view.baseSequence}`,
          answer: (error) => {
            const errorCode = error ? errorCodeOf(new KafkaError(error)) : 0;
            const partition = { index: 0, errorCode, errorMessage: null, recordErrors: [], baseOffset: 0, logAppendTimeMs: -1 };
            resolve({ responses: [{ name: 'log', partitionResponses: [partition] }], nodeEndpoints: [] });
            return this.#world.advance(10);
          },
        });
        return promise;
      },
    };
  }

  /** One batch for each value. */
  async send(...values: string[]): Promise<ProducerBatch[]> {
    const batches = values.map(
      (value) => this.#accumulator.append({ topic: 'log', partition: 0 }, 1, null, Buffer.from(value), []).batch,
    );
    await this.advance(10);
    return batches;
  }

  advance(ms: number): Promise<void> {
    this.sender.wake();
    return this.#world.advance(ms);
  }

  /** What was sent since the last time. */
  take(): Sent[] {
    return this.sent.splice(0);
  }
}

const batchesOf = (sent: readonly Sent[]): string[] => sent.map(({ batch }) => batch);

/** Several batches in flight, in an epoch that the leader knows. */
async function inFlight(...values: string[]): Promise<{ brokers: Brokers; sent: Sent[] }> {
  const brokers = new Brokers();
  await brokers.send('first');
  await brokers.take()[0]!.answer();
  await brokers.send(...values);
  return { brokers, sent: brokers.take() };
}

test('who gets no producer id from one broker asks another', async () => {
  const brokers = new Brokers();
  brokers.withoutIds.add(1);
  await brokers.send('first');
  await brokers.advance(2000);
  assert.deepEqual(batchesOf(brokers.take()), ['first 0/0']);
});

test('a batch that was given up while it was on the wire is not sent again, whatever its answer says', async () => {
  for (const error of ['NOT_LEADER_OR_FOLLOWER', 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'MESSAGE_TOO_LARGE'] as const) {
    const { brokers, sent } = await inFlight('a');
    brokers.sender.failAll(new Error('given up'));
    await sent[0]!.answer(error);
    await brokers.advance(5000);
    assert.deepEqual(batchesOf(brokers.take()), [], error);
    await brokers.send('new');
    assert.deepEqual(batchesOf(brokers.take()), ['new 1/0'], error);
  }
});

test('a batch that was given up while it was on the wire and got there says nothing about the next epoch', async () => {
  const { brokers, sent } = await inFlight('a', 'b', 'c');
  brokers.sender.failAll(new Error('given up'));
  await brokers.send('d', 'e');
  const [d] = brokers.take();
  for (const one of sent) await one.answer();
  assert.deepEqual(batchesOf(brokers.take()), [], 'the first batch of the epoch is still alone');
  await d!.answer('OUT_OF_ORDER_SEQUENCE_NUMBER');
  await brokers.advance(5000);
  assert.deepEqual(batchesOf(brokers.take()), ['d 2/0'], 'it was not overtaken');
});

test('a batch that comes back when its transaction takes no more is given up at once, and is not sent again', async () => {
  for (const error of [
    'NOT_LEADER_OR_FOLLOWER',
    'OUT_OF_ORDER_SEQUENCE_NUMBER',
    'MESSAGE_TOO_LARGE',
    'INVALID_RECORD',
  ] as const) {
    const failed: string[] = [];
    const transactions = {
      identity: { producerId: 5, producerEpoch: 0 },
      newestProduceVersion: undefined,
      refusal: undefined as Error | undefined,
      refusalOf: () => transactions.refusal,
      admits: () => transactions.refusal === undefined,
      batchFailed: (_: unknown, { message }: Error) => void failed.push(message),
    };
    const brokers = new Brokers({ transactionalId: 'writer', lingerMs: 5, batchSize: 1000 }, transactions);
    await brokers.send('a', 'b');
    const [sent] = brokers.take();
    transactions.refusal = new Error('fenced');
    await sent!.answer(error);
    assert.equal(failed.length, 1, error);
    assert.equal(failed[0] === 'fenced', error === 'NOT_LEADER_OR_FOLLOWER' || error === 'MESSAGE_TOO_LARGE', failed[0]);
    await brokers.advance(5000);
    assert.deepEqual(batchesOf(brokers.take()), [], error);
  }
});

test('nothing new leaves for another leader before all came back where the order is promised, and at once where it is not', async () => {
  const promised: [Partial<ProducerConfig>, boolean][] = [
    [{}, true],
    [{ enableIdempotence: false, maxInFlightRequestsPerConnection: 1 }, true],
    [{ enableIdempotence: false }, false],
    [{ acks: 1 }, false],
  ];
  for (const [config, isOrdered] of promised) {
    const brokers = new Brokers(config);
    await brokers.send('first');
    await brokers.take()[0]!.answer();
    await brokers.send('a');
    const [a] = brokers.take();
    brokers.leaderId = 2;
    await brokers.send('b');
    const to = (): number[] => brokers.sent.map((one) => one.to);
    assert.deepEqual(to(), isOrdered ? [] : [2], JSON.stringify(config));
    await a!.answer();
    assert.deepEqual(to(), [2], JSON.stringify(config));
  }
});

test('of those that were overtaken one that is out of order keeps its number, and one that can never be accepted gets another', async () => {
  const again = [
    ['OUT_OF_ORDER_SEQUENCE_NUMBER', 'a 0/1'],
    ['UNKNOWN_PRODUCER_ID', 'a 1/0'],
    ['INVALID_PRODUCER_EPOCH', 'a 1/0'],
  ] as const;
  for (const [error, batch] of again) {
    const { brokers, sent } = await inFlight('a', 'b');
    await sent[1]!.answer();
    await sent[0]!.answer(error);
    await brokers.advance(5000);
    assert.deepEqual(batchesOf(brokers.take()), [batch], error);
  }
});

test('a batch that may have been taken is not sent under another number because a later one was refused', async () => {
  for (const error of ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'REQUEST_TIMED_OUT'] as const) {
    const { brokers, sent } = await inFlight('a', 'b', 'c');
    await sent[0]!.answer(error);
    await sent[1]!.answer('INVALID_RECORD');
    await sent[2]!.answer('OUT_OF_ORDER_SEQUENCE_NUMBER');
    await brokers.advance(1000);
    const [a] = brokers.take();
    assert.equal(a?.batch, 'a 0/1', error);
    await a.answer('DUPLICATE_SEQUENCE_NUMBER');
    await brokers.advance(1000);
    assert.deepEqual(batchesOf(brokers.take()), ['c 1/0'], error);
  }
});

test('when a partition has used up all epochs of its id the producer asks for another one', async () => {
  const brokers = new Brokers();
  brokers.producerEpoch = 0x7fff;
  await brokers.send('first');
  await brokers.take()[0]!.answer();
  brokers.producerId = 6;
  brokers.producerEpoch = 0;
  await brokers.send('refused');
  await brokers.take()[0]!.answer('INVALID_RECORD');
  await brokers.send('next');
  await brokers.advance(1000);
  const [next] = brokers.take();
  assert.deepEqual([next!.producerId, next!.batch], [6, 'next 0/0']);
});
