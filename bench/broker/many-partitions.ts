import assert from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateTopics, ListOffsets, type Uuid } from '@ottla/protocol';
import { ask } from './ask.ts';
import type { BenchNode } from './bench-node.ts';

export type ManyTopics = { readonly name: string; readonly topicId: Uuid; readonly partitions: number }[];

const createTopicsVersion = 7;
const listOffsetsVersion = 7;
const latest = -1;

/** All in one request. Resolves when it is answered. */
export async function createManyTopics(
  { port }: BenchNode,
  { prefix, topics, partitions }: { prefix: string; topics: number; partitions: number },
): Promise<ManyTopics> {
  const wanted = Array.from({ length: topics }, (_, index) => ({
    name: `${prefix}-${index}`,
    numPartitions: partitions,
    replicationFactor: 1,
  }));
  const answer = await ask(port, CreateTopics, createTopicsVersion, { topics: wanted, timeoutMs: 120_000 });
  for (const { name, errorCode, errorMessage } of answer.topics) assert.equal(errorCode, 0, `${name}: ${errorMessage}`);
  return answer.topics.map(({ name, topicId }) => ({ name, topicId, partitions }));
}

/** Resolves when the leader of each partition says where its log ends, with the sum of those offsets. */
export async function untilEveryLeaderServes({ port }: BenchNode, topics: ManyTopics): Promise<number> {
  const asked = topics.map(({ name, partitions }) => ({
    name,
    partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, timestamp: latest })),
  }));
  for (;;) {
    const answer = await ask(port, ListOffsets, listOffsetsVersion, { replicaId: -1, topics: asked });
    const partitions = answer.topics.flatMap((topic) => topic.partitions);
    if (partitions.every(({ errorCode }) => errorCode === 0)) return partitions.reduce((sum, { offset }) => sum + offset, 0);
    await sleep(20);
  }
}

/** So many records to each partition, one by one; gives how many in all. */
export async function writeToEach(node: BenchNode, topics: ManyTopics, recordsEach: number): Promise<number> {
  let written = 0;
  for (const { topicId, partitions } of topics) {
    const { recordsAcknowledged } = await node.load('produce', {
      ...{ topicId, partitions, spread: 'all partitions a request', connections: 1, inFlight: 1 },
      ...{ acks: -1, recordBytes: 100, batchBytes: 1, codec: 'none', requests: recordsEach, warmRequests: 0, maxSeconds: 60 },
    });
    written += recordsAcknowledged;
  }
  return written;
}
