import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { buildBatch, CreateTopics, errorName, Produce } from '@ottla/protocol';
import { hostOf, TestCluster } from './testing-cluster.ts';
import type { TestClient } from './testing-node.ts';

/** A client that has a connection to every node, and goes where the last answer sent it without a moment's rest. */
class Prober {
  readonly #cluster: TestCluster;
  readonly #clients: ReadonlyMap<number, TestClient>;
  readonly #topicId: string;
  readonly #partition: number;
  #leader: number;

  static async start(cluster: TestCluster, topic: string, at: { partition: number; leader: number }): Promise<Prober> {
    const clients = new Map<number, TestClient>();
    for (const { id } of cluster.brokers) clients.set(id, await cluster.connect(id));
    const { id: topicId } = cluster.brokers[0]!.server.parts.metadata.image.topics.byName(topic)!;
    return new Prober(cluster, clients, topicId, at);
  }

  private constructor(
    cluster: TestCluster,
    clients: ReadonlyMap<number, TestClient>,
    topicId: string,
    { partition, leader }: { partition: number; leader: number },
  ) {
    this.#cluster = cluster;
    this.#clients = clients;
    this.#topicId = topicId;
    this.#partition = partition;
    this.#leader = leader;
  }

  /** Sends one record after the other, each until all have it, for so long. Returns the longest time between two acknowledgements. */
  async longestSilence(forMs: number): Promise<number> {
    const { time } = this.#cluster.world;
    const endMs = time.nowMs + forMs;
    let lastMs = time.nowMs;
    let longestMs = 0;
    while (time.nowMs < endMs) {
      if (await this.#send()) {
        longestMs = Math.max(longestMs, time.nowMs - lastMs);
        lastMs = time.nowMs;
      }
      await new Promise<void>((resolve) => time.after(1, resolve));
    }
    return Math.max(longestMs, time.nowMs - lastMs);
  }

  async #send(): Promise<boolean> {
    const records = new Uint8Array(buildBatch({ records: [{ timestamp: 1, value: Buffer.from('probe') }] }));
    const partitionData = [{ index: this.#partition, records }];
    const topicData = [{ name: '', topicId: this.#topicId, partitionData }];
    const { connection } = this.#clients.get(this.#leader)!;
    const { responses } = await connection.send(Produce, { acks: -1, timeoutMs: 5_000, topicData }, { timeoutMs: 10_000 });
    const { errorCode, currentLeader } = responses[0]!.partitionResponses[0]!;
    if (errorCode !== 0 && currentLeader.leaderId >= 0) this.#leader = currentLeader.leaderId;
    return errorCode === 0;
  }
}

const replicated = { 'min.insync.replicas': '2' };

/** How long a producer goes without an acknowledgement when the leader of its partition, which does not decide about the cluster, is stopped. */
async function silenceOfStop(cluster: TestCluster, prepare?: (nextLeader: number) => void): Promise<number> {
  assert.equal(await cluster.createTopic(1, 'orders', { partitions: 3, replicas: 3 }), 'NONE');
  const controllerId = await cluster.activeController();
  const topic = cluster.node(1).server.parts.metadata.image.topics.byName('orders')!;
  const partition = [0, 1, 2].find((index) => topic.partition(index)!.leader !== controllerId)!;
  const { leader, replicas } = topic.partition(partition)!;
  prepare?.(replicas[1]!);
  const prober = await Prober.start(cluster, 'orders', { partition, leader });
  const probing = prober.longestSilence(3_000);
  await cluster.advance(1_000);
  const stopped = cluster.node(leader).stop();
  const silenceMs = await cluster.run(probing);
  await cluster.run(stopped);
  return silenceMs;
}

describe('when a leader stops in an orderly way a producer waits for messages to go to and fro, and for no timer', () => {
  // What the fetches of the followers wait for when they hear of the new leader is different with each seed.
  for (let seed = 1; seed <= 6; seed++)
    test(`seed ${seed}`, async () => {
      const cluster = await TestCluster.start({ seed, combined: 3, settings: replicated });
      await cluster.advance(3_000 + seed * 370);
      const silenceMs = await silenceOfStop(cluster);
      assert.ok(silenceMs < 30, `${silenceMs} ms without an acknowledgement`);
    });

  for (let seed = 1; seed <= 6; seed++)
    test(`not even when the new leader is the last to hear that it is: seed ${seed}`, async () => {
      // What is committed goes to it in two messages: the records, and that they are.
      const cluster = await TestCluster.start({ seed, brokers: 3, controllers: 1, settings: replicated });
      await cluster.advance(3_000 + seed * 370);
      const silenceMs = await silenceOfStop(cluster, (nextLeader) =>
        cluster.world.wires.trouble(hostOf(101), hostOf(nextLeader), { minLatencyMs: 50, maxLatencyMs: 50 }, { oneWay: true }),
      );
      assert.ok(silenceMs > 100 && silenceMs < 130, `${silenceMs} ms without an acknowledgement`);
    });
});

/** From the end of the active controller until another has made a topic for a broker that was asked at once. */
async function untilCreatedWithout(
  cluster: TestCluster,
  end: 'kill' | 'crash',
  askedOf: (brokers: readonly number[]) => number,
): Promise<number> {
  const { time } = cluster.world;
  const controllerId = (await cluster.activeController())!;
  const asked = askedOf(cluster.brokers.map(({ id }) => id).filter((id) => id !== controllerId));
  const client = await cluster.connect(asked);
  const killedMs = time.nowMs;
  cluster.node(controllerId)[end]();
  const topic = { name: 'after', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
  const { topics } = await client.ask(CreateTopics, { topics: [topic], timeoutMs: 30_000, validateOnly: false });
  assert.equal(errorName(topics[0]!.errorCode), 'NONE');
  return time.nowMs - killedMs;
}

const fetchTimeoutMs = 2_000;

describe('when the active controller dies, what is asked of another node waits for the followers of the quorum to miss it, and no longer', () => {
  const settings = { 'metadata.max.idle.interval.ms': '500' };

  for (let seed = 1; seed <= 12; seed++)
    test(`seed ${seed}`, async () => {
      const cluster = await TestCluster.start({ seed, combined: 3, settings });
      await cluster.advance(3_000 + seed * 370);
      const tookMs = await untilCreatedWithout(cluster, 'kill', (brokers) => brokers[seed % brokers.length]!);
      assert.ok(tookMs < fetchTimeoutMs + 100, `it took ${tookMs} ms`);
    });

  for (const end of ['kill', 'crash'] as const)
    for (let seed = 1; seed <= 6; seed++)
      test(`of a broker that is no voter, and is told by nobody who leads: ${end}, seed ${seed}`, async () => {
        const cluster = await TestCluster.start({ seed, brokers: 3, controllers: 3, settings });
        await cluster.advance(3_000 + seed * 370);
        const tookMs = await untilCreatedWithout(cluster, end, (brokers) => brokers[seed % brokers.length]!);
        assert.ok(tookMs < fetchTimeoutMs + 100, `it took ${tookMs} ms`);
      });
});
