import { CreatePartitions, CreateTopics, DeleteRecords, DeleteTopics, errorOfCode, Metadata, type Uuid } from '@ottla/protocol';
import type { PartitionMetadata, TopicMetadata } from '../cluster/metadata-cache.ts';
import { groupByTopic, partitionName, type TopicPartition } from '../topic-partition.ts';
import type { AdminContext } from './admin.ts';
import { eachItem, missingAnswer, type Outcome } from './each-item.ts';
import { atLeaders } from './offsets.ts';

export type NewTopic = {
  readonly name: string;
  /** The broker's num.partitions unless given. */
  readonly partitions?: number;
  /** The broker's default.replication.factor unless given. */
  readonly replicationFactor?: number;
  /** Replicas of each partition by broker id, preferred leader first; instead of the two above. */
  readonly assignments?: readonly (readonly number[])[];
  readonly configs?: Readonly<Record<string, string>>;
};

export type CreatedTopic = {
  readonly name: string;
  readonly topicId: Uuid;
  /** -1 where the broker does not say. */
  readonly partitions: number;
  readonly replicationFactor: number;
};

export type ListedTopic = {
  readonly name: string;
  readonly topicId: Uuid;
  readonly isInternal: boolean;
  readonly partitions: number;
};

export type TopicDescription = TopicMetadata & { readonly partitions: readonly PartitionMetadata[] };

export function createTopics(
  { cluster, timeoutMs }: AdminContext,
  topics: readonly NewTopic[],
  { validateOnly = false }: { validateOnly?: boolean },
): Promise<CreatedTopic[]> {
  return eachItem(cluster, topics, {
    timeoutMs,
    nameOf: ({ name }) => name,
    attempt: async (asked) => {
      const connection = await cluster.anyConnection();
      const response = await connection.send(CreateTopics, {
        validateOnly,
        timeoutMs: requestTimeoutMs(timeoutMs),
        topics: asked.map(({ name, partitions = -1, replicationFactor = -1, assignments, configs = {} }) => ({
          name,
          numPartitions: assignments ? -1 : partitions,
          replicationFactor: assignments ? -1 : replicationFactor,
          assignments: (assignments ?? []).map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
          configs: Object.entries(configs).map(([config, value]) => ({ name: config, value })),
        })),
      });
      const results = new Map(response.topics.map((topic) => [topic.name, topic]));
      return asked.map(({ name }): Outcome<CreatedTopic> => {
        const result = results.get(name);
        if (!result) return missingAnswer(`topic ${name}`);
        const { topicId, numPartitions: partitions, replicationFactor } = result;
        return errorOfCode(result.errorCode, result.errorMessage) ?? { name, topicId, partitions, replicationFactor };
      });
    },
  });
}

export async function deleteTopics({ cluster, timeoutMs }: AdminContext, topics: readonly string[]): Promise<void> {
  await eachItem(cluster, topics, {
    timeoutMs,
    nameOf: (topic) => topic,
    final: ['UNKNOWN_TOPIC_OR_PARTITION'],
    attempt: async (asked) => {
      const connection = await cluster.anyConnection();
      const timeout = { timeoutMs: requestTimeoutMs(timeoutMs) };
      const response = await connection.send(
        DeleteTopics,
        connection.versionFor(DeleteTopics) >= 6
          ? { ...timeout, topics: asked.map((name) => ({ name })) }
          : { ...timeout, topicNames: [...asked] },
      );
      const results = new Map(response.responses.map((result) => [result.name, result]));
      return asked.map((name): Outcome<undefined> => {
        const result = results.get(name);
        if (!result) return missingAnswer(`topic ${name}`);
        if (result.errorCode === 0) cluster.metadata.forget(name);
        return errorOfCode(result.errorCode, result.errorMessage) ?? undefined;
      });
    },
  });
}

export async function createPartitions(
  { cluster, timeoutMs }: AdminContext,
  totals: Readonly<Record<string, number>>,
  { validateOnly = false }: { validateOnly?: boolean },
): Promise<void> {
  await eachItem(cluster, Object.entries(totals), {
    timeoutMs,
    nameOf: ([name]) => name,
    final: ['UNKNOWN_TOPIC_OR_PARTITION'],
    attempt: async (asked) => {
      const connection = await cluster.anyConnection();
      const response = await connection.send(CreatePartitions, {
        validateOnly,
        timeoutMs: requestTimeoutMs(timeoutMs),
        topics: asked.map(([name, count]) => ({ name, count, assignments: null })),
      });
      const results = new Map(response.results.map((result) => [result.name, result]));
      return asked.map(([name]): Outcome<undefined> => {
        const result = results.get(name);
        if (!result) return missingAnswer(`topic ${name}`);
        return errorOfCode(result.errorCode, result.errorMessage) ?? undefined;
      });
    },
  });
}

export function listTopics(
  { cluster, timeoutMs }: AdminContext,
  { internal = false }: { internal?: boolean },
): Promise<ListedTopic[]> {
  return cluster.retry(timeoutMs, async () => {
    const connection = await cluster.anyConnection();
    const { topics, errorCode } = await connection.send(Metadata, { topics: null, allowAutoTopicCreation: false });
    const error = errorOfCode(errorCode);
    if (error) throw error;
    return topics
      .filter(({ name, isInternal }) => name !== null && (internal || !isInternal))
      .map(({ name, topicId, isInternal, partitions }) => ({ name: name!, topicId, isInternal, partitions: partitions.length }))
      .sort((one, other) => (one.name < other.name ? -1 : 1));
  });
}

export function describeTopics({ cluster, timeoutMs }: AdminContext, topics: readonly string[]): Promise<TopicDescription[]> {
  return eachItem(cluster, topics, {
    // Unknown is a code that may pass, but who asks for a description wants the present.
    timeoutMs: Math.min(timeoutMs, 1000),
    nameOf: (topic) => topic,
    attempt: async (asked) => {
      const connection = await cluster.anyConnection();
      const response = await connection.send(Metadata, {
        topics: asked.map((name) => ({ name })),
        allowAutoTopicCreation: false,
      });
      const { metadata, runtime } = cluster;
      metadata.apply(response, runtime.clock.monotonicMs());
      return asked.map((name) => metadata.errorOf(name) ?? metadata.topic(name) ?? missingAnswer(`topic ${name}`));
    },
  });
}

export type RecordsToDelete = TopicPartition & {
  /** Records before this offset go; -1: all there are. */
  readonly beforeOffset: number;
};

/** The first offset that each partition still has. */
export function deleteRecords(
  { cluster, timeoutMs }: AdminContext,
  partitions: readonly RecordsToDelete[],
): Promise<(TopicPartition & { readonly logStartOffset: number })[]> {
  return eachItem(cluster, partitions, {
    timeoutMs,
    nameOf: partitionName,
    attempt: (asked) =>
      atLeaders(cluster, asked, async (connection, ofLeader) => {
        const response = await connection.send(DeleteRecords, {
          timeoutMs: requestTimeoutMs(timeoutMs),
          topics: [...groupByTopic(ofLeader)].map(([name, all]) => ({
            name,
            partitions: all.map(({ partition, beforeOffset }) => ({ partitionIndex: partition, offset: beforeOffset })),
          })),
        });
        return ofLeader.map(({ topic, partition }) => {
          const result = response.topics
            .find(({ name }) => name === topic)
            ?.partitions.find(({ partitionIndex }) => partitionIndex === partition);
          if (!result) return missingAnswer(`partition ${topic}-${partition}`);
          return errorOfCode(result.errorCode) ?? { topic, partition, logStartOffset: result.lowWatermark };
        });
      }),
  });
}

function requestTimeoutMs(timeoutMs: number): number {
  return Math.min(timeoutMs, 30_000);
}
