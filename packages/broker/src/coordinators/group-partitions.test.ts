import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errors, KafkaError } from '@ottla/protocol';
import { World } from '@ottla/runtime';
import { GroupPartitions } from './group-partitions.ts';

function start() {
  const world = new World({ seed: 1 });
  const partitions = new GroupPartitions({
    runtime: world.machine('broker').boot(),
    partitionCount: () => 1,
    coordinators: undefined as never,
    config: undefined as never,
    topics: undefined as never,
  });
  return { world, partitions };
}

type Group = { groupId: string; errorCode?: number; members?: { metadata: Uint8Array }[] };

test('a group that is named again and again is described as often, as long as the answer has room', async () => {
  const { world, partitions } = start();
  let looks = 0;
  const members = [{ metadata: new Uint8Array(1024 * 1024) }];
  const describe = (groupId: string): Group => {
    looks++;
    if (groupId === 'none') throw new KafkaError('GROUP_ID_NOT_FOUND');
    return { groupId, members };
  };
  const asked = ['none', ...Array.from({ length: 100 }, () => 'large'), 'none'];
  const groups = await world.runUntil(partitions.describeEach<Group>(asked, describe));
  const codes = groups.map(({ errorCode = 0 }) => errorCode);
  assert.equal(groups.length, 102);
  assert.equal(looks, 2);
  assert.equal(codes.filter((code) => code === 0).length, 63);
  assert.deepEqual(codes.slice(-2), [errors.POLICY_VIOLATION.code, errors.POLICY_VIOLATION.code]);
  assert.equal(codes[0], errors.GROUP_ID_NOT_FOUND.code);
});
