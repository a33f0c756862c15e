import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ConsumerProtocolSubscription, readSubscription, writeSubscription } from '@ottla/protocol';
import fc from 'fast-check';
import { check } from '../../scripts/assignor-vectors.ts';
import { partitionName, type TopicPartition } from '../topic-partition.ts';
import { type Assignor, type MemberSubscription, memberSubscriptionOf, nestedByTopic } from './assignor.ts';
import { cooperativeStickyAssignor } from './cooperative-sticky-assignor.ts';
import { rangeAssignor } from './range-assignor.ts';
import { roundRobinAssignor } from './round-robin-assignor.ts';
import { readStickyUserData, stickyAssignor } from './sticky-assignor.ts';

for (const file of ['assignors-client.jsonl', 'random/assignors-client.jsonl']) {
  const lines = readFileSync(new URL(`../../vectors/${file}`, import.meta.url), 'utf8')
    .trim()
    .split('\n');
  test(`${lines.length} assignments of Apache Kafka's clients agree: ${file}`, () =>
    assert.deepEqual(
      lines.map(check).filter((problem) => problem !== undefined),
      [],
    ));
}

type Topics = ReadonlyMap<string, number>;
type Assignment = Map<string, TopicPartition[]>;

const all = [rangeAssignor, roundRobinAssignor, stickyAssignor, cooperativeStickyAssignor];
const sticky = [stickyAssignor, cooperativeStickyAssignor];
const topicNames = ['a', 'b', 'c', 'd'];
const racks = ['r1', 'r2', 'r3'];

const anyTopics = fc
  .array(fc.nat(9), { minLength: 1, maxLength: topicNames.length })
  .map((counts) => new Map(counts.map((count, at) => [topicNames[at]!, count])));
const anyRacks = fc.array(fc.array(fc.subarray(racks, { minLength: 1 }), { minLength: 9, maxLength: 9 }), {
  minLength: topicNames.length,
  maxLength: topicNames.length,
});
const memberIds = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,3}$/), { minLength: 1, maxLength: 7 });

function member(memberId: string, topics: readonly string[], rackId: string | null = null): MemberSubscription {
  return { memberId, groupInstanceId: null, topics, ownedPartitions: [], generationId: -1, rackId, userData: null };
}

const equalMembers = memberIds.map((ids) => ids.map((id) => member(id, topicNames)));
const anyMembers = fc
  .tuple(memberIds, fc.infiniteStream(fc.subarray(topicNames)), fc.infiniteStream(fc.option(fc.constantFrom(...racks))))
  .map(([ids, topics, own]) => ids.map((id) => member(id, topics.next().value, own.next().value)));

/** What a member says of itself in the next rebalance. */
function rejoining(assignor: Assignor, before: MemberSubscription, partitions: readonly TopicPartition[], generationId: number) {
  const ownedPartitions = assignor.rebalanceProtocol === 'cooperative' ? nestedByTopic(partitions) : [];
  const userData = assignor.userDataOf({ partitions, generationId });
  const sent = writeSubscription(
    { topics: [...before.topics], ownedPartitions, generationId, userData, rackId: before.rackId },
    ConsumerProtocolSubscription.maxVersion,
  );
  return memberSubscriptionOf(before, readSubscription(sent));
}

function ownersOf(assignment: Assignment): Map<string, string> {
  const owners = new Map<string, string>();
  for (const [memberId, partitions] of assignment) {
    for (const partition of partitions) {
      assert.ok(!owners.has(partitionName(partition)), `${partitionName(partition)} has two owners`);
      owners.set(partitionName(partition), memberId);
    }
  }
  return owners;
}

function assertComplete(assignment: Assignment, topics: Topics, members: readonly MemberSubscription[]): void {
  const owners = ownersOf(assignment);
  let expected = 0;
  for (const [topic, count] of topics) {
    const subscribers = members.filter((one) => one.topics.includes(topic)).map(({ memberId }) => memberId);
    for (let partition = 0; partition < (subscribers.length > 0 ? count : 0); partition++) {
      assert.ok(subscribers.includes(owners.get(`${topic}-${partition}`)!), `${topic}-${partition}`);
      expected++;
    }
  }
  assert.equal(owners.size, expected);
}

function spread(assignment: Assignment): number {
  const loads = [...assignment.values()].map(({ length }) => length);
  return Math.max(...loads) - Math.min(...loads);
}

for (const assignor of all) {
  test(`${assignor.name}: every partition goes to one subscriber, whatever the racks, the same each time`, () =>
    fc.assert(
      fc.property(anyTopics, anyMembers, anyRacks, (topics, members, named) => {
        const replicaRacks = new Map([...topics.keys()].map((topic, at) => [topic, named[at]!]));
        const assignment = assignor.assign(members, topics, replicaRacks);
        assert.deepEqual(
          [...assignment.keys()],
          members.map(({ memberId }) => memberId),
        );
        assertComplete(assignment, topics, members);
        assert.deepEqual(assignor.assign(members, topics, replicaRacks), assignment);
      }),
    ));
}

for (const assignor of [roundRobinAssignor, ...sticky]) {
  test(`${assignor.name}: equal subscriptions give equal shares`, () =>
    fc.assert(
      fc.property(anyTopics, equalMembers, (topics, members) => assert.ok(spread(assignor.assign(members, topics)) <= 1)),
    ));
}

test('range: members at one place have the same partitions of topics that are alike', () =>
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), equalMembers, (count, members) => {
      const topics = new Map(topicNames.map((topic) => [topic, count]));
      for (const partitions of rangeAssignor.assign(members, topics).values()) {
        const numbers = topicNames.map((name) =>
          partitions.filter(({ topic }) => topic === name).map(({ partition }) => partition),
        );
        for (const own of numbers) assert.deepEqual(own, numbers[0]);
      }
    }),
  ));

for (const assignor of sticky) {
  test(`${assignor.name}: nothing moves when nothing changes`, () =>
    fc.assert(
      fc.property(anyTopics, anyMembers, (topics, members) => {
        const before = assignor.assign(members, topics);
        const again = members.map((one) => rejoining(assignor, one, before.get(one.memberId)!, 1));
        assert.deepEqual(ownersOf(assignor.assign(again, topics)), ownersOf(before));
      }),
    ));

  test(`${assignor.name}: who stays keeps everything when another leaves`, () =>
    fc.assert(
      fc.property(anyTopics, equalMembers, fc.nat(), (topics, members, choice) => {
        fc.pre(members.length > 1);
        const before = assignor.assign(members, topics);
        const left = members[choice % members.length]!;
        const staying = members
          .filter((one) => one !== left)
          .map((one) => rejoining(assignor, one, before.get(one.memberId)!, 1));
        const after = assignor.assign(staying, topics);
        assertComplete(after, topics, staying);
        assert.ok(spread(after) <= 1);
        const owners = ownersOf(after);
        for (const [partition, owner] of ownersOf(before))
          if (owner !== left.memberId) assert.equal(owners.get(partition), owner);
      }),
    ));
}

test('sticky: partitions move only to the member that joins, and no more than its share', () =>
  fc.assert(
    fc.property(anyTopics, equalMembers, (topics, members) => {
      const before = stickyAssignor.assign(members, topics);
      const joined = [
        ...members.map((one) => rejoining(stickyAssignor, one, before.get(one.memberId)!, 1)),
        member('joining', topicNames),
      ];
      const after = stickyAssignor.assign(joined, topics);
      assertComplete(after, topics, joined);
      assert.ok(spread(after) <= 1);
      const owners = ownersOf(before);
      for (const [partition, owner] of ownersOf(after)) if (owner !== owners.get(partition)) assert.equal(owner, 'joining');
    }),
  ));

/** Rebalances that it takes until nothing is left out, each begun with what the one before gave. */
function rebalances(topics: Topics, members: readonly MemberSubscription[], holding: Assignment): number {
  let held = holding;
  for (let count = 1; ; count++) {
    assert.ok(count < 10, 'it does not settle');
    const holders = ownersOf(held);
    const own = (one: MemberSubscription) => held.get(one.memberId);
    const joining = members.map((one) => (own(one) ? rejoining(cooperativeStickyAssignor, one, own(one)!, count) : one));
    held = cooperativeStickyAssignor.assign(joining, topics);
    const owners = ownersOf(held);
    for (const [partition, owner] of owners)
      assert.ok([undefined, owner].includes(holders.get(partition)), 'still held by another');
    const expected = [...topics].filter(([topic]) => members.some((one) => one.topics.includes(topic)));
    if (owners.size < expected.reduce((sum, [, partitions]) => sum + partitions, 0)) continue;
    assertComplete(held, topics, members);
    return count;
  }
}

test('cooperative-sticky: nobody is given what another holds; two rebalances complete a move among equals', () =>
  fc.assert(
    fc.property(anyTopics, equalMembers, memberIds, (topics, members, ids) => {
      const before = cooperativeStickyAssignor.assign(members, topics);
      const joining = ids.filter((id) => !before.has(id)).map((id) => member(id, topicNames));
      assert.ok(rebalances(topics, [...members, ...joining], before) <= 2);
    }),
  ));

test('cooperative-sticky: groups with different subscriptions settle too', () =>
  fc.assert(
    fc.property(anyTopics, anyMembers, anyMembers, (topics, members, others) => {
      const before = cooperativeStickyAssignor.assign(members, topics);
      rebalances(topics, [...members, ...others.filter(({ memberId }) => !before.has(memberId))], before);
    }),
  ));

test('sticky: different subscriptions are balanced as far as they allow', () =>
  fc.assert(
    fc.property(anyTopics, anyMembers, (topics, members) => {
      const assignment = stickyAssignor.assign(members, topics);
      for (const [owner, partitions] of assignment) {
        for (const { topic } of partitions) {
          for (const other of members.filter((one) => one.topics.includes(topic))) {
            assert.ok(assignment.get(other.memberId)!.length >= assignment.get(owner)!.length - 1);
          }
        }
      }
    }),
  ));

test('sticky: the later generation wins a partition that two members claim; within one generation neither does', () => {
  const topics = new Map([['a', 2]]);
  const claim = (memberId: string, generationId: number, partitions: number[]) =>
    rejoining(
      stickyAssignor,
      member(memberId, ['a']),
      partitions.map((partition) => ({ topic: 'a', partition })),
      generationId,
    );
  const later = stickyAssignor.assign([claim('x', 1, [0]), claim('y', 2, [0])], topics);
  assert.deepEqual(later.get('y'), [{ topic: 'a', partition: 0 }]);
  const disputed = cooperativeStickyAssignor.assign(
    [1, 2].map((at) => rejoining(cooperativeStickyAssignor, member(`m${at}`, ['a']), [{ topic: 'a', partition: 0 }], 3)),
    topics,
  );
  assert.deepEqual([...ownersOf(disputed).keys()], ['a-1'], 'both may still read a-0');
});

test('sticky: user data round-trips, and what makes no sense counts as none', () => {
  const partitions = [
    { topic: 'b', partition: 3 },
    { topic: 'a', partition: 0 },
  ];
  assert.deepEqual(readStickyUserData(stickyAssignor.userDataOf({ partitions, generationId: 7 })!), {
    partitions,
    generationId: 7,
  });
  assert.equal(stickyAssignor.userDataOf({ partitions: [], generationId: -1 }), null);
  fc.assert(
    fc.property(fc.uint8Array(), (userData) => {
      for (const assignor of sticky) {
        const members = [{ ...member('x', ['a']), userData }, member('y', ['a'])];
        assertComplete(assignor.assign(members, new Map([['a', 4]])), new Map([['a', 4]]), members);
      }
    }),
  );
});

test('a group without members, and topics without partitions, need no assignment', () => {
  for (const assignor of all) {
    assert.deepEqual(assignor.assign([], new Map([['a', 3]])), new Map());
    assert.deepEqual(assignor.assign([member('x', ['a', 'unknown'])], new Map([['a', 0]])), new Map([['x', []]]));
  }
});
