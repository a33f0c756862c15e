import { setTimeout as sleep } from 'node:timers/promises';
import { Producer } from '@ottla/client';
import { CreateTopics, KafkaError } from '@ottla/protocol';
import { ask } from '../../test/cluster/ask.ts';
import { runLoad } from '../broker/load/run-load.ts';
import { batchesOf16KiB, wire } from '../broker/produce-shape.ts';
import type { Figures, Scenario } from '../broker/scenario.ts';
import { BenchCluster } from './bench-cluster.ts';
import { Pulse } from './pulse.ts';

type OnCluster = Omit<Scenario, 'open' | 'length'> & { prepare(cluster: BenchCluster): Promise<() => Promise<Figures>> };

/** A cluster of its own for each scenario: what one does to it is nothing that the next should have to wait for. */
function onCluster({ prepare, ...scenario }: OnCluster): Scenario {
  return {
    ...scenario,
    length: 'long',
    async open(target) {
      const cluster = await BenchCluster.start(target);
      try {
        const measure = await prepare(cluster);
        return { measure, [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() };
      } catch (error) {
        await cluster[Symbol.asyncDispose]();
        throw error;
      }
    },
  };
}

const leaderFailover = onCluster({
  name: 'failover of a leader, as a producer with acks=all sees it',
  goals: { 'after kill -9 ms': { atMost: 1 }, 'after a controlled shutdown ms': { atMost: 1 } },
  prepare: async (cluster) => {
    await cluster.topic('pulse', 3);
    const gap = async (end: 'kill' | 'stop'): Promise<number> => {
      const { partition, leader } = await cluster.partitionApart('pulse');
      await using pulse = await Pulse.start(cluster.bootstrap, 'pulse', partition);
      await pulse.beats(100);
      pulse.longestMs();
      await leader[end]();
      await pulse.beats(100);
      return pulse.longestMs();
    };
    return async () => {
      const killed = await gap('kill');
      await cluster.mend();
      const stopped = await gap('stop');
      await cluster.mend();
      return { 'after kill -9 ms': killed, 'after a controlled shutdown ms': stopped };
    };
  },
});

let topics = 0;

const controllerFailover = onCluster({
  name: 'failover of the active controller: kill -9 until a topic is created',
  goals: { 'until created ms': { atMost: 1 } },
  prepare: async (cluster) => async () => {
    const id = await cluster.processes.activeController();
    const other = cluster.processes.brokers.find((node) => node.id !== id)!;
    await cluster.processes.node(id).kill();
    const beganMs = performance.now();
    const topic = { name: `after-${++topics}`, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
    for (;;) {
      try {
        const answer = await ask(
          other.brokerAddress,
          CreateTopics,
          7,
          { topics: [topic], timeoutMs: 1000, validateOnly: false },
          1500,
        );
        // A first try that was not answered may have been done.
        if ([0, 36].includes(answer.topics[0]!.errorCode)) break;
      } catch {
        // It waited for a controller for too long.
      }
      await sleep(20);
    }
    const tookMs = performance.now() - beganMs;
    await cluster.mend();
    return { 'until created ms': tookMs };
  },
});

const transactions = onCluster({
  name: 'transactions of one producer: three records to three partitions, rf 3, and commit',
  goals: {
    'commit p50 ms': { atMost: 1 },
    'commit p99 ms': { atMost: 1 },
    'whole p50 ms': { atMost: 1 },
    'whole p99 ms': { atMost: 1 },
  },
  prepare: async (cluster) => {
    // Each led by another node.
    await cluster.topic('ledger', 3, [
      [1, 2, 3],
      [2, 3, 1],
      [3, 1, 2],
    ]);
    const { bootstrap } = cluster;
    const run = async (seconds: number): Promise<Figures> => {
      await using producer = new Producer({ bootstrapServers: bootstrap, transactionalId: 'bench', lingerMs: 0 });
      await producer.initTransactions();
      const commits: number[] = [];
      const wholes: number[] = [];
      const endMs = performance.now() + seconds * 1000;
      while (performance.now() < endMs) {
        const beganMs = performance.now();
        producer.beginTransaction();
        await Promise.all([0, 1, 2].map((partition) => producer.send({ topic: 'ledger', partition, value: 'entry' })));
        const sentMs = performance.now();
        await producer.commitTransaction();
        commits.push(performance.now() - sentMs);
        wholes.push(performance.now() - beganMs);
      }
      const of = (times: number[], share: number): number => times.sort((a, b) => a - b)[Math.floor(times.length * share)]!;
      return {
        'commit p50 ms': of(commits, 0.5),
        'commit p99 ms': of(commits, 0.99),
        'whole p50 ms': of(wholes, 0.5),
        'whole p99 ms': of(wholes, 0.99),
        transactions: wholes.length,
      };
    };
    // For a JVM's sake.
    await run(5);
    return () => run(5);
  },
});

const rollingRestart = onCluster({
  name: 'rolling restart of three nodes with 1,000 partitions',
  goals: { 'in all s': { atMost: 1 }, 'longest without an ack ms': { atMost: 1 } },
  prepare: async (cluster) => {
    await cluster.topic('many', 1000);
    return async () => {
      await using pulse = await Pulse.start(cluster.bootstrap, 'many', 0);
      await pulse.beats(50);
      pulse.longestMs();
      const beganMs = performance.now();
      for (const node of cluster.processes.nodes) {
        await node.stop();
        await cluster.processes.start();
      }
      const seconds = (performance.now() - beganMs) / 1000;
      await pulse.beats(50);
      return { 'in all s': seconds, 'longest without an ack ms': pulse.longestMs() };
    };
  },
});

/** In a second: 3 MB. */
const pacedRequests = 200;

const throughput = onCluster({
  name: 'throughput and latency: rf 3, acks=all, min.insync.replicas=2, 16 KB batches of 1 KB',
  goals: {
    'throughput MB/s': { atLeast: 1 },
    'CPU of all nodes s/GB': { atMost: 1 },
    'ack p50 ms': { atMost: 1 },
    'ack p99 ms': { atMost: 1 },
  },
  prepare: async (cluster) => {
    // All led by one node, so that one program can saturate them, and followed by the two others.
    const assignments = Array.from({ length: 6 }, () => [1, 2, 3]);
    await cluster.topic('load', 6, assignments);
    const [leader] = cluster.processes.nodes;
    const { topics: known } = await cluster.processes.metadata();
    const { topicId } = known.find(({ name }) => name === 'load')!;
    const shape = { ...batchesOf16KiB, recordBytes: 1000, acks: 'all' as const, partitions: 6, connections: 3 };
    const produce = (more: object) =>
      runLoad('produce', {
        ...wire({ ...shape, requests: 200_000, maxSeconds: 6 }),
        ...{ topicId, partitions: 6, connections: 3, spread: 'one partition a request', producers: undefined },
        ...{ port: leader!.brokerAddress.port, brokerPid: leader!.pid! },
        ...more,
      } as never);
    // For a JVM's sake.
    await produce({});
    return async () => {
      const before = cluster.cpuSeconds;
      const full = await produce({});
      const cpu = cluster.cpuSeconds - before;
      const paced = await produce({
        requests: pacedRequests * 4,
        warmRequests: pacedRequests,
        requestsPerSecond: pacedRequests,
        inFlight: 100,
      });
      return {
        'throughput MB/s': full.batchBytes / full.seconds / 1e6,
        // With the warming, which is a tenth.
        'CPU of all nodes s/GB': cpu / ((full.recordsAcknowledged * 1000) / 1e9),
        'ack p50 ms': paced.ackP50Ms,
        'ack p99 ms': paced.ackP99Ms,
      };
    };
  },
});

const manyPartitions = onCluster({
  name: '10,000 partitions on three nodes, rf 3: creation, memory, failover',
  isExtra: true,
  goals: {
    'creation s': { atMost: 1 },
    'memory of all nodes MiB': { atMost: 1 },
    'leaders moved after kill -9 s': { atMost: 1 },
  },
  prepare: async (cluster) => async () => {
    const beganMs = performance.now();
    for (let topic = 0; topic < 10; topic++)
      await cluster.admin.createTopics([{ name: `wide-${topics}-${topic}`, partitions: 1000, replicationFactor: 3 }]);
    await cluster.processes.whole({ timeoutMs: 300_000 });
    // A new partition is said to be in sync before its leader has so much as opened its log.
    while (!(await cluster.isServed())) await sleep(50);
    const creation = (performance.now() - beganMs) / 1000;
    const memory = cluster.residentMiB;
    const controllerId = await cluster.processes.activeController();
    const victim = cluster.processes.nodes.find(({ id }) => id !== controllerId)!;
    await victim.kill();
    const killedMs = performance.now();
    const isLed = async (): Promise<boolean> => {
      const { topics: known } = await cluster.processes.metadata();
      return known.every(({ partitions }) => partitions.every(({ leaderId }) => leaderId >= 0 && leaderId !== victim.id));
    };
    while (!(await isLed())) await sleep(50);
    const failover = (performance.now() - killedMs) / 1000;
    await victim.start();
    await cluster.processes.whole({ timeoutMs: 300_000 });
    const gone = (error: unknown): void => {
      // A first try that was not answered in time was done.
      if (!(error instanceof KafkaError && error.name === 'UNKNOWN_TOPIC_OR_PARTITION')) throw error;
    };
    for (let topic = 0; topic < 10; topic++) await cluster.admin.deleteTopics([`wide-${topics}-${topic}`]).catch(gone);
    topics++;
    return { 'creation s': creation, 'memory of all nodes MiB': memory, 'leaders moved after kill -9 s': failover };
  },
});

export const clusterScenarios: readonly Scenario[] = [
  leaderFailover,
  controllerFailover,
  throughput,
  transactions,
  rollingRestart,
  manyPartitions,
];
