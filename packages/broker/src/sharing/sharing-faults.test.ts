import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FileOperation } from '@ottla/runtime';
import { TestNode } from '../testing-node.ts';
import { SharingMember } from './sharing-member.ts';

const ACCEPT = 1;
const RELEASE = 2;
const REJECT = 3;
const settings = {
  'share.coordinator.state.topic.num.partitions': '1',
  'share.coordinator.state.topic.replication.factor': '1',
  'share.coordinator.state.topic.min.isr': '1',
};

async function withFaults(groupConfigs: Record<string, string>, seed = 1) {
  const fault: { of: (operation: FileOperation) => string | undefined } = { of: () => undefined };
  const node = await TestNode.start({ seed, settings, machine: { fault: (operation) => fault.of(operation) } });
  const client = await node.client();
  await client.createTopic('t', {}, { partitions: 2 });
  await client.configure({ type: 32, name: 'g' }, { 'share.auto.offset.reset': 'earliest', ...groupConfigs });
  const member = new SharingMember(client, 't');
  await member.initialize();
  await member.fetch({ maxWaitMs: 100 });
  return { node, client, member, fault };
}

const stateIsFull = ({ kind, path }: FileOperation): string | undefined =>
  kind === 'write' && path.includes('__share_group_state') ? 'ENOSPC' : undefined;

test('an acknowledgement that cannot be kept is refused, and the record stays with its member', async () => {
  const { client, member, fault } = await withFaults({});
  await client.produce('t', ['a', 'b']);
  await member.fetch();
  fault.of = stateIsFull;
  const refused = await member.acknowledge([{ first: 0, last: 1, types: [ACCEPT] }]);
  assert.ok(refused !== 'NONE', refused);
  assert.deepEqual((await member.fetch()).records, []);
  fault.of = () => undefined;
  assert.equal(await member.acknowledge([{ first: 0, last: 1, types: [ACCEPT] }]), 'NONE');
});

test('a lock that ends while nothing can be kept makes its record available all the same', async () => {
  const { node, client, member, fault } = await withFaults({});
  await client.produce('t', ['a']);
  await member.fetch();
  fault.of = stateIsFull;
  await node.advance(31_000);
  assert.deepEqual((await member.fetch()).records, ['a #2']);
});

/**
 * Members of one group, in a node that is killed again and again: whatever they were told was accepted is never delivered again, and
 * everything else is, or is a dead letter, until all is done with.
 */
async function workUnderFaults(seed: number): Promise<void> {
  const office = { 'errors.deadletterqueue.topic.name': 'dlq.t', 'errors.deadletterqueue.copy.record.enable': 'true' };
  const { node, fault } = await withFaults({ ...office, 'share.delivery.count.limit': '4' }, seed);
  const random = node.world.machine('judge').boot().random;
  await (await node.client()).createTopic('dlq.t', { 'errors.deadletterqueue.group.enable': 'true' });
  const accepted = new Set<string>();
  const produced = new Set<string>();
  /** Told neither yes nor no: any of it may have happened. */
  const unsure = new Set<string>();
  let members: SharingMember[] = [];
  let count = 0;
  const join = async () => {
    members = [];
    for (const memberId of ['m1', 'm2', 'm3']) members.push(new SharingMember(await node.connect(), 't', { memberId }));
  };
  await join();
  const offsets = new Map<string, number>();
  const work = async (member: SharingMember, types: readonly number[]) => {
    const { error, records, ranges } = await member.fetch({ maxRecords: 5, recordLimit: random.below(2) === 0 });
    if (error !== 'NONE') {
      member.epoch = 0;
      return;
    }
    for (const record of records) {
      const value = record.split(' ')[0]!;
      assert.ok(!accepted.has(value), `seed ${seed}: ${record} was accepted, and is delivered again`);
    }
    for (const range of ranges) {
      const [first, last] = range.split(' ')[0]!.split('-').map(Number) as [number, number];
      const each = Array.from({ length: last - first + 1 }, () => types[random.below(types.length)]!);
      if (each.includes(-1)) continue; // The member forgets them: their lock ends.
      const told = await member.acknowledge([{ first, last, types: each }]);
      for (let offset = first; offset <= last; offset++) {
        const value = `v${offset}`;
        if (told === 'NONE' && each[offset - first] === ACCEPT) accepted.add(value);
        else if (told !== 'NONE') unsure.add(value);
      }
    }
  };
  for (let round = 0; round < 40; round++) {
    const what = random.below(12);
    fault.of = random.below(6) === 0 ? stateIsFull : () => undefined;
    if (what < 3) {
      const client = await node.connect();
      const values = Array.from({ length: 1 + random.below(4) }, () => `v${count++}`);
      const { error, baseOffset } = await client.produce('t', values);
      assert.equal(error, 'NONE');
      assert.equal(`v${baseOffset}`, values[0]);
      for (const [at, value] of values.entries()) {
        produced.add(value);
        offsets.set(value, baseOffset + at);
      }
    } else if (what < 9) await work(members[random.below(3)]!, [ACCEPT, ACCEPT, RELEASE, REJECT, -1]);
    else if (what < 11) await node.advance(random.below(40_000));
    else {
      fault.of = () => undefined;
      node.machine.kill();
      await node.start();
      await join();
    }
  }
  fault.of = () => undefined;
  for (let round = 0; round < 60; round++) {
    for (const member of members) await work(member, [ACCEPT]);
    await node.advance(31_000);
  }
  const client = await node.connect();
  const letters = new Set(await client.fetch('dlq.t'));
  for (const value of produced)
    assert.ok(accepted.has(value) || letters.has(value) || unsure.has(value), `seed ${seed}: ${value} is lost`);
}

for (const seeds of [
  [1, 2, 3, 4],
  [5, 6, 7, 8],
]) {
  test(`no record is lost and none is accepted twice, in nodes that are killed: seeds ${seeds.join(', ')}`, async () => {
    for (const seed of seeds) await workUnderFaults(seed);
  });
}
