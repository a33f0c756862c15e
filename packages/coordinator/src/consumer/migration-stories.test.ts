import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError, readAssignment } from '@ottla/protocol';
import { defaultGroupCoordinatorConfig } from '../group-coordinator-config.ts';
import { durableState, GroupWorld } from '../group-world.ts';

const { consumer } = defaultGroupCoordinatorConfig;

/** With topic t of two partitions, and a classic group of one member that has both. */
function classicWorld(config: Partial<typeof consumer> = {}, topics = ['t']): { world: GroupWorld; memberId: string } {
  const world = new GroupWorld({ initialRebalanceDelayMs: 0, consumer: { ...consumer, ...config } });
  world.setTopic('t', 2);
  world.join('', { apiVersion: 3, topics });
  world.pass(0);
  const memberId = [...world.group().members.keys()][0]!;
  // version 0, topic t, partitions 0 and 1, no user data
  const assignment = Buffer.from('0000000000010001740000000200000000 00000001ffffffff'.replace(' ', ''), 'hex');
  world.sync(memberId, 1, {}, { assignments: [{ memberId, assignment }] });
  assert.equal(world.group().state, 'Stable');
  world.story();
  return { world, memberId };
}

const assignedBy = (world: GroupWorld, token: number): number[] => {
  const { assignment } = world.answers.get(token) as { assignment: Uint8Array };
  return readAssignment(assignment).assignedPartitions.flatMap(({ partitions }) => partitions);
};

test('a classic group becomes a consumer group at the epoch of its generation', () => {
  const { world, memberId } = classicWorld();
  world.beat('n', 0);
  assert.deepEqual(world.story(), [
    '  stored g: gone',
    `  stored MemberMetadata ${memberId}`,
    '  stored Metadata',
    `  stored TargetAssignmentMember ${memberId}`,
    '  stored TargetAssignmentMetadata',
    `  stored CurrentMemberAssignment ${memberId}`,
    '  stored MemberMetadata n',
    '  stored Metadata',
    `  stored TargetAssignmentMember ${memberId}`,
    '  stored TargetAssignmentMember n',
    '  stored TargetAssignmentMetadata',
    '  stored CurrentMemberAssignment n',
    'beat n 0: 2 []',
  ]);
  assert.deepEqual(durableState(world.reloaded()), durableState(world.coordinator));
  // The classic member is sent to rejoin, gives up its half, and goes on.
  assert.equal(world.heartbeat(memberId, 1), 'REBALANCE_IN_PROGRESS');
  assert.equal(world.commit({ 't-0': 1 }, { memberId, generationIdOrMemberEpoch: 1, apiVersion: 8 }), 'NONE');
  assert.equal(world.errorOf(world.join(memberId)), 'NONE');
  const sync = world.sync(memberId, 2);
  assert.equal(assignedBy(world, sync).length, 1);
  assert.equal(world.heartbeat(memberId, 2), 'NONE');
  assert.equal(world.beat('n', 2).assigned?.length, 1);
  assert.equal(world.heartbeat(memberId, 1), 'ILLEGAL_GENERATION');
  assert.equal(world.commit({ 't-0': 1 }, { memberId, generationIdOrMemberEpoch: 9, apiVersion: 8 }), 'ILLEGAL_GENERATION');
  assert.equal(world.heartbeat('n', 2), 'UNKNOWN_MEMBER_ID', 'that one does not speak the classic protocol');
  world.coordinator.assertInvariants();
});

test('with the last consumer of the new protocol the group goes back, and rebalances', () => {
  const { world, memberId } = classicWorld();
  world.beat('n', 0);
  world.join(memberId);
  world.sync(memberId, 2);
  world.story();
  world.beat('n', -1);
  const told = world.story();
  assert.equal(told.at(-2), '  stored g: generation 2, 1 members');
  assert.equal(told.filter((line) => line.startsWith('  gone')).length, 9);
  assert.equal(world.group().state, 'PreparingRebalance');
  assert.equal(world.group().protocolName, 'range');
  assert.equal(world.heartbeat(memberId, 2), 'REBALANCE_IN_PROGRESS');
  assert.equal(world.errorOf(world.join(memberId)), 'NONE');
  assert.equal(world.reloaded().groups.get('g')?.type, 'Classic');
  // One that could not be written leaves the consumer group as it was.
  const again = classicWorld().world;
  again.beat('n', 0);
  again.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  again.beat('n', -1);
  assert.equal(again.consumerGroup().members.size, 2);
  again.coordinator.assertInvariants();
  assert.deepEqual(durableState(again.reloaded()), durableState(again.coordinator));
});

test('the policy says which way groups may go', () => {
  const stays = classicWorld({ mayUpgrade: false }).world;
  assert.equal(stays.beat('n', 0).error, 'GROUP_ID_NOT_FOUND');
  assert.equal(stays.group().state, 'Stable');
  const { world, memberId } = classicWorld({ mayDowngrade: false });
  world.beat('n', 0);
  world.beat('n', -1);
  assert.equal(world.consumerGroup().members.has(memberId), true, 'it remains a consumer group, of a classic member');
  const closed = new GroupWorld({ consumer: { ...consumer, mayUpgrade: false, mayDowngrade: false } });
  closed.setTopic('t', 2);
  closed.beat('n', 0);
  assert.equal(closed.errorOf(closed.join('')), 'INCONSISTENT_GROUP_PROTOCOL');
});

test('a classic group that cannot be read, is not of consumers or is too large stays one', () => {
  const small = classicWorld({ maxSize: 0 }).world;
  assert.equal(small.beat('n', 0).error, 'GROUP_ID_NOT_FOUND');
  const world = new GroupWorld({ initialRebalanceDelayMs: 0 });
  world.join('', { apiVersion: 3, protocolType: 'connect', protocols: [{ name: 'x', metadata: new Uint8Array(1) }] });
  world.pass(0);
  assert.equal(world.beat('n', 0).error, 'GROUP_ID_NOT_FOUND');
  world.join('', { apiVersion: 3, protocols: [{ name: 'range', metadata: new Uint8Array(1) }] }, 'h');
  world.pass(0);
  const waiting = world.join('', { apiVersion: 3, protocols: [{ name: 'range', metadata: new Uint8Array(1) }] }, 'h');
  assert.equal(world.beat('n', 0, {}, 'h').error, 'GROUP_ID_NOT_FOUND');
  assert.equal(world.errorOf(waiting), undefined, 'nobody is told of what did not happen');
});

test('a classic member that does not rejoin or sync in time is out', () => {
  const { world, memberId } = classicWorld();
  world.beat('n', 0);
  assert.equal(world.heartbeat(memberId, 1), 'REBALANCE_IN_PROGRESS');
  for (let seconds = 5; seconds < 60; seconds += 5) {
    world.pass(5_000);
    world.heartbeat(memberId, 1);
    world.beat('n', 2);
  }
  assert.equal(world.consumerGroup().members.has(memberId), true);
  world.pass(5_000);
  assert.equal(world.consumerGroup().members.has(memberId), false);
  assert.deepEqual(world.beat('n', 2).assigned, ['t-0', 't-1']);
});

test('an empty group of either protocol becomes one of the other, and keeps its offsets', () => {
  const world = new GroupWorld({ initialRebalanceDelayMs: 0 });
  world.setTopic('t', 2);
  world.commit({ 't-0': 5 });
  assert.equal(world.beat('n', 0).epoch, 2);
  assert.deepEqual(world.fetched(), { 't-0': 5 });
  world.beat('n', -1);
  assert.equal(world.errorOf(world.join('')), 'MEMBER_ID_REQUIRED');
  assert.equal(world.group().state, 'Empty');
  assert.deepEqual(world.fetched(), { 't-0': 5 });
  assert.equal(world.reloaded().groups.get('g')?.type, 'Classic');
});

test('a static classic member takes the place of the last consumer of the new protocol, and the group is classic without a rebalance', () => {
  const { world, memberId } = classicWorld();
  world.beat('s', 0, { instanceId: 'i' });
  world.join(memberId);
  world.sync(memberId, 2);
  world.beat('s', 2, { instanceId: 'i' });
  world.beat('s', -2, { instanceId: 'i' });
  const joined = world.join('', { groupInstanceId: 'i' });
  assert.equal(world.errorOf(joined), 'NONE');
  assert.equal(world.group().state, 'Stable');
  assert.equal(world.group().members.size, 2);
  const { memberId: taken, generationId } = world.answers.get(joined) as { memberId: string; generationId: number };
  const sync = world.sync(taken, generationId, {}, { groupInstanceId: 'i' });
  assert.equal(assignedBy(world, sync).length, 1);
  assert.equal(world.heartbeat(memberId, 2), 'NONE');
  assert.equal(world.reloaded().groups.get('g')?.type, 'Classic');
});

test('a classic member that was not told in time that it joined is out when its session ends', () => {
  const world = new GroupWorld();
  world.setTopic('t', 2);
  world.beat('n', 0);
  world.commitsLate = true;
  const joined = world.join('', { apiVersion: 3, sessionTimeoutMs: 8_000 });
  world.pass(5_000);
  assert.equal(world.errorOf(joined), 'REQUEST_TIMED_OUT');
  world.commitAppended();
  world.commitsLate = false;
  assert.equal(world.consumerGroup().members.size, 2, 'the log has it, though nobody knows its id');
  world.pass(2_999);
  assert.equal(world.consumerGroup().members.size, 2);
  world.pass(1);
  assert.deepEqual([...world.consumerGroup().members.keys()], ['n']);
});

test('a classic member that the group expected to rejoin when it was one of the new protocol before has all of its time again', () => {
  const { world, memberId } = classicWorld();
  world.beat('n', 0);
  assert.equal(world.heartbeat(memberId, 1), 'REBALANCE_IN_PROGRESS');
  world.beat('n', -1);
  world.join(memberId);
  world.sync(memberId, world.group().generationId);
  const passWithHeartbeats = (): void => {
    world.pass(5_000);
    if (world.coordinator.groups.get('g')?.type === 'Consumer') world.beat('n', world.consumerGroup().member('n').memberEpoch);
    world.heartbeat(memberId, generationId);
  };
  const { generationId } = world.group();
  for (let seconds = 0; seconds < 30; seconds += 5) passWithHeartbeats();
  world.beat('n', 0);
  for (let seconds = 0; seconds < 60; seconds += 5) {
    passWithHeartbeats();
    assert.equal(world.consumerGroup().members.has(memberId), true, `${seconds} s after it was told`);
  }
  passWithHeartbeats();
  assert.equal(world.consumerGroup().members.has(memberId), false);
});
