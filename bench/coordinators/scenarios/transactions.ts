import assert from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchNode } from '../../broker/bench-node.ts';
import { BenchTopic } from '../../broker/bench-topic.ts';
import { cpuSeconds } from '../../broker/process-usage.ts';
import { batchesOf16KiB, produce } from '../../broker/produce-shape.ts';
import { programCommand, runProgram } from '../../broker/programs.ts';
import { type Figures, onWarmNodes, type Scenario } from '../../broker/scenario.ts';

let ids = 0;

const manyProducers: Scenario = onWarmNodes({
  name: 'transactions: 500 producers, 10 records of 100 B each, one after the other',
  goals: {
    'throughput transactions/s': { atLeast: 1 },
    'broker CPU µs/transaction': { atMost: 1 },
    'commit p50 ms': { atMost: 1 },
    'commit p99 ms': { atMost: 1 },
  },
  length: 'long',
  prepare: async (node) => async () => {
    const recordsEach = 10;
    await using topic = await BenchTopic.create(node, 10);
    const { topicId, partitions } = topic;
    const prefix = `many-${++ids}`;
    const result = await node.load('transactions', {
      ...{ prefix, producers: 500, topicId, partitions, recordsEach, recordBytes: 100, seconds: 6, warmSeconds: 4 },
    });
    await assertTaken(topic, result.committed * (recordsEach + 1));
    return {
      'throughput transactions/s': result.transactions / result.seconds,
      'broker CPU µs/transaction': (result.brokerCpuSeconds * 1e6) / result.transactions,
      'client CPU µs/transaction': (result.clientCpuSeconds * 1e6) / result.transactions,
      'commit p50 ms': result.commitP50Ms,
      'commit p99 ms': result.commitP99Ms,
      'transaction p50 ms': result.transactionP50Ms,
      'transaction p99 ms': result.transactionP99Ms,
      'asked again %': (result.retries / result.transactions) * 100,
    };
  },
});

/** The same producer, idempotent, first without transactions and then with them. */
const exactlyOnce: Scenario = onWarmNodes({
  name: 'exactly-once: transactions of 100 ms beside none, 16 KB batches, 6 partitions',
  goals: { 'kept of the throughput %': { atLeast: 1 }, 'CPU beside none %': { atMost: 1 } },
  length: 'long',
  prepare: async (node) => async () => {
    const shape = { ...batchesOf16KiB, acks: 'all' as const, partitions: 6, isIdempotent: true, allPartitions: true };
    await using plainTopic = await BenchTopic.create(node, shape.partitions);
    const plain = await produce(node, plainTopic, { ...shape, requests: 1_000_000, maxSeconds: 4 });
    await using topic = await BenchTopic.create(node, shape.partitions);
    const transactional = await node.load('exactlyOnce', {
      ...{ topicId: topic.topicId, partitions: shape.partitions, transactionalId: `exactly-once-${++ids}`, transactionMs: 100 },
      ...{ recordBytes: shape.recordBytes, batchBytes: shape.batchBytes, codec: shape.codec, inFlight: shape.inFlight },
      ...{ seconds: 4, warmSeconds: 1.5 },
    });
    await assertTaken(topic, transactional.offsetsTaken);
    const cost = costOf(
      { rate: plain.batchBytes / plain.seconds / 1e6, cpu: plain.brokerCpuSeconds / (plain.batchBytes / 1e9) },
      {
        rate: transactional.batchBytes / transactional.seconds / 1e6,
        cpu: transactional.brokerCpuSeconds / (transactional.batchBytes / 1e9),
      },
      'MB/s',
    );
    return { ...cost, 'begin p50 ms': transactional.beginP50Ms, 'commit p50 ms': transactional.commitP50Ms };
  },
});

const records = 1_000_000;

/** kafka-producer-perf-test, as it comes and with its transactions. */
const javaExactlyOnce: Scenario = onWarmNodes({
  name: 'exactly-once java: producer-perf-test 1 M × 100 B with transactions of 100 ms beside none, 3 partitions',
  goals: { 'kept of the throughput %': { atLeast: 1 }, 'CPU beside none %': { atMost: 1 } },
  length: 'long',
  prepare: async (node) => async () => {
    const plain = await perfTest(node, []);
    const inTransactions = ['--transactional-id', `perf-${++ids}`, '--transaction-duration-ms', '100'];
    return costOf(plain, await perfTest(node, inTransactions), 'records/s');
  },
});

async function perfTest(node: BenchNode, more: readonly string[]): Promise<Cost> {
  await using topic = await BenchTopic.create(node, 3);
  const before = cpuSeconds(node.pid);
  const output = await node.underLoad(() =>
    runProgram(
      'java',
      programCommand('org.apache.kafka.tools.ProducerPerformance', [
        ...['--topic', topic.name, '--num-records', String(records), '--record-size', '100', '--throughput', '-1'],
        ...['--producer-props', `bootstrap.servers=${node.bootstrap}`, 'acks=all'],
        ...more,
      ]),
    ),
  );
  const last = /(\d+) records sent, ([\d.]+) records\/sec/.exec(output.trim().split('\n').at(-1)!);
  assert.ok(last, `producer-perf-test says: ${output}`);
  assert.equal(Number(last[1]), records);
  return { rate: Number(last[2]), cpu: (cpuSeconds(node.pid) - before) / ((records * 100) / 1e9) };
}

/** Broker CPU in seconds per gigabyte. */
type Cost = { readonly rate: number; readonly cpu: number };

function costOf(plain: Cost, transactional: Cost, unit: string): Figures {
  return {
    [`without transactions ${unit}`]: plain.rate,
    [`with transactions ${unit}`]: transactional.rate,
    'kept of the throughput %': (transactional.rate / plain.rate) * 100,
    'without transactions CPU s/GB': plain.cpu,
    'with transactions CPU s/GB': transactional.cpu,
    'CPU beside none %': (transactional.cpu / plain.cpu) * 100,
  };
}

/** A commit is answered before its markers are written. */
async function assertTaken(topic: BenchTopic, offsets: number): Promise<void> {
  const untilMs = performance.now() + 10_000;
  while ((await topic.recordsStored()) !== offsets && performance.now() < untilMs) await sleep(50);
  assert.equal(await topic.recordsStored(), offsets, 'offsets taken beside records and markers of all transactions');
}

export const transactionScenarios: readonly Scenario[] = [manyProducers, exactlyOnce, javaExactlyOnce];
