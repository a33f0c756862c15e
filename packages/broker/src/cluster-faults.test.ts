import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Api, CreateTopics, DeleteTopics, type ErrorName, errorName } from '@ottla/protocol';
import { TestCluster } from './testing-cluster.ts';

type Ask = { readonly boots: number; readonly brokerId: number };

/** Asks for topics to be made and deleted while nodes die, stop, are cut off and come back; knows what was acknowledged. */
class TopicsUnderFaults {
  readonly cluster: TestCluster;
  acknowledged = 0;
  readonly #isThere = new Map<string, boolean>();
  readonly #pending = new Map<Promise<void>, Ask>();
  #made = 0;

  constructor(cluster: TestCluster) {
    this.cluster = cluster;
  }

  async ask(brokerId: number): Promise<void> {
    const { random } = this.cluster.world;
    const there = [...this.#isThere].filter(([, isThere]) => isThere).map(([name]) => name);
    const client = await this.cluster.connect(brokerId).catch(() => undefined);
    if (!client) return;
    const send = <Request, Response>(
      api: Api<Request, Response>,
      request: Parameters<typeof client.later<Request, Response>>[1],
      errorOf: (response: Response) => number,
    ): Promise<ErrorName> =>
      client.later(api, request).then(
        (response) => errorName(errorOf(response)),
        () => 'NETWORK_EXCEPTION' as const,
      );
    if (there.length > 0 && random.chance(0.3)) {
      const name = there[random.below(there.length)]!;
      const request = { topics: [{ name }], topicNames: [name], timeoutMs: 20_000 };
      this.#await(
        brokerId,
        name,
        false,
        send(DeleteTopics, request, ({ responses }) => responses[0]!.errorCode),
      );
    } else {
      const name = `topic-${this.#made++}`;
      const request = {
        topics: [{ name, numPartitions: 2, replicationFactor: 1 + random.below(3) }],
        timeoutMs: 20_000,
      };
      this.#await(
        brokerId,
        name,
        true,
        send(CreateTopics, request, ({ topics }) => topics[0]!.errorCode),
      );
    }
  }

  /** Nobody waits whose broker has lived on. */
  get isAnswered(): boolean {
    return [...this.#pending.values()].every(({ brokerId, boots }) => this.cluster.node(brokerId).boots !== boots);
  }

  /** What was acknowledged is so, wherever one asks. */
  async check(): Promise<void> {
    const lists: string[][] = [];
    for (const { id } of this.cluster.brokers) lists.push(await (await this.cluster.connect(id)).topicNames());
    for (const list of lists) assert.deepEqual(list, lists[0]);
    for (const [name, isThere] of this.#isThere) assert.equal(lists[0]!.includes(name), isThere, name);
  }

  /** Until it is answered, and for good if the answer is lost, nobody knows. */
  #await(brokerId: number, name: string, isThere: boolean, answer: Promise<ErrorName>): void {
    this.#isThere.delete(name);
    const done = answer.then((error) => {
      this.#pending.delete(done);
      if (error !== 'NONE') return;
      this.acknowledged++;
      this.#isThere.set(name, isThere);
    });
    this.#pending.set(done, { brokerId, boots: this.cluster.node(brokerId).boots });
  }
}

/** `stopping`: who was told to stop and has not stopped yet. */
async function somethingHappens(cluster: TestCluster, stopping: Set<unknown>): Promise<void> {
  const { random } = cluster.world;
  const node = cluster.nodes[random.below(cluster.nodes.length)]!;
  const roll = random.fraction();
  if (roll < 0.15 && node.isUp) node.kill();
  else if (roll < 0.25 && node.isUp) node.crash();
  else if (roll < 0.32 && node.isServing) {
    stopping.add(node);
    void node
      .stop()
      .catch(() => {})
      .finally(() => stopping.delete(node));
  } else if (roll < 0.42) cluster.isolate(node.id);
  else if (roll < 0.5) cluster.heal();
  for (const each of cluster.nodes) if (!each.isUp && random.chance(0.3)) startInBackground(each);
}

/** It may be killed before it serves. */
function startInBackground(node: { start(): Promise<void>; isUp: boolean }): void {
  node.start().catch(() => void (node.isUp = false));
}

for (const seed of [1, 2, 3, 5]) {
  const isolated = seed % 2 === 1;
  test(`under faults of seed ${seed}, ${isolated ? 'controllers and brokers apart' : 'both roles in each node'}: what was acknowledged is so`, async () => {
    const nodes = isolated ? { controllers: 3, brokers: 3 } : { combined: 3 };
    const settings = { 'metadata.log.max.record.bytes.between.snapshots': '3000', 'metadata.max.retention.bytes': '6000' };
    const cluster = await TestCluster.start({ seed, ...nodes, isStatic: seed === 3, settings: seed === 5 ? settings : {} });
    const topics = new TopicsUnderFaults(cluster);
    const { random } = cluster.world;
    const stopping = new Set<unknown>();
    for (let step = 0; step < 30; step++) {
      await somethingHappens(cluster, stopping);
      for (const { id, isServing } of cluster.brokers) if (isServing && random.chance(0.5)) await topics.ask(id);
      await cluster.advance(200 + random.below(4_000));
    }
    cluster.heal();
    await cluster.waitFor('who was told to stop has stopped', () => stopping.size === 0);
    await cluster.waitFor('all serve', () => {
      for (const node of cluster.nodes) if (!node.isUp) startInBackground(node);
      return cluster.nodes.every(({ isServing }) => isServing);
    });
    for (const { id } of cluster.brokers)
      await cluster.waitFor('all live', async () => (await cluster.liveBrokers(id)).join() === '1,2,3');
    await cluster.waitFor('all who ask are answered', () => topics.isAnswered, 120_000);
    await cluster.advance(5_000);
    await topics.check();
    assert.ok(topics.acknowledged > 5, `only ${topics.acknowledged} acknowledged`);
    await cluster.stopAll();
    assert.deepEqual(cluster.errors(), []);
  });
}
