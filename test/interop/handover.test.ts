/**
 * What coordinators keep passes from Apache Kafka to Ottla and back with the data directory, while their clients are at work: members
 * of groups of each kind go on, a transaction that was open is ended, and a share group continues where it was.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Acknowledgement, Client, SharedRecord } from './clients/client.ts';
import { connectClient } from './clients/connect.ts';
import { freshTopic } from './expectations.ts';
import { eventually } from './processes.ts';
import { type TargetName, TargetNode, targets } from './targets/node.ts';

const properties = {
  'offsets.topic.num.partitions': '2',
  'transaction.state.log.num.partitions': '2',
  'share.coordinator.state.topic.num.partitions': '2',
  'broker.session.timeout.ms': '2000', // a node that was killed starts again as soon as that
  'broker.heartbeat.interval.ms': '500',
};
/** Longer than a node takes to start, so that nobody is missed meanwhile. */
const patience = { 'session.timeout.ms': '120000' };
const protocols = ['classic', 'consumer'] as const;

describe('coordinators pass from one to the other', { skip: targets.length === 2 ? false : 'needs both targets' }, () => {
  let node: TargetNode;
  let java: Client;
  let round = 0;
  const memberIds = new Map<string, string>();

  before(async () => {
    node = await TargetNode.create('kafka', properties);
    java = connectClient('java', node.bootstrap);
  });
  after(async () => {
    await java?.close();
    await node?.destroy();
  });

  const produce = (topic: string, values: readonly string[]) =>
    java.call('produce', { topic, records: values.map((value) => ({ partition: 0, key: null, value })) });

  async function passTo(target: TargetName, manner: 'stop' | 'kill'): Promise<void> {
    await node[manner]();
    node.become(target);
    await node.start();
    round++;
  }

  /** What each round leaves for the next. */
  async function leaveOpen(): Promise<void> {
    await java.call('beginTransaction', { producer: 'p' });
    const records = [{ partition: 0, key: null, value: `open in ${round}` }];
    await java.call('send', { producer: 'p', topic: 'transactional', records });
    await java.call('sendOffsets', {
      producer: 'p',
      group: 'of transactions',
      offsets: [{ topic: 'transactional', partition: 0, offset: round }],
    });
    await produce('shared', [`${round} accepted`, `${round} released`, `${round} rejected`]);
    const taken: string[] = [];
    while (taken.length < 3) {
      const records = await java.call('sharePoll', { member: 's' });
      assert.ok(records.length > 0, `${taken}`);
      const fate = (value: string) => (value.endsWith('accepted') ? 'ACCEPT' : value.endsWith('released') ? 'RELEASE' : 'REJECT');
      const acknowledgements = records.map(([t, p, o, value]): Acknowledgement => [t, p, o, fate(value)]);
      // What is released comes back at once: the last poll leaves it for the next node.
      taken.push(...records.map(([, , , value]) => value));
      await java.call('acknowledge', { member: 's', acknowledgements });
      if (taken.length >= 3) assert.deepEqual(await java.call('shareCommit', { member: 's' }), { 'shared-0': 0 });
    }
  }

  async function goOn(): Promise<void> {
    for (const protocol of protocols) {
      await produce('read', [`${protocol} in ${round}`]);
      const awaited = `${protocol} in ${round}`;
      await eventually(`${protocol} goes on`, async () =>
        (await java.call('poll', { member: protocol, count: 1 })).some(({ value }) => value === awaited),
      );
      await eventually('committed', async () => {
        await java.call('commit', { member: protocol });
        return true;
      });
      // Whether there is a new generation is its client's to say, which may see its topic without a leader for a while.
      const { memberId } = await java.call('membership', { member: protocol });
      assert.equal(memberId, memberIds.get(protocol), `${protocol} is the member that it was`);
    }
    await java.call('send', {
      producer: 'p',
      topic: 'transactional',
      records: [{ partition: 0, key: null, value: `ended in ${round}` }],
    });
    await java.call('commitTransaction', { producer: 'p' });
    const committed = () => java.call('values', { topic: 'transactional', isolation: 'read_committed' });
    const expected = Array.from({ length: round }, (_, index) => [`open in ${index}`, `ended in ${index + 1}`]).flat();
    await eventually('its markers are written', async () => (await committed()).flat().length === expected.length);
    assert.deepEqual(await committed(), [expected]);
    const offset = () => java.call('committed', { group: 'of transactions', topic: 'transactional', partition: 0 });
    await eventually('its offsets too', async () => (await offset()) === round - 1);

    const again: SharedRecord[] = await java.call('sharePoll', { member: 's' });
    assert.deepEqual(
      again.map(([, , , value, count]) => `${value} x${count}`),
      [`${round - 1} released x2`],
    );
    await java.call('acknowledge', { member: 's', acknowledgements: again.map(([t, p, o]) => [t, p, o, 'ACCEPT']) });
    assert.deepEqual(await java.call('shareCommit', { member: 's' }), { 'shared-0': 0 });
  }

  test('Kafka has members of every kind, and a transaction that is open', async () => {
    for (const topic of ['read', 'shared', 'transactional']) await freshTopic(java, topic);
    await java.call('setGroupConfig', { group: 'sharing', name: 'share.auto.offset.reset', value: 'earliest' });
    await node.settled();
    for (const protocol of protocols) {
      const configs = protocol === 'classic' ? patience : {};
      await java.call('join', { member: protocol, group: `reading ${protocol}`, topics: ['read'], protocol, configs });
      await eventually('assigned', async () => (await java.call('assignment', { member: protocol })).length === 1);
      memberIds.set(protocol, (await java.call('membership', { member: protocol })).memberId);
    }
    await java.call('shareJoin', { member: 's', group: 'sharing', topics: ['shared'] });
    await java.call('openProducer', { producer: 'p', transactionalId: 'passed on' });
    await leaveOpen();
  });

  for (const [target, manner] of [
    ['ottla', 'kill'],
    ['kafka', 'kill'],
    ['ottla', 'stop'],
    ['kafka', 'stop'],
  ] as const) {
    test(`${target} goes on after a ${manner}`, async () => {
      await passTo(target, manner);
      await goOn();
      await leaveOpen();
    });
  }
});
