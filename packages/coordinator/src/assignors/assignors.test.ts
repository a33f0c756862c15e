import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Uuid, uuidFromBytes } from '@ottla/protocol';
import fc from 'fast-check';
import { check } from '../../scripts/assignor-vectors.ts';
import type { AssignableMember, Assignment, GroupAssignor } from './group-assignor.ts';
import { rangeAssignor } from './range-assignor.ts';
import { simpleAssignor } from './simple-assignor.ts';
import { uniformAssignor } from './uniform-assignor.ts';

for (const file of ['assignors-server.jsonl', 'random/assignors-server.jsonl']) {
  const lines = readFileSync(new URL(`../../vectors/${file}`, import.meta.url), 'utf8')
    .trim()
    .split('\n');
  test(`${lines.length} assignments of Apache Kafka's coordinator agree: ${file}`, () =>
    assert.deepEqual(
      lines.map(check).filter((problem) => problem !== undefined),
      [],
    ));
}

type Counts = ReadonlyMap<Uuid, number>;
type Given = ReadonlyMap<string, Assignment>;

const topicIds = [1, 2, 3, 4].map((at) => uuidFromBytes(Uint8Array.from({ length: 16 }, (_, byte) => at * 37 + byte)));
const anyCounts: fc.Arbitrary<Counts> = fc
  .array(fc.nat(12), { minLength: 1, maxLength: topicIds.length })
  .map((counts) => new Map(counts.map((count, at) => [topicIds[at]!, count])));
const memberIds = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,3}$/), { minLength: 1, maxLength: 8 });
const equalMembers = memberIds.map((ids) => ids.map((id) => member(id, topicIds)));
const anyMembers = fc
  .tuple(memberIds, fc.infiniteStream(fc.subarray(topicIds)))
  .map(([ids, topics]) => ids.map((id) => member(id, topics.next().value)));

function member(memberId: string, topics: readonly Uuid[], assignment: Assignment = new Map()): AssignableMember {
  return { memberId, instanceId: null, subscribedTopicIds: new Set(topics), assignment };
}

function holding(members: readonly AssignableMember[], given: Given): AssignableMember[] {
  return members.map((one) => ({ ...one, assignment: given.get(one.memberId) ?? new Map() }));
}

/** Readers by partition. */
function readersOf(given: Given): Map<string, string[]> {
  const readers = new Map<string, string[]>();
  for (const [memberId, assignment] of given) {
    for (const [topicId, partitions] of assignment) {
      for (const partition of partitions) {
        const name = `${topicId}:${partition}`;
        readers.set(name, [...(readers.get(name) ?? []), memberId]);
      }
    }
  }
  return readers;
}

/** Every partition of a subscribed topic is read, by subscribers only; by one of them unless the assignor shares. */
function assertComplete(given: Given, counts: Counts, members: readonly AssignableMember[], isShared = false): void {
  const readers = readersOf(given);
  assert.deepEqual(
    [...given.keys()],
    members.map(({ memberId }) => memberId),
  );
  let expected = 0;
  for (const [topicId, count] of counts) {
    const subscribers = members.filter((one) => one.subscribedTopicIds.has(topicId)).map(({ memberId }) => memberId);
    for (let partition = 0; partition < (subscribers.length > 0 ? count : 0); partition++) {
      const own = readers.get(`${topicId}:${partition}`) ?? [];
      assert.ok(own.length > 0 && own.every((memberId) => subscribers.includes(memberId)), `${topicId}:${partition} ${own}`);
      assert.ok(isShared || own.length === 1, `${topicId}:${partition} has ${own.length} readers`);
      expected++;
    }
  }
  assert.equal(readers.size, expected);
}

function loadsOf(given: Given): number[] {
  return [...given.values()].map((assignment) => [...assignment.values()].reduce((sum, { length }) => sum + length, 0));
}

function spread(given: Given): number {
  return Math.max(...loadsOf(given)) - Math.min(...loadsOf(given));
}

for (const assignor of [uniformAssignor, rangeAssignor, simpleAssignor]) {
  test(`${assignor.name}: every partition is read by subscribers, also after members and topics changed`, () =>
    fc.assert(
      fc.property(anyCounts, anyCounts, anyMembers, anyMembers, (counts, later, members, others) => {
        const before = assignor.assign(members, counts);
        assertComplete(before, counts, members, assignor === simpleAssignor);
        const changed = holding(others, before);
        assertComplete(assignor.assign(changed, later), later, changed, assignor === simpleAssignor);
      }),
    ));

  test(`${assignor.name}: nothing moves when nothing changes`, () =>
    fc.assert(
      fc.property(anyCounts, anyMembers, (counts, members) => {
        const before = assignor.assign(members, counts);
        assert.deepEqual(readersOf(assignor.assign(holding(members, before), counts)), readersOf(before));
      }),
    ));
}

for (const assignor of [uniformAssignor, simpleAssignor] satisfies GroupAssignor[]) {
  test(`${assignor.name}: equal subscriptions give equal shares`, () =>
    fc.assert(
      fc.property(anyCounts, equalMembers, equalMembers, (counts, members, others) => {
        const before = assignor.assign(members, counts);
        assert.ok(spread(before) <= 1);
        assert.ok(spread(assignor.assign(holding(others, before), counts)) <= 1);
      }),
    ));
}

test('uniform: who stays keeps everything when another leaves', () =>
  fc.assert(
    fc.property(anyCounts, equalMembers, fc.nat(), (counts, members, choice) => {
      fc.pre(members.length > 1);
      const before = uniformAssignor.assign(members, counts);
      const left = members[choice % members.length]!;
      const after = readersOf(
        uniformAssignor.assign(
          holding(
            members.filter((one) => one !== left),
            before,
          ),
          counts,
        ),
      );
      for (const [partition, [owner]] of readersOf(before))
        if (owner !== left.memberId) assert.deepEqual(after.get(partition), [owner]);
    }),
  ));

test('uniform: partitions move only to the member that joins', () =>
  fc.assert(
    fc.property(anyCounts, equalMembers, (counts, members) => {
      const before = uniformAssignor.assign(members, counts);
      const after = uniformAssignor.assign([...holding(members, before), member('joining', topicIds)], counts);
      const owners = readersOf(before);
      for (const [partition, [owner]] of readersOf(after)) {
        if (owner !== owners.get(partition)![0]) assert.equal(owner, 'joining');
      }
    }),
  ));

test('uniform: of different subscriptions nobody has two more than another that could take one', () =>
  fc.assert(
    fc.property(anyCounts, anyMembers, anyMembers, (counts, members, others) => {
      const joined = holding(others, uniformAssignor.assign(members, counts));
      const given = uniformAssignor.assign(joined, counts);
      const load = (memberId: string): number => [...given.get(memberId)!.values()].flat().length;
      for (const [owner, assignment] of given) {
        for (const topicId of assignment.keys()) {
          for (const { memberId, subscribedTopicIds } of joined) {
            if (subscribedTopicIds.has(topicId)) assert.ok(load(memberId) >= load(owner) - 1, `${owner} and ${memberId}`);
          }
        }
      }
    }),
  ));

test('range: members at one place have the same partitions of topics that are alike', () =>
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), equalMembers, (count, members) => {
      const given = rangeAssignor.assign(members, new Map(topicIds.map((topicId) => [topicId, count])));
      for (const assignment of given.values()) {
        for (const topicId of assignment.keys()) assert.deepEqual(assignment.get(topicId), assignment.get(topicIds[0]!));
      }
    }),
  ));

test('simple: with more members than partitions everybody still has something to read', () =>
  fc.assert(
    fc.property(anyCounts, equalMembers, equalMembers, (counts, members, others) => {
      fc.pre([...counts.values()].some((count) => count > 0));
      const before = simpleAssignor.assign(members, counts);
      assert.ok(loadsOf(before).every((load) => load > 0));
      assert.ok(loadsOf(simpleAssignor.assign(holding(others, before), counts)).every((load) => load > 0));
    }),
  ));

test('partitions and topics that are no more are given up', () => {
  const [known, gone] = topicIds;
  const members = [
    member(
      'x',
      [known!, gone!],
      new Map([
        [known!, [0, 5]],
        [gone!, [0]],
      ]),
    ),
  ];
  for (const assignor of [uniformAssignor, rangeAssignor, simpleAssignor]) {
    assert.deepEqual(assignor.assign(members, new Map([[known!, 2]])), new Map([['x', new Map([[known!, [0, 1]]])]]));
    assert.deepEqual(assignor.assign([], new Map([[known!, 2]])), new Map());
  }
});
