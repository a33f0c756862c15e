import { errors, type OffsetFetchRequest, type OffsetFetchResponse, type Writable, ZERO_UUID } from '@ottla/protocol';
import type { OffsetAndMetadata } from './offset-and-metadata.ts';
import type { OffsetStore } from './offset-store.ts';

export type OffsetFetchGroup = OffsetFetchRequest['groups'][number];
export type FetchedGroup = NonNullable<Writable<OffsetFetchResponse>['groups']>[number];
type FetchedTopic = NonNullable<FetchedGroup['topics']>[number];
type FetchedPartition = NonNullable<FetchedTopic['partitions']>[number];

/**
 * Which state a fetch reads. `stable`: the latest, with partitions that a transaction still has open refused; its answer waits until
 * what it read is committed. Otherwise what is committed now, at once.
 */
export type FetchMode = 'stable' | 'committed';

/** The offsets asked for, by topic name; all that the group has where topics is null. */
export function fetchOffsets(store: OffsetStore, { groupId, topics }: OffsetFetchGroup, mode: FetchMode): FetchedGroup {
  if (topics === null) return { groupId, topics: fetchAll(store, groupId, mode) };
  return {
    groupId,
    topics: topics.map(({ name, topicId, partitionIndexes }) => ({
      name,
      topicId,
      partitions: partitionIndexes.map((partition) => {
        const at = { groupId, topic: name, partition };
        if (mode === 'stable' && store.isOpen(at)) return unstable(partition);
        const committed = mode === 'stable' ? store.get(at) : store.getCommitted(at);
        // A topic of this name that was deleted and created again begins without offsets.
        return committed === undefined || differs(committed.topicId, topicId) ? absent(partition) : present(partition, committed);
      }),
    })),
  };
}

/** The answer for a group that does not exist, or does not keep offsets. */
export function noOffsets({ groupId, topics }: OffsetFetchGroup): FetchedGroup {
  return {
    groupId,
    topics: (topics ?? []).map(({ name, topicId, partitionIndexes }) => ({
      name,
      topicId,
      partitions: partitionIndexes.map(absent),
    })),
  };
}

function fetchAll(store: OffsetStore, groupId: string, mode: FetchMode): FetchedTopic[] {
  const answer: FetchedTopic[] = [];
  for (const [name, offsets] of mode === 'stable' ? store.ofGroup(groupId) : store.committedOfGroup(groupId)) {
    const partitions: FetchedPartition[] = [];
    for (const [partition, committed] of offsets) {
      const isUnstable = mode === 'stable' && store.isOpen({ groupId, topic: name, partition });
      partitions.push(isUnstable ? unstable(partition) : present(partition, committed));
    }
    answer.push({ name, topicId: ZERO_UUID, partitions });
  }
  return answer;
}

function present(partitionIndex: number, { offset, leaderEpoch, metadata }: OffsetAndMetadata): FetchedPartition {
  return { partitionIndex, committedOffset: offset, committedLeaderEpoch: leaderEpoch, metadata };
}

function absent(partitionIndex: number): FetchedPartition {
  return { partitionIndex, committedOffset: -1, committedLeaderEpoch: -1, metadata: '' };
}

function unstable(partitionIndex: number): FetchedPartition {
  return { ...absent(partitionIndex), errorCode: errors.UNSTABLE_OFFSET_COMMIT.code };
}

function differs(stored: string, asked: string): boolean {
  return stored !== ZERO_UUID && asked !== ZERO_UUID && stored !== asked;
}
