/**
 * How the coordinator shares the partitions of topics among the members of a group (KIP-848, KIP-932). Pure: the same group in
 * the same order gives the same result. The order of the members decides who gets the odd partition.
 */
import type { Uuid } from '@ottla/protocol';

export interface AssignableMember {
  readonly memberId: string;
  /** Static membership: ranges are in the order of these, so that a member which comes back finds its place. */
  readonly instanceId: string | null;
  /** Resolved names and regexes; a topic that does not exist may be among them. */
  readonly subscribedTopicIds: ReadonlySet<Uuid>;
  /** What it was to have until now, in the order to keep it. */
  readonly assignment: Assignment;
}

/** Partition numbers by topic. */
export type Assignment = ReadonlyMap<Uuid, readonly number[]>;

export interface GroupAssignor {
  readonly name: string;
  /**
   * What each member is to have, by member id; everyone has an entry. `partitionCounts` has the topics that exist, in the order
   * in which they are dealt.
   */
  assign(members: readonly AssignableMember[], partitionCounts: ReadonlyMap<Uuid, number>): Map<string, Assignment>;
}

/** Everybody subscribes to the same topics, of those that exist. */
export function haveEqualSubscriptions(members: readonly AssignableMember[], topics: ReadonlyMap<Uuid, unknown>): boolean {
  const [first, ...others] = members.map(({ subscribedTopicIds }) => subscribedTopicIds);
  return [...topics.keys()].every((topicId) => others.every((subscribed) => subscribed.has(topicId) === first!.has(topicId)));
}

/** The order of partitions does not matter. */
export function sameAssignment(left: Assignment, right: Assignment): boolean {
  if (left === right) return true;
  if (left.size !== right.size) return false;
  for (const [topicId, partitions] of left) {
    const others = right.get(topicId);
    if (others === undefined || others.length !== partitions.length) return false;
    const known = new Set(others);
    if (!partitions.every((partition) => known.has(partition))) return false;
  }
  return true;
}
