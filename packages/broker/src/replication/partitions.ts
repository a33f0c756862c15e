import { type ErrorName, KafkaError } from '@ottla/protocol';
import type { Partition } from './partition.ts';

/** What there is in the cluster, with a replica here or without. */
export type PartitionsOfCluster = {
  hasPartition(topic: string, index: number): boolean;
  topicName(topicId: string): string | undefined;
};

const nothingElse: PartitionsOfCluster = { hasPartition: () => false, topicName: () => undefined };

/** The replicas on this broker, by topic name and by topic id. */
export class Partitions {
  readonly #cluster: PartitionsOfCluster;
  readonly #byTopic = new Map<string, Map<number, Partition>>();
  readonly #topicNames = new Map<string, string>();
  /** Replicas whose log directory is offline, or had no room for them. */
  readonly #offline = new Map<string, { readonly topicId: string; readonly indexes: Set<number> }>();

  constructor(cluster: PartitionsOfCluster = nothingElse) {
    this.#cluster = cluster;
  }

  get(topic: string, index: number): Partition | undefined {
    return this.#byTopic.get(topic)?.get(index);
  }

  ofTopic(topic: string): Iterable<Partition> {
    return this.#byTopic.get(topic)?.values() ?? [];
  }

  topicName(topicId: string): string | undefined {
    return this.#topicNames.get(topicId) ?? this.#cluster.topicName(topicId);
  }

  isOffline(topic: string, index: number): boolean {
    return this.#offline.get(topic)?.indexes.has(index) ?? false;
  }

  /** Throws KAFKA_STORAGE_ERROR for a replica that is here, but not to be reached. */
  requireOnline(topic: string, index: number): void {
    if (!this.isOffline(topic, index)) return;
    throw new KafkaError('KAFKA_STORAGE_ERROR', `${topic}-${index} is in a log directory that is offline or full`);
  }

  /** Throws UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER (it has no replica here), KAFKA_STORAGE_ERROR. */
  require(topic: string, index: number): Partition {
    const partition = this.get(topic, index);
    if (partition) return partition;
    this.requireOnline(topic, index);
    if (this.#cluster.hasPartition(topic, index))
      throw new KafkaError('NOT_LEADER_OR_FOLLOWER', `${topic}-${index} has no replica on this broker: refresh metadata`);
    throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no partition ${topic}-${index} on this broker`);
  }

  /** What `require` would throw: for what may be asked of very many that are not here, where each exception takes its time. */
  failureOf(topic: string, index: number): ErrorName | undefined {
    if (this.get(topic, index)) return undefined;
    if (this.isOffline(topic, index)) return 'KAFKA_STORAGE_ERROR';
    return this.#cluster.hasPartition(topic, index) ? 'NOT_LEADER_OR_FOLLOWER' : 'UNKNOWN_TOPIC_OR_PARTITION';
  }

  /** Throws UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH. */
  leader(topic: string, index: number, currentLeaderEpoch = -1): Partition {
    const partition = this.require(topic, index);
    partition.requireLeader(currentLeaderEpoch);
    return partition;
  }

  add(partition: Partition): void {
    let topic = this.#byTopic.get(partition.topic);
    if (!topic) this.#byTopic.set(partition.topic, (topic = new Map()));
    topic.set(partition.index, partition);
    this.#topicNames.set(partition.topicId, partition.topic);
    this.#offline.get(partition.topic)?.indexes.delete(partition.index);
  }

  /** It is this broker's, but it has no log that could be used. */
  markOffline({ topic, index, topicId }: { topic: string; index: number; topicId: string }): void {
    this.#byTopic.get(topic)?.delete(index);
    const offline = this.#offline.get(topic) ?? { topicId, indexes: new Set() };
    this.#offline.set(topic, offline);
    offline.indexes.add(index);
    this.#topicNames.set(topicId, topic);
  }

  /** It is no replica of this broker any more. */
  remove(topic: string, index: number): void {
    const partitions = this.#byTopic.get(topic);
    const partition = partitions?.get(index);
    const offline = this.#offline.get(topic);
    const topicId = partition?.topicId ?? offline?.topicId;
    partitions?.delete(index);
    offline?.indexes.delete(index);
    const isLast = (partitions?.size ?? 0) === 0 && (offline?.indexes.size ?? 0) === 0;
    if (!isLast) return;
    this.#byTopic.delete(topic);
    this.#offline.delete(topic);
    if (topicId !== undefined) this.#topicNames.delete(topicId);
  }

  removeTopic(topic: string): Partition[] {
    const partitions = [...this.ofTopic(topic)];
    this.#byTopic.delete(topic);
    const offline = this.#offline.get(topic);
    this.#offline.delete(topic);
    if (offline) this.#topicNames.delete(offline.topicId);
    for (const { topicId } of partitions) this.#topicNames.delete(topicId);
    return partitions;
  }

  *[Symbol.iterator](): Iterator<Partition> {
    for (const topic of this.#byTopic.values()) yield* topic.values();
  }
}
