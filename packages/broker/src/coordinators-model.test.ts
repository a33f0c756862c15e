import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ConsumerGroupDescribe,
  ConsumerGroupHeartbeat,
  DescribeTransactions,
  type ErrorName,
  errorName,
  FindCoordinator,
  OffsetCommit,
  OffsetFetch,
  ShareGroupDescribe,
  ShareGroupHeartbeat,
  StreamsGroupDescribe,
  StreamsGroupHeartbeat,
} from '@ottla/protocol';
import type { SeededRandom } from '@ottla/runtime';
import { type TestClient, TestNode } from './testing-node.ts';
import { TestProducer, type TransactionVersion } from './testing-transactions.ts';

const topics = ['orders', 'payments'];
const groupIds = ['g1', 'g2'];
const memberNames = ['m1', 'm2', 'm3'];

/** Nobody is given up for being silent: a model of that is another story. */
const forEver = '3600000';

const settings = {
  ...Object.fromEntries(
    ['consumer', 'share', 'streams'].flatMap((kind) =>
      ['max.session', 'session'].map((name) => [`group.${kind}.${name}.timeout.ms`, forEver]),
    ),
  ),
  'transaction.max.timeout.ms': forEver,
  'transaction.state.log.num.partitions': '2',
  'transaction.state.log.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
  'share.coordinator.state.topic.num.partitions': '2',
  'share.coordinator.state.topic.replication.factor': '1',
  'share.coordinator.state.topic.min.isr': '1',
};

type Kind = 'consumer' | 'share' | 'streams';

/** What clients were told by coordinators, and so what must be there. */
class Model {
  /** By topic: what is committed, in the order of the log, which is that of the batches. */
  readonly written = new Map<string, { value: string; by: string; state: 'open' | 'committed' | 'aborted' }[]>();
  readonly producers = new Map<string, TestProducer>();
  /** Transactional ids with a transaction under way. */
  readonly open = new Set<string>();
  /** By group and topic. */
  readonly offsets = new Map<string, number>();
  /** Epochs, by kind, group and member. */
  readonly members = new Map<string, Map<string, number>>();

  valuesIn(topic: string): string[] {
    const all = this.written.get(topic) ?? [];
    const firstOpen = all.findIndex(({ state }) => state === 'open');
    return (firstOpen === -1 ? all : all.slice(0, firstOpen))
      .filter(({ state }) => state === 'committed')
      .map(({ value }) => value);
  }

  end(by: string, state: 'committed' | 'aborted'): void {
    for (const entries of this.written.values())
      for (const entry of entries) if (entry.by === by && entry.state === 'open') entry.state = state;
    this.open.delete(by);
  }
}

class Run {
  readonly #node: TestNode;
  readonly #model = new Model();
  readonly #random: SeededRandom;
  #client: TestClient | undefined;

  constructor(node: TestNode, random: SeededRandom) {
    this.#node = node;
    this.#random = random;
  }

  async begin(): Promise<void> {
    const client = await this.#ready();
    for (const topic of topics) assert.equal(await client.createTopic(topic, {}, { partitions: 1 }), 'NONE');
  }

  /** A client of a node whose coordinators have loaded. */
  async #ready(): Promise<TestClient> {
    const client = await this.#node.client();
    if (client === this.#client) return client;
    this.#client = client;
    for (const keyType of [0, 1]) await client.ask(FindCoordinator, { keyType, coordinatorKeys: ['a'] });
    await this.#node.advance(2_000);
    for (const producer of this.#model.producers.values()) producer.reconnect(client);
    return client;
  }

  #of<T>(values: readonly T[]): T {
    return values[this.#random.below(values.length)]!;
  }

  async step(at: number): Promise<void> {
    const client = await this.#ready();
    const dice = this.#random.below(24);
    if (dice < 10) await this.#transaction(client, at);
    else if (dice < 20) await this.#member(client, this.#of(['consumer', 'share', 'streams'] as const), at);
    else if (dice < 22) await this.#node.advance(this.#random.below(10_000));
    else {
      if (dice === 22) await this.#node.restart();
      else {
        this.#node.machine.kill();
        await this.#node.start();
      }
      await this.require();
    }
  }

  async #transaction(client: TestClient, at: number): Promise<void> {
    const { producers, open, written } = this.#model;
    const id = this.#of(['t1', 't2', 't3']);
    const known = producers.get(id);
    const dice = this.#random.below(10);
    if (!known || dice === 0) {
      // Whoever comes with the same id fences the one before, and what that left open is aborted.
      const version = this.#of([1, 2]) as TransactionVersion;
      const producer = new TestProducer(client, id, version);
      producer.timeoutMs = Number(forEver);
      assert.equal(await producer.init(), 'NONE');
      producers.set(id, producer);
      this.#model.end(id, 'aborted');
      if (known && dice === 0) assert.notEqual(await known.commit(), 'NONE', 'a zombie commits');
    } else if (open.has(id) && dice < 4) {
      const state = this.#random.chance(0.6) ? 'committed' : 'aborted';
      assert.equal(await known.end(state === 'committed'), 'NONE');
      this.#model.end(id, state);
      await this.#node.advance(100);
    } else {
      const topic = this.#of(topics);
      const values = Array.from({ length: 1 + this.#random.below(3) }, (_, index) => `${id}.${at}.${index}`);
      assert.equal(await known.produce(topic, values), 'NONE');
      const entries = written.get(topic) ?? [];
      written.set(topic, entries);
      for (const value of values) entries.push({ value, by: id, state: 'open' });
      open.add(id);
    }
  }

  async #member(client: TestClient, kind: Kind, at: number): Promise<void> {
    const groupId = `${kind}-${this.#of(groupIds)}`;
    const members = this.#model.members.get(groupId) ?? new Map<string, number>();
    this.#model.members.set(groupId, members);
    const memberId = Buffer.from(this.#of(memberNames).padEnd(16, '.')).toString('base64url');
    const epoch = members.get(memberId);
    if (epoch !== undefined && kind === 'consumer' && this.#random.chance(0.4))
      return this.#commitOffset(client, groupId, memberId, at);
    const memberEpoch = epoch === undefined ? 0 : this.#random.chance(0.3) ? -1 : epoch;
    const { error, epoch: next } = await heartbeat(client, kind, { groupId, memberId, memberEpoch });
    // A member that is to give up partitions first stays at its epoch; one that leaves is told -1.
    assert.equal(error, 'NONE', `${kind} ${memberEpoch}`);
    if (memberEpoch === -1) members.delete(memberId);
    else members.set(memberId, next);
  }

  async #commitOffset(client: TestClient, groupId: string, memberId: string, at: number): Promise<void> {
    const topic = this.#of(topics);
    const generationIdOrMemberEpoch = this.#model.members.get(groupId)!.get(memberId)!;
    const partitions = [{ partitionIndex: 0, committedOffset: at, committedMetadata: '' }];
    const answer = await client.ask(
      OffsetCommit,
      { groupId, memberId, generationIdOrMemberEpoch, topics: [{ name: topic, partitions }] },
      9,
    );
    const error = errorName(answer.topics[0]!.partitions[0]!.errorCode);
    if (error === 'NONE') this.#model.offsets.set(`${groupId} ${topic}`, at);
    else assert.equal(error, 'STALE_MEMBER_EPOCH');
  }

  /** Everything is as clients were told. */
  async require(): Promise<void> {
    const client = await this.#ready();
    const { open, producers, offsets, members } = this.#model;
    for (const topic of topics) assert.deepEqual(await client.fetchCommitted(topic), this.#model.valuesIn(topic), topic);
    for (const [id, { producerId, producerEpoch }] of producers) {
      const { transactionStates } = await client.ask(DescribeTransactions, { transactionalIds: [id] });
      const found = transactionStates[0]!;
      assert.deepEqual(
        [found.producerId, found.producerEpoch, found.transactionState === 'Ongoing'],
        [producerId, producerEpoch, open.has(id)],
        id,
      );
    }
    for (const [key, offset] of offsets) {
      const [groupId, topic] = key.split(' ') as [string, string];
      const { groups } = await client.ask(
        OffsetFetch,
        { groups: [{ groupId, memberEpoch: -1, topics: [{ name: topic, partitionIndexes: [0] }] }] },
        9,
      );
      assert.equal(groups[0]!.topics[0]!.partitions[0]!.committedOffset, offset, key);
    }
    for (const [groupId, expected] of members) {
      const found = await membersOf(client, groupId.split('-')[0] as Kind, groupId);
      assert.deepEqual(found, [...expected].sort(), groupId);
    }
  }
}

type Beat = { readonly groupId: string; readonly memberId: string; readonly memberEpoch: number };

async function heartbeat(client: TestClient, kind: Kind, beat: Beat): Promise<{ error: ErrorName; epoch: number }> {
  const isJoining = beat.memberEpoch === 0;
  const subscribed = isJoining ? { subscribedTopicNames: topics } : {};
  const consuming = isJoining ? { rebalanceTimeoutMs: 300_000, topicPartitions: [] } : {};
  const streaming = isJoining
    ? {
        rebalanceTimeoutMs: 300_000,
        topology: { epoch: 0, subtopologies: [{ subtopologyId: '0', sourceTopics: topics }] },
        activeTasks: [],
        standbyTasks: [],
        warmupTasks: [],
        processId: beat.memberId,
        clientTags: [],
      }
    : {};
  const answer =
    kind === 'consumer'
      ? await client.ask(ConsumerGroupHeartbeat, { ...beat, ...subscribed, ...consuming }, 1)
      : kind === 'share'
        ? await client.ask(ShareGroupHeartbeat, { ...beat, ...subscribed }, 1)
        : await client.ask(StreamsGroupHeartbeat, { ...beat, ...streaming }, 0);
  return { error: errorName(answer.errorCode), epoch: answer.memberEpoch };
}

/** Members and their epochs. */
async function membersOf(client: TestClient, kind: Kind, groupId: string): Promise<[string, number][]> {
  const request = { groupIds: [groupId] };
  const { groups } =
    kind === 'consumer'
      ? await client.ask(ConsumerGroupDescribe, request, 1)
      : kind === 'share'
        ? await client.ask(ShareGroupDescribe, request, 1)
        : await client.ask(StreamsGroupDescribe, request, 0);
  return groups[0]!.members.map(({ memberId, memberEpoch }): [string, number] => [memberId, memberEpoch]).sort();
}

for (const seed of [1, 2, 3, 4]) {
  test(`transactions, offsets and members of groups are what clients were told, through stops and kills (seed ${seed})`, async () => {
    const node = await TestNode.start({ seed, settings });
    const run = new Run(node, node.world.random.fork('steps'));
    await run.begin();
    for (let at = 0; at < 120; at++) await run.step(at);
    await run.require();
    assert.deepEqual(node.logs.at('error'), []);
    await node.stop();
  });
}
