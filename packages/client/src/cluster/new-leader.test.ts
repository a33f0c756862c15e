import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BrokerConnection } from '@ottla/network';
import { AlterPartitionReassignments, ElectLeaders } from '@ottla/protocol';
import { stringDeserializer } from '../consumer/consumer-config.ts';
import { SimulatedKafka } from '../testing/simulated-kafka.ts';

/** Longer than any of these tests takes: who waits for it is late. */
const retryBackoffMs = 60_000;

/** Three nodes, and a partition that is led by the first of its replicas, with a way to have the second lead it. */
async function movable(seed: number): Promise<SimulatedKafka & { move(): Promise<void> }> {
  const topics = [{ name: 'log', assignments: [[1, 2, 3]] }];
  const simulation = await SimulatedKafka.start(seed, { nodes: 3, topics });
  const { network, timers, clock } = simulation.world.machine('operator').boot();
  const [address] = simulation.kafka.bootstrapServers.split(',').map((server) => {
    const [host, port] = server.split(':');
    return { host: host!, port: Number(port) };
  });
  const connection = await simulation.run(
    BrokerConnection.connect({ network, timers, clock, clientId: 'operator', address: address! }),
  );
  const move = async (): Promise<void> => {
    const reordered = { name: 'log', partitions: [{ partitionIndex: 0, replicas: [2, 1, 3] }] };
    await connection.send(AlterPartitionReassignments, { topics: [reordered], timeoutMs: 30_000 });
    const topicPartitions = [{ topic: 'log', partitions: [0] }];
    const { replicaElectionResults } = await connection.send(ElectLeaders, {
      electionType: 0,
      topicPartitions,
      timeoutMs: 30_000,
    });
    assert.equal(replicaElectionResults[0]!.partitionResult[0]!.errorCode, 0);
  };
  return Object.assign(simulation, { move });
}

describe('a leader that leads no more and names its successor', () => {
  for (let seed = 1; seed <= 5; seed++) {
    test(`keeps no producer waiting: seed ${seed}`, async () => {
      const simulation = await movable(seed);
      const { time } = simulation.world;
      const producer = simulation.producer({ retryBackoffMs, retryBackoffMaxMs: retryBackoffMs });
      let longestMs = 0;
      let isOver = false;
      const producing = async (): Promise<number> => {
        let offset = -1;
        for (let lastMs = time.nowMs; !isOver; lastMs = time.nowMs) {
          ({ offset } = await producer.send({ topic: 'log', value: 'again' }));
          if (offset > 0) longestMs = Math.max(longestMs, time.nowMs - lastMs);
        }
        return offset;
      };
      const produced = producing();
      await simulation.world.advance(1_000);
      const before = longestMs;
      await simulation.run(simulation.move());
      await simulation.world.advance(1_000);
      isOver = true;
      assert.ok((await simulation.run(produced)) > 0);
      assert.ok(longestMs < before + 200, `${longestMs} ms without an acknowledgement, ${before} ms before`);
      await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
    });

    test(`keeps no consumer waiting: seed ${seed}`, async () => {
      const simulation = await movable(seed);
      const { time } = simulation.world;
      const producer = simulation.producer();
      await simulation.run(producer.send({ topic: 'log', value: 'before' }));
      const config = { retryBackoffMs, retryBackoffMaxMs: retryBackoffMs, valueDeserializer: stringDeserializer };
      const consumer = simulation.consumer(config as never);
      consumer.assign([{ topic: 'log', partition: 0 }]);
      const next = async (): Promise<unknown> => {
        for (;;) for (const { value } of await consumer.poll({ timeoutMs: 5_000 })) return value;
      };
      assert.equal(await simulation.run(next()), 'before');
      const polled = next();
      await simulation.world.advance(100);
      await simulation.run(simulation.move());
      await simulation.run(producer.send({ topic: 'log', value: 'after' }));
      const sentMs = time.nowMs;
      assert.equal(await simulation.run(polled), 'after');
      assert.ok(time.nowMs - sentMs < 200, `${time.nowMs - sentMs} ms until the record was given out`);
      await simulation.run(Promise.all([producer.close(), consumer.close(), simulation.kafka.stop()]));
    });
  }
});
