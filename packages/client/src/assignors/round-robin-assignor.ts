/** All partitions of all topics, dealt out one by one; a member that did not subscribe to the topic is skipped. */
import type { TopicPartition } from '../topic-partition.ts';
import {
  type Assignor,
  compareMembers,
  compareText,
  type MemberSubscription,
  noUserData,
  partitionsOfTopic,
} from './assignor.ts';

export const roundRobinAssignor: Assignor = {
  name: 'roundrobin',
  rebalanceProtocol: 'eager',
  userDataOf: noUserData,
  assign,
};

function assign(
  members: readonly MemberSubscription[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, TopicPartition[]> {
  const assignment = new Map<string, TopicPartition[]>(members.map(({ memberId }) => [memberId, []]));
  const circle = [...members].sort(compareMembers).map(({ memberId, topics: names }) => ({ memberId, topics: new Set(names) }));
  const subscribed = new Set(circle.flatMap((member) => [...member.topics]));
  let at = 0;
  for (const topic of [...subscribed].filter((name) => partitionCounts.has(name)).sort(compareText)) {
    for (const partition of partitionsOfTopic(topic, partitionCounts.get(topic)!)) {
      while (!circle[at % circle.length]!.topics.has(topic)) at++;
      assignment.get(circle[at % circle.length]!.memberId)!.push(partition);
      at++;
    }
  }
  return assignment;
}
