import { KafkaError } from '@ottla/protocol';
import type { Partition } from './partition.ts';

/** The replicas on this broker, by topic name and by topic id. */
export class Partitions {
  readonly #byTopic = new Map<string, Map<number, Partition>>();
  readonly #topicNames = new Map<string, string>();

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

  /** Throws UNKNOWN_TOPIC_OR_PARTITION. */
  require(topic: string, index: number): Partition {
    const partition = this.get(topic, index);
    if (!partition) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no partition ${topic}-${index} on this broker`);
    return partition;
  }

  /** Throws UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH. */
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
  }

  removeTopic(topic: string): Partition[] {
    const partitions = [...this.ofTopic(topic)];
    this.#byTopic.delete(topic);
    for (const { topicId } of partitions) this.#topicNames.delete(topicId);
    return partitions;
  }

  *[Symbol.iterator](): Iterator<Partition> {
    for (const topic of this.#byTopic.values()) yield* topic.values();
  }
}
