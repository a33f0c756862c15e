import type { Uuid } from '@ottla/protocol';

/** Partitions of a topic, in the order of their numbers. */
export type TopicPartitions = { readonly name: string; readonly partitions: readonly number[] };
export type PartitionsByTopic = ReadonlyMap<Uuid, TopicPartitions>;

/**
 * Which share partitions of a group the share coordinator has state of. A partition is given to members once it is initialized. A topic
 * that is being deleted waits for its state to be deleted.
 */
export type SharePartitions = {
  readonly initializing: PartitionsByTopic;
  readonly initialized: PartitionsByTopic;
  /** Names by id. */
  readonly deleting: ReadonlyMap<Uuid, string>;
};

export const NO_SHARE_PARTITIONS: SharePartitions = { initializing: new Map(), initialized: new Map(), deleting: new Map() };

/** All of both; a topic has the name that `added` knows it by. */
export function union(some: PartitionsByTopic, added: PartitionsByTopic): Map<Uuid, TopicPartitions> {
  const all = new Map(some);
  for (const [topicId, { name, partitions }] of added) {
    const known = all.get(topicId)?.partitions ?? [];
    all.set(topicId, { name, partitions: sorted([...known, ...partitions]) });
  }
  return all;
}

/** What is not in `removed`; a topic without partitions left is gone. */
export function without(some: PartitionsByTopic, removed: PartitionsByTopic): Map<Uuid, TopicPartitions> {
  const rest = new Map<Uuid, TopicPartitions>();
  for (const [topicId, { name, partitions }] of some) {
    const gone = new Set(removed.get(topicId)?.partitions);
    const left = partitions.filter((partition) => !gone.has(partition));
    if (left.length > 0) rest.set(topicId, { name, partitions: left });
  }
  return rest;
}

export function withoutTopics<Value>(some: ReadonlyMap<Uuid, Value>, removed: ReadonlySet<Uuid>): Map<Uuid, Value> {
  return new Map([...some].filter(([topicId]) => !removed.has(topicId)));
}

export function sorted(partitions: Iterable<number>): number[] {
  return [...new Set(partitions)].sort((left, right) => left - right);
}
