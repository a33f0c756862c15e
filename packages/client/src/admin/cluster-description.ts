import { DescribeCluster, DescribeLogDirs, errorOfCode, type KafkaError } from '@ottla/protocol';
import type { Node } from '../cluster/metadata-cache.ts';
import { groupByTopic, type TopicPartition } from '../topic-partition.ts';
import type { AdminContext } from './admin.ts';

export type ClusterDescription = {
  readonly clusterId: string;
  /** The broker that answers for the controller; with KRaft any of them may. */
  readonly controllerId: number;
  readonly nodes: readonly Node[];
};

export function describeCluster({ cluster, timeoutMs }: AdminContext): Promise<ClusterDescription> {
  return cluster.retry(timeoutMs, async () => {
    const connection = await cluster.anyConnection();
    const response = await connection.send(DescribeCluster, {});
    const error = errorOfCode(response.errorCode, response.errorMessage);
    if (error) throw error;
    const { clusterId, controllerId, brokers } = response;
    return { clusterId, controllerId, nodes: brokers.map(({ brokerId: id, host, port, rack }) => ({ id, host, port, rack })) };
  });
}

export type LogDir = {
  readonly brokerId: number;
  readonly path: string;
  /** The directory is offline. */
  readonly error: KafkaError | null;
  /** Of its volume; -1 where the broker does not say. */
  readonly totalBytes: number;
  readonly usableBytes: number;
  readonly partitions: readonly (TopicPartition & {
    readonly sizeBytes: number;
    /** How far a replica is behind its leader. */
    readonly offsetLag: number;
    /** On its way to replace the one in another directory of the broker. */
    readonly isFuture: boolean;
  })[];
};

/** Of these brokers, or all; with these partitions, or all. */
export async function describeLogDirs(
  { cluster, timeoutMs }: AdminContext,
  { brokerIds, partitions }: { brokerIds?: readonly number[]; partitions?: readonly TopicPartition[] },
): Promise<LogDir[]> {
  await cluster.retry(timeoutMs, () => cluster.refreshMetadata());
  const topics =
    partitions &&
    [...groupByTopic(partitions)].map(([topic, all]) => ({ topic, partitions: all.map(({ partition }) => partition) }));
  const dirs = await Promise.all(
    (brokerIds ?? [...cluster.metadata.nodes.keys()]).map((brokerId) =>
      cluster.retry(timeoutMs, async (): Promise<LogDir[]> => {
        const connection = await cluster.connectionTo(brokerId);
        const response = await connection.send(DescribeLogDirs, { topics: topics ?? null });
        const error = errorOfCode(response.errorCode);
        if (error) throw error;
        return response.results.map(({ errorCode, logDir: path, totalBytes, usableBytes, topics: found }) => ({
          brokerId,
          path,
          error: errorOfCode(errorCode),
          totalBytes,
          usableBytes,
          partitions: found.flatMap(({ name: topic, partitions: all }) =>
            all.map(({ partitionIndex: partition, partitionSize: sizeBytes, offsetLag, isFutureKey: isFuture }) => ({
              topic,
              partition,
              sizeBytes,
              offsetLag,
              isFuture,
            })),
          ),
        }));
      }),
    ),
  );
  return dirs.flat();
}
