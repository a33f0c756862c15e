import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import { durableState, GroupWorld, subscription } from '../group-world.ts';

/** A group at rest: c-u1 leads, the others follow, everybody has its assignment. */
function stableGroup(count: number, config = {}): { world: GroupWorld; members: string[] } {
  const world = new GroupWorld(config);
  const members: string[] = [];
  for (let index = 1; index <= count; index++) {
    world.join('');
    members.push(`c-u${index}`);
  }
  for (const member of members) world.join(member);
  world.pass(6_000);
  for (const member of members.slice(1)) world.sync(member, 1);
  world.sync(members[0]!, 1, Object.fromEntries(members.map((member) => [member, `of ${member}`])));
  assert.equal(world.group().state, 'Stable');
  world.story();
  return { world, members };
}

test('a member joins a new group, is asked to come back with its id, and is assigned what it decides', () => {
  const world = new GroupWorld();
  world.join('');
  world.join('c-u1');
  world.pass(2_999);
  world.note('3 s are over');
  world.pass(1);
  world.sync('c-u1', 1, { 'c-u1': 't-0' });
  world.heartbeat('c-u1', 1);
  assert.deepEqual(world.story(), [
    'join -: MEMBER_ID_REQUIRED c-u1',
    '  stored g: generation 0, 0 members',
    '3 s are over',
    'join c-u1: generation 1, leader c-u1, members c-u1',
    '  stored g: generation 1, 1 members',
    'sync c-u1: assigned [t-0]',
    'heartbeat c-u1: NONE',
  ]);
});

test('a protocol that a member lists twice counts once', () => {
  const world = new GroupWorld();
  const range = { name: 'range', metadata: subscription(['t']) };
  world.join('', { apiVersion: 3, protocols: [range, range] });
  world.join('', { apiVersion: 3, protocols: [range] });
  world.pass(6_000);
  assert.deepEqual(world.story().slice(-2), [
    'join -: generation 1, leader c-u1, members c-u1 c-u2',
    'join -: generation 1, leader c-u1',
  ]);
});

test('a newcomer makes the others rejoin, and only the leader learns who they are', () => {
  const { world } = stableGroup(1);
  world.join('');
  world.join('c-u3');
  world.heartbeat('c-u1', 1);
  world.sync('c-u1', 1);
  world.join('c-u1');
  world.sync('c-u3', 2);
  world.sync('c-u1', 2, { 'c-u1': 'a', 'c-u3': 'b' });
  assert.deepEqual(world.story(), [
    'join -: MEMBER_ID_REQUIRED c-u3',
    'heartbeat c-u1: REBALANCE_IN_PROGRESS',
    'sync c-u1: REBALANCE_IN_PROGRESS',
    'join c-u1: generation 2, leader c-u1, members c-u1 c-u3',
    'join c-u3: generation 2, leader c-u1',
    '  stored g: generation 2, 2 members',
    'sync c-u1: assigned [a]',
    'sync c-u3: assigned [b]',
  ]);
});

test('the first rebalance waits longer while members arrive, and never beyond the rebalance timeout', () => {
  const world = new GroupWorld({ initialRebalanceDelayMs: 3_000 });
  const first = world.join('', { apiVersion: 3, rebalanceTimeoutMs: 7_000 });
  for (let second = 1; second <= 6; second++) {
    world.pass(1_000);
    world.join('', { apiVersion: 3, rebalanceTimeoutMs: 7_000 });
    assert.equal(world.errorOf(first), undefined, `answered after ${second} s`);
  }
  world.pass(999);
  assert.equal(world.errorOf(first), undefined);
  world.pass(1);
  assert.equal(world.errorOf(first), 'NONE');
  assert.equal(world.group().members.size, 7);
});

test('a member that does not rejoin in time is out, and its place in the lead goes to one who did', () => {
  const { world } = stableGroup(2);
  world.join('c-u2', { topics: ['t', 'more'] });
  for (let second = 0; second < 58; second += 2) {
    world.pass(2_000);
    world.group().state === 'PreparingRebalance' && world.heartbeat('c-u1', 1);
  }
  world.story();
  world.pass(2_000);
  assert.deepEqual(world.story(), ['join c-u2: generation 2, leader c-u2, members c-u2']);
  assert.equal(world.heartbeat('c-u1', 2), 'UNKNOWN_MEMBER_ID');
});

test('a member that is not heard of loses its session, and the others rebalance', () => {
  const { world } = stableGroup(2);
  world.pass(9_000);
  world.heartbeat('c-u1', 1);
  world.pass(1_000);
  world.heartbeat('c-u1', 1);
  world.join('c-u1');
  assert.deepEqual(world.story(), [
    'heartbeat c-u1: NONE',
    'heartbeat c-u1: REBALANCE_IN_PROGRESS',
    'join c-u1: generation 2, leader c-u1, members c-u1',
  ]);
});

test('a member that takes the new generation and never syncs is removed after the rebalance timeout', () => {
  const { world } = stableGroup(2);
  world.join('c-u1');
  world.join('c-u2');
  world.sync('c-u1', 2, { 'c-u1': 'a', 'c-u2': 'b' });
  world.story();
  for (let second = 0; second < 60; second += 5) {
    world.pass(5_000);
    if (world.group().state === 'Stable') {
      world.heartbeat('c-u1', 2);
      world.heartbeat('c-u2', 2);
    }
  }
  assert.equal(world.group().state, 'PreparingRebalance');
  assert.deepEqual([...world.group().members.keys()], ['c-u1']);
});

test('an id that was given out and never used is forgotten after a session timeout, and does not hold up a rebalance', () => {
  const { world } = stableGroup(1);
  world.join('');
  const rejoin = world.join('c-u1');
  assert.equal(world.errorOf(rejoin), undefined);
  world.pass(10_000);
  assert.equal(world.errorOf(rejoin), 'NONE');
  assert.equal(world.group().pendingJoinMembers.size, 0);
});

test('a follower that rejoins unchanged gets the present generation; the leader starts a new one', () => {
  const { world } = stableGroup(2);
  world.join('c-u2');
  world.sync('c-u2', 1);
  world.join('c-u1');
  assert.equal(world.group().state, 'PreparingRebalance');
  assert.deepEqual(world.story(), ['join c-u2: generation 1, leader c-u1', 'sync c-u2: assigned [of c-u2]']);
});

test('the last member leaves: the group is empty, keeps its generation, and its record says so', () => {
  const { world } = stableGroup(1);
  assert.equal(world.leave(['c-u1', 'nobody']), 'NONE UNKNOWN_MEMBER_ID');
  assert.deepEqual(world.story(), ['  stored g: generation 2, 0 members', 'leave c-u1 nobody: NONE UNKNOWN_MEMBER_ID']);
  assert.equal(world.heartbeat('c-u1', 2), 'UNKNOWN_MEMBER_ID');
});

test('a static member that restarts takes its place without a rebalance, and its former self is fenced', () => {
  const world = new GroupWorld();
  const statically = { groupInstanceId: 'i1' };
  world.join('', { ...statically });
  world.pass(3_000);
  world.sync('i1-u1', 1, { 'i1-u1': 'a' }, statically);
  world.story();
  world.join('', { ...statically });
  world.sync('i1-u2', 1, {}, statically);
  world.heartbeat('i1-u1', 1, statically);
  world.heartbeat('i1-u2', 1, statically);
  world.join('', { ...statically, apiVersion: 8 });
  assert.deepEqual(world.story(), [
    '  stored g: generation 1, 1 members',
    'join -: generation 1, leader i1-u2, members i1-u2, skip assignment',
    'sync i1-u2: assigned [a]',
    'heartbeat i1-u1: FENCED_INSTANCE_ID',
    'heartbeat i1-u2: NONE',
    '  stored g: generation 1, 1 members',
    'join -: generation 1, leader i1-u2',
  ]);
  assert.deepEqual(durableState(world.reloaded()), durableState(world.coordinator));
});

test('a static member whose restart changes the chosen protocol does cause a rebalance', () => {
  const world = new GroupWorld();
  const statically = { groupInstanceId: 'i1' };
  world.join('', { ...statically });
  world.pass(3_000);
  world.sync('i1-u1', 1, { 'i1-u1': 'a' }, statically);
  world.story();
  world.join('', {
    ...statically,
    protocols: [
      { name: 'sticky', metadata: subscription(['t']) },
      { name: 'range', metadata: subscription(['t']) },
    ],
  });
  assert.deepEqual(world.story(), ['join -: generation 2, leader i1-u2, members i1-u2']);
});

test('a static member that is away keeps its place through a rebalance, until its session ends or an administrator removes it', () => {
  const world = new GroupWorld();
  world.join('', { groupInstanceId: 'i1', sessionTimeoutMs: 1_000_000 });
  world.join('', { groupInstanceId: 'i2', sessionTimeoutMs: 1_000_000 });
  world.pass(6_000);
  world.sync('i2-u2', 1);
  world.sync('i1-u1', 1, { 'i1-u1': 'a', 'i2-u2': 'b' });
  world.story();
  world.join('i1-u1', { groupInstanceId: 'i1', sessionTimeoutMs: 1_000_000 });
  world.pass(60_000);
  assert.deepEqual(world.story(), ['join i1-u1: generation 2, leader i1-u1, members i1-u1 i2-u2']);
  assert.equal(world.leave([{ groupInstanceId: 'i2' }, { groupInstanceId: 'i3' }]), 'NONE UNKNOWN_MEMBER_ID');
  assert.deepEqual([...world.group().members.keys()], ['i1-u1']);
});

test('the protocol is chosen by vote among those that all support', () => {
  const world = new GroupWorld();
  const protocols = (...names: string[]): { protocols: { name: string; metadata: Uint8Array }[] } => ({
    protocols: names.map((name) => ({ name, metadata: subscription(['t']) })),
  });
  world.join('', { apiVersion: 3, ...protocols('a', 'b', 'c') });
  world.join('', { apiVersion: 3, ...protocols('c', 'b') });
  world.join('', { apiVersion: 3, ...protocols('c', 'b', 'a') });
  assert.equal(world.errorOf(world.join('', { apiVersion: 3, ...protocols('a') })), 'INCONSISTENT_GROUP_PROTOCOL');
  assert.equal(world.errorOf(world.join('', { apiVersion: 3, protocolType: 'connect' })), 'INCONSISTENT_GROUP_PROTOCOL');
  world.pass(9_000);
  assert.equal(world.group().protocolName, 'c');
});

test('a full group takes nobody new', () => {
  const { world } = stableGroup(2, { maxSize: 2 });
  assert.equal(world.errorOf(world.join('')), 'GROUP_MAX_SIZE_REACHED');
  assert.equal(world.errorOf(world.join('c-u2')), 'NONE');
});

test('the members of a group whose leader cannot store the assignment are told, and rejoin', () => {
  const { world } = stableGroup(2);
  world.join('c-u1');
  world.join('c-u2');
  const waiting = world.sync('c-u2', 2);
  world.story();
  world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  world.sync('c-u1', 2, { 'c-u1': 'a' });
  assert.equal(world.errorOf(waiting), 'COORDINATOR_NOT_AVAILABLE');
  assert.equal(world.group().state, 'PreparingRebalance');
  world.appendError = null;
  world.join('c-u1');
  world.join('c-u2');
  world.sync('c-u2', 3);
  world.sync('c-u1', 3, { 'c-u1': 'a' });
  assert.equal(world.group().state, 'Stable');
});

test('a group that cannot be stored does not exist, and its first member is told', () => {
  const world = new GroupWorld();
  world.appendError = new KafkaError('NOT_LEADER_OR_FOLLOWER');
  const join = world.join('', { apiVersion: 3 });
  assert.equal(world.errorOf(join), 'NOT_COORDINATOR');
  assert.equal(world.coordinator.groups.size, 0);
});

test('a static replacement that cannot be stored leaves the old member in place', () => {
  const world = new GroupWorld();
  const statically = { groupInstanceId: 'i1' };
  world.join('', { ...statically });
  world.pass(3_000);
  world.sync('i1-u1', 1, { 'i1-u1': 'a' }, statically);
  world.appendError = new KafkaError('REQUEST_TIMED_OUT');
  assert.equal(world.errorOf(world.join('', { ...statically })), 'COORDINATOR_NOT_AVAILABLE');
  assert.equal(world.heartbeat('i1-u1', 1, statically), 'NONE');
  assert.deepEqual(durableState(world.reloaded()), durableState(world.coordinator));
});

test('a static replacement is not undone once others have joined upon what it brought', () => {
  const world = new GroupWorld();
  const supporting = (...names: string[]) => ({
    apiVersion: 3,
    rebalanceTimeoutMs: 8_000,
    protocols: names.map((name) => ({ name, metadata: subscription(['t']) })),
  });
  world.join('', supporting('range', 'sticky'));
  world.join('', { ...supporting('range'), groupInstanceId: 'i1' });
  world.pass(8_000);
  world.sync('i1-u2', 1, {}, { groupInstanceId: 'i1' });
  world.sync('c-u1', 1, { 'c-u1': 'a', 'i1-u2': 'b' });
  assert.equal(world.group().state, 'Stable');
  world.commitsLate = true;
  const replacement = world.join('', { ...supporting('range', 'sticky'), groupInstanceId: 'i1' });
  world.pass(1_000);
  const newcomer = world.join('', supporting('sticky'));
  world.pass(4_000);
  assert.equal(world.errorOf(replacement), 'COORDINATOR_NOT_AVAILABLE');
  world.coordinator.assertInvariants();
  world.commitAppended();
  const first = world.join('c-u1', supporting('range', 'sticky'));
  world.pass(4_000);
  assert.equal(world.errorOf(first), 'NONE');
  assert.equal(world.errorOf(newcomer), 'NONE');
  assert.equal(world.group().protocolName, 'sticky');
});

test('a static replacement that took longer than a session to be stored has a session', () => {
  const world = new GroupWorld();
  const statically = { groupInstanceId: 'i1', sessionTimeoutMs: 1_000 };
  world.join('', statically);
  world.pass(3_000);
  world.sync('i1-u1', 1, {}, { groupInstanceId: 'i1' });
  world.commitsLate = true;
  const replacement = world.join('', statically);
  world.pass(2_000);
  world.commitAppended();
  assert.equal(world.errorOf(replacement), 'NONE');
  world.pass(1_000);
  assert.equal(world.group().members.size, 0);
});

test('a static member that restarts before it has synced is not waited for under its former id', () => {
  const world = new GroupWorld();
  world.join('', { apiVersion: 3 });
  world.join('', { groupInstanceId: 'i1' });
  world.pass(6_000);
  world.sync('c-u1', 1, { 'c-u1': 'a', 'i1-u2': 'b' });
  world.join('', { groupInstanceId: 'i1' });
  world.sync('i1-u3', 1, {}, { groupInstanceId: 'i1' });
  world.coordinator.assertInvariants();
  for (let second = 0; second < 120; second += 5) {
    world.pass(5_000);
    assert.equal(world.heartbeat('c-u1', 1), 'NONE');
    assert.equal(world.heartbeat('i1-u3', 1, { groupInstanceId: 'i1' }), 'NONE');
  }
});

test('after a restart members go on where they were, each with a fresh session', () => {
  const { world } = stableGroup(2);
  world.pass(9_000);
  world.takeOver();
  world.pass(9_000);
  assert.equal(world.heartbeat('c-u1', 1), 'NONE');
  world.pass(1_000);
  assert.equal(world.heartbeat('c-u1', 1), 'REBALANCE_IN_PROGRESS');
  assert.deepEqual([...world.group().members.keys()], ['c-u1']);
});

test('whoever waits when the partition is unloaded is sent to the new coordinator', () => {
  const { world } = stableGroup(2);
  const join = world.join('c-u1');
  world.submit(world.coordinator.unload(world.moment));
  assert.equal(world.errorOf(join), 'NOT_COORDINATOR');
});

test('a request for a group or a member that is not there is refused as Kafka does', () => {
  const world = new GroupWorld();
  assert.equal(world.heartbeat('x', 1), 'UNKNOWN_MEMBER_ID');
  assert.equal(world.errorOf(world.sync('x', 1)), 'UNKNOWN_MEMBER_ID');
  assert.equal(world.errorOf(world.join('x')), 'UNKNOWN_MEMBER_ID');
  assert.equal(world.leave(['x']), 'UNKNOWN_MEMBER_ID');
  const stable = stableGroup(1).world;
  assert.equal(stable.heartbeat('c-u1', 7), 'ILLEGAL_GENERATION');
  assert.equal(stable.errorOf(stable.sync('c-u1', 7)), 'ILLEGAL_GENERATION');
  assert.equal(
    stable.errorOf(stable.sync('c-u1', 1, {}, { protocolName: 'other', protocolType: 'consumer' })),
    'INCONSISTENT_GROUP_PROTOCOL',
  );
  assert.equal(stable.heartbeat('c-u1', 1, { groupInstanceId: 'i' }), 'UNKNOWN_MEMBER_ID');
  assert.equal(stable.errorOf(stable.join('nobody')), 'UNKNOWN_MEMBER_ID');
});
