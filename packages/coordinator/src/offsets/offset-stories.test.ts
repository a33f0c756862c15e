import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorName, KafkaError } from '@ottla/protocol';
import { offsetCommitRecord } from '../group-record.ts';
import { durableState, GroupWorld } from '../group-world.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

function memberOf(world: GroupWorld, topics = ['t']): { memberId: string; generationIdOrMemberEpoch: number } {
  world.join('', { apiVersion: 3, topics, sessionTimeoutMs: 1_800_000 });
  world.pass(3_000);
  const memberId = [...world.group().members.keys()][0]!;
  world.sync(memberId, world.group().generationId, { [memberId]: 'all' });
  return { memberId, generationIdOrMemberEpoch: world.group().generationId };
}

test('a consumer that assigns itself commits to a group that exists by its offsets alone', () => {
  const world = new GroupWorld();
  assert.equal(world.commit({ 't-0': 5, 't-1': 6 }), 'NONE NONE');
  assert.deepEqual(world.fetched(), { 't-0': 5, 't-1': 6 });
  assert.equal(world.group().state, 'Empty');
  assert.equal(world.group().protocolType, null);
  assert.deepEqual(durableState(world.reloaded()), durableState(world.coordinator));
});

test('a group that is not there is refused to members in the words of their version', () => {
  const world = new GroupWorld();
  assert.equal(world.commit({ 't-0': 5 }, { generationIdOrMemberEpoch: 3, apiVersion: 8 }), 'ILLEGAL_GENERATION');
  assert.equal(world.commit({ 't-0': 5 }, { generationIdOrMemberEpoch: 3, apiVersion: 9 }), 'GROUP_ID_NOT_FOUND');
  assert.deepEqual(world.fetched(), {});
});

test('only members commit while there are members', () => {
  const world = new GroupWorld();
  const member = memberOf(world);
  assert.equal(world.commit({ 't-0': 1 }, member), 'NONE');
  assert.equal(world.commit({ 't-0': 2 }), 'UNKNOWN_MEMBER_ID');
  assert.equal(world.commit({ 't-0': 2 }, { ...member, memberId: 'x' }), 'UNKNOWN_MEMBER_ID');
  assert.equal(world.commit({ 't-0': 2 }, { ...member, generationIdOrMemberEpoch: 9 }), 'ILLEGAL_GENERATION');
  assert.equal(world.commit({ 't-0': 2 }, { ...member, groupInstanceId: 'i' }), 'UNKNOWN_MEMBER_ID');
  world.join(member.memberId);
  assert.equal(world.commit({ 't-0': 2 }, { ...member, generationIdOrMemberEpoch: 2 }), 'REBALANCE_IN_PROGRESS');
  assert.deepEqual(world.fetched(), { 't-0': 1 });
});

test('metadata that is too large fails its partition alone', () => {
  const world = new GroupWorld();
  assert.equal(world.commit({ 't-0': 1 }, { metadata: 'x'.repeat(4096) }), 'NONE');
  assert.equal(world.commit({ 't-0': 2 }, { metadata: 'x'.repeat(4097) }), 'OFFSET_METADATA_TOO_LARGE');
  assert.deepEqual(world.fetched(), { 't-0': 1 });
});

test('a commit that could not be written leaves no trace', () => {
  const world = new GroupWorld();
  world.commit({ 't-0': 1 });
  world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  assert.equal(world.commit({ 't-0': 2, 't-9': 2 }), 'NOT_ENOUGH_REPLICAS');
  assert.equal(world.commit({ 't-0': 2 }, {}, 'h'), 'NOT_ENOUGH_REPLICAS');
  assert.deepEqual(world.fetched(), { 't-0': 1 });
  assert.deepEqual([...world.coordinator.groups.keys()], ['g']);
});

test('what is not committed yet is seen by a stable fetch and by no other', () => {
  const { coordinator } = new GroupWorld();
  const fetched = (mode: 'stable' | 'committed'): number[] =>
    coordinator.offsets
      .fetch({ groupId: 'g', memberId: null, memberEpoch: -1, topics: null }, mode)
      .topics!.flatMap(({ partitions }) => partitions!.map(({ committedOffset }) => committedOffset!));
  const commit = (offset: number, at: number): void => coordinator.replay(commitOf(offset), { offset: at, producerId: -1 });
  commit(10, 0);
  assert.deepEqual([fetched('stable'), fetched('committed')], [[10], []]);
  coordinator.commitTo(1);
  commit(20, 1);
  assert.deepEqual([fetched('stable'), fetched('committed')], [[20], [10]]);
  assert.equal(coordinator.list({ states: new Set(), types: new Set() }).length, 1);
  coordinator.commitTo(2);
  assert.deepEqual([fetched('stable'), fetched('committed')], [[20], [20]]);
});

test('offsets of an empty group expire together, a week after it became empty; then the group goes too', () => {
  const world = new GroupWorld();
  const member = memberOf(world);
  world.commit({ 't-0': 1, 'u-0': 2 }, member);
  world.leave([member.memberId]);
  world.pass(7 * DAY_MS - 1_000_000);
  assert.deepEqual(world.fetched(), { 't-0': 1, 'u-0': 2 });
  world.pass(2_000_000);
  assert.deepEqual(world.fetched(), {});
  assert.equal(world.coordinator.groups.size, 0);
  assert.equal(world.reloaded().groups.size, 0);
});

test('while a group of consumers lives, only topics it no longer reads expire', () => {
  const world = new GroupWorld();
  const member = memberOf(world, ['t']);
  world.commit({ 't-0': 1, 'u-0': 2 }, member);
  for (let hour = 0; hour < 8 * 24 * 4; hour++) {
    world.pass(DAY_MS / 96);
    world.heartbeat(member.memberId, member.generationIdOrMemberEpoch);
  }
  assert.deepEqual(world.fetched(), { 't-0': 1 });
});

test('a self-assigned consumer keeps an offset for a week after its commit, or for as long as the commit asked', () => {
  const world = new GroupWorld();
  world.commit({ 't-0': 1 });
  world.commit({ 't-1': 1 }, { apiVersion: 4, retentionTimeMs: DAY_MS });
  world.commit({ 't-2': 1 }, { apiVersion: 4, retentionTimeMs: 30 * DAY_MS });
  world.pass(2 * DAY_MS);
  world.takeOver();
  world.pass(DAY_MS);
  assert.deepEqual(world.fetched(), { 't-0': 1, 't-2': 1 });
  world.pass(5 * DAY_MS);
  assert.deepEqual(world.fetched(), { 't-2': 1 });
  world.pass(30 * DAY_MS);
  assert.equal(world.coordinator.groups.size, 0);
});

test('offsets are deleted by request only for topics that the group does not read', () => {
  const world = new GroupWorld();
  const member = memberOf(world, ['t']);
  world.commit({ 't-0': 1, 'u-0': 2 }, member);
  const request = {
    groupId: 'g',
    topics: ['t', 'u'].map((name) => ({ name, partitions: [{ partitionIndex: 0 }, { partitionIndex: 5 }] })),
  };
  const outcome = world.coordinator.offsets.delete(request, world.moment);
  const codes = outcome.response.topics!.map(({ partitions }) => partitions!.map(({ errorCode }) => errorName(errorCode!)));
  assert.deepEqual(codes, [
    ['GROUP_SUBSCRIBED_TO_TOPIC', 'GROUP_SUBSCRIBED_TO_TOPIC'],
    ['NONE', 'NONE'],
  ]);
  world.submit(outcome);
  assert.deepEqual(world.fetched(), { 't-0': 1 });
  assert.throws(() => world.coordinator.offsets.delete({ ...request, groupId: 'x' }, world.moment), {
    name: 'GROUP_ID_NOT_FOUND',
  });
});

test('a group is deleted with its offsets when it has no members', () => {
  const world = new GroupWorld();
  const member = memberOf(world);
  world.commit({ 't-0': 1 }, member);
  const deleted = (): string[] => {
    const outcome = world.coordinator.deleteGroups(['g', 'x'], world.moment);
    world.submit(outcome);
    return outcome.response.map(({ errorCode }) => errorName(errorCode!));
  };
  assert.deepEqual(deleted(), ['NON_EMPTY_GROUP', 'GROUP_ID_NOT_FOUND']);
  world.leave([member.memberId]);
  assert.deepEqual(deleted(), ['NONE', 'GROUP_ID_NOT_FOUND']);
  assert.equal(world.coordinator.groups.size, 0);
  assert.equal(world.reloaded().groups.size, 0);
});

test('offsets go with their topic, but not with its namesake', () => {
  const world = new GroupWorld();
  const [gone, present] = ['AAAAAAAAAAAAAAAAAAAAAQ', 'AAAAAAAAAAAAAAAAAAAAAg'];
  world.write(commitOf(1, { partition: 0, topicId: gone }));
  world.write(commitOf(2, { partition: 1, topicId: present }));
  world.write(commitOf(3, { partition: 2 }));
  world.submit(world.coordinator.offsets.deleteTopics([{ name: 't', topicId: gone! }], world.moment));
  assert.deepEqual(world.fetched(), { 't-1': 2 });
});

test('what is left of a deleted topic expires though its namesake is read', () => {
  const world = new GroupWorld({ offsetsRetentionMs: 60_000, offsetsRetentionCheckIntervalMs: 10_000 });
  world.setTopic('t', 2);
  world.beat('m', 0);
  const { id } = world.topics.byName('t')!;
  world.write(commitOf(1, { partition: 0, topicId: 'AAAAAAAAAAAAAAAAAAAAAg' }));
  world.write(commitOf(2, { partition: 1, topicId: id }));
  world.write(commitOf(3, { partition: 2 }));
  for (let second = 0; second < 60; second += 5) {
    assert.deepEqual(world.fetched(), { 't-0': 1, 't-1': 2, 't-2': 3 });
    world.pass(5_000);
    world.beat('m', world.consumerGroup().member('m').memberEpoch);
  }
  assert.deepEqual(world.fetched(), { 't-1': 2, 't-2': 3 });
});

test('a transactional commit counts from its commit marker on, and until then stable readers wait', () => {
  const world = new GroupWorld();
  world.commit({ 't-0': 1 });
  world.write(commitOf(50), 7);
  assert.deepEqual(world.fetched(), { 't-0': 'UNSTABLE_OFFSET_COMMIT' });
  assert.deepEqual(world.fetched('g', 'committed'), { 't-0': 1 });
  world.coordinator.replayTransactionEnd(7, true, world.log.length);
  assert.deepEqual(world.fetched(), { 't-0': 50 });
  world.write(commitOf(60), 8);
  world.coordinator.replayTransactionEnd(8, false, world.log.length);
  assert.deepEqual(world.fetched(), { 't-0': 50 });
  world.write(commitOf(70), 9);
  world.commit({ 't-0': 71 });
  world.coordinator.replayTransactionEnd(9, true, world.log.length);
  assert.deepEqual(world.fetched(), { 't-0': 71 }, 'the plain commit was written later');
  world.coordinator.assertInvariants();
});

test('a producer is told of a stale member as of an old generation, the only kind it knows', () => {
  const world = new GroupWorld();
  const { memberId, epoch } = world.beat('', 0, { topics: ['t'] });
  const commit = (generationId: number) => {
    const partitions = [{ partitionIndex: 0, committedOffset: 1, committedLeaderEpoch: -1, committedMetadata: '' }];
    const topics = [{ name: 't', partitions }];
    const producer = { transactionalId: 'x', producerId: 7, producerEpoch: 0 };
    const request = { ...producer, groupId: 'g', generationId, memberId: memberId!, groupInstanceId: null, topics };
    return () => world.coordinator.offsets.commitInTransaction(request, { apiVersion: 5 }, world.moment);
  };
  assert.equal(commit(epoch!)().response.topics![0]!.partitions![0]!.errorCode, 0);
  assert.throws(commit(epoch! + 1), (error) => error instanceof KafkaError && error.name === 'ILLEGAL_GENERATION');
});

test('an open transaction holds back expiry, and a deletion ends it', () => {
  const world = new GroupWorld();
  world.commit({ 't-0': 1 });
  world.write(commitOf(50), 7);
  world.pass(8 * DAY_MS);
  assert.deepEqual(world.fetched(), { 't-0': 'UNSTABLE_OFFSET_COMMIT' });
  world.submit(world.coordinator.deleteGroups(['g'], world.moment));
  assert.deepEqual(world.fetched(), {});
  world.coordinator.replayTransactionEnd(7, true, world.log.length);
  assert.deepEqual(world.fetched(), {});
  world.coordinator.assertInvariants();
});

function commitOf(
  offset: number,
  { partition = 0, topicId = 'AAAAAAAAAAAAAAAAAAAAAA' } = {},
): ReturnType<typeof offsetCommitRecord> {
  return offsetCommitRecord(
    { groupId: 'g', topic: 't', partition },
    { offset, leaderEpoch: -1, metadata: '', commitTimestamp: 1_000_000, expireTimestamp: -1, topicId, recordOffset: -1 },
  );
}
