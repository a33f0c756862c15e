/**
 * Shares partitions among members that all subscribe to them. A partition has as many readers as it takes to give everybody
 * one, ceil(members / partitions). That makes readers * partitions places, cut evenly: each member has a quota of them.
 *
 * Members keep what they have within their quota, partitions keep the readers that came last, and what is free is dealt in
 * turns to members that have room.
 */
import type { DraftAssignment } from './draft-assignment.ts';
import type { AssignableMember } from './group-assignor.ts';
import type { TopicIdPartition } from './hash-order.ts';

export interface DealingOrder {
  /** A member with too much gives up the first. */
  ofOwned(owned: readonly TopicIdPartition[]): TopicIdPartition[];
  ofFree(free: readonly TopicIdPartition[], total: number): TopicIdPartition[];
}

export function sharePartitions(
  draft: DraftAssignment,
  pool: {
    readonly subscribers: readonly AssignableMember[];
    readonly partitions: readonly TopicIdPartition[];
    readonly order: DealingOrder;
  },
): void {
  const { subscribers, partitions, order } = pool;
  if (partitions.length === 0) return;
  const readersEach = Math.ceil(subscribers.length / partitions.length);
  const places = readersEach * partitions.length;
  const placesBefore = (at: number): number => Math.ceil((at * places) / subscribers.length);
  const readers = new Map<string, string[]>(partitions.map((partition) => [nameOf(partition), []]));
  /** Whatever anybody had, in the order in which they are asked. */
  const owned = new Map<string, TopicIdPartition>();
  const rooms = new Map<string, number>();

  for (const [at, { memberId, assignment }] of subscribers.entries()) {
    const own = [...assignment]
      .flatMap(([topicId, numbers]) => numbers.map((partition) => ({ topicId, partition })))
      .filter((partition) => readers.has(nameOf(partition)));
    const ordered = order.ofOwned(own);
    for (const partition of ordered) owned.set(nameOf(partition), partition);
    const quota = placesBefore(at + 1) - placesBefore(at);
    const kept = ordered.slice(Math.max(0, ordered.length - quota));
    for (const partition of kept) readers.get(nameOf(partition))!.push(memberId);
    rooms.set(memberId, quota - kept.length);
  }
  for (const all of readers.values()) {
    for (const memberId of all.splice(0, Math.max(0, all.length - readersEach))) rooms.set(memberId, rooms.get(memberId)! + 1);
  }

  const neverOwned = partitions.filter((partition) => !owned.has(nameOf(partition)));
  const free = [...neverOwned, ...owned.values()].filter((partition) => readers.get(nameOf(partition))!.length < readersEach);
  const waiting = subscribers.map(({ memberId }) => memberId).filter((memberId) => rooms.get(memberId)! > 0);
  let turn = 0;
  for (const partition of order.ofFree(free, partitions.length)) {
    const own = readers.get(nameOf(partition))!;
    for (let asked = 0; own.length < readersEach && asked < waiting.length; ) {
      turn %= waiting.length;
      const memberId = waiting[turn]!;
      if (own.includes(memberId)) {
        turn++;
        asked++;
        continue;
      }
      own.push(memberId);
      rooms.set(memberId, rooms.get(memberId)! - 1);
      if (rooms.get(memberId) === 0) waiting.splice(turn, 1);
      else turn++;
    }
  }
  for (const partition of partitions) {
    for (const memberId of readers.get(nameOf(partition))!) draft.give(memberId, partition.topicId, partition.partition);
  }
}

function nameOf({ topicId, partition }: TopicIdPartition): string {
  return `${topicId}:${partition}`;
}
