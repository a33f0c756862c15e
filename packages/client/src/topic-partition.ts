export type TopicPartition = { readonly topic: string; readonly partition: number };

/** A key for maps, and how messages call a partition. */
export function partitionName({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}

/** [{ topic, partition }] as protocol messages nest it. Order is kept. */
export function groupByTopic<T extends TopicPartition>(partitions: Iterable<T>): Map<string, T[]> {
  const topics = new Map<string, T[]>();
  for (const partition of partitions) {
    const others = topics.get(partition.topic);
    if (others) others.push(partition);
    else topics.set(partition.topic, [partition]);
  }
  return topics;
}
