import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PartitionState } from './partition-state.ts';
import { PartitionTable } from './partition-table.ts';

const brokers = fc.uniqueArray(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });
const partition: fc.Arbitrary<PartitionState> = fc.record({
  replicas: brokers,
  isr: brokers,
  elr: brokers,
  lastKnownElr: fc.constantFrom([], [1]),
  addingReplicas: fc.constantFrom([], [2]),
  removingReplicas: fc.constantFrom([], [3]),
  directories: fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 }),
  leader: fc.integer({ min: -1, max: 4 }),
  leaderRecoveryState: fc.constantFrom(0, 1),
  leaderEpoch: fc.nat(),
  partitionEpoch: fc.nat(),
});
const step = fc.oneof(
  fc.record({ add: partition }),
  fc.record({ replace: fc.nat(), by: partition }),
  fc.record({ remove: fc.nat() }),
);

test('the table is a list of partitions under adding, replacing and removing', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new PartitionTable();
      const model = new Map<number, PartitionState>();
      const slotAt = (index: number) => [...model.keys()][index % model.size]!;
      for (const each of steps) {
        if ('add' in each) model.set(table.add(each.add), each.add);
        else if (model.size === 0) continue;
        else if ('replace' in each) {
          const slot = slotAt(each.replace);
          table.replace(slot, each.by);
          model.set(slot, each.by);
        } else {
          const slot = slotAt(each.remove);
          table.remove(slot);
          model.delete(slot);
        }
      }
      assert.equal(table.size, model.size);
      for (const [slot, expected] of model) assert.deepEqual({ ...table.read(slot) }, { ...expected });
      for (const id of [0, 1, 2, 3, 4]) {
        const states = [...model.values()];
        assert.equal(
          table.hasLeaderships(id),
          states.some(({ leader }) => leader === id),
        );
        const inIsr = table.hasInIsr(id);
        const inElr = table.hasInElr(id);
        for (const [slot, { isr, elr }] of model)
          assert.deepEqual([inIsr(slot), inElr(slot)], [isr.includes(id), elr.includes(id)]);
      }
    }),
  );
});

test('a partition costs tens of bytes', () => {
  const table = new PartitionTable();
  const state = {
    replicas: [1, 2, 3],
    isr: [1, 2, 3],
    directories: ['a', 'b', 'c'],
    leader: 1,
    leaderEpoch: 0,
    partitionEpoch: 0,
  };
  const rare = { elr: [], lastKnownElr: [], addingReplicas: [], removingReplicas: [], leaderRecoveryState: 0 };
  const before = process.memoryUsage().arrayBuffers;
  for (let count = 0; count < 200_000; count++) table.add({ ...state, ...rare });
  const bytesEach = (process.memoryUsage().arrayBuffers - before) / 200_000;
  assert.equal(table.size, 200_000);
  assert.ok(bytesEach < 100, `${Math.round(bytesEach)} bytes each, outgrown columns included`);
  assert.equal(table.read(0).replicas, table.read(199_999).replicas, 'equal lists are one list');
});
