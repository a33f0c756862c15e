import type { CompressionCodec } from '@ottla/protocol';
import type { BenchNode } from './bench-node.ts';
import { type BenchTopic, newProducerIds } from './bench-topic.ts';
import type { ProduceResult } from './load/produce-load.ts';
import type { Figures } from './scenario.ts';

/** What a producer sends and how, as one would say it aloud. */
export type ProduceShape = {
  readonly recordBytes: number;
  /** 1 for a single record a request. */
  readonly batchBytes: number;
  readonly acks: 1 | 'all';
  readonly partitions: number;
  /** A batch for each partition in every request, instead of one for one of them. */
  readonly allPartitions?: boolean;
  readonly connections: number;
  readonly inFlight: number;
  readonly codec: CompressionCodec;
  readonly isIdempotent?: boolean;
  /** Whichever comes first. */
  readonly requests: number;
  readonly maxSeconds: number;
};

export const batchesOf16KiB: ProduceShape = {
  recordBytes: 100,
  batchBytes: 16_384,
  acks: 1,
  partitions: 1,
  connections: 1,
  inFlight: 5,
  codec: 'none',
  requests: 15_000,
  maxSeconds: 2,
};

/** Lets the cheap producer send this, and finds everything acknowledged in the log. A tenth more goes before, to warm up. */
export async function produce(node: BenchNode, topic: BenchTopic, shape: ProduceShape): Promise<ProduceResult> {
  const result = await node.load('produce', {
    ...wire(shape),
    topicId: topic.topicId,
    partitions: shape.partitions,
    spread: shape.allPartitions ? 'all partitions a request' : 'one partition a request',
    connections: shape.connections,
    producers: shape.isIdempotent ? await newProducerIds(node.port, shape.connections) : undefined,
  });
  await topic.assertStored(result.recordsAcknowledged);
  return result;
}

export function wire({ acks, recordBytes, batchBytes, codec, inFlight, requests, maxSeconds }: ProduceShape) {
  return {
    acks: acks === 'all' ? -1 : acks,
    recordBytes,
    batchBytes,
    codec,
    inFlight,
    requests,
    maxSeconds,
    warmRequests: Math.ceil(requests / 10),
  };
}

/** What tells of a run at full speed. */
export function throughput(
  result: Pick<ProduceResult, 'batchBytes' | 'seconds' | 'brokerCpuSeconds' | 'clientCpuSeconds'>,
): Figures {
  return {
    'throughput MB/s': result.batchBytes / result.seconds / 1e6,
    'broker CPU s/GB': result.brokerCpuSeconds / (result.batchBytes / 1e9),
    'client CPU s/GB': result.clientCpuSeconds / (result.batchBytes / 1e9),
  };
}
