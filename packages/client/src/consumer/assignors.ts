import type { TopicPartition } from '../topic-partition.ts';

export type MemberSubscription = {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly topics: readonly string[];
};

/** How the leader of a group shares out partitions (classic protocol). All members have to know it under the same name. */
export type Assignor = {
  readonly name: string;
  /** Partitions by member id. `partitionCounts` has the topics that exist. */
  assign(members: readonly MemberSubscription[], partitionCounts: ReadonlyMap<string, number>): Map<string, TopicPartition[]>;
};

/** Topic by topic, each member a run of neighbouring partitions: equal partitions of two topics meet in one member. */
export const rangeAssignor: Assignor = {
  name: 'range',
  assign(members, partitionCounts) {
    const assignment = emptyAssignment(members);
    for (const [topic, count] of sorted(partitionCounts)) {
      const subscribers = inOrder(members).filter(({ topics }) => topics.includes(topic));
      subscribers.forEach(({ memberId }, place) => {
        const each = Math.floor(count / subscribers.length);
        const larger = count % subscribers.length;
        const first = each * place + Math.min(place, larger);
        const end = first + each + (place < larger ? 1 : 0);
        for (let partition = first; partition < end; partition++) assignment.get(memberId)!.push({ topic, partition });
      });
    }
    return assignment;
  },
};

/** All partitions of all topics are dealt out one by one. */
export const roundRobinAssignor: Assignor = {
  name: 'roundrobin',
  assign(members, partitionCounts) {
    const assignment = emptyAssignment(members);
    const circle = inOrder(members);
    let turn = 0;
    for (const [topic, count] of sorted(partitionCounts)) {
      if (!circle.some(({ topics }) => topics.includes(topic))) continue;
      for (let partition = 0; partition < count; partition++) {
        while (!circle[turn % circle.length]!.topics.includes(topic)) turn++;
        assignment.get(circle[turn++ % circle.length]!.memberId)!.push({ topic, partition });
      }
    }
    return assignment;
  },
};

function emptyAssignment(members: readonly MemberSubscription[]): Map<string, TopicPartition[]> {
  return new Map(members.map(({ memberId }) => [memberId, []]));
}

/** Kafka's order: static members first, by their instance id, so that a restart changes nothing. */
function inOrder(members: readonly MemberSubscription[]): MemberSubscription[] {
  const key = ({ groupInstanceId, memberId }: MemberSubscription): string =>
    groupInstanceId === null ? `1${memberId}` : `0${groupInstanceId}`;
  return [...members].sort((one, other) => (key(one) < key(other) ? -1 : 1));
}

function sorted(partitionCounts: ReadonlyMap<string, number>): [string, number][] {
  return [...partitionCounts].sort(([one], [other]) => (one < other ? -1 : 1));
}
