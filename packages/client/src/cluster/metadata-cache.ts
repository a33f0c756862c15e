import { errorOfCode, type KafkaError, type MetadataResponse, type Uuid } from '@ottla/protocol';
import type { TopicPartition } from '../topic-partition.ts';

export type Node = { readonly id: number; readonly host: string; readonly port: number; readonly rack: string | null };

export type PartitionMetadata = {
  readonly partition: number;
  /** -1 while there is none. */
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  readonly offlineReplicas: readonly number[];
};

export type TopicMetadata = {
  readonly name: string;
  /** ZERO_UUID from brokers older than topic ids. */
  readonly topicId: Uuid;
  readonly isInternal: boolean;
  /** By partition number. */
  readonly partitions: readonly PartitionMetadata[];
};

type CurrentLeader = { readonly leaderId: number; readonly leaderEpoch: number };
type Endpoints = readonly {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
}[];

/** What the brokers last said about themselves and the topics that this client cares about. */
export class MetadataCache {
  nodes = new Map<number, Node>();
  clusterId: string | null = null;
  controllerId = -1;
  updatedAtMs = Number.NEGATIVE_INFINITY;
  readonly #topics = new Map<string, TopicMetadata>();
  readonly #namesById = new Map<Uuid, string>();
  readonly #errors = new Map<string, KafkaError>();

  topic(name: string): TopicMetadata | undefined {
    return this.#topics.get(name);
  }

  nameOf(topicId: Uuid): string | undefined {
    return this.#namesById.get(topicId);
  }

  /** Why the last answer had nothing about the topic. */
  errorOf(name: string): KafkaError | undefined {
    return this.#errors.get(name);
  }

  partition(topic: string, partition: number): PartitionMetadata | undefined {
    return this.#topics.get(topic)?.partitions[partition];
  }

  /**
   * Of what brokers answer that were asked in the place of a leader, the elections that are news (KIP-951). Where the new leader is to be found
   * may stand in the answer too.
   */
  learnLeader({ topic: name, partition }: TopicPartition, { leaderId, leaderEpoch }: CurrentLeader, endpoints: Endpoints): void {
    const topic = this.#topics.get(name);
    const known = topic?.partitions[partition];
    if (!topic || !known || leaderId < 0 || leaderEpoch <= known.leaderEpoch) return;
    const endpoint = endpoints.find(({ nodeId }) => nodeId === leaderId);
    if (endpoint) this.nodes.set(leaderId, { id: leaderId, host: endpoint.host, port: endpoint.port, rack: endpoint.rack });
    else if (!this.nodes.has(leaderId)) return;
    this.#topics.set(name, { ...topic, partitions: topic.partitions.with(partition, { ...known, leaderId, leaderEpoch }) });
  }

  forget(name: string): void {
    const known = this.#topics.get(name);
    this.#topics.delete(name);
    this.#errors.delete(name);
    if (known) this.#namesById.delete(known.topicId);
  }

  apply(response: MetadataResponse, nowMs: number): void {
    this.nodes = new Map(response.brokers.map(({ nodeId, host, port, rack }) => [nodeId, { id: nodeId, host, port, rack }]));
    this.clusterId = response.clusterId;
    this.controllerId = response.controllerId;
    this.updatedAtMs = nowMs;
    for (const topic of response.topics) {
      if (topic.name === null) continue;
      const error = errorOfCode(topic.errorCode);
      if (error === null) this.#update(topic.name, topic);
      else this.#fail(topic.name, error);
    }
  }

  #update(name: string, topic: MetadataResponse['topics'][number]): void {
    const known = this.#topics.get(name);
    if (known) this.#namesById.delete(known.topicId);
    const isSameTopic = known?.topicId === topic.topicId;
    const partitions: PartitionMetadata[] = [];
    for (const partition of topic.partitions) {
      const before = isSameTopic ? known?.partitions[partition.partitionIndex] : undefined;
      partitions[partition.partitionIndex] = newerOf(before, partition);
    }
    this.#topics.set(name, { name, topicId: topic.topicId, isInternal: topic.isInternal, partitions });
    this.#namesById.set(topic.topicId, name);
    this.#errors.delete(name);
  }

  #fail(name: string, error: KafkaError): void {
    // A broker that is only behind may not know a topic yet: what is known stays, unless the topic is said to be gone.
    if (error.name === 'UNKNOWN_TOPIC_OR_PARTITION' || !error.retriable) this.forget(name);
    this.#errors.set(name, error);
  }
}

/** Brokers learn of elections at different times: the answer of one that is behind must not bring an old leader back (KIP-320). */
function newerOf(
  before: PartitionMetadata | undefined,
  answer: MetadataResponse['topics'][number]['partitions'][number],
): PartitionMetadata {
  if (before && answer.leaderEpoch >= 0 && before.leaderEpoch > answer.leaderEpoch) return before;
  return {
    partition: answer.partitionIndex,
    leaderId: answer.leaderId,
    leaderEpoch: answer.leaderEpoch,
    replicas: answer.replicaNodes,
    isr: answer.isrNodes,
    offlineReplicas: answer.offlineReplicas,
  };
}
