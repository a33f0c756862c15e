import assert from 'node:assert';
import type { BenchNode } from '../bench-node.ts';
import { BenchTopic } from '../bench-topic.ts';
import { cpuSeconds } from '../process-usage.ts';
import { programCommand, runProgram } from '../programs.ts';
import { type Figures, onWarmNodes, type Scenario } from '../scenario.ts';

const goals = { 'throughput records/s': { atLeast: 1.1 }, 'broker CPU s/GB': { atMost: 0.6 } };
const sizes = [
  { label: '1 M × 100 B', records: 1_000_000, recordBytes: 100 },
  { label: '500 k × 1 KB', records: 500_000, recordBytes: 1000 },
];

/** kafka-producer-perf-test as it comes, save for acks: idempotent when they are all. */
function producer({ label, records, recordBytes }: (typeof sizes)[number], acks: 1 | 'all'): Scenario {
  return onWarmNodes({
    name: `java producer-perf-test ${label}, acks=${acks}, 3 partitions`,
    goals,
    length: 'long',
    prepare: async (node) => async () => {
      await using topic = await BenchTopic.create(node, 3);
      const { output, brokerCpuSeconds } = await java(node, 'org.apache.kafka.tools.ProducerPerformance', [
        ...['--topic', topic.name, '--num-records', String(records), '--record-size', String(recordBytes), '--throughput', '-1'],
        ...['--producer-props', `bootstrap.servers=${node.bootstrap}`, `acks=${acks}`],
      ]);
      await topic.assertStored(records);
      const last = /(\d+) records sent, ([\d.]+) records\/sec .*?([\d.]+) ms 99th/.exec(output.trim().split('\n').at(-1)!);
      assert.ok(last, `producer-perf-test says: ${output}`);
      return {
        'throughput records/s': Number(last[2]),
        'broker CPU s/GB': brokerCpuSeconds / ((records * recordBytes) / 1e9),
        'ack p99 ms': Number(last[3]),
      };
    },
  });
}

function consumer({ label, records, recordBytes }: (typeof sizes)[number]): Scenario {
  return onWarmNodes({
    name: `java consumer-perf-test ${label}, 3 partitions`,
    length: 'long',
    prepare: async (node) => {
      const topic = await BenchTopic.create(node, 3);
      await java(node, 'org.apache.kafka.tools.ProducerPerformance', [
        ...['--topic', topic.name, '--num-records', String(records), '--record-size', String(recordBytes), '--throughput', '-1'],
        ...['--producer-props', `bootstrap.servers=${node.bootstrap}`],
      ]);
      return {
        async measure(): Promise<Figures> {
          const { output, brokerCpuSeconds } = await java(node, 'org.apache.kafka.tools.ConsumerPerformance', [
            ...['--bootstrap-server', node.bootstrap, '--topic', topic.name, '--num-records', String(records)],
          ]);
          // start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, MB/s and records/s while fetching
          const figures = output.trim().split('\n').at(-1)!.split(', ');
          assert.ok(Number(figures[4]) >= records, `consumer-perf-test says: ${output}`);
          return {
            'throughput records/s': Number(figures[9]),
            'broker CPU s/GB': brokerCpuSeconds / ((records * recordBytes) / 1e9),
          };
        },
        [Symbol.asyncDispose]: () => topic[Symbol.asyncDispose](),
      };
    },
  });
}

async function java(node: BenchNode, mainClass: string, args: readonly string[]) {
  return node.underLoad(async () => {
    const before = cpuSeconds(node.pid);
    const output = await runProgram('java', programCommand(mainClass, args));
    return { output, brokerCpuSeconds: cpuSeconds(node.pid) - before };
  });
}

export const javaToolScenarios: readonly Scenario[] = [
  producer(sizes[0]!, 1),
  producer(sizes[1]!, 'all'),
  ...sizes.map((size) => consumer(size)),
];
