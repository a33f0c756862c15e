import { KafkaError } from '@ottla/protocol';
import type { Partition } from './partition.ts';

/** The replicas on this broker, by topic name and by topic id. */
export class Partitions {
  readonly #byTopic = new Map<string, Map<number, Partition>>();
  readonly #topicNames = new Map<string, string>();
  /** Replicas whose log directory is offline, or had no room for them. */
  readonly #offline = new Map<string, { readonly topicId: string; readonly indexes: Set<number> }>();

  get(topic: string, index: number): Partition | undefined {
    return this.#byTopic.get(topic)?.get(index);
  }

  ofTopic(topic: string): Iterable<Partition> {
    return this.#byTopic.get(topic)?.values() ?? [];
  }

  /** The name of a topic that has a replica here. */
  topicName(topicId: string): string | undefined {
    return this.#topicNames.get(topicId);
  }

  isOffline(topic: string, index: number): boolean {
    return this.#offline.get(topic)?.indexes.has(index) ?? false;
  }

  /** Throws KAFKA_STORAGE_ERROR for a replica that is here, but not to be reached. */
  requireOnline(topic: string, index: number): void {
    if (!this.isOffline(topic, index)) return;
    throw new KafkaError('KAFKA_STORAGE_ERROR', `${topic}-${index} is in a log directory that is offline or full`);
  }

  /** Throws UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR. */
  require(topic: string, index: number): Partition {
    const partition = this.get(topic, index);
    if (!partition) this.requireOnline(topic, index);
    if (!partition) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no partition ${topic}-${index} on this broker`);
    return partition;
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
