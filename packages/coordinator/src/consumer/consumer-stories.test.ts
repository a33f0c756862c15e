import assert from 'node:assert/strict';
import { test } from 'node:test';
import { durableState, GroupWorld } from '../group-world.ts';

function worldOf(topics: Record<string, number> = { t: 3 }): GroupWorld {
  const world = new GroupWorld();
  for (const [name, partitions] of Object.entries(topics)) world.setTopic(name, partitions);
  return world;
}

test('the first member gets everything at once', () => {
  const world = worldOf();
  world.beat('a', 0);
  assert.deepEqual(world.story(), [
    '  stored MemberMetadata a',
    '  stored Metadata',
    '  stored TargetAssignmentMember a',
    '  stored TargetAssignmentMetadata',
    '  stored CurrentMemberAssignment a',
    'beat a 0: 2 [t-0 t-1 t-2]',
  ]);
  world.beat('a', 2);
  assert.deepEqual(world.story(), ['beat a 2: 2']);
  assert.equal(world.consumerGroup().committedState, 'Stable');
  assert.deepEqual(durableState(world.reloaded()), durableState(world.coordinator));
});

test('a second member waits for what the first has to give up', () => {
  const world = worldOf({ t: 4 });
  world.beat('a', 0);
  world.pass(1_000);
  world.story();
  world.beat('b', 0);
  world.beat('a', 2);
  world.beat('b', 3);
  world.beat('a', 2, { owned: ['t-0', 't-1'] });
  world.beat('b', 3);
  assert.deepEqual(
    world.story().filter((line) => line.startsWith('beat')),
    ['beat b 0: 3 []', 'beat a 2: 2 [t-0 t-1]', 'beat b 3: 3', 'beat a 2: 3', 'beat b 3: 3 [t-2 t-3]'],
  );
  assert.equal(world.consumerGroup().committedState, 'Stable');
  world.coordinator.assertInvariants();
});
