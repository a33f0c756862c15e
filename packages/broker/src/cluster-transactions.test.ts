/** Exactly once across brokers: the coordinator of a transaction, the leader of a partition and the coordinator of a group are three of them. */
import assert from 'node:assert/strict';
import process from 'node:process';
import { describe, test } from 'node:test';
import type { Runtime } from '@ottla/runtime';
import { TestCluster } from './testing-cluster.ts';
import { ClusterClient, ClusterProducer } from './testing-cluster-producer.ts';

const settings = {
  'default.replication.factor': '3',
  'min.insync.replicas': '2',
  'offsets.topic.replication.factor': '3',
  'offsets.topic.num.partitions': '3',
  'transaction.state.log.replication.factor': '3',
  'transaction.state.log.min.isr': '2',
  'transaction.state.log.num.partitions': '3',
  'broker.session.timeout.ms': '3000',
  'broker.heartbeat.interval.ms': '500',
  'replica.lag.time.max.ms': '4000',
  'request.timeout.ms': '5000',
};

type Scene = {
  readonly cluster: TestCluster;
  readonly client: ClusterClient;
  readonly transactionalId: string;
  readonly groupId: string;
  /** Of topic `out`: its leader is neither of the coordinators. */
  readonly partition: number;
  /** The brokers that have the parts. */
  readonly coordinator: number;
  readonly leader: number;
  readonly groupCoordinator: number;
};

/** Every part on a broker of its own. The controller is elsewhere. */
async function scene(seed: number): Promise<Scene> {
  const cluster = await TestCluster.start({ brokers: 3, controllers: 1, seed, settings });
  const client = new ClusterClient(cluster);
  for (const topic of ['in', 'out']) assert.equal(await cluster.createTopic(1, topic, { partitions: 3, replicas: 3 }), 'NONE');
  for (const kind of ['group', 'transaction'] as const)
    await cluster.waitFor(`there is a coordinator of every ${kind}`, async () => (await client.coordinatorOf(kind, 'x')) >= 0);
  const [coordinator, leader, groupCoordinator] = [1, 2, 3];
  const nameOn = async (kind: 'group' | 'transaction', id: number): Promise<string> => {
    for (let number = 0; ; number++) {
      const name = `${kind}-${number}`;
      if ((await client.coordinatorOf(kind, name)) === id) return name;
    }
  };
  const transactionalId = await nameOn('transaction', coordinator);
  const groupId = await nameOn('group', groupCoordinator);
  let partition = 0;
  await cluster.waitFor('a partition is led by the third broker', async () => {
    for (partition = 0; partition < 3; partition++) if ((await client.leaderOf('out', partition)) === leader) return true;
    return false;
  });
  return { cluster, client, transactionalId, groupId, partition, coordinator, leader, groupCoordinator };
}

/** Ends that come late are waited for: the last stable offset moves, and no offset is in doubt. */
async function assertCommitted({ cluster, client, partition, groupId }: Scene, values: string[], offset: number): Promise<void> {
  let found: string[] = [];
  await cluster
    .waitFor('all is committed', async () => {
      found = await client.committedValues('out', partition).catch(() => []);
      return found.length >= values.length;
    })
    .catch(() => {});
  assert.deepEqual(found, values);
  assert.equal(await client.committedOffset(groupId, 'in'), offset);
}

async function write(producer: ClusterProducer, { partition, groupId }: Scene, values: string[], offset: number): Promise<void> {
  assert.equal(await producer.produce('out', values, partition), 'NONE');
  assert.equal(await producer.commitOffset(groupId, 'in', offset), 'NONE');
}

describe('a transaction whose parts are on three brokers', () => {
  for (const version of [1, 2] as const) {
    test(`is committed or aborted as one, in version ${version} of the protocol`, async () => {
      const all = await scene(version);
      const producer = new ClusterProducer(all.client, all.transactionalId, version);
      assert.equal(await producer.init(), 'NONE');
      await write(producer, all, ['a', 'b'], 2);
      assert.deepEqual(await all.client.committedValues('out', all.partition), []);
      assert.equal(await producer.end(true), 'NONE');
      await assertCommitted(all, ['a', 'b'], 2);
      await write(producer, all, ['lost'], 3);
      assert.equal(await producer.end(false), 'NONE');
      await write(producer, all, ['c'], 4);
      assert.equal(await producer.end(true), 'NONE');
      await assertCommitted(all, ['a', 'b', 'c'], 4);
      assert.deepEqual(all.cluster.errors(), []);
    });
  }

  for (const part of ['coordinator', 'leader', 'groupCoordinator'] as const) {
    test(`goes on when the ${part === 'groupCoordinator' ? 'group’s coordinator' : part} is killed before its end`, async () => {
      const all = await scene(10);
      const producer = new ClusterProducer(all.client, all.transactionalId);
      assert.equal(await producer.init(), 'NONE');
      await write(producer, all, ['a'], 1);
      assert.equal(await producer.end(true), 'NONE');
      await write(producer, all, ['b'], 2);
      all.cluster.node(all[part]).kill();
      assert.equal(await producer.end(true), 'NONE');
      await write(producer, all, ['c'], 3);
      assert.equal(await producer.end(true), 'NONE');
      await assertCommitted(all, ['a', 'b', 'c'], 3);
      await all.cluster.run(all.cluster.node(all[part]).start());
      await write(producer, all, ['d'], 4);
      assert.equal(await producer.end(true), 'NONE');
      await assertCommitted(all, ['a', 'b', 'c', 'd'], 4);
    });
  }

  for (const version of [1, 2] as const) {
    test(`ends as was decided, whenever its coordinator is killed meanwhile, in version ${version} of the protocol`, async () => {
      const all = await scene(20 + version);
      const { cluster, client, transactionalId } = all;
      const producer = new ClusterProducer(client, transactionalId, version);
      assert.equal(await producer.init(), 'NONE');
      const expected: string[] = [];
      for (const [round, delayMs] of [0, 1, 2, 3, 5, 8, 13].entries()) {
        expected.push(`${round}`);
        await write(producer, all, [`${round}`], round + 1);
        const coordinator = await client.coordinatorOf('transaction', transactionalId);
        await producer.askForEnd(true);
        await cluster.advance(delayMs);
        cluster.node(coordinator).kill();
        // It may have been decided, or not: whoever asks again learns that it is so.
        assert.equal(await producer.end(true), 'NONE');
        await assertCommitted(all, expected, round + 1);
        await cluster.run(cluster.node(coordinator).start());
        await inSync(all);
      }
    });
  }

  test('of a producer that is gone is aborted on all of them by the coordinator’s successor', async () => {
    const all = await scene(30);
    const { cluster, client, transactionalId, coordinator } = all;
    const producer = new ClusterProducer(client, transactionalId);
    producer.timeoutMs = 5_000;
    assert.equal(await producer.init(), 'NONE');
    await write(producer, all, ['a'], 1);
    assert.equal(await producer.end(true), 'NONE');
    await write(producer, all, ['lost'], 2);
    cluster.node(coordinator).kill();
    const other = new ClusterProducer(client, `${transactionalId} of somebody else`);
    assert.equal(await other.init(), 'NONE');
    await write(other, all, ['b'], 3);
    assert.equal(await other.end(true), 'NONE');
    // A reader comes behind the open transaction when that has been ended.
    await assertCommitted(all, ['a', 'b'], 3);
  });
});

/** Every replica is back. */
function inSync({ cluster }: Scene): Promise<void> {
  const topics = ['out', '__transaction_state', '__consumer_offsets'];
  return cluster.waitFor('all replicas are in sync', async () => {
    const [asked] = cluster.brokers.filter(({ isServing }) => isServing);
    for (const topic of topics)
      for (let index = 0; index < 3; index++) if ((await cluster.partition(asked!.id, topic, index)).isr.length < 3) return false;
    return true;
  });
}

/** One of the brokers is down, now and then: killed at any time, and back a little later. */
class Misfortune {
  readonly #cluster: TestCluster;
  readonly #runtime: Runtime;
  #isOver = false;
  kills = 0;

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
    this.#runtime = cluster.world.machine('misfortune').boot();
    this.#plan();
  }

  /** Resolves when all are back. */
  async end(): Promise<void> {
    this.#isOver = true;
    const { brokers } = this.#cluster;
    await this.#cluster.waitFor('all brokers are back', () => brokers.every(({ isServing }) => isServing));
  }

  #plan(): void {
    this.#runtime.timers.after(this.#drawn(200, 3_000), () => {
      const { brokers } = this.#cluster;
      if (this.#isOver) return;
      this.#plan();
      if (!brokers.every(({ isServing }) => isServing)) return;
      const unlucky = brokers[Math.floor(this.#runtime.random.fraction() * brokers.length)]!;
      this.kills++;
      unlucky.kill();
      this.#runtime.timers.after(this.#drawn(100, 6_000), () => void unlucky.start());
    });
  }

  #drawn(least: number, most: number): number {
    return least + this.#runtime.random.fraction() * (most - least);
  }
}

/** `npm test` looks at these; a longer look takes OTTLA_MODEL_SEEDS. */
const SEEDS = Number(process.env['OTTLA_MODEL_SEEDS'] ?? 2);

describe('a loop that reads, changes and writes, on brokers that are killed at random', () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    test(`puts every record out once and in order, with seed ${seed}`, async () => {
      const all = await scene(seed);
      const { cluster, client, transactionalId, groupId, partition } = all;
      const { random } = cluster.world.machine('loop').boot();
      const input = Array.from({ length: 60 }, (_, index) => `${index}`);
      const misfortune = new Misfortune(cluster);
      let producer: ClusterProducer | undefined;
      for (let position = 0; position < input.length; ) {
        if (producer === undefined) {
          producer = new ClusterProducer(client, transactionalId, seed % 2 === 0 ? 1 : 2);
          assert.equal(await producer.init(), 'NONE');
          position = Math.max(0, await client.committedOffset(groupId, 'in'));
        }
        const values = input.slice(position, position + 1 + Math.floor(random.fraction() * 4));
        const next = position + values.length;
        const isCommit = random.fraction() < 0.8;
        let error = await producer.produce(
          'out',
          values.map((value) => `${value}!`),
          partition,
        );
        if (error === 'NONE') error = await producer.commitOffset(groupId, 'in', next);
        if (error === 'NONE') error = await producer.end(isCommit);
        // Whatever became of it, the offsets say; and a client that begins anew ends what it had begun.
        if (error !== 'NONE') producer = undefined;
        else if (isCommit) position = next;
        await cluster.advance(random.fraction() * 1_000);
      }
      await misfortune.end();
      assert.ok(misfortune.kills > 0);
      await assertCommitted(
        all,
        input.map((value) => `${value}!`),
        input.length,
      );
    });
  }
});
