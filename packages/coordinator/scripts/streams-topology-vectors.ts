/**
 * streams-topology.jsonl: what Apache Kafka made of random topologies in random clusters: tasks, topics to create, or what is wrong.
 * Made by TopologyVectors.java.
 */
import { isDeepStrictEqual } from 'node:util';
import { KafkaError } from '@ottla/protocol';
import { configureTopology } from '../src/streams/configure-topology.ts';
import { StreamsTopology, type StreamsTopologyValue } from '../src/streams/streams-topology.ts';

type Vector = { topology: StreamsTopologyValue; existing: Record<string, number> } & (
  | {
      problem: [status: string, detail: string] | null;
      tasks: Record<string, number> | null;
      create: Record<string, [partitions: number, replicationFactor: number, configs: string[]]>;
    }
  | { error: [name: string, message: string] }
);

export const family = { file: 'streams-topology.jsonl', check };

/** What is wrong, or nothing. */
export function check(line: string): string | undefined {
  const { topology, existing, ...expected } = JSON.parse(line) as Vector;
  const found = outcome(topology, existing);
  return isDeepStrictEqual(found, expected) ? undefined : `gives ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`;
}

function outcome(topology: StreamsTopologyValue, existing: Record<string, number>): unknown {
  try {
    const configured = configureTopology(new StreamsTopology(topology), (topic) => existing[topic]);
    const { problem, subtopologies, internalTopicsToCreate } = configured;
    return {
      problem: problem && [problem.status, problem.detail],
      tasks: subtopologies && Object.fromEntries([...subtopologies].map(([id, { taskCount }]) => [id, taskCount])),
      create: Object.fromEntries(
        internalTopicsToCreate.map(({ name, partitions, replicationFactor, topicConfigs }) => [
          name,
          [partitions, replicationFactor || -1, topicConfigs.map(({ key, value }) => `${key}=${value}`)],
        ]),
      ),
    };
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return { error: ['StreamsInvalidTopologyException', error.message] };
  }
}
