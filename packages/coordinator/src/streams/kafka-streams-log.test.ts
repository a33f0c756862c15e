import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { batchesOf } from '@ottla/protocol';
import { decodeGroupRecord, encodeGroupRecord } from '../group-record.ts';
import { currentAssignmentRecord, metadataRecord } from './streams-member.ts';
import { StreamsThread, StreamsWorld, wordCount } from './streams-world.ts';

/** A world whose log is that of a real Kafka's partition: two members of the group `words`, with standbys, in the midst of their work. */
function worldOfKafka(): StreamsWorld {
  const world = new StreamsWorld();
  world.log.length = 0;
  for (const batch of batchesOf(readFileSync(new URL('../../vectors/consumer-offsets-4.log', import.meta.url)))) {
    for (const { key, value } of batch.records()) {
      world.log.push({ key: key!.slice(), value: value?.slice() ?? null, producerId: -1 });
    }
  }
  // After the last assignment.
  world.nowMs = 1_796_000_000_000;
  world.takeOver();
  world.coordinator.assertInvariants();
  return world;
}

test('the records of a real streams group are read and written back byte for byte', () => {
  const types = new Set<string>();
  for (const { key, value } of worldOfKafka().log) {
    const record = decodeGroupRecord(key, value)!;
    types.add(record.type);
    const again = encodeGroupRecord(record);
    assert.deepEqual(Buffer.from(again.key), Buffer.from(key));
    assert.deepEqual(again.value && Buffer.from(again.value), value && Buffer.from(value));
  }
  for (const type of ['Metadata', 'MemberMetadata', 'TargetAssignmentMetadata', 'TargetAssignmentMember', 'Topology']) {
    assert.ok(types.has(`StreamsGroup${type}`), type);
  }
});

test('a streams group of Kafka is taken over where it stands, and would be written as it was', () => {
  const world = worldOfKafka();
  const group = world.streamsGroup('words');
  assert.equal(group.committedState, 'Stable');
  assert.equal(group.members.size, 2);
  assert.deepEqual([...group.lastAssignmentConfigs], [['num.standby.replicas', '1']]);
  const last = new Map(world.log.map(({ key, value }) => [Buffer.from(key).toString('hex'), value]));
  for (const member of group.members.values()) {
    for (const record of [metadataRecord('words', member), currentAssignmentRecord('words', member)]) {
      const { key, value } = encodeGroupRecord(record);
      assert.deepEqual(Buffer.from(value!), Buffer.from(last.get(Buffer.from(key).toString('hex'))!));
    }
  }
  const { topology, members = [] } = world.coordinator.streams.describe('words');
  assert.deepEqual(
    topology?.subtopologies?.map(({ sourceTopics, repartitionSinkTopics }) => [sourceTopics, repartitionSinkTopics]),
    [
      [['text'], ['words-words-repartition']],
      [[], []],
    ],
  );
  assert.ok(members.every(({ userEndpoint }) => [7001, 7002].includes(userEndpoint!.port!)));
});

test('members of a group of Kafka go on as before, and are missed when they do not', () => {
  const world = worldOfKafka();
  world.groupConfigs.set('words', { 'streams.num.standby.replicas': 1 });
  for (const name of ['text', 'words-words-repartition', 'words-counts-changelog']) world.createTopic(name, 2);
  const { memberId, memberEpoch } = [...world.streamsGroup('words').members.values()][0]!;
  const beat = (epoch = memberEpoch): string | undefined => {
    const answer = world.askStreams({ groupId: 'words', memberId, memberEpoch: epoch });
    return typeof answer === 'string' ? answer : `at ${answer.memberEpoch}`;
  };
  assert.equal(beat(memberEpoch + 1), 'FENCED_MEMBER_EPOCH');
  assert.equal(beat(memberEpoch - 1), 'FENCED_MEMBER_EPOCH');
  // The topics have other ids here than those of the hash that Kafka wrote: the group looks at them again, and nothing moves.
  assert.equal(beat(), `at ${memberEpoch + 1}`);
  assert.equal(world.streamsGroup('words').validatedTopologyEpoch, 0);
  world.pass(45_000);
  assert.equal(world.streamsGroup('words').committedState, 'Empty');
  const stranger = new StreamsThread(world, 'stranger', 'p', wordCount());
  assert.equal(stranger.beat({ fields: { groupId: 'words' } }), 'INVALID_REQUEST', 'another topology than that of the group');
});
