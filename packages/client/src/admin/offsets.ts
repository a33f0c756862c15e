import type { BrokerConnection } from '@ottla/network';
import { errorOfCode, KafkaError, ListOffsets } from '@ottla/protocol';
import type { Cluster } from '../cluster/cluster.ts';
import { groupByTopic, partitionName, type TopicPartition } from '../topic-partition.ts';
import { asKafkaError, eachItem, missingAnswer, type Outcome } from './each-item.ts';

/** Which offset: the first or the next to be written, the one with the greatest timestamp, or the first at or after a time. */
export type OffsetSpec = 'earliest' | 'latest' | 'maxTimestamp' | { readonly timestamp: number };

export type ListedOffset = TopicPartition & {
  /** -1 when no record is that young. */
  readonly offset: number;
  /** Of the record at the offset; -1 for 'earliest' and 'latest'. */
  readonly timestamp: number;
  readonly leaderEpoch: number;
};

export type IsolationLevel = 'read_uncommitted' | 'read_committed';

export function isolationLevelCode(level: IsolationLevel): number {
  return level === 'read_committed' ? 1 : 0;
}

/** Rejects with ItemsError. */
export function listOffsets(
  cluster: Cluster,
  partitions: readonly (TopicPartition & { readonly at: OffsetSpec })[],
  { timeoutMs, isolationLevel = 'read_uncommitted' }: { timeoutMs: number; isolationLevel?: IsolationLevel },
): Promise<ListedOffset[]> {
  return eachItem(cluster, partitions, {
    timeoutMs,
    nameOf: partitionName,
    attempt: (asked) =>
      atLeaders(cluster, asked, (connection, ofLeader) => {
        const epochOf = ({ topic, partition }: TopicPartition) => cluster.metadata.partition(topic, partition)?.leaderEpoch ?? -1;
        const ofEpochs = ofLeader.map((one) => ({ ...one, leaderEpoch: epochOf(one) }));
        return listOffsetsAt(connection, ofEpochs, { timeoutMs, isolationLevel });
      }),
  });
}

/** One ListOffsets to the leader of all these partitions, in these epochs. Outcomes come in the order of the partitions. */
export async function listOffsetsAt(
  connection: BrokerConnection,
  partitions: readonly (TopicPartition & { readonly at: OffsetSpec; readonly leaderEpoch: number })[],
  { timeoutMs, isolationLevel }: { readonly timeoutMs: number; readonly isolationLevel: IsolationLevel },
): Promise<Outcome<ListedOffset>[]> {
  const isNewSpec = partitions.some(({ at }) => at === 'maxTimestamp');
  const response = await connection.send(
    ListOffsets,
    {
      replicaId: -1,
      isolationLevel: isolationLevelCode(isolationLevel),
      timeoutMs: Math.min(timeoutMs, 30_000),
      topics: [...groupByTopic(partitions)].map(([name, all]) => ({
        name,
        partitions: all.map(({ partition, at, leaderEpoch }) => ({
          partitionIndex: partition,
          currentLeaderEpoch: leaderEpoch,
          timestamp: timestampOf(at),
        })),
      })),
    },
    { version: connection.versionFor(ListOffsets, isNewSpec ? { min: 7 } : {}) },
  );
  return partitions.map(({ topic, partition }): Outcome<ListedOffset> => {
    const result = response.topics
      .find(({ name }) => name === topic)
      ?.partitions.find(({ partitionIndex }) => partitionIndex === partition);
    if (!result) return missingAnswer(`partition ${topic}-${partition}`);
    const { offset, timestamp, leaderEpoch } = result;
    return errorOfCode(result.errorCode) ?? { topic, partition, offset, timestamp, leaderEpoch };
  });
}

function timestampOf(at: OffsetSpec): number {
  if (typeof at === 'object') return at.timestamp;
  return { latest: -1, earliest: -2, maxTimestamp: -3 }[at];
}

/** Sends each partition's share to its leader. Outcomes come in the order of the partitions. */
export async function atLeaders<Item extends TopicPartition, Result>(
  cluster: Cluster,
  items: readonly Item[],
  send: (connection: BrokerConnection, items: readonly Item[]) => Promise<readonly Outcome<Result>[]>,
): Promise<Outcome<Result>[]> {
  await knowTopics(cluster, items);
  const outcomes: Outcome<Result>[] = new Array(items.length);
  const byLeader = new Map<number, number[]>();
  items.forEach(({ topic, partition }, index) => {
    try {
      const leaderId = cluster.leaderIdOf(topic, partition);
      const indexes = byLeader.get(leaderId) ?? [];
      byLeader.set(leaderId, indexes);
      indexes.push(index);
    } catch (error) {
      outcomes[index] = asKafkaError(error);
    }
  });
  await Promise.all(
    [...byLeader].map(async ([leaderId, indexes]) => {
      try {
        const answers = await send(
          await cluster.connectionTo(leaderId),
          indexes.map((index) => items[index]!),
        );
        indexes.forEach((index, at) => {
          outcomes[index] = answers[at]!;
        });
      } catch (error) {
        for (const index of indexes) outcomes[index] = asKafkaError(error);
      }
    }),
  );
  return outcomes.map((outcome, index) => {
    // The next attempt looks the leader up again.
    if (outcome instanceof KafkaError && outcome.refreshMetadata) cluster.metadata.forget(items[index]!.topic);
    return outcome;
  });
}

/** Asks for the metadata of those that are not known. */
export async function knowTopics(cluster: Cluster, items: readonly TopicPartition[]): Promise<void> {
  const topics = [...new Set(items.map(({ topic }) => topic))];
  cluster.watch(topics);
  if (topics.every((topic) => cluster.metadata.topic(topic))) return;
  await cluster.refreshMetadata();
  // The refresh may have been under way, without these topics.
  if (!topics.every((topic) => cluster.metadata.topic(topic) ?? cluster.metadata.errorOf(topic))) await cluster.refreshMetadata();
}
