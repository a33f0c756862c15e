import { type ErrorName, KafkaError } from '@ottla/protocol';
import type { Partition } from '../replication/partition.ts';
import type { Partitions } from '../replication/partitions.ts';
import type { GroupSharing } from './group-sharing.ts';
import { Share, type ShareSurroundings } from './share.ts';
import type { SharedPartitionName } from './share-session.ts';

/**
 * The shares of this broker: each partition that it leads, as each share group consumes it. One is loaded when a member first fetches from
 * it, and forgotten when the last session of its group ends, or when it turns out to be out of date.
 */
export class Shares {
  readonly #partitions: Partitions;
  readonly #sharing: (groupId: string) => GroupSharing;
  readonly #around: ShareSurroundings;
  readonly #byGroup = new Map<string, Map<string, Share>>();

  constructor({
    partitions,
    sharing,
    ...around
  }: ShareSurroundings & { partitions: Partitions; sharing: (groupId: string) => GroupSharing }) {
    this.#partitions = partitions;
    this.#sharing = sharing;
    this.#around = around;
  }

  get size(): number {
    let size = 0;
    for (const shares of this.#byGroup.values()) size += shares.size;
    return size;
  }

  sharingOf(groupId: string): GroupSharing {
    return this.#sharing(groupId);
  }

  get(groupId: string, topicId: string, index: number): Share | undefined {
    return this.#byGroup.get(groupId)?.get(keyOf(topicId, index));
  }

  ofGroup(groupId: string): Iterable<Share> {
    return this.#byGroup.get(groupId)?.values() ?? [];
  }

  /**
   * Begins to load it if it is not here. What is wrong is returned and not thrown: a session may ask for thousands that are not here, each time.
   * UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR, NOT_LEADER_OR_FOLLOWER.
   */
  open(groupId: string, { topicId, index, ...name }: SharedPartitionName): Share | ErrorName {
    const topic = this.#partitions.topicName(topicId) ?? name.topic;
    if (topic === undefined) return 'UNKNOWN_TOPIC_ID';
    const partition = this.#partitions.get(topic, index);
    if (!partition) return this.#partitions.failureOf(topic, index) ?? 'UNKNOWN_TOPIC_OR_PARTITION';
    if (!partition.isLeader) return 'NOT_LEADER_OR_FOLLOWER';
    if (partition.topicId !== topicId) return 'UNKNOWN_TOPIC_ID';
    const known = this.get(groupId, topicId, index);
    if (known) {
      known.isNeeded = true;
      return known;
    }
    let shares = this.#byGroup.get(groupId);
    if (!shares) this.#byGroup.set(groupId, (shares = new Map()));
    const options = {
      groupId,
      partition,
      sharing: () => this.#sharing(groupId),
      onClosed: (closed: Share) => this.#forget(closed),
    };
    const share = new Share(options, this.#around);
    shares.set(keyOf(topicId, index), share);
    return share;
  }

  /** UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR, NOT_LEADER_OR_FOLLOWER; undefined for a replica that is here. */
  failureOf(topicId: string, index: number): ErrorName | undefined {
    const topic = this.#partitions.topicName(topicId);
    return topic === undefined ? 'UNKNOWN_TOPIC_ID' : this.#partitions.failureOf(topic, index);
  }

  /** The replica on this broker, whoever leads it. */
  partitionOf({ topic, topicId, index }: SharedPartitionName): Partition | undefined {
    const name = this.#partitions.topicName(topicId) ?? topic;
    return name === undefined ? undefined : this.#partitions.get(name, index);
  }

  /** Nobody of the group is here: its state is the share coordinator's again, once what is under way is written. */
  leaveGroup(groupId: string): void {
    for (const share of [...(this.#byGroup.get(groupId)?.values() ?? [])]) share.isNeeded = false;
  }

  /** The broker stops. */
  closeAll(): void {
    const reason = new KafkaError('NOT_LEADER_OR_FOLLOWER', 'this broker stops: refresh metadata');
    for (const shares of [...this.#byGroup.values()]) for (const share of [...shares.values()]) share.close(reason);
  }

  #forget({ groupId, partition }: Share): void {
    const shares = this.#byGroup.get(groupId);
    shares?.delete(keyOf(partition.topicId, partition.index));
    if (shares?.size === 0) this.#byGroup.delete(groupId);
  }
}

function keyOf(topicId: string, index: number): string {
  return `${topicId}:${index}`;
}
