import type { Uuid } from '@ottla/protocol';

/** The one partition a quorum decides on. */
export const metadataTopic = '__cluster_metadata';
export const metadataTopicId: Uuid = 'AAAAAAAAAAAAAAAAAAAAAQ';

/** The only partition of a request or response, if it is the metadata's. */
export function onlyPartition<Partition extends { readonly partitionIndex: number }>(
  topics: readonly { readonly topicName: string; readonly partitions: readonly Partition[] }[],
): Partition | undefined {
  const [topic] = topics;
  const partition = topic?.partitions[0];
  if (topics.length !== 1 || topic!.topicName !== metadataTopic || topic!.partitions.length !== 1) return undefined;
  return partition?.partitionIndex === 0 ? partition : undefined;
}

/** The topics of a message about the metadata partition. */
export const asTopics = <Partition>(partition: Partition) => [
  { topicName: metadataTopic, partitions: [{ partitionIndex: 0, ...partition }] },
];
