import assert from 'node:assert';
import { BenchTopic } from '../../broker/bench-topic.ts';
import { batchesOf16KiB, produce } from '../../broker/produce-shape.ts';
import { onWarmNodes, type Scenario } from '../../broker/scenario.ts';
import { setGroupConfig } from '../group-config.ts';

let groups = 0;

/** What lies in a topic is fetched, at most 500 records at a time, and accepted with the next fetch. */
function throughput(members: number, partitions: number, requests: number): Scenario {
  return onWarmNodes({
    name: `share group: ${members} members, partitions: ${partitions}, records of 100 B fetched and accepted`,
    goals: { 'throughput records/s': { atLeast: 1 }, 'broker CPU s/million': { atMost: 1 } },
    length: 'long',
    async prepare(node) {
      const topic = await BenchTopic.create(node, partitions);
      const shape = { ...batchesOf16KiB, partitions, batchBytes: 5000, requests, maxSeconds: 30 };
      const { recordsAcknowledged } = await produce(node, topic, shape);
      return {
        async measure() {
          const groupId = `share-${++groups}`;
          await setGroupConfig(node, groupId, 'share.auto.offset.reset', 'earliest');
          const load = { groupId, members, topic: topic.name, topicId: topic.topicId, partitions, maxSeconds: 8 };
          const result = await node.load('share', { ...load, records: recordsAcknowledged });
          assert.ok(result.accepted > 0);
          return {
            'throughput records/s': result.accepted / result.seconds,
            'broker CPU s/million': result.brokerCpuSeconds / (result.accepted / 1e6),
            'client CPU s/million': result.clientCpuSeconds / (result.accepted / 1e6),
            'records/fetch': result.accepted / result.fetches,
            'redelivered %': (result.redelivered / result.accepted) * 100,
          };
        },
        [Symbol.asyncDispose]: () => topic[Symbol.asyncDispose](),
      };
    },
  });
}

export const shareScenarios: readonly Scenario[] = [throughput(4, 4, 20_000), throughput(10, 1, 20_000)];
