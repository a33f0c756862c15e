import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { batchesOf } from '@ottla/protocol';
import { decodeShareStateRecord, encodeShareStateRecord, textOfKey } from './share-state-record.ts';
import { ShareStateWorld, TOPIC_ID } from './share-state-world.ts';
import type { StateBatch } from './state-batches.ts';

const batch = (firstOffset: number, lastOffset: number, deliveryState = 2, deliveryCount = 1): StateBatch => ({
  firstOffset,
  lastOffset,
  deliveryState,
  deliveryCount,
});

test('a share partition is begun, read by its leader, and moves along', () => {
  const world = new ShareStateWorld();
  assert.equal(world.initialize(2, -1), 'NONE');
  assert.deepEqual(world.read(0), { error: 'NONE', stateEpoch: 2, startOffset: -1, stateBatches: [] });
  assert.equal(world.write({ stateEpoch: 2, leaderEpoch: 0, startOffset: 0, batches: [batch(0, 9)] }), 'NONE');
  assert.equal(world.write({ startOffset: 8, deliveryCompleteCount: 2, batches: [batch(12, 13, 0)] }), 'NONE');
  assert.deepEqual(world.read(0).stateBatches, [batch(8, 9), batch(12, 13, 0)]);
  assert.deepEqual(world.summary(), {
    error: 'NONE',
    stateEpoch: 2,
    leaderEpoch: 0,
    startOffset: 8,
    deliveryCompleteCount: 2,
  });
  assert.deepEqual(world.types, ['ShareSnapshot', 'ShareUpdate', 'ShareUpdate']);
});

test('what was never initialized can be summed up and deleted, not read or written', () => {
  const world = new ShareStateWorld();
  assert.equal(world.write({}), 'INVALID_REQUEST');
  assert.equal(world.read().error, 'INVALID_REQUEST');
  assert.deepEqual(world.summary(), { error: 'NONE', stateEpoch: 0, leaderEpoch: 0, startOffset: -1, deliveryCompleteCount: -1 });
  assert.equal(world.delete(), 'NONE');
  assert.deepEqual(world.log, []);
});

test('no partition has a negative number', () => {
  const world = new ShareStateWorld();
  const asked = world.asked(-1);
  assert.equal(world.initialize(1, 0, asked), 'INVALID_REQUEST');
  assert.equal(world.write({}, asked), 'INVALID_REQUEST');
  assert.equal(world.read(0, asked).error, 'INVALID_REQUEST');
  assert.equal(world.summary(asked).error, 'INVALID_REQUEST');
  assert.equal(world.delete(asked), 'INVALID_REQUEST');
});

test('a leader that has been followed by another is fenced', () => {
  const world = new ShareStateWorld();
  world.initialize(1, 0);
  assert.equal(world.read(5).error, 'NONE');
  assert.equal(world.read(4).error, 'FENCED_LEADER_EPOCH');
  assert.equal(world.write({ leaderEpoch: 4 }), 'FENCED_LEADER_EPOCH');
  assert.equal(world.summary().leaderEpoch, 5);
  // Reading again with the same epoch writes nothing.
  const length = world.log.length;
  assert.equal(world.read(5).error, 'NONE');
  assert.equal(world.log.length, length);
  assert.equal(world.write({ leaderEpoch: 5 }), 'NONE');
  // A write does not make a leader; and who does not know its epoch is not fenced.
  assert.equal(world.write({ leaderEpoch: 9 }), 'NONE');
  assert.equal(world.summary().leaderEpoch, 5);
  assert.equal(world.write({ leaderEpoch: -1 }), 'NONE');
});

test('what was decided before the state was made anew is fenced', () => {
  const world = new ShareStateWorld();
  world.initialize(3, 0);
  world.read(7);
  world.write({ stateEpoch: 3, leaderEpoch: 7, batches: [batch(0, 5)] });
  assert.equal(world.initialize(2, 50), 'FENCED_STATE_EPOCH');
  assert.equal(world.initialize(4, 50), 'NONE');
  assert.equal(world.write({ stateEpoch: 3, leaderEpoch: 7, batches: [batch(6, 7)] }), 'FENCED_STATE_EPOCH');
  assert.deepEqual(world.read(7), { error: 'NONE', stateEpoch: 4, startOffset: 50, stateBatches: [] });
  // The partition's leader stays who it is.
  assert.equal(world.write({ stateEpoch: 4, leaderEpoch: 6 }), 'FENCED_LEADER_EPOCH');
  assert.equal(world.summary().deliveryCompleteCount, 0);
});

test('a topic that is gone has no state, and what is left of it goes', () => {
  const world = new ShareStateWorld();
  const other = world.asked(0, 'AAAAAAAAAAAAAAAAAAAAAQ');
  world.initialize(1, 0);
  world.initialize(1, 0, other);
  world.deleted.add(TOPIC_ID);
  assert.equal(world.initialize(1, 0), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(world.write({}), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(world.read().error, 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(world.summary().error, 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(world.delete(), 'UNKNOWN_TOPIC_OR_PARTITION');
  world.submit(world.coordinator.onTopicsDeleted(world.deleted));
  assert.deepEqual([...world.coordinator.states.keys()], [textOfKey(other)]);
});

test('what is deleted begins from nothing', () => {
  const world = new ShareStateWorld();
  world.initialize(5, 10);
  world.read(3);
  assert.equal(world.delete(), 'NONE');
  assert.equal(world.read(3).error, 'INVALID_REQUEST');
  assert.equal(world.initialize(1, 0), 'NONE');
  assert.equal(world.read(0).error, 'NONE');
});

test('after enough updates the state is written whole', () => {
  const world = new ShareStateWorld({ updatesPerSnapshot: 2 });
  world.initialize(1, 0);
  for (let offset = 0; offset < 6; offset++) world.write({ batches: [batch(offset * 2, offset * 2)] });
  assert.deepEqual(world.types, [
    'ShareSnapshot',
    'ShareUpdate',
    'ShareUpdate',
    'ShareSnapshot',
    'ShareUpdate',
    'ShareUpdate',
    'ShareSnapshot',
  ]);
  const [state] = world.coordinator.states.values();
  assert.equal(state!.snapshotEpoch, 2);
  assert.equal(state!.stateBatches.length, 6);
  world.prune();
  assert.equal(world.logStartOffset, 6);
  assert.deepEqual(world.reloaded().states, world.coordinator.states);
});

test('updates of 0 per snapshot: every change is written whole', () => {
  const world = new ShareStateWorld({ updatesPerSnapshot: 0 });
  world.initialize(1, 0);
  world.read(1);
  world.write({ startOffset: 4 });
  assert.deepEqual(world.types, ['ShareSnapshot', 'ShareSnapshot', 'ShareSnapshot']);
});

test('a cold share partition does not keep the log from being pruned', () => {
  const world = new ShareStateWorld({ updatesPerSnapshot: 3, coldPartitionSnapshotIntervalMs: 1000 });
  const hot = world.asked(1);
  world.initialize(1, 0);
  world.initialize(1, 0, hot);
  for (let offset = 0; offset < 20; offset++) world.write({ batches: [batch(offset, offset)] }, hot);
  world.prune();
  assert.equal(world.logStartOffset, 0);
  world.pass(1000);
  world.prune();
  assert.equal(world.logStartOffset, 22);
  assert.deepEqual(world.reloaded().states, world.coordinator.states);
  // When all are there for the log's sake alone, nothing is written any more.
  const length = world.log.length;
  world.pass(5000);
  assert.equal(world.log.length, length);
  // A new one makes it worth while again.
  world.initialize(1, 0, world.asked(2));
  world.pass(1000);
  assert.equal(world.log.length > length + 1, true);
});

test('a wall clock that is set back does not keep the log from being pruned either', () => {
  const world = new ShareStateWorld({ updatesPerSnapshot: 3, coldPartitionSnapshotIntervalMs: 1000 });
  const hot = world.asked(1);
  world.initialize(1, 0);
  world.initialize(1, 0, hot);
  world.wallMs -= 3_600_000;
  for (let offset = 0; offset < 20; offset++) world.write({ batches: [batch(offset, offset)] }, hot);
  world.pass(1000);
  world.prune();
  assert.equal(world.logStartOffset, 22);
  const length = world.log.length;
  world.pass(10_000);
  assert.ok(world.log.length <= length + 2, 'and each is written once more only');
});

test('with no state left the whole log can go', () => {
  const world = new ShareStateWorld();
  world.initialize(1, 0);
  world.delete();
  world.prune();
  assert.equal(world.logStartOffset, 2);
  assert.equal(world.reloaded().states.size, 0);
});

test('what could not be written has not happened', () => {
  const world = new ShareStateWorld();
  world.initialize(1, 0);
  const before = new Map(world.coordinator.states);
  const { records } = world.coordinator.write(
    world.asked(),
    { partition: 0, stateEpoch: 1, leaderEpoch: 0, startOffset: 5, deliveryCompleteCount: 0, stateBatches: [] },
    world.moment,
  );
  world.coordinator.replay(records[0]!, { offset: 1 });
  assert.equal(world.summary().startOffset, 5);
  world.coordinator.rollbackTo(1);
  assert.deepEqual(world.coordinator.states, before);
});

test("Kafka's own partition is taken over, and its records are written back byte for byte", () => {
  const world = new ShareStateWorld();
  for (const { records } of kafkaLog()) {
    for (const { key, value } of records) {
      const record = decodeShareStateRecord(key!, value)!;
      const again = encodeShareStateRecord(record);
      assert.deepEqual(Buffer.from(again.key), Buffer.from(key!));
      assert.deepEqual(again.value && Buffer.from(again.value), value && Buffer.from(value));
      world.append(record);
    }
  }
  const asked = world.asked(0, TOPIC_ID, 'sg1');
  assert.deepEqual(world.summary(asked), {
    error: 'NONE',
    stateEpoch: 2,
    leaderEpoch: 0,
    startOffset: 0,
    deliveryCompleteCount: 20,
  });
  assert.deepEqual(world.read(0, asked).stateBatches, [batch(0, 19)]);
  assert.equal(world.write({ stateEpoch: 2, startOffset: 20, deliveryCompleteCount: 0 }, asked), 'NONE');
  assert.deepEqual(world.read(0, asked).stateBatches, []);
});

function* kafkaLog() {
  const bytes = readFileSync(new URL('../../vectors/share-group-state-3.log', import.meta.url));
  for (const batch of batchesOf(bytes)) yield { records: [...batch.records()] };
}
