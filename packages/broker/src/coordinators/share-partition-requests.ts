import type { SharePartitionKey } from '@ottla/coordinator';
import type { Uuid } from '@ottla/protocol';

/** The five requests to a share coordinator are alike: share partitions of one group, by topic. */
export type ShareStateRequest<Partition> = {
  readonly groupId: string;
  readonly topics: readonly { readonly topicId: Uuid; readonly partitions: readonly Partition[] }[];
};

export type ShareStateResponse<Result> = { results: { topicId: Uuid; partitions: Result[] }[] };

/**
 * Asks about each share partition for itself, all at once, and puts the answers together. A request that names none, or no group, or a
 * topic without partitions, is answered with nothing.
 */
export async function askEachSharePartition<Partition extends { readonly partition: number }, Result>(
  { groupId, topics }: ShareStateRequest<Partition>,
  ask: (key: SharePartitionKey, partition: Partition) => Promise<Result>,
): Promise<ShareStateResponse<Result>> {
  if (groupId === '' || topics.some(({ partitions }) => partitions.length === 0)) return { results: [] };
  const results = topics.map(async ({ topicId, partitions }) => ({
    topicId,
    partitions: await Promise.all(partitions.map((each) => ask({ groupId, topicId, partition: each.partition }, each))),
  }));
  return { results: await Promise.all(results) };
}
