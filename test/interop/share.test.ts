/**
 * Share groups as KafkaShareConsumer uses them: what is accepted is done, what is released comes again, what is rejected does not,
 * what is renewed stays, and whoever is slow or dies loses what it had.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Acknowledgement, type Client, type SharedRecord, WorkerClient } from './clients/client.ts';
import { freshTopic } from './expectations.ts';
import { eventually } from './processes.ts';
import { againstEachTarget, type Bench } from './targets/against.ts';

const invalidRecordState = 121;

againstEachTarget('share groups', declare, {
  'broker.session.timeout.ms': '2000', // a node that was killed starts again as soon as that
  'broker.heartbeat.interval.ms': '500',
  'group.share.min.record.lock.duration.ms': '1000',
  'group.share.min.session.timeout.ms': '1500',
  'group.share.session.timeout.ms': '2000',
  'group.share.min.heartbeat.interval.ms': '200',
  'group.share.heartbeat.interval.ms': '200',
  'group.share.assignment.interval.ms': '0',
  'share.coordinator.state.topic.num.partitions': '4',
  'offsets.topic.num.partitions': '4',
});

function declare(bench: Bench): void {
  const java = () => bench.client('java');

  /** A topic with the numbers from 0 in each partition, and a group that begins at their first. */
  async function given(name: string, numbers: number, { partitions = 1, configs = {} as { [name: string]: string } } = {}) {
    const topic = await freshTopic(java(), name, partitions);
    const group = `group of ${name}`;
    await set(group, { 'share.auto.offset.reset': 'earliest', ...configs });
    await produce(topic, 0, numbers, partitions);
    return { topic, group };
  }

  async function set(group: string, configs: { [name: string]: string }): Promise<void> {
    for (const [name, value] of Object.entries(configs)) await java().call('setGroupConfig', { group, name, value });
    await bench.node.settled();
  }

  const produce = (topic: string, from: number, to: number, partitions = 1) =>
    java().call('produce', {
      topic,
      records: Array.from({ length: (to - from) * partitions }, (_, index) => {
        const partition = index % partitions;
        return { partition, key: null, value: `${partition}: ${from + Math.floor(index / partitions)}` };
      }),
    });

  test('what is accepted is done, and the group begins behind it', async () => {
    const { topic, group } = await given('accepted', 10);
    await java().call('shareJoin', { member: 'a', group, topics: [topic] });
    const taken = await take(java(), 'a', 10, 'ACCEPT');
    assert.deepEqual(
      taken.map(offsetAndCount),
      range(0, 10).map((offset) => `${offset} x1`),
    );
    assert.deepEqual(await java().call('shareCommit', { member: 'a' }), { [`${topic}-0`]: 0 });
    await produce(topic, 10, 12);
    assert.deepEqual((await take(java(), 'a', 2, 'ACCEPT')).map(offsetAndCount), ['10 x1', '11 x1']);
    await java().call('shareLeave', { member: 'a' });
    await eventually('done', async () => (await java().call('shareOffsets', { group }))[`${topic}-0`]!.endsWith('lag 0'));
  });

  test('what is released comes again and is counted, what is rejected does not come again', async () => {
    const { topic, group } = await given('released', 6);
    await java().call('shareJoin', { member: 'a', group, topics: [topic] });
    const fates: readonly Acknowledgement[3][] = ['ACCEPT', 'RELEASE', 'REJECT', 'RELEASE', 'ACCEPT', 'REJECT'];
    const first = await take(java(), 'a', 6, (offset) => fates[offset]!);
    assert.deepEqual(
      first.map(offsetAndCount),
      range(0, 6).map((offset) => `${offset} x1`),
    );
    const second = await take(java(), 'a', 2, (offset) => (offset === 1 ? 'RELEASE' : 'ACCEPT'));
    assert.deepEqual(second.map(offsetAndCount), ['1 x2', '3 x2']);
    assert.deepEqual((await take(java(), 'a', 1, 'ACCEPT')).map(offsetAndCount), ['1 x3']);
    await produce(topic, 6, 7);
    assert.deepEqual((await take(java(), 'a', 1, 'ACCEPT')).map(offsetAndCount), ['6 x1']);
    await java().call('shareLeave', { member: 'a' });
  });

  test('what is released too often is given up', async () => {
    const { topic, group } = await given('given-up', 2, { configs: { 'share.delivery.count.limit': '3' } });
    await java().call('shareJoin', { member: 'a', group, topics: [topic] });
    for (const count of [1, 2, 3]) {
      const offered = await take(java(), 'a', count === 1 ? 2 : 1, (offset) => (offset === 0 ? 'RELEASE' : 'ACCEPT'));
      assert.deepEqual(offered.map(offsetAndCount), count === 1 ? ['0 x1', '1 x1'] : [`0 x${count}`]);
    }
    await produce(topic, 2, 3);
    assert.deepEqual((await take(java(), 'a', 1, 'ACCEPT')).map(offsetAndCount), ['2 x1']);
    await java().call('shareLeave', { member: 'a' });
  });

  test('what is held for too long comes to another, and cannot be acknowledged any more', async () => {
    const { topic, group } = await given('expired', 3, { configs: { 'share.record.lock.duration.ms': '1500' } });
    await java().call('shareJoin', { member: 'slow', group, topics: [topic] });
    assert.equal((await poll(java(), 'slow', 3)).length, 3);
    await set(group, { 'share.record.lock.duration.ms': '60000' }); // whoever is next has all the time it wants
    await java().call('shareJoin', { member: 'other', group, topics: [topic] });
    const lost = await poll(java(), 'other', 3);
    assert.deepEqual(lost.map(offsetAndCount), ['0 x2', '1 x2', '2 x2']);
    const acknowledgements = range(0, 3).map((offset): Acknowledgement => [topic, 0, offset, 'ACCEPT']);
    await java().call('acknowledge', { member: 'slow', acknowledgements });
    assert.deepEqual(await java().call('shareCommit', { member: 'slow' }), { [`${topic}-0`]: invalidRecordState });
    await java().call('acknowledge', { member: 'other', acknowledgements });
    assert.deepEqual(await java().call('shareCommit', { member: 'other' }), { [`${topic}-0`]: 0 });
    await java().call('shareLeave', { member: 'slow' });
    await java().call('shareLeave', { member: 'other' });
  });

  test('what is renewed is held for longer than once', async () => {
    const lockMs = 8000;
    const { topic, group } = await given('renewed', 2, { configs: { 'share.record.lock.duration.ms': `${lockMs}` } });
    await java().call('shareJoin', { member: 'a', group, topics: [topic] });
    await java().call('shareJoin', { member: 'other', group, topics: [topic] });
    const started = Date.now();
    let rounds = 0;
    while (Date.now() - started < lockMs + 2000) {
      const held = await java().call('sharePoll', { member: 'a' });
      assert.ok(
        held.some(([, , offset, , count]) => offset === 0 && count === 1),
        `it is given to its holder again, ${rounds}`,
      );
      const fates = held.map(([t, p, o]): Acknowledgement => [t, p, o, o === 0 ? 'RENEW' : 'RELEASE']);
      await java().call('acknowledge', { member: 'a', acknowledgements: fates });
      assert.deepEqual(await java().call('shareCommit', { member: 'a' }), { [`${topic}-0`]: 0 });
      // Whoever comes first of the two is given what was released; what was renewed stays where it is.
      const others = await java().call('sharePoll', { member: 'other', timeoutMs: 500 });
      assert.ok(others.every(([, , offset]) => offset === 1));
      await java().call('acknowledge', { member: 'other', acknowledgements: others.map(([t, p, o]) => [t, p, o, 'RELEASE']) });
      rounds++;
    }
    assert.equal((await java().call('sharePoll', { member: 'a' }))[0]![2], 0);
    await java().call('acknowledge', { member: 'a', acknowledgements: [[topic, 0, 0, 'ACCEPT']] });
    assert.deepEqual(await java().call('shareCommit', { member: 'a' }), { [`${topic}-0`]: 0 });
    await java().call('shareLeave', { member: 'a' });
    await java().call('shareLeave', { member: 'other' });
  });

  test('members share one partition, each record held by one of them', async () => {
    const { topic, group } = await given('shared', 0);
    for (const member of ['a', 'b', 'c']) {
      await java().call('shareJoin', {
        member,
        group,
        topics: [topic],
        clientId: member,
        configs: { 'share.acquire.mode': 'record_limit', 'max.poll.records': '5' },
      });
    }
    await eventually('all three have it', async () => {
      await Promise.all(['a', 'b', 'c'].map((member) => java().call('sharePoll', { member, timeoutMs: 1 })));
      return (
        (await java().call('shareGroup', { group })).members.join() === ['a', 'b', 'c'].map((m) => `${m}: ${topic}-0`).join()
      );
    });
    await produce(topic, 0, 60);
    const byMember = new Map<string, number[]>([
      ['a', []],
      ['b', []],
      ['c', []],
    ]);
    await eventually('all are taken', async () => {
      for (const [member, taken] of byMember) {
        const records = await java().call('sharePoll', { member, timeoutMs: 300 });
        assert.ok(records.length <= 5, `${records.length} at once`);
        taken.push(...records.map(([, , offset]) => offset));
        await java().call('acknowledge', { member, acknowledgements: records.map(([t, p, o]) => [t, p, o, 'ACCEPT']) });
      }
      return [...byMember.values()].flat().length >= 60;
    });
    assert.deepEqual(
      [...byMember.values()].flat().sort((one, other) => one - other),
      range(0, 60),
    );
    for (const member of byMember.keys()) await java().call('shareLeave', { member });
  });

  test('a poll accepts what the one before it gave, if nobody says otherwise', async () => {
    const { topic, group } = await given('implicit', 4);
    await java().call('shareJoin', { member: 'a', group, topics: [topic], mode: 'implicit' });
    assert.equal((await poll(java(), 'a', 4)).length, 4);
    await produce(topic, 4, 5);
    assert.deepEqual((await poll(java(), 'a', 1)).map(offsetAndCount), ['4 x1']);
    assert.deepEqual(await java().call('sharePoll', { member: 'a', timeoutMs: 100 }), []);
    await java().call('shareLeave', { member: 'a' });
    await eventually('done', async () => (await java().call('shareOffsets', { group }))[`${topic}-0`]!.endsWith('lag 0'));
  });

  test('a member that is killed gives back what it held', async () => {
    const { topic, group } = await given('killed', 4, { partitions: 2 });
    const killed = new WorkerClient('java', bench.node.bootstrap);
    await killed.call('shareJoin', { member: 'k', group, topics: [topic], clientId: 'killed' });
    const held = await killed.call('sharePoll', { member: 'k' });
    await killed.call('acknowledge', { member: 'k', acknowledgements: [[held[0]![0], held[0]![1], held[0]![2], 'ACCEPT']] });
    await killed.kill();
    await java().call('shareJoin', { member: 'a', group, topics: [topic], clientId: 'next' });
    const taken = await take(java(), 'a', 8, 'ACCEPT');
    const place = ([, partition, offset]: SharedRecord) => `${partition}: ${offset}`;
    const expected = [0, 1].flatMap((partition) => range(0, 4).map((offset) => `${partition}: ${offset}`));
    assert.deepEqual(taken.map(place).sort(), expected);
    for (const record of taken) assert.equal(record[4], held.some((one) => place(one) === place(record)) ? 2 : 1);
    await eventually('it is missed', async () => (await java().call('shareGroup', { group })).members.length === 1);
    await java().call('shareLeave', { member: 'a' });
  });

  for (const manner of ['stop', 'kill'] as const) {
    test(`a group goes on where it was when the node is told to ${manner}`, async () => {
      const { topic, group } = await given(`node-${manner}`, 8);
      await java().call('shareJoin', { member: 'a', group, topics: [topic] });
      const fates: readonly Acknowledgement[3][] = [
        'ACCEPT',
        'ACCEPT',
        'RELEASE',
        'REJECT',
        'ACCEPT',
        'RELEASE',
        'ACCEPT',
        'ACCEPT',
      ];
      await take(java(), 'a', 8, (offset) => fates[offset]!);
      assert.deepEqual(await java().call('shareCommit', { member: 'a' }), { [`${topic}-0`]: 0 });
      await bench.node[manner]();
      await bench.node.start();
      const again = await take(java(), 'a', 2, 'ACCEPT');
      assert.deepEqual(again.map(offsetAndCount), ['2 x2', '5 x2']);
      await produce(topic, 8, 9);
      assert.deepEqual((await take(java(), 'a', 1, 'ACCEPT')).map(offsetAndCount), ['8 x1']);
      await java().call('shareLeave', { member: 'a' });
    });
  }

  test('read_committed leaves out what was aborted, and waits for what is open', async () => {
    const { topic, group } = await given('transactional', 1, { configs: { 'share.isolation.level': 'read_committed' } });
    const send = (value: string) => java().call('send', { producer: 'p', topic, records: [{ partition: 0, key: null, value }] });
    await java().call('openProducer', { producer: 'p', transactionalId: 'beside a share group' });
    for (const end of ['abortTransaction', 'commitTransaction'] as const) {
      await java().call('beginTransaction', { producer: 'p' });
      await send(end);
      await java().call(end, { producer: 'p' });
    }
    await java().call('beginTransaction', { producer: 'p' });
    await send('the last');
    await java().call('shareJoin', { member: 'a', group, topics: [topic] });
    const values = (records: readonly SharedRecord[]) => records.map(([, , , value]) => value);
    assert.deepEqual(values(await take(java(), 'a', 2, 'ACCEPT')), ['0: 0', 'commitTransaction']);
    await java().call('commitTransaction', { producer: 'p' });
    assert.deepEqual(values(await take(java(), 'a', 1, 'ACCEPT')), ['the last']);
    await java().call('shareLeave', { member: 'a' });
    await java().call('closeProducer', { producer: 'p' });
  });
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);
const offsetAndCount = ([, , offset, , count]: SharedRecord) => `${offset} x${count}`;

/** Polls until that many have come, and acknowledges each poll's. */
async function take(
  client: Client,
  member: string,
  count: number,
  fate: Acknowledgement[3] | ((offset: number) => Acknowledgement[3]),
): Promise<SharedRecord[]> {
  const taken: SharedRecord[] = [];
  while (taken.length < count) {
    const records = await client.call('sharePoll', { member });
    assert.ok(records.length > 0, `${taken.length} of ${count} came to ${member}`);
    const acknowledgements = records.map(([topic, partition, offset]): Acknowledgement => {
      return [topic, partition, offset, typeof fate === 'string' ? fate : fate(offset)];
    });
    await client.call('acknowledge', { member, acknowledgements });
    taken.push(...records);
  }
  return taken;
}

/** One poll, which is expected to give all. */
async function poll(client: Client, member: string, count: number): Promise<SharedRecord[]> {
  const taken = await client.call('sharePoll', { member });
  assert.equal(taken.length, count);
  return taken;
}
