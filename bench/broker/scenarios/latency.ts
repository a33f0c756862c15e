import type { BenchNode } from '../bench-node.ts';
import { BenchTopic } from '../bench-topic.ts';
import type { FollowResult } from '../load/follow-load.ts';
import { batchesOf16KiB, type ProduceShape, produce, wire } from '../produce-shape.ts';
import { onWarmNodes, type Scenario } from '../scenario.ts';
import type { WarmNodes } from '../warm-nodes.ts';

const seconds = 3;

/** An open loop at a share of what the slower of the two can at most, found in the same run. */
function atFixedRate(name: string, share: number, shape: ProduceShape): Scenario {
  return onWarmNodes({
    name: `latency ${name}`,
    goals: { 'ack p99 ms': { atMost: 0.5 }, 'end-to-end p99 ms': { atMost: 0.5 } },
    length: 'short',
    prepare: async (node, nodes) => {
      const requestsPerSecond = Math.floor((await slowersMaximum(nodes, shape)) * share);
      return async () => {
        const requests = Math.ceil(requestsPerSecond * seconds);
        const result = await follow(node, { ...shape, inFlight: 100, requests }, requestsPerSecond);
        return {
          'ack p50 ms': result.ackP50Ms,
          'ack p99 ms': result.ackP99Ms,
          'end-to-end p50 ms': result.endToEndP50Ms,
          'end-to-end p99 ms': result.endToEndP99Ms,
          'broker CPU µs/request': (result.brokerCpuSeconds * 1e6) / result.requests,
          'rate requests/s': result.requests / result.seconds,
        };
      };
    },
  });
}

async function follow(node: BenchNode, shape: ProduceShape, requestsPerSecond?: number): Promise<FollowResult> {
  await using topic = await BenchTopic.create(node, 1);
  const result = await node.load('follow', { ...wire(shape), topicId: topic.topicId, requestsPerSecond });
  await topic.assertStored(result.recordsAcknowledged);
  return result;
}

/** Requests a second with a consumer at the tail, found once for each shape. */
function slowersMaximum(nodes: WarmNodes, shape: ProduceShape): Promise<number> {
  let found = maxima.get(shape);
  if (!found) maxima.set(shape, (found = findSlowersMaximum(nodes, shape)));
  return found;
}

const maxima = new WeakMap<ProduceShape, Promise<number>>();

async function findSlowersMaximum(nodes: WarmNodes, shape: ProduceShape): Promise<number> {
  const found: number[] = [];
  for (const target of nodes.targets) {
    const node = await nodes.get(target);
    const rates: number[] = [];
    for (let run = 0; run < 3; run++) {
      const result = await follow(node, shape);
      rates.push(result.requests / result.seconds);
    }
    found.push(rates.sort((one, other) => one - other)[1]!);
  }
  return Math.min(...found);
}

/** Nothing to share a write with: what one request costs in time. */
function oneInFlight(acks: 1 | 'all'): Scenario {
  const shape: ProduceShape = { ...batchesOf16KiB, batchBytes: 1, inFlight: 1, acks, requests: 5000 };
  return onWarmNodes({
    name: `latency one 100 B record in flight, acks=${acks}`,
    goals: { 'ack p50 ms': { atMost: 1 } },
    length: 'short',
    prepare: async (node) => async () => {
      await using topic = await BenchTopic.create(node, 1);
      const { ackP50Ms, ackP99Ms } = await produce(node, topic, shape);
      return { 'ack p50 ms': ackP50Ms, 'ack p99 ms': ackP99Ms };
    },
  });
}

const batches: ProduceShape = { ...batchesOf16KiB, recordBytes: 1000, requests: 10_000 };
const single: ProduceShape = { ...batchesOf16KiB, batchBytes: 1, requests: 10_000 };

export const latencyScenarios: readonly Scenario[] = [
  oneInFlight(1),
  oneInFlight('all'),
  atFixedRate('at half the rate, 16 KB batches of 1 KB', 0.5, batches),
  atFixedRate('at 80 % of the rate, 16 KB batches of 1 KB', 0.8, batches),
  atFixedRate('at half the rate, one 100 B record a request', 0.5, single),
  atFixedRate('at 80 % of the rate, one 100 B record a request', 0.8, single),
];
