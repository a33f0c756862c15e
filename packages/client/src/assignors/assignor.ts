/**
 * How the leader of a classic consumer group shares the partitions among its members. An assignor is a pure function: whoever
 * leads computes the same, and nothing is remembered between two calls but what members say of themselves.
 */
import type { ConsumerProtocolSubscription } from '@ottla/protocol';
import { groupByTopic, type TopicPartition } from '../topic-partition.ts';

/** What a member told the group when it joined. */
export type MemberSubscription = {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly topics: readonly string[];
  /** What it holds while the group rebalances; nothing if it gave up everything first. */
  readonly ownedPartitions?: readonly TopicPartition[];
  /** When it was given them; -1: unknown. */
  readonly generationId?: number;
  readonly rackId?: string | null;
  readonly userData?: Uint8Array | null;
};

/** The racks that hold a replica, by topic and partition number. Partitions without an entry are in no rack. */
export type ReplicaRacks = ReadonlyMap<string, readonly (readonly string[])[]>;

/** What a member knows of itself when it joins. */
export type OwnAssignment = {
  /** The last ones it was given, whether or not it still holds them. */
  readonly partitions: readonly TopicPartition[];
  /** -1: it was never given any. */
  readonly generationId: number;
};

export type Assignor = {
  /** As in `partition.assignment.strategy`, and as the group votes for it. All members know it under the same name. */
  readonly name: string;
  /** `cooperative`: members keep what they hold while they rejoin, and a partition moves in two rebalances (KIP-429). */
  readonly rebalanceProtocol: 'eager' | 'cooperative';
  /** What a member tells the leader beside its subscription; null: nothing. */
  userDataOf(own: OwnAssignment): Uint8Array | null;
  /**
   * Partitions by member id, in the order of `members`. `partitionCounts` has the topics that exist; others are left out, and
   * assigned by the rebalance that their creation triggers.
   */
  assign(
    members: readonly MemberSubscription[],
    partitionCounts: ReadonlyMap<string, number>,
    replicaRacks?: ReplicaRacks,
  ): Map<string, TopicPartition[]>;
};

/** What assignors answer that need to know nothing of members but their subscription. */
export function noUserData(): null {
  return null;
}

/** A member as it arrives in JoinGroup's answer to the leader. */
export function memberSubscriptionOf(
  { memberId, groupInstanceId }: { readonly memberId: string; readonly groupInstanceId: string | null },
  subscription: ConsumerProtocolSubscription,
): MemberSubscription {
  const { topics, generationId, rackId, userData } = subscription;
  return {
    memberId,
    groupInstanceId,
    topics,
    ownedPartitions: flatPartitions(subscription.ownedPartitions),
    generationId,
    rackId,
    userData,
  };
}

/** Partitions as the consumer protocol nests them. */
export function nestedByTopic(partitions: Iterable<TopicPartition>): { topic: string; partitions: number[] }[] {
  return [...groupByTopic(partitions)].map(([topic, of]) => ({ topic, partitions: of.map(({ partition }) => partition) }));
}

export function flatPartitions(
  nested: Iterable<{ readonly topic: string; readonly partitions: readonly number[] }>,
): TopicPartition[] {
  return [...nested].flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })));
}

export function partitionsOfTopic(topic: string, count: number): TopicPartition[] {
  return Array.from({ length: count }, (_, partition) => ({ topic, partition }));
}

/** By code unit, as Java compares strings. */
export function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** Static members come first, by their instance id, so that a restart with a new member id changes nothing. */
export function compareMembers(one: MemberSubscription, other: MemberSubscription): number {
  if (one.groupInstanceId !== null && other.groupInstanceId !== null) {
    return compareText(one.groupInstanceId, other.groupInstanceId);
  }
  if (one.groupInstanceId !== null) return -1;
  if (other.groupInstanceId !== null) return 1;
  return compareText(one.memberId, other.memberId);
}
