import assert from 'node:assert';
import { BenchTopic } from '../bench-topic.ts';
import { batchesOf16KiB, type ProduceShape, produce, throughput, wire } from '../produce-shape.ts';
import { onWarmNodes, type Scenario } from '../scenario.ts';

/** What is in the page cache, but too much of it to be in a broker's own memory. */
function catchUp(name: string, shape: ProduceShape): Scenario {
  return onWarmNodes({
    name: `consume catch-up ${name}`,
    goals: { 'throughput MB/s': { atLeast: 0.8 } },
    length: 'short',
    async prepare(node) {
      const topic = await BenchTopic.create(node, shape.partitions);
      const { recordsAcknowledged: records } = await produce(node, topic, shape);
      const { topicId, partitions } = topic;
      return {
        async measure() {
          const result = await node.load('fetch', { topicId, partitions, connections: shape.connections, records, maxSeconds });
          if (result.seconds < maxSeconds) assert.equal(result.records, records, 'records consumed beside records produced');
          return throughput(result);
        },
        [Symbol.asyncDispose]: () => topic[Symbol.asyncDispose](),
      };
    },
  });
}

/** At full speed a consumer behind a producer: the bytes go in and out within the time. */
function tail(name: string, shape: ProduceShape): Scenario {
  return onWarmNodes({
    name: `consume tail ${name}`,
    goals: { 'throughput MB/s': { atLeast: 1.2 } },
    length: 'short',
    prepare: async (node) => async () => {
      await using topic = await BenchTopic.create(node, 1);
      const result = await node.load('follow', { ...wire(shape), topicId: topic.topicId });
      await topic.assertStored(result.recordsAcknowledged);
      return throughput(result);
    },
  });
}

const maxSeconds = 3;
const halfGigabyte = { requests: 30_000, maxSeconds: 10 };

export const consumeScenarios: readonly Scenario[] = [
  tail('while produced, 100 B, 1 partition', batchesOf16KiB),
  tail('while produced, 1 KB, 1 partition', { ...batchesOf16KiB, recordBytes: 1000 }),
  catchUp('from disk, 100 B, 1 partition, 1 consumer', { ...batchesOf16KiB, ...halfGigabyte }),
  catchUp('from disk, 1 KB, 6 partitions, 4 consumers', {
    ...batchesOf16KiB,
    ...halfGigabyte,
    ...{ recordBytes: 1000, partitions: 6, connections: 4 },
  }),
];
