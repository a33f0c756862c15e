import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchView, InitProducerId, Metadata, Produce, type ProduceRequest } from '@ottla/protocol';
import { type Machine, World } from '@ottla/runtime';
import { serveScripted } from '../testing/scripted-broker.ts';
import { Producer } from './producer.ts';
import type { ProducerConfig } from './producer-config.ts';

const brokerIds = [1, 2, 3];
const topicIdOfLog = 'AAAAAAAAAAAAAAAAAAAABw';
const nodes = brokerIds.map((nodeId) => ({ nodeId, host: `broker${nodeId}`, port: 9092 }));

/** Three brokers, of which the first leads log-0 until it hangs, and a producer of that partition. */
class Brokers {
  readonly world: World;
  readonly producer: Producer;
  readonly machines = new Map<number, Machine>();
  /** What each got, as "value epoch/sequence". */
  readonly got: Record<number, string[]> = { 1: [], 2: [], 3: [] };
  leader = { leaderId: 1, leaderEpoch: 5 };

  static async start(seed: number, config: Partial<ProducerConfig> = {}): Promise<Brokers> {
    const brokers = new Brokers(seed, config);
    for (const id of brokerIds) {
      const machine = await serveScripted(brokers.world, `broker${id}`, (api, request) => brokers.#answer(id, api, request));
      brokers.machines.set(id, machine);
    }
    return brokers;
  }

  private constructor(seed: number, config: Partial<ProducerConfig>) {
    this.world = new World({ seed, wires: { minLatencyMs: 1, maxLatencyMs: 5 } });
    const runtime = this.world.machine('client').boot();
    const bootstrapServers = nodes.map(({ host, port }) => `${host}:${port}`);
    this.producer = new Producer({ bootstrapServers, runtime, batchSize: 0, ...config });
  }

  #answer(id: number, api: object, request: object): object {
    if (api === InitProducerId) return { producerId: 5, producerEpoch: 0 };
    if (api === Metadata) {
      const topics = [{ name: 'log', topicId: topicIdOfLog, partitions: [{ partitionIndex: 0, ...this.leader }] }];
      return { clusterId: 'here', brokers: nodes, topics };
    }
    assert.equal(api, Produce);
    const [{ topicId, name, partitionData }] = (request as ProduceRequest).topicData as [ProduceRequest['topicData'][number]];
    const view = new BatchView(partitionData[0]!.records as Uint8Array);
    const [record] = [...view.records({ maxBytes: 1000 })];
    this.got[id]!.push(`${Buffer.from(record!.value!)} ${view.producerEpoch}/${view.baseSequence}`);
    return { responses: [{ topicId, name, partitionResponses: [{ index: 0, baseOffset: view.baseSequence }] }] };
  }

  send(value: string): Promise<unknown> {
    return this.producer.send({ topic: 'log', value });
  }

  async close(): Promise<void> {
    await this.world.runUntil(this.producer.close({ timeoutMs: 0 }));
  }
}

for (let seed = 1; seed <= 20; seed++) {
  test(`what a leader that hangs does not answer goes to the next one as soon as there is one: seed ${seed}`, async () => {
    const brokers = await Brokers.start(seed);
    const { world } = brokers;
    await world.runUntil(brokers.send('first'));
    const hung = brokers.machines.get(1)!;
    hung.pause();
    const sends = ['second', 'third'].map((value) => brokers.send(value));
    await world.advance(9000);
    assert.deepEqual(brokers.got[2], [], 'nobody else leads yet');
    brokers.leader = { leaderId: 2, leaderEpoch: 6 };
    const beganMs = world.time.nowMs;
    await world.runUntil(Promise.all(sends));
    assert.ok(world.time.nowMs - beganMs < 6000, `${world.time.nowMs - beganMs} ms`);
    assert.deepEqual(brokers.got[2], ['second 0/1', 'third 0/2']);
    hung.resume();
    await world.advance(60_000);
    assert.deepEqual(brokers.got[2], ['second 0/1', 'third 0/2'], 'late answers of the first change nothing');
    await world.runUntil(brokers.send('fourth'));
    assert.deepEqual(brokers.got[2].at(-1), 'fourth 0/3');
    await brokers.close();
  });
}

test('a leader that is slow and goes on leading is waited for', async () => {
  const brokers = await Brokers.start(1);
  const { world } = brokers;
  await world.runUntil(brokers.send('first'));
  brokers.machines.get(1)!.pause();
  const sent = brokers.send('second');
  await world.advance(20_000);
  brokers.machines.get(1)!.resume();
  await world.runUntil(sent);
  assert.deepEqual(brokers.got, { 1: ['first 0/0', 'second 0/1'], 2: [], 3: [] });
  await brokers.close();
});

test('without idempotence nothing is sent again before the request has timed out: it would be there twice', async () => {
  const brokers = await Brokers.start(1, { enableIdempotence: false });
  const { world } = brokers;
  await world.runUntil(brokers.send('first'));
  brokers.machines.get(1)!.pause();
  const sent = brokers.send('second');
  brokers.leader = { leaderId: 2, leaderEpoch: 6 };
  await world.advance(25_000);
  assert.deepEqual(brokers.got[2], []);
  await world.runUntil(sent);
  assert.equal(brokers.got[2]!.length, 1);
  await brokers.close();
});
