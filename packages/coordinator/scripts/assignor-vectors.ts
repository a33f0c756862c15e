/**
 * assignors-server.jsonl: what Apache Kafka's assignors gave the members of consumer and share groups. A result may hang on the
 * order in which the coordinator happened to go through members and topics: each line says which one was in force.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Uuid } from '@ottla/protocol';
import type { AssignableMember } from '../src/assignors/group-assignor.ts';
import { rangeAssignor } from '../src/assignors/range-assignor.ts';
import { simpleAssignor } from '../src/assignors/simple-assignor.ts';
import { uniformAssignor } from '../src/assignors/uniform-assignor.ts';

type Vector = {
  assignor: string;
  scenario: string;
  input: {
    topics: Record<string, { partitions: number; topicId: Uuid }>;
    members: Record<string, { topics: string[]; owned?: [topic: string, partition: number][]; groupInstanceId?: string }>;
  };
  memberOrder: string[];
  topicOrder: string[];
  assignment: Record<string, Record<string, number[]>>;
};

export const family = { file: 'assignors-server.jsonl', check };

const assignors = [uniformAssignor, rangeAssignor, simpleAssignor];

/** What is wrong, or nothing. */
export function check(line: string): string | undefined {
  const { assignor: name, scenario, input, memberOrder, topicOrder, assignment } = JSON.parse(line) as Vector;
  const assignor = assignors.find((candidate) => candidate.name === name);
  if (!assignor) return `there is no assignor ${name}`;
  const topics = topicOrder.filter((topic) => input.topics[topic]).map((topic) => [topic, input.topics[topic]!] as const);
  const nameOf = new Map(topics.map(([topic, { topicId }]) => [topicId, topic]));
  const members = memberOrder.map((memberId) => memberOf(memberId, input));
  const given = assignor.assign(members, new Map(topics.map(([, { topicId, partitions }]) => [topicId, partitions])));
  const found = Object.fromEntries(
    [...given].map(([memberId, parts]) => [
      memberId,
      Object.fromEntries([...parts].map(([topicId, partitions]) => [nameOf.get(topicId)!, partitions])),
    ]),
  );
  return isDeepStrictEqual(found, assignment) ? undefined : `${name}, ${scenario}: gives ${JSON.stringify(found)}`;
}

function memberOf(memberId: string, { topics, members }: Vector['input']): AssignableMember {
  const { topics: subscribed, owned = [], groupInstanceId } = members[memberId]!;
  const assignment = new Map<Uuid, number[]>();
  for (const [topic, partition] of owned) {
    const { topicId } = topics[topic]!;
    assignment.set(topicId, [...(assignment.get(topicId) ?? []), partition]);
  }
  return {
    memberId,
    instanceId: groupInstanceId ?? null,
    subscribedTopicIds: new Set(subscribed.flatMap((topic) => topics[topic]?.topicId ?? [])),
    assignment,
  };
}
