/**
 * Members subscribe to different topics. They keep what they have, and free partitions go to whoever has the fewest, topic by
 * topic: first those with the most partitions for a subscriber, because there the least can be made good later. Then partitions
 * of a topic move from the subscriber with the most partitions to the one with the fewest, until a round changes nothing.
 */
import type { Uuid } from '@ottla/protocol';
import { DraftAssignment } from './draft-assignment.ts';
import type { AssignableMember, Assignment } from './group-assignor.ts';

/** Rounds end by themselves; this bounds what a coordinator may spend if they should not. */
const MAX_ROUNDS = 16;

export function balanceTopicByTopic(
  members: readonly AssignableMember[],
  partitionCounts: ReadonlyMap<Uuid, number>,
): Map<string, Assignment> {
  const draft = new DraftAssignment(members);
  const topics = subscribedTopics(members, partitionCounts);
  keepWhatIsSubscribed(draft, members, partitionCounts);
  for (const topic of topics) giveFree(draft, topic);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const moves = topics.reduce((sum, topic) => sum + levelTopic(draft, topic), 0);
    if (moves === 0) break;
  }
  return draft.finish();
}

interface Topic {
  readonly topicId: Uuid;
  readonly partitionCount: number;
  /** Member ids, in the order of the group. */
  readonly subscribers: readonly string[];
}

function subscribedTopics(members: readonly AssignableMember[], partitionCounts: ReadonlyMap<Uuid, number>): Topic[] {
  const subscribers = new Map<Uuid, string[]>([...partitionCounts.keys()].map((topicId) => [topicId, []]));
  for (const { memberId, subscribedTopicIds } of members) {
    for (const topicId of subscribedTopicIds) subscribers.get(topicId)?.push(memberId);
  }
  const topics = [...partitionCounts].map(([topicId, partitionCount]) => {
    return { topicId, partitionCount, subscribers: subscribers.get(topicId)! };
  });
  const share = (topic: Topic): number => topic.partitionCount / topic.subscribers.length;
  return topics
    .filter((topic) => topic.subscribers.length > 0)
    .sort((one, other) => share(other) - share(one) || one.subscribers.length - other.subscribers.length);
}

function keepWhatIsSubscribed(
  draft: DraftAssignment,
  members: readonly AssignableMember[],
  partitionCounts: ReadonlyMap<Uuid, number>,
): void {
  for (const { memberId, subscribedTopicIds, assignment } of members) {
    for (const [topicId, partitions] of assignment) {
      const count = subscribedTopicIds.has(topicId) ? (partitionCounts.get(topicId) ?? 0) : 0;
      for (const partition of partitions) if (partition < count) draft.give(memberId, topicId, partition);
    }
  }
}

/** One after the other to the subscriber with the fewest partitions; of equals, to who had the fewest before, then by order. */
function giveFree(draft: DraftAssignment, { topicId, partitionCount, subscribers }: Topic): void {
  const taken = new Set(subscribers.flatMap((memberId) => [...draft.partitionsOf(memberId, topicId)]));
  const order = byLoad(draft, subscribers);
  for (let partition = 0; partition < partitionCount; partition++) {
    if (!taken.has(partition)) draft.give(leastLoaded(draft, order), topicId, partition);
  }
}

/**
 * Returns how many partitions moved. Of equals the last in order gives first. Who has none of the topic to give leaves, and the
 * last takes its place: a detail that decides ties as Kafka does.
 */
function levelTopic(draft: DraftAssignment, { topicId, subscribers }: Topic): number {
  const givers = byLoad(draft, subscribers);
  const takers = [...givers];
  let moves = 0;
  for (;;) {
    const to = leastLoaded(draft, takers);
    const at = lastMostLoaded(draft, givers);
    const from = givers[at];
    if (from === undefined || draft.load(from) - draft.load(to) < 2) return moves;
    const partitions = draft.partitionsOf(from, topicId);
    if (partitions.size === 0) {
      givers[at] = givers.at(-1)!;
      givers.pop();
      continue;
    }
    const partition = Math.max(...partitions);
    draft.take(from, topicId, partition);
    draft.give(to, topicId, partition);
    moves++;
  }
}

function byLoad(draft: DraftAssignment, memberIds: readonly string[]): string[] {
  return [...memberIds].sort((one, other) => draft.load(one) - draft.load(other));
}

function leastLoaded(draft: DraftAssignment, memberIds: readonly string[]): string {
  return memberIds.reduce((least, memberId) => (draft.load(memberId) < draft.load(least) ? memberId : least));
}

/** -1 if there is nobody. */
function lastMostLoaded(draft: DraftAssignment, memberIds: readonly string[]): number {
  let most = -1;
  for (const [at, memberId] of memberIds.entries()) {
    if (most < 0 || draft.load(memberId) >= draft.load(memberIds[most]!)) most = at;
  }
  return most;
}
