import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AlterPartitionReassignments,
  buildBatch,
  errorName,
  FindCoordinator,
  ListPartitionReassignments,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  Produce,
} from '@ottla/protocol';
import { TestCluster } from './testing-cluster.ts';
import type { TestClient } from './testing-node.ts';

const replicated = {
  'offsets.topic.replication.factor': '3',
  'transaction.state.log.replication.factor': '3',
  'transaction.state.log.min.isr': '2',
  'min.insync.replicas': '2',
  'unclean.leader.election.enable': 'false',
};

/** Writes numbers with acks=all, one after the other, wherever the leader is, until told to stop. */
class Writer {
  readonly acknowledged = new Map<number, string>();
  readonly #cluster: TestCluster;
  readonly #topic: string;
  #isStopped = false;
  #done: Promise<void> | undefined;
  readonly #clients = new Map<string, TestClient>();

  constructor(cluster: TestCluster, topic: string) {
    this.#cluster = cluster;
    this.#topic = topic;
  }

  async begin(): Promise<void> {
    for (const { id } of this.#cluster.brokers) this.#clients.set(`${id}`, await this.#cluster.connect(id));
    this.#done = this.#write();
  }

  /** Resolves when what is under way is answered. */
  stop(): Promise<void> {
    this.#isStopped = true;
    return this.#cluster.run(this.#done!);
  }

  /** To a node that has begun anew. */
  async reconnect(id: number): Promise<void> {
    this.#clients.set(`${id}`, await this.#cluster.connect(id));
  }

  async #write(): Promise<void> {
    for (let number = 0; !this.#isStopped; number++) {
      const value = `${number}`;
      while (!(await this.#send(value))) await this.#pause(20);
      await this.#pause(20);
    }
  }

  /** True when it is acknowledged. */
  async #send(value: string): Promise<boolean> {
    try {
      const [found] = await Promise.any(
        [...this.#clients.values()].filter(({ connection }) => !connection.closed).map((client) => this.#look(client)),
      );
      const client = this.#clients.get(`${found.leader}`);
      if (!client || client.connection.closed) return false;
      const records = new Uint8Array(buildBatch({ records: [{ timestamp: 1, value: Buffer.from(value) }] }));
      const topicData = [{ name: this.#topic, topicId: found.topicId, partitionData: [{ index: 0, records }] }];
      const { responses } = await client.connection.send(
        Produce,
        { acks: -1, timeoutMs: 5_000, topicData },
        { timeoutMs: 10_000 },
      );
      const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!;
      if (errorCode !== 0) return false;
      this.acknowledged.set(baseOffset, value);
      return true;
    } catch {
      return false;
    }
  }

  async #look(client: TestClient): Promise<[{ leader: number; topicId: string }]> {
    const { topics } = await client.connection.send(Metadata, { topics: [{ name: this.#topic }] }, { timeoutMs: 2_000 });
    const leader = topics[0]!.partitions[0]?.leaderId ?? -1;
    if (leader < 0) throw new Error('no leader');
    return [{ leader, topicId: topics[0]!.topicId }];
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#cluster.world.time.after(ms, resolve));
  }
}

async function start(topic = 'orders', settings: Record<string, string> = {}): Promise<TestCluster> {
  const cluster = await TestCluster.start({ controllers: 1, brokers: 3, settings: { ...replicated, ...settings } });
  await cluster.waitFor('all brokers are there', async () => (await cluster.liveBrokers(1)).length === 3);
  assert.equal(await cluster.createTopic(1, topic, { replicas: 3 }), 'NONE');
  await cluster.waitFor('it has a leader', async () => (await cluster.partition(1, topic)).leader > 0);
  return cluster;
}

async function allInSync(cluster: TestCluster, topic = 'orders', count = 3): Promise<void> {
  await cluster.waitFor('all are in sync', async () => {
    const up = cluster.brokers.find(({ isServing }) => isServing)!;
    return (await cluster.partition(up.id, topic)).isr.length === count;
  });
}

/** What is acknowledged is at its offset, on the leader and on every other replica. */
async function assertNothingLost(cluster: TestCluster, { acknowledged }: Writer, topic = 'orders'): Promise<void> {
  const { leader } = await cluster.partition(1, topic);
  const values = await (await cluster.client(leader)).fetch(topic);
  for (const [offset, value] of acknowledged) assert.equal(values[offset], value, `offset ${offset}`);
  for (const { id, server } of cluster.brokers) {
    const replica = server.parts.partitions?.get(topic, 0)?.log;
    assert.ok(replica, `broker ${id} has a replica`);
    assert.equal(replica.logEndOffset, values.length, `broker ${id}`);
  }
}

test('a leader that loses its power, and comes back at once, loses no record that was acknowledged by all', async () => {
  const cluster = await start();
  const writer = new Writer(cluster, 'orders');
  await writer.begin();
  for (let round = 0; round < 3; round++) {
    await cluster.advance(2_000);
    const { leader } = await cluster.partition(cluster.brokers.find(({ isServing }) => isServing)!.id, 'orders');
    cluster.node(leader).crash();
    await cluster.run(cluster.node(leader).start());
    await writer.reconnect(leader);
    await allInSync(cluster);
  }
  await writer.stop();
  assert.ok(writer.acknowledged.size > 50, `${writer.acknowledged.size} records`);
  await assertNothingLost(cluster, writer);
  await cluster.stopAll();
});

test('a rolling restart under load loses nothing, and producers go on within moments', async () => {
  const cluster = await start();
  const writer = new Writer(cluster, 'orders');
  await writer.begin();
  for (const id of [1, 2, 3]) {
    const before = writer.acknowledged.size;
    await cluster.restart(id);
    await writer.reconnect(id);
    await allInSync(cluster);
    assert.ok(writer.acknowledged.size > before);
  }
  await writer.stop();
  await assertNothingLost(cluster, writer);
  await cluster.stopAll();
  assert.deepEqual(cluster.errors(), []);
});

test('groups and what they committed survive their coordinator', async () => {
  const cluster = await start();
  const find = async (asked: number): Promise<number> => {
    let coordinator = -1;
    await cluster.waitFor('there is a coordinator', async () => {
      const { coordinators } = await cluster.ask(asked, FindCoordinator, { keyType: 0, coordinatorKeys: ['g'] });
      if (coordinators[0]!.errorCode === 0) coordinator = coordinators[0]!.nodeId;
      return coordinator > 0;
    });
    return coordinator;
  };
  const first = await find(1);
  const commit = async (coordinator: number, committedOffset: number) => {
    const partitions = [{ partitionIndex: 0, committedOffset, committedMetadata: '' }];
    const request = { groupId: 'g', generationIdOrMemberEpoch: -1, memberId: '', topics: [{ name: 'orders', partitions }] };
    let error = '';
    await cluster.waitFor('it is committed', async () => {
      const { topics } = await cluster.ask(coordinator, OffsetCommit, request, 9);
      error = errorName(topics[0]!.partitions[0]!.errorCode);
      return error === 'NONE';
    });
  };
  await commit(first, 41);
  await commit(first, 42);
  cluster.node(first).crash();
  const other = [1, 2, 3].find((id) => id !== first)!;
  await cluster.waitFor('it moves', async () => (await find(other)) !== first);
  const second = await find(other);
  const read = async () => {
    const groups = [{ groupId: 'g', topics: null }];
    const answer = (await cluster.ask(second, OffsetFetch, { groups }, 9)).groups[0]!;
    return answer.errorCode === 0 ? answer.topics[0]?.partitions[0]?.committedOffset : errorName(answer.errorCode);
  };
  await cluster.waitFor('it is loaded', async () => typeof (await read()) === 'number');
  assert.equal(await read(), 42);
  await commit(second, 43);
  assert.equal(await read(), 43);
});

test('a reassignment can be cancelled, and what was added is deleted again', async () => {
  const cluster = await TestCluster.start({ controllers: 1, brokers: 4, settings: replicated });
  await cluster.waitFor('all brokers are there', async () => (await cluster.liveBrokers(1)).length === 4);
  assert.equal(await cluster.createTopic(1, 'orders', { replicas: 3 }), 'NONE');
  await cluster.waitFor('it has a leader', async () => (await cluster.partition(1, 'orders')).leader > 0);
  const { leader, replicas } = await cluster.partition(1, 'orders');
  const adding = [1, 2, 3, 4].find((id) => !replicas.includes(id))!;
  await (await cluster.client(leader)).produce('orders', ['a', 'b']);
  // What is to be added cannot be reached, so the reassignment stays under way.
  for (const id of replicas) cluster.cut(id, adding);
  const reassign = async (to: number[] | null) => {
    const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0, replicas: to }] }];
    const { responses } = await cluster.ask(leader, AlterPartitionReassignments, { topics, timeoutMs: 10_000 });
    return errorName(responses[0]!.partitions[0]!.errorCode);
  };
  assert.equal(await reassign([...replicas.slice(1), adding]), 'NONE');
  await cluster.advance(2_000);
  const underWay = async () => (await cluster.ask(leader, ListPartitionReassignments, { topics: null, timeoutMs: 1000 })).topics;
  assert.deepEqual((await underWay())[0]!.partitions[0]!.addingReplicas, [adding]);
  assert.ok(cluster.node(adding).server.parts.partitions?.get('orders', 0));
  assert.equal(await reassign(null), 'NONE');
  await cluster.advance(1_000);
  assert.deepEqual(await underWay(), []);
  assert.equal(cluster.node(adding).server.parts.partitions?.get('orders', 0), undefined);
  // In the order that the reassignment gave them, as in Kafka.
  assert.deepEqual((await cluster.partition(leader, 'orders')).replicas.toSorted(), replicas.toSorted());

  cluster.heal();
  assert.equal(await reassign([...replicas.slice(1), adding]), 'NONE');
  await cluster.waitFor('it is done', async () => (await underWay()).length === 0);
  await allInSync(cluster);
  const after = await cluster.partition(adding, 'orders');
  assert.deepEqual(after.replicas, [...replicas.slice(1), adding]);
  assert.deepEqual(await (await cluster.client(after.leader)).fetch('orders'), ['a', 'b']);
});

test('with one replica left below min.insync.replicas a producer waits, and nothing that was acknowledged is lost when the others are back', async () => {
  const cluster = await start();
  const writer = new Writer(cluster, 'orders');
  await writer.begin();
  await cluster.advance(1_000);
  const { leader } = await cluster.partition(1, 'orders');
  const others = [1, 2, 3].filter((id) => id !== leader);
  for (const id of others) cluster.node(id).kill();
  await cluster.waitFor('the isr is the leader', async () => (await cluster.partition(leader, 'orders')).isr.length === 1);
  await cluster.advance(5_000);
  const acknowledged = writer.acknowledged.size;
  await cluster.advance(10_000);
  assert.equal(writer.acknowledged.size, acknowledged);
  for (const id of others) await cluster.run(cluster.node(id).start());
  for (const id of others) await writer.reconnect(id);
  await allInSync(cluster);
  await cluster.advance(2_000);
  await writer.stop();
  assert.ok(writer.acknowledged.size > acknowledged);
  await assertNothingLost(cluster, writer);
});
