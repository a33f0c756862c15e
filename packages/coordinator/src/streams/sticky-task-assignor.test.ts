import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AssignableStreamsMember, type AssignableSubtopology, assignTasks } from './sticky-task-assignor.ts';
import { NO_TASKS, type TaskAssignment, type Tasks } from './tasks.ts';

const subtopology = fc.record({
  subtopologyId: fc.constantFrom('0', '1', '2', '10'),
  taskCount: fc.integer({ min: 1, max: 9 }),
  isStateful: fc.boolean(),
});
const topology = fc.uniqueArray(subtopology, { selector: ({ subtopologyId }) => subtopologyId, minLength: 1 });
const someMembers = fc.uniqueArray(
  fc.record({ memberId: fc.stringMatching(/^[a-z]{1,3}$/), processId: fc.constantFrom('p', 'q', 'r') }),
  { selector: ({ memberId }) => memberId, minLength: 1, maxLength: 9 },
);

type Who = { readonly memberId: string; readonly processId: string };

function assign(
  members: readonly Who[],
  subtopologies: readonly AssignableSubtopology[],
  standbyReplicas: number,
  before: ReadonlyMap<string, TaskAssignment> = new Map(),
): Map<string, TaskAssignment> {
  const known = members.map((who): AssignableStreamsMember => ({ ...who, assignment: before.get(who.memberId) ?? NO_TASKS }));
  return assignTasks(known, subtopologies, { standbyReplicas });
}

function names(tasks: Tasks): string[] {
  return [...tasks].flatMap(([id, partitions]) => [...partitions].map((partition) => `${id}_${partition}`)).sort();
}

function count({ active, standby }: TaskAssignment): number {
  return names(active).length + names(standby).length;
}

test('every task is active in one member, and no process has two copies of it', () =>
  fc.assert(
    fc.property(someMembers, topology, fc.nat(2), (members, subtopologies, standbyReplicas) => {
      const given = assign(members, subtopologies, standbyReplicas);
      const active = [...given.values()].flatMap((one) => names(one.active)).sort();
      const all = subtopologies.flatMap(({ subtopologyId, taskCount }) =>
        Array.from({ length: taskCount }, (_, partition) => `${subtopologyId}_${partition}`),
      );
      assert.deepEqual(active, all.sort());
      const processes = [...new Set(members.map(({ processId }) => processId))];
      for (const process of processes) {
        const copies = members
          .filter(({ processId }) => processId === process)
          .flatMap(({ memberId }) => [...names(given.get(memberId)!.active), ...names(given.get(memberId)!.standby)]);
        assert.equal(new Set(copies).size, copies.length, `${process} has ${copies}`);
      }
      const stateful = subtopologies.reduce((sum, one) => sum + (one.isStateful ? one.taskCount : 0), 0);
      const standbys = [...given.values()].reduce((sum, one) => sum + names(one.standby).length, 0);
      assert.equal(standbys, stateful * Math.min(standbyReplicas, processes.length - 1));
    }),
    { numRuns: 500 },
  ));

test('the load is level: of active tasks nobody has two more than another, when each is a process of its own', () =>
  fc.assert(
    fc.property(someMembers, topology, (members, subtopologies) => {
      const alone = members.map(({ memberId }) => ({ memberId, processId: memberId }));
      const loads = [...assign(alone, subtopologies, 0).values()].map(count);
      assert.ok(Math.max(...loads) - Math.min(...loads) <= 1, `${loads}`);
    }),
  ));

test('active tasks stay when nothing changes, and those of who stays do when somebody leaves', () =>
  fc.assert(
    fc.property(someMembers, topology, fc.nat(2), (members, subtopologies, standbyReplicas) => {
      const before = assign(members, subtopologies, standbyReplicas);
      const again = assign(members, subtopologies, standbyReplicas, before);
      for (const [memberId, { active }] of before) assert.deepEqual(names(again.get(memberId)!.active), names(active));
      const [, ...left] = members;
      if (left.length === 0) return;
      const after = assign(left, subtopologies, standbyReplicas, before);
      for (const { memberId } of left) {
        const kept = new Set(names(after.get(memberId)!.active));
        for (const task of names(before.get(memberId)!.active)) assert.ok(kept.has(task), `${memberId} lost ${task}`);
      }
    }),
    { numRuns: 500 },
  ));

test('a task whose member is gone moves to where its standby was', () => {
  const subtopologies = [{ subtopologyId: '0', taskCount: 3, isStateful: true }];
  const members = ['a', 'b', 'c'].map((memberId) => ({ memberId, processId: memberId }));
  const before = assign(members, subtopologies, 1);
  const [leaver] = [...before].find(([, { active }]) => names(active).includes('0_0'))!;
  const [heir] = [...before].find(([, { standby }]) => names(standby).includes('0_0'))!;
  const after = assign(
    members.filter(({ memberId }) => memberId !== leaver),
    subtopologies,
    1,
    before,
  );
  assert.ok(names(after.get(heir)!.active).includes('0_0'));
});

test('nobody is given nothing: without members there is no assignment', () => {
  assert.deepEqual(assignTasks([], [{ subtopologyId: '0', taskCount: 3, isStateful: true }], { standbyReplicas: 1 }), new Map());
});
