import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { batchesOf } from '@ottla/protocol';
import { decodeGroupRecord, encodeGroupRecord } from './group-record.ts';
import { GroupWorld } from './group-world.ts';

/** A world whose log is that of a real Kafka's partition. */
function worldOf(partition: number): GroupWorld {
  const world = new GroupWorld();
  world.log.length = 0;
  for (const batch of batchesOf(readFileSync(new URL(`../vectors/consumer-offsets-${partition}.log`, import.meta.url)))) {
    for (const { key, value } of batch.records())
      world.log.push({ key: key!.slice(), value: value?.slice() ?? null, producerId: -1 });
  }
  world.nowMs = 1_795_258_150_000 - 1_000_000;
  world.takeOver();
  world.coordinator.assertInvariants();
  return world;
}

test('the records of a real partition are read and written back byte for byte', () => {
  for (const partition of [1, 2, 3]) {
    for (const { key, value } of worldOf(partition).log) {
      const record = decodeGroupRecord(key, value);
      assert.ok(record !== null);
      const again = encodeGroupRecord(record);
      assert.deepEqual(Buffer.from(again.key), Buffer.from(key));
      assert.deepEqual(again.value && Buffer.from(again.value), value && Buffer.from(value));
    }
  }
});

test('a classic group of Kafka is taken over with its offsets', () => {
  const world = worldOf(2);
  const group = world.group('g1');
  assert.equal(group.state, 'Empty');
  assert.equal(group.generationId, 2);
  assert.equal(group.protocolType, 'consumer');
  assert.equal(group.stateTimestampMs > 1_795_258_140_000, true);
  assert.deepEqual(world.fetched('g1'), { 't1-0': 408, 't1-1': 375, 't1-2': 404, 't1-3': 414, 't1-4': 405 });
  world.join('', { apiVersion: 3 }, 'g1');
  world.pass(3_000);
  assert.equal(group.generationId, 3);
});

test('a consumer group of Kafka is listed as what it is, and refused as a classic one until it is empty', () => {
  const world = worldOf(3);
  const { coordinator } = world;
  assert.deepEqual(coordinator.list({ states: new Set(), types: new Set() }), [
    { groupId: 'g2', protocolType: 'consumer', groupState: 'Empty', groupType: 'consumer' },
  ]);
  assert.deepEqual(coordinator.list({ states: new Set(), types: new Set(['classic']) }), []);
  const described = coordinator.classic.describe('g2', { apiVersion: 6 });
  assert.equal(described.errorCode, 69);
  assert.equal(described.groupState, 'Dead');
  assert.equal(coordinator.classic.describe('g2', { apiVersion: 5 }).errorCode, undefined);
  assert.equal(world.heartbeat('x', 1, {}, 'g2'), 'UNKNOWN_MEMBER_ID');
  assert.deepEqual(world.fetched('g2'), { 't1-0': 408, 't1-1': 375, 't1-2': 404, 't1-3': 414, 't1-4': 405 });
  // Empty, it turns into a classic group, and keeps what it has committed.
  assert.equal(world.errorOf(world.join('', {}, 'g2')), 'MEMBER_ID_REQUIRED');
  assert.equal(world.group('g2').state, 'Empty');
  assert.equal(world.fetched('g2')['t1-0'], 408);
  assert.equal(world.reloaded().groups.get('g2')?.type, 'Classic');
});

test('a consumer group with members is not disturbed by classic requests', () => {
  const world = worldOf(3);
  // As the group was before its member left.
  world.log.length = 15;
  world.takeOver();
  assert.equal(world.coordinator.groups.get('g2')?.committedState, 'Stable');
  // A consumer of the classic protocol may join, and is given an id first.
  assert.equal(world.errorOf(world.join('', {}, 'g2')), 'MEMBER_ID_REQUIRED');
  assert.equal(world.errorOf(world.join('', { protocolType: 'connect' }, 'g2')), 'INCONSISTENT_GROUP_PROTOCOL');
  assert.equal(world.commit({ 't1-0': 1 }, {}, 'g2'), 'UNKNOWN_MEMBER_ID');
  const memberId = 'BMO_C_nQQ52mFNCVfXxY9g';
  assert.equal(world.commit({ 't1-0': 500 }, { memberId, generationIdOrMemberEpoch: 2 }, 'g2'), 'NONE');
  assert.equal(world.commit({ 't1-0': 500 }, { memberId, generationIdOrMemberEpoch: 3 }, 'g2'), 'STALE_MEMBER_EPOCH');
  assert.equal(
    world.commit({ 't1-0': 500 }, { memberId, generationIdOrMemberEpoch: 2, apiVersion: 8 }, 'g2'),
    'UNSUPPORTED_VERSION',
  );
  assert.equal(world.coordinator.deleteGroups(['g2'], world.moment).response[0]!.errorCode, 68);
});

test('a share group of Kafka is kept, listed, and deleted whole', () => {
  const world = worldOf(1);
  assert.deepEqual(world.coordinator.list({ states: new Set(['empty']), types: new Set(['share']) }), [
    { groupId: 'sg1', protocolType: 'share', groupState: 'Empty', groupType: 'share' },
  ]);
  assert.equal(world.errorOf(world.join('', {}, 'sg1')), 'INCONSISTENT_GROUP_PROTOCOL');
  assert.deepEqual(world.fetched('sg1'), {});
  world.submit(world.coordinator.deleteGroups(['sg1'], world.moment));
  assert.equal(world.coordinator.groups.size, 0);
  assert.equal(world.reloaded().groups.size, 0);
});
