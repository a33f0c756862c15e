/**
 * task-assignor.jsonl: what Apache Kafka's sticky task assignor gave the members of streams groups, round after round. Made by
 * TaskAssignorVectors.java.
 */
import { isDeepStrictEqual } from 'node:util';
import { type AssignableStreamsMember, assignTasks } from '../src/streams/sticky-task-assignor.ts';
import { taskIdsOf, tasksOf } from '../src/streams/tasks.ts';

type Tasks = Record<string, number[]>;

type Vector = {
  subtopologies: [subtopologyId: string, taskCount: number, isStateful: boolean][];
  standbyReplicas: number;
  /** With what they had before. */
  members: Record<string, { processId: string; active: Tasks; standby: Tasks }>;
  given: Record<string, { active: Tasks; standby: Tasks }>;
};

export const family = { file: 'task-assignor.jsonl', check };

/** What is wrong, or nothing. */
export function check(line: string): string | undefined {
  const { subtopologies, standbyReplicas, members, given } = JSON.parse(line) as Vector;
  const found = assignTasks(
    Object.entries(members).map(memberOf),
    subtopologies.map(([subtopologyId, taskCount, isStateful]) => ({ subtopologyId, taskCount, isStateful })),
    { standbyReplicas },
  );
  const printed = Object.fromEntries(
    [...found].map(([memberId, { active, standby }]) => [
      memberId,
      { active: printedTasks(active), standby: printedTasks(standby) },
    ]),
  );
  return isDeepStrictEqual(printed, given) ? undefined : `gives ${JSON.stringify(printed)} instead of ${JSON.stringify(given)}`;
}

function memberOf([memberId, { processId, active, standby }]: [string, Vector['members'][string]]): AssignableStreamsMember {
  return { memberId, processId, assignment: { active: readTasks(active), standby: readTasks(standby) } };
}

function readTasks(tasks: Tasks): ReturnType<typeof tasksOf> {
  return tasksOf(Object.entries(tasks).map(([subtopologyId, partitions]) => ({ subtopologyId, partitions })));
}

function printedTasks(tasks: ReturnType<typeof tasksOf>): Tasks {
  return Object.fromEntries(taskIdsOf(tasks).map(({ subtopologyId, partitions }) => [subtopologyId, partitions]));
}
