import type { CompressionCodec } from '@ottla/protocol';
import { BenchTopic } from '../bench-topic.ts';
import { batchesOf16KiB, type ProduceShape, produce, throughput } from '../produce-shape.ts';
import { type Figures, type Goal, onWarmNodes, type Scenario } from '../scenario.ts';

const goals: Readonly<Record<string, Goal>> = {
  'throughput MB/s': { atLeast: 2 },
  'broker CPU s/GB': { atMost: 0.5 },
  'broker CPU µs/request': { atMost: 0.5 },
};

function scenario(name: string, shape: ProduceShape, isExtra = false): Scenario {
  const isSmall = shape.batchBytes === 1;
  return onWarmNodes({
    name: `produce ${name}`,
    goals,
    length: 'short',
    isExtra,
    prepare: async (node) => async (): Promise<Figures> => {
      await using topic = await BenchTopic.create(node, shape.partitions);
      const result = await produce(node, topic, shape);
      if (!isSmall) return { ...throughput(result), 'ack p99 ms': result.ackP99Ms };
      return {
        'throughput requests/s': result.requests / result.seconds,
        'broker CPU µs/request': (result.brokerCpuSeconds * 1e6) / result.requests,
        'client CPU µs/request': (result.clientCpuSeconds * 1e6) / result.requests,
        'ack p99 ms': result.ackP99Ms,
      };
    },
  });
}

/** All of them are there to be asked for; a table has these, which differ from the first in one thing or, the last, in all. */
const inTable = new Set([
  '100 B, acks=1, 1 partition, 1 producer, none',
  '1 KB, acks=1, 1 partition, 1 producer, none',
  '100 B, acks=all, 1 partition, 1 producer, none',
  '100 B, acks=1, 6 partitions, 1 producer, none',
  '100 B, acks=1, 6 partitions, 4 producers, none',
  '100 B, acks=1, 1 partition, 1 producer, lz4',
  '1 KB, acks=all, 6 partitions, 4 producers, lz4',
]);

function everyBatchScenario(): Scenario[] {
  const every: Scenario[] = [];
  for (const codec of ['none', 'lz4'] as CompressionCodec[]) {
    for (const acks of [1, 'all'] as const) {
      for (const recordBytes of [100, 1000]) {
        for (const partitions of [1, 6]) {
          for (const connections of [1, 4]) {
            const size = recordBytes === 100 ? '100 B' : '1 KB';
            const name = `${size}, acks=${acks}, ${counted(partitions, 'partition')}, ${counted(connections, 'producer')}, ${codec}`;
            const shape = { ...batchesOf16KiB, codec, acks, recordBytes, partitions, connections };
            every.push(scenario(name, shape, !inTable.has(name)));
          }
        }
      }
    }
  }
  return every;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

const small: ProduceShape = { ...batchesOf16KiB, batchBytes: 1, requests: 30_000 };

export const produceScenarios: readonly Scenario[] = [
  ...everyBatchScenario(),
  scenario('six batches of 1 KB records a request, acks=all, 6 partitions, 4 producers, none', {
    ...batchesOf16KiB,
    ...{ recordBytes: 1000, acks: 'all', partitions: 6, connections: 4, allPartitions: true, requests: 2500 },
  }),
  scenario('idempotent, 100 B, acks=all, 6 partitions, 4 producers, none', {
    ...batchesOf16KiB,
    ...{ acks: 'all', partitions: 6, connections: 4, isIdempotent: true },
  }),
  scenario('small requests of one 100 B record, acks=1, 1 partition, 1 producer', small),
  scenario('small requests of one 100 B record, acks=all, 6 partitions, 4 producers', {
    ...small,
    ...{ acks: 'all', partitions: 6, connections: 4 },
  }),
];
