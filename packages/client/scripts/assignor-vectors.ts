/**
 * assignors-client.jsonl: what Apache Kafka's assignors gave the members of a group of the classic protocol. Where that hung on
 * the order of Java's hash tables (`orderIndependent: false`), the result is held to what any result must be.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Assignor, MemberSubscription } from '../src/assignors/assignor.ts';
import { cooperativeStickyAssignor } from '../src/assignors/cooperative-sticky-assignor.ts';
import { rangeAssignor } from '../src/assignors/range-assignor.ts';
import { roundRobinAssignor } from '../src/assignors/round-robin-assignor.ts';
import { stickyAssignor } from '../src/assignors/sticky-assignor.ts';
import type { TopicPartition } from '../src/topic-partition.ts';

type Pair = [topic: string, partition: number];
type Member = {
  topics: string[];
  owned?: Pair[];
  generation?: number;
  rackId?: string;
  groupInstanceId?: string;
  userDataHex?: string;
};
type Vector = {
  assignor: string;
  scenario: string;
  input: { topics: Record<string, { partitions: number; replicaRacks?: string[][] }>; members: Record<string, Member> };
  assignment: Record<string, Pair[]>;
  orderIndependent: boolean;
};

export const family = { file: 'assignors-client.jsonl', check };

const assignors: readonly Assignor[] = [rangeAssignor, roundRobinAssignor, stickyAssignor, cooperativeStickyAssignor];

/** What is wrong, or nothing. */
export function check(line: string): string | undefined {
  const vector = JSON.parse(line) as Vector;
  const assignor = assignors.find(({ name }) => name === vector.assignor);
  if (!assignor) return `there is no assignor ${vector.assignor}`;
  const problem = wrongUserData(assignor, vector) ?? wrongAssignment(assignor, vector);
  return problem && `${vector.assignor}, ${vector.scenario}: ${problem}`;
}

function wrongUserData(assignor: Assignor, { input }: Vector): string | undefined {
  for (const [memberId, { owned = [], generation = -1, userDataHex }] of Object.entries(input.members)) {
    if (userDataHex === undefined) continue;
    const written = assignor.userDataOf({ partitions: owned.map(partitionOf), generationId: generation });
    const hex = Buffer.from(written ?? []).toString('hex');
    if (hex !== userDataHex) return `${memberId} tells the leader ${hex}, not ${userDataHex}`;
  }
  return undefined;
}

function wrongAssignment(assignor: Assignor, { input, assignment, orderIndependent }: Vector): string | undefined {
  const topics = Object.entries(input.topics);
  const members = Object.entries(input.members).map(([memberId, member]) => subscriptionOf(memberId, member));
  const counts = new Map(topics.map(([topic, { partitions }]) => [topic, partitions]));
  const racks = new Map(topics.flatMap(([topic, { replicaRacks }]) => (replicaRacks ? [[topic, replicaRacks]] : [])));
  const found = Object.fromEntries(
    [...assignor.assign(members, counts, racks)].map(([memberId, partitions]) => [
      memberId,
      partitions.map(({ topic, partition }): Pair => [topic, partition]),
    ]),
  );
  if (!orderIndependent) return wrongForAnyOrder(input, found);
  // Of the range assignor's result the order between topics is that of a hash table.
  const settled = assignor === rangeAssignor ? sorted : (all: Record<string, Pair[]>) => all;
  return isDeepStrictEqual(settled(found), settled(assignment)) ? undefined : `gives ${JSON.stringify(found)}`;
}

function subscriptionOf(
  memberId: string,
  { topics, owned, generation, rackId, groupInstanceId, userDataHex }: Member,
): MemberSubscription {
  return {
    memberId,
    groupInstanceId: groupInstanceId ?? null,
    topics,
    ownedPartitions: (owned ?? []).map(partitionOf),
    generationId: generation ?? -1,
    rackId: rackId ?? null,
    userData: userDataHex === undefined ? null : Uint8Array.from(Buffer.from(userDataHex, 'hex')),
  };
}

/** Every partition has one owner, who subscribes to it; nobody could take one from another who has two more. */
function wrongForAnyOrder({ topics, members }: Vector['input'], found: Record<string, Pair[]>): string | undefined {
  const owners = new Map<string, string>();
  for (const [memberId, pairs] of Object.entries(found)) {
    for (const [topic, partition] of pairs) {
      const name = `${topic}-${partition}`;
      if (owners.has(name)) return `${name} has two owners`;
      if (!members[memberId]!.topics.includes(topic)) return `${memberId} does not subscribe to ${topic}`;
      owners.set(name, memberId);
    }
  }
  for (const [topic, { partitions }] of Object.entries(topics)) {
    const subscribers = Object.keys(members).filter((memberId) => members[memberId]!.topics.includes(topic));
    const fewest = Math.min(...subscribers.map((memberId) => found[memberId]!.length));
    for (let partition = 0; partition < partitions && subscribers.length > 0; partition++) {
      const owner = owners.get(`${topic}-${partition}`);
      if (owner === undefined) return `nobody has ${topic}-${partition}`;
      if (found[owner]!.length > fewest + 1) return `${owner} has ${found[owner]!.length} partitions, another ${fewest}`;
    }
  }
  return undefined;
}

function partitionOf([topic, partition]: Pair): TopicPartition {
  return { topic, partition };
}

function sorted(all: Record<string, Pair[]>): Record<string, Pair[]> {
  const order = ([topic, partition]: Pair, [otherTopic, other]: Pair): number =>
    topic === otherTopic ? partition - other : topic < otherTopic ? -1 : 1;
  return Object.fromEntries(Object.entries(all).map(([memberId, pairs]) => [memberId, [...pairs].sort(order)]));
}
