/**
 * Each topic is cut into ranges of consecutive partitions, one for each of its subscribers in order; the first ones get one
 * more when it does not come out even. So topics with equal partitions and subscribers are cut alike, and who joins them by
 * key finds both sides at one member.
 *
 * Where racks matter, a member first gets partitions that it can read nearby, within the size of its range (KIP-881), and
 * topics that are cut alike stay so.
 */
import type { TopicPartition } from '../topic-partition.ts';
import {
  type Assignor,
  compareMembers,
  compareText,
  type MemberSubscription,
  noUserData,
  type ReplicaRacks,
} from './assignor.ts';
import { RackMatching } from './rack-matching.ts';

export const rangeAssignor: Assignor = {
  name: 'range',
  rebalanceProtocol: 'eager',
  userDataOf: noUserData,
  assign,
};

function assign(
  members: readonly MemberSubscription[],
  partitionCounts: ReadonlyMap<string, number>,
  replicaRacks?: ReplicaRacks,
): Map<string, TopicPartition[]> {
  const assignment = new Map<string, TopicPartition[]>(members.map(({ memberId }) => [memberId, []]));
  const cuts = cutsOf(members, partitionCounts);
  const racks = new RackMatching(partitionCounts, replicaRacks);
  const racksMatter = ({ topic, given }: Cut): boolean => racks.matterFor([topic], given.keys());
  if (cuts.some(racksMatter)) {
    for (const alike of cutAlike(cuts)) {
      if (alike.length > 1) giveNearbyTogether(alike, racks);
      else for (const cut of alike.filter(racksMatter)) giveNearby(cut, racks);
    }
  }
  for (const cut of cuts) {
    giveRanges(cut);
    for (const [member, partitions] of cut.given) {
      partitions.sort((one, other) => one - other);
      assignment.get(member.memberId)!.push(...partitions.map((partition) => ({ topic: cut.topic, partition })));
    }
  }
  return assignment;
}

/** One topic on its way to being cut. */
interface Cut {
  readonly topic: string;
  readonly partitionCount: number;
  readonly given: Map<MemberSubscription, number[]>;
  /** Partitions that nobody has yet. */
  readonly free: Set<number>;
  readonly smallRange: number;
  /** How many members may still get one more than the small range. */
  largeRanges: number;
}

function cutsOf(members: readonly MemberSubscription[], partitionCounts: ReadonlyMap<string, number>): Cut[] {
  const subscribers = new Map<string, MemberSubscription[]>();
  for (const member of [...members].sort(compareMembers)) {
    for (const topic of new Set(member.topics)) {
      const others = subscribers.get(topic);
      if (others) others.push(member);
      else subscribers.set(topic, [member]);
    }
  }
  const names = [...subscribers.keys()].filter((topic) => partitionCounts.has(topic)).sort(compareText);
  return names.map((topic) => {
    const partitionCount = partitionCounts.get(topic)!;
    const own = subscribers.get(topic)!;
    return {
      topic,
      partitionCount,
      given: new Map(own.map((member) => [member, []])),
      free: new Set(Array.from({ length: partitionCount }, (_, at) => at)),
      smallRange: Math.floor(partitionCount / own.length),
      largeRanges: partitionCount % own.length,
    };
  });
}

/** Topics with as many partitions and the same subscribers. */
function cutAlike(cuts: readonly Cut[]): Cut[][] {
  const groups = Map.groupBy(cuts, ({ partitionCount, given }) =>
    JSON.stringify([partitionCount, ...[...given.keys()].map(({ memberId }) => memberId)]),
  );
  return [...groups.values()];
}

function giveNearbyTogether(alike: readonly Cut[], racks: RackMatching): void {
  const [first] = alike;
  for (let partition = 0; partition < first!.partitionCount; partition++) {
    const member = [...first!.given.keys()].find((candidate) =>
      alike.every((cut) => room(cut, candidate) > 0 && racks.matches(candidate, { topic: cut.topic, partition })),
    );
    if (member) for (const cut of alike) give(cut, member, [partition]);
  }
}

function giveNearby(cut: Cut, racks: RackMatching): void {
  for (const member of cut.given.keys()) {
    const nearby = [...cut.free].filter((partition) => racks.matches(member, { topic: cut.topic, partition }));
    give(cut, member, nearby.slice(0, room(cut, member)));
  }
}

function giveRanges(cut: Cut): void {
  for (const member of cut.given.keys()) give(cut, member, [...cut.free].slice(0, room(cut, member)));
}

function room({ given, smallRange, largeRanges }: Cut, member: MemberSubscription): number {
  return Math.max(0, smallRange + (largeRanges > 0 ? 1 : 0) - given.get(member)!.length);
}

function give(cut: Cut, member: MemberSubscription, partitions: readonly number[]): void {
  const own = cut.given.get(member)!;
  own.push(...partitions);
  for (const partition of partitions) cut.free.delete(partition);
  if (partitions.length > 0 && own.length > cut.smallRange) cut.largeRanges--;
}
