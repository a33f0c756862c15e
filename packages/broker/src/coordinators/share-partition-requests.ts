import type { SharePartitionKey } from '@ottla/coordinator';
import type { Uuid } from '@ottla/protocol';
import type { Runtime } from '@ottla/runtime';
import { inSteps } from '../in-steps.ts';

/** The five requests to a share coordinator are alike: share partitions of one group, by topic. */
export type ShareStateRequest<Partition> = {
  readonly groupId: string;
  readonly topics: readonly { readonly topicId: Uuid; readonly partitions: readonly Partition[] }[];
};

export type ShareStateResponse<Result> = { results: { topicId: Uuid; partitions: Result[] }[] };

/**
 * Asks about each share partition for itself, some hundred at once, and puts the answers together. A request that names none, or no group, or a
 * topic without partitions, is answered with nothing.
 */
export async function askEachSharePartition<Partition extends { readonly partition: number }, Result>(
  { groupId, topics }: ShareStateRequest<Partition>,
  runtime: Pick<Runtime, 'clock' | 'timers'>,
  ask: (key: SharePartitionKey, partition: Partition) => Promise<Result>,
): Promise<ShareStateResponse<Result>> {
  if (groupId === '' || topics.some(({ partitions }) => partitions.length === 0)) return { results: [] };
  const asked = topics.flatMap(({ topicId, partitions }) => partitions.map((partition) => ({ topicId, partition })));
  const answers = await inSteps(asked, runtime, ({ topicId, partition }) =>
    ask({ groupId, topicId, partition: partition.partition }, partition),
  );
  let start = 0;
  return {
    results: topics.map(({ topicId, partitions }) => ({
      topicId,
      partitions: answers.slice(start, (start += partitions.length)),
    })),
  };
}
