import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import { ShareWorld, stateOf } from './share-world.ts';

/** A group of one that has what it wants. */
function settled(partitions = 2): ShareWorld {
  const world = new ShareWorld();
  world.createTopic('t', partitions);
  world.beat('one', { topics: ['t'] });
  world.answerInitialize();
  world.pass(1000);
  world.beat('one', { memberEpoch: 2 });
  return world;
}

test('a wall clock that is set back does not keep a group from its partitions', () => {
  const world = new ShareWorld();
  world.createTopic('t', 2);
  world.beat('one', { topics: ['t'] });
  world.answerInitialize();
  world.wallMs -= 500_000;
  assert.deepEqual(world.beat('one', { memberEpoch: 2 }), { error: 'NONE', memberEpoch: 3, assigned: ['t-0', 't-1'] });
});

test('the records of a group that begins are those of Kafka, in its order', () => {
  const world = new ShareWorld();
  world.createTopic('t', 2);
  assert.deepEqual(world.beat('one', { topics: ['t'] }), { error: 'NONE', memberEpoch: 2, assigned: [] });
  assert.deepEqual(world.types(), [
    'ShareGroupMemberMetadata',
    'ShareGroupMetadata',
    'ShareGroupTargetAssignmentMember',
    'ShareGroupTargetAssignmentMetadata',
    'ShareGroupCurrentMemberAssignment',
    'ShareGroupStatePartitionMetadata',
  ]);
  assert.deepEqual(world.asked[0]!.topics[0]!.partitions, [
    { partition: 0, stateEpoch: 2, startOffset: -1 },
    { partition: 1, stateEpoch: 2, startOffset: -1 },
  ]);
  world.answerInitialize();
  world.pass(1000);
  const offset = world.log.length;
  assert.deepEqual(world.beat('one', { memberEpoch: 2 }), { error: 'NONE', memberEpoch: 3, assigned: ['t-0', 't-1'] });
  assert.deepEqual(world.types(offset), [
    'ShareGroupMetadata',
    'ShareGroupTargetAssignmentMember',
    'ShareGroupTargetAssignmentMetadata',
    'ShareGroupCurrentMemberAssignment',
  ]);
  // A member to which nothing is new is told nothing, and nothing is written.
  assert.deepEqual(world.beat('one', { memberEpoch: 3 }), { error: 'NONE', memberEpoch: 3, assigned: undefined });
  assert.equal(world.log.length, offset + 4);
});

test('a target assignment is computed once in an interval, however many come', () => {
  const world = settled(1);
  for (const memberId of ['two', 'three', 'four']) {
    assert.equal(world.beat(memberId, { topics: ['t'] }).error, 'NONE');
  }
  assert.equal(world.group!.assignmentEpoch, 3);
  assert.equal(world.group!.groupEpoch, 6);
  world.pass(1000);
  // All have the one partition.
  assert.deepEqual(world.beat('four', { memberEpoch: 3 }).assigned, ['t-0']);
  assert.deepEqual(world.beat('two', { memberEpoch: 3 }).assigned, ['t-0']);
  assert.equal(world.group!.assignmentEpoch, 6);
});

test('what the share coordinator has not confirmed is asked again, by whoever coordinates the group then', () => {
  const world = new ShareWorld();
  world.createTopic('t');
  let { memberEpoch } = world.beat('one', { topics: ['t'] });
  assert.equal(world.asked.length, 1);
  world.pass(10_000);
  ({ memberEpoch } = world.beat('one', { memberEpoch }));
  world.pass(25_000);
  ({ memberEpoch } = world.beat('one', { memberEpoch }));
  assert.equal(world.asked.length, 2);
  world.takeOver();
  ({ memberEpoch } = world.beat('one', { memberEpoch }));
  assert.equal(world.asked.length, 0);
  world.pass(31_000);
  ({ memberEpoch } = world.beat('one', { memberEpoch }));
  assert.equal(world.asked.length, 1);
  world.answerInitialize();
  assert.deepEqual(world.beat('one', { memberEpoch }).assigned, ['t-0']);
});

test('what the share coordinator refused is asked again with the next heartbeat', () => {
  const world = new ShareWorld();
  world.createTopic('t');
  const { memberEpoch } = world.beat('one', { topics: ['t'] });
  world.answerInitialize(false);
  assert.equal(world.group!.sharePartitions.get().initializing.size, 0);
  world.beat('one', { memberEpoch });
  assert.equal(world.asked.length, 1);
});

test('partitions that are added are initialized beside those that are', () => {
  const world = settled(1);
  world.growTopic('t', 3);
  let { memberEpoch } = world.beat('one', { memberEpoch: 3 });
  assert.deepEqual(
    world.asked[0]!.topics[0]!.partitions.map(({ partition }) => partition),
    [1, 2],
  );
  world.answerInitialize();
  world.pass(1000);
  const beaten = world.beat('one', { memberEpoch });
  memberEpoch = beaten.memberEpoch;
  assert.deepEqual(beaten.assigned, ['t-0', 't-1', 't-2']);
});

test('a member that subscribes to something else loses what it no longer wants at once', () => {
  const world = settled();
  world.createTopic('u');
  // Even where no new target assignment may be computed yet.
  assert.deepEqual(world.beat('one', { memberEpoch: 3, topics: ['u'] }), { error: 'NONE', memberEpoch: 3, assigned: [] });
  world.answerInitialize();
  world.pass(1000);
  assert.deepEqual(world.beat('one', { memberEpoch: 3 }), { error: 'NONE', memberEpoch: 4, assigned: ['u-0'] });
});

test('a lost answer is no reason to fence, an older one is', () => {
  const world = settled();
  assert.equal(world.beat('one', { memberEpoch: 2 }).error, 'NONE');
  assert.equal(world.beat('one', { memberEpoch: 1 }).error, 'FENCED_MEMBER_EPOCH');
  assert.equal(world.beat('one', { memberEpoch: 4 }).error, 'FENCED_MEMBER_EPOCH');
  // Joining again is always allowed.
  assert.deepEqual(world.beat('one', { topics: ['t'] }), { error: 'NONE', memberEpoch: 3, assigned: ['t-0', 't-1'] });
});

test('a member that leaves, or is silent, takes its records with it', () => {
  const world = settled();
  world.beat('two', { topics: ['t'] });
  const offset = world.log.length;
  assert.equal(world.beat('two', { memberEpoch: -1 }).memberEpoch, -1);
  assert.deepEqual(world.types(offset), [
    '-ShareGroupCurrentMemberAssignment',
    '-ShareGroupTargetAssignmentMember',
    '-ShareGroupMemberMetadata',
    'ShareGroupMetadata',
  ]);
  world.pass(45_000);
  assert.equal(world.group!.isEmpty, true);
  assert.equal(world.beat('one', { memberEpoch: 3 }).error, 'UNKNOWN_MEMBER_ID');
});

test('a heartbeat that could not be written has not happened', () => {
  const world = new ShareWorld();
  world.createTopic('t');
  world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  assert.equal(world.beat('one', { topics: ['t'] }).error, 'NOT_ENOUGH_REPLICAS');
  assert.equal(world.group, undefined);
  assert.equal(world.beat('one', { memberEpoch: 1 }).error, 'GROUP_ID_NOT_FOUND');
  assert.equal(world.beat('one', { topics: ['t'] }).memberEpoch, 2);
});

test('a member whose leaving could not be written is still expected to be heard of', () => {
  const world = new ShareWorld();
  world.createTopic('t');
  world.beat('one', { topics: ['t'] });
  world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  assert.equal(world.beat('one', { memberEpoch: -1 }).error, 'NOT_ENOUGH_REPLICAS');
  assert.equal(world.group!.isEmpty, false);
  world.pass(45_000);
  assert.equal(world.group!.isEmpty, true);
});

test('what is left of a topic whose deletion could not be written does not move the group on, nor hold up its own deletion', () => {
  const world = settled();
  world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  assert.throws(() => world.deleteTopic('t'));
  world.createTopic('t', 2);
  const beat = (): void => {
    world.pass(5_000);
    world.beat('one', { memberEpoch: world.group!.member('one').memberEpoch });
  };
  beat();
  world.answerInitialize();
  beat();
  assert.deepEqual([...world.group!.member('one').assigned.values()].flat(), [0, 1]);
  const offset = world.log.length;
  for (let count = 0; count < 5; count++) beat();
  assert.deepEqual(world.types(offset), []);
  world.beat('one', { memberEpoch: -1 });
  world.deleteTopic('t');
  const doomed = world.submit(world.coordinator.share.offsets.beginGroupDeletion(['g'], world.moment));
  assert.deepEqual(doomed, [], 'the share coordinator forgets topics that are gone by itself, and refuses to be asked');
  assert.equal(world.deleteGroup(), 'NONE');
  assert.equal(world.group, undefined);
});

test('offsets are set and deleted while the group is empty', () => {
  const world = settled();
  assert.equal(world.alter('t', 0, 5), 'NON_EMPTY_GROUP');
  assert.equal(world.deleteOffsets('t'), 'NON_EMPTY_GROUP');
  assert.equal(world.deleteGroup(), 'NON_EMPTY_GROUP');
  world.beat('one', { memberEpoch: -1 });
  assert.equal(world.alter('t', 0, 5), 'NONE');
  assert.equal(world.asked[0]!.topics[0]!.partitions[0]!.startOffset, 5);
  world.answerInitialize();
  assert.equal(world.alter('t', 9, 5), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(world.alter('t', -1, 5), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(world.alter('nowhere', 0, 5), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(world.deleteOffsets('nowhere'), 'UNKNOWN_TOPIC_OR_PARTITION');
  // An answer that was lost: whoever asks again brings it to its end.
  assert.equal(world.deleteOffsets('t', false), 'NONE');
  assert.equal(world.group!.sharePartitions.get().deleting.size, 1);
  assert.equal(world.deleteOffsets('t'), 'NONE');
  assert.equal(world.group!.sharePartitions.get().deleting.size, 0);
  assert.equal(world.deleteOffsets('t'), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(world.deleteOffsets('nowhere'), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(world.deleteGroup(), 'NONE');
  assert.equal(world.deleteGroup(), 'GROUP_ID_NOT_FOUND');
  assert.equal(world.reloaded().groups.size, 0);
});

test('a group may begin with its offsets', () => {
  const world = new ShareWorld();
  world.createTopic('t', 2);
  assert.equal(world.alter('t', 1, 7), 'NONE');
  world.answerInitialize();
  assert.deepEqual(world.types(), ['ShareGroupStatePartitionMetadata', 'ShareGroupStatePartitionMetadata']);
  assert.equal(world.coordinator.list({ states: new Set(), types: new Set() })[0]!.groupState, 'Empty');
  world.beat('one', { topics: ['t'] });
  assert.deepEqual(
    world.asked[0]!.topics[0]!.partitions.map(({ partition }) => partition),
    [0],
  );
  assert.deepEqual(stateOf(world.reloaded()), stateOf(world.coordinator));
});

test('a topic of the same name is another topic', () => {
  const world = settled();
  world.deleteTopic('t');
  assert.equal(world.group!.sharePartitions.get().initialized.size, 0);
  world.createTopic('t');
  world.pass(1000);
  const { memberEpoch, assigned } = world.beat('one', { memberEpoch: 3 });
  assert.deepEqual(assigned, []);
  world.answerInitialize();
  world.pass(1000);
  assert.deepEqual(world.beat('one', { memberEpoch }).assigned, ['t-0']);
});

test('groups of other protocols are none of ours, and ours none of theirs', () => {
  const world = new ShareWorld();
  world.createTopic('t');
  const commit = { groupId: 'g', generationIdOrMemberEpoch: -1, memberId: '', groupInstanceId: null, retentionTimeMs: -1 };
  const partitions = [{ partitionIndex: 0, committedOffset: 1, committedLeaderEpoch: -1, committedMetadata: '' }];
  const topics = [{ name: 't', topicId: 'AAAAAAAAAAAAAAAAAAAAAA', partitions }];
  world.submit(world.coordinator.offsets.commit({ ...commit, topics }, { apiVersion: 9 }, world.moment));
  assert.equal(world.beat('one', { topics: ['t'] }).error, 'GROUP_ID_NOT_FOUND');
  assert.equal(world.alter('t', 0, 1), 'GROUP_ID_NOT_FOUND');
  assert.equal(world.coordinator.share.describe('g').errorMessage, 'Group g is not a share group.');
  const shared = settled();
  assert.throws(
    () => shared.coordinator.offsets.commit({ ...commit, topics }, { apiVersion: 9 }, shared.moment),
    (error: KafkaError) => error.name === 'GROUP_ID_NOT_FOUND',
  );
});
