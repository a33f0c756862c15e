import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DeleteRecords, FindCoordinator } from '@ottla/protocol';
import { TestNode } from '../testing-node.ts';
import { TestProducer } from '../testing-transactions.ts';
import { SharingMember } from './sharing-member.ts';

const ACCEPT = 1;
const RELEASE = 2;
const REJECT = 3;
const RENEW = 4;
const GROUP = 32;
const TOPIC = 2;

const settings = {
  'share.coordinator.state.topic.num.partitions': '2',
  'share.coordinator.state.topic.replication.factor': '1',
  'share.coordinator.state.topic.min.isr': '1',
  'transaction.state.log.num.partitions': '2',
  'transaction.state.log.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
};

async function started(groupConfigs: Record<string, string> = {}) {
  const node = await TestNode.start({ settings });
  const client = await node.client();
  await client.createTopic('t', {}, { partitions: 2 });
  const configs = { 'share.auto.offset.reset': 'earliest', ...groupConfigs };
  assert.equal(await client.configure({ type: GROUP, name: 'g' }, configs), 'NONE');
  const member = new SharingMember(client, 't');
  assert.equal(await member.initialize(), 'NONE');
  await member.fetch({ maxWaitMs: 100 });
  return { node, client, member };
}

const all = (first: number, last: number, ...types: number[]) => [{ first, last, types }];

describe('a member of a share group', () => {
  test('is given records, accepts them, and nobody gets them again', async () => {
    const { client, member } = await started();
    await client.produce('t', ['a', 'b', 'c']);
    const { records, ranges } = await member.fetch();
    assert.deepEqual(records, ['a #1', 'b #1', 'c #1']);
    assert.deepEqual(ranges, ['0-2 #1']);
    assert.equal(await member.acknowledge(all(0, 2, ACCEPT)), 'NONE');
    assert.deepEqual((await member.fetch()).records, []);
    await client.produce('t', ['d']);
    const next = await member.fetch({ acknowledge: [] });
    assert.deepEqual(next.records, ['d #1']);
    assert.equal(await member.startOffset(), 0, 'the start offset is written with the next change');
    assert.equal(await member.acknowledge(all(3, 3, ACCEPT)), 'NONE');
    assert.equal(await member.startOffset(), 3);
  });

  test('acknowledges with a fetch, and is told what became of it', async () => {
    const { client, member } = await started();
    await client.produce('t', ['a', 'b', 'c']);
    await member.fetch();
    const { acknowledged, records } = await member.fetch({ acknowledge: all(0, 2, ACCEPT, RELEASE, REJECT), maxWaitMs: 1000 });
    assert.equal(acknowledged, 'NONE');
    assert.deepEqual(records, ['b #2'], 'what he released is his again');
    assert.equal((await member.fetch({ acknowledge: all(0, 0, ACCEPT) })).acknowledged, 'NONE', 'done with already');
    assert.equal((await member.fetch({ acknowledge: all(2, 2, ACCEPT) })).acknowledged, 'INVALID_RECORD_STATE');
    assert.equal((await member.fetch({ acknowledge: all(5, 9, ACCEPT) })).acknowledged, 'INVALID_REQUEST');
    assert.equal((await member.fetch({ acknowledge: all(1, 1, 9) })).acknowledged, 'INVALID_REQUEST');
    assert.equal((await member.fetch({ acknowledge: all(1, 1, RENEW) })).acknowledged, 'INVALID_REQUEST', 'he did not say so');
  });

  test('waits for records', async () => {
    const { node, client, member } = await started();
    const { answer } = await member.fetchLater({ maxWaitMs: 10_000 });
    await node.advance(500);
    await client.produce('t', ['a']);
    assert.deepEqual((await node.run(answer)).records, ['a #1']);
  });

  test('waits for as many bytes as he wants, and no longer than he wants', async () => {
    const { node, member } = await started();
    const client = await node.connect();
    const { answer } = await member.fetchLater({ maxWaitMs: 10_000, minBytes: 200 });
    await client.produce('t', ['a']);
    await node.advance(100);
    await client.produce('t', ['b']);
    await client.produce('t', ['c']);
    assert.deepEqual((await node.run(answer)).records, ['a #1', 'b #1', 'c #1']);
    const { answer: late } = await member.fetchLater({ maxWaitMs: 10_000, minBytes: 200 });
    await client.produce('t', ['d']);
    assert.deepEqual((await node.run(late)).records, ['d #1']);
  });

  test('has a record until its lock ends, and then another member gets it', async () => {
    const { node, client, member } = await started();
    const other = new SharingMember(await node.connect(), 't', { memberId: 'm2' });
    await client.produce('t', ['a']);
    await member.fetch();
    await other.fetch();
    const { answer } = await other.fetchLater({ maxWaitMs: 60_000 });
    await node.advance(29_000);
    assert.deepEqual((await node.run(answer)).records, ['a #2']);
    assert.equal(await member.acknowledge(all(0, 0, ACCEPT)), 'INVALID_RECORD_STATE');
    assert.equal(await other.acknowledge(all(0, 0, ACCEPT)), 'NONE');
  });

  test('keeps a record for as long as he renews its lock', async () => {
    const { node, client, member } = await started();
    await client.produce('t', ['a']);
    await member.fetch();
    for (let count = 0; count < 4; count++) {
      await node.advance(20_000);
      assert.equal(await member.acknowledge(all(0, 0, RENEW), { renew: true }), 'NONE');
    }
    const nothing = { maxBytes: 0, minBytes: 0, maxRecords: 0, maxWaitMs: 0, batchSize: 0 };
    assert.equal((await member.fetch({ ...nothing, renew: true, acknowledge: all(0, 0, RENEW) })).acknowledged, 'NONE');
    assert.equal((await member.fetch({ renew: true, acknowledge: all(0, 0, RENEW) })).error, 'INVALID_REQUEST');
    assert.equal(
      await member.acknowledge(all(0, 0, RENEW), { epoch: 8, renew: false, version: 1 }),
      'INVALID_SHARE_SESSION_EPOCH',
    );
  });

  test('shares the records with the others', async () => {
    const { node, client, member } = await started();
    const other = new SharingMember(await node.connect(), 't', { memberId: 'm2' });
    await other.fetch();
    await client.produce('t', ['a', 'b', 'c', 'd']);
    assert.deepEqual((await member.fetch({ recordLimit: true, maxRecords: 2 })).records, ['a #1', 'b #1']);
    assert.deepEqual((await other.fetch({ recordLimit: true, maxRecords: 1 })).records, ['c #1']);
    assert.deepEqual((await member.fetch()).records, ['d #1']);
  });

  test('has what he is given in ranges of the batch size', async () => {
    const { client, member } = await started();
    for (const values of [
      ['a', 'b'],
      ['c', 'd'],
      ['e', 'f'],
    ])
      await client.produce('t', values);
    assert.deepEqual((await member.fetch({ batchSize: 3 })).ranges, ['0-3 #1', '4-5 #1']);
  });
});

describe('the session of a member', () => {
  test('must exist, and counts its requests', async () => {
    const { member } = await started();
    assert.equal((await member.fetch({ epoch: 7 })).error, 'INVALID_SHARE_SESSION_EPOCH');
    const stranger = new SharingMember(await (await TestNode.start({ settings })).client(), 't', { memberId: 'm9' });
    assert.equal((await stranger.fetch({ epoch: 1 })).error, 'SHARE_SESSION_NOT_FOUND');
    assert.equal((await stranger.fetch({ epoch: -1 })).error, 'SHARE_SESSION_NOT_FOUND');
    assert.equal(await stranger.acknowledge([], { epoch: 0 }), 'INVALID_SHARE_SESSION_EPOCH');
  });

  test('does not begin with acknowledgements, nor without a sound name', async () => {
    const { client, member } = await started();
    assert.equal((await member.fetch({ epoch: 0, acknowledge: all(0, 0, ACCEPT) })).error, 'INVALID_REQUEST');
    const nameless = new SharingMember(client, 't', { memberId: 'x'.repeat(37) });
    assert.equal((await nameless.fetch()).error, 'INVALID_REQUEST');
  });

  test('gives back what he holds when it is closed', async () => {
    const { client, member } = await started();
    await client.produce('t', ['a', 'b']);
    await member.fetch();
    const closing = await member.fetch({ epoch: -1, acknowledge: all(0, 0, ACCEPT) });
    assert.equal(closing.acknowledged, 'NONE');
    const again = new SharingMember(client, 't', { memberId: 'm2' });
    assert.deepEqual((await again.fetch({ maxWaitMs: 1000 })).records, ['b #2']);
  });

  test('gives back what he holds when his connection closes', async () => {
    const { node, client } = await started();
    const connection = await node.connect();
    const member = new SharingMember(connection, 't', { memberId: 'm2' });
    await client.produce('t', ['a']);
    assert.deepEqual((await member.fetch()).records, ['a #1']);
    connection.connection.close();
    await node.advance(100);
    const other = new SharingMember(client, 't', { memberId: 'm3' });
    assert.deepEqual((await other.fetch()).records, ['a #2']);
  });

  test('may be one too many', async () => {
    const node = await TestNode.start({ settings: { ...settings, 'group.share.max.share.sessions': '1' } });
    const client = await node.client();
    await client.createTopic('t');
    const first = new SharingMember(client, 't');
    await first.initialize();
    await first.fetch();
    const second = new SharingMember(client, 't', { memberId: 'm2' });
    const { answer } = await second.fetchLater({ maxWaitMs: 500 });
    assert.equal((await node.run(answer)).error, 'SHARE_SESSION_LIMIT_REACHED');
    await first.fetch({ epoch: -1 });
    assert.equal((await second.fetch({ epoch: 0 })).error, 'NONE');
  });

  test('tells of partitions that are not there', async () => {
    const { member } = await started();
    assert.equal((await member.fetch({ acknowledge: [], partition: 1 })).error, 'NONE');
    const strange = await member.fetch({ acknowledge: [], partition: 7 });
    assert.equal(strange.error, 'UNKNOWN_TOPIC_OR_PARTITION');
  });
});

describe('what a group has acknowledged', () => {
  test('outlives a crash of the node, with the delivery counts that were written', async () => {
    const { node, client, member } = await started();
    await client.produce('t', ['a', 'b', 'c', 'd']);
    await member.fetch();
    await member.acknowledge(all(0, 3, ACCEPT, RELEASE, ACCEPT, RELEASE));
    await member.fetch();
    node.machine.kill();
    await node.start();
    const after = new SharingMember(await node.client(), 't');
    assert.deepEqual((await after.fetch({ maxWaitMs: 5000 })).records, ['b #2', 'd #2']);
  });

  test('is read by a newer state only when nobody is at work with an older one', async () => {
    const { client, member } = await started();
    await client.produce('t', ['a', 'b']);
    await member.fetch();
    assert.equal(await member.initialize(1, 5), 'NONE', 'somebody moves the group');
    assert.equal(await member.acknowledge(all(0, 1, ACCEPT)), 'NOT_LEADER_OR_FOLLOWER');
    assert.deepEqual((await member.fetch({ maxWaitMs: 1000 })).records, ['b #1']);
  });
});

test('a group that waits for a topic’s deletion is told', async () => {
  const { node, client, member } = await started();
  const { answer } = await member.fetchLater({ maxWaitMs: 60_000 });
  await client.deleteTopic('t');
  const { error } = await node.run(answer);
  assert.equal(error, 'NOT_LEADER_OR_FOLLOWER');
});

test('records that the log has lost are passed over', async () => {
  const { client, member } = await started();
  for (let count = 0; count < 3; count++) await client.produce('t', [`r${count}`]);
  await member.fetch();
  await client.ask(DeleteRecords, { topics: [{ name: 't', partitions: [{ partitionIndex: 0, offset: 2 }] }], timeoutMs: 1000 });
  assert.deepEqual((await member.fetch()).records, []);
  assert.equal(await member.acknowledge(all(0, 2, ACCEPT)), 'NONE');
  await client.produce('t', ['r3']);
  assert.deepEqual((await member.fetch()).records, ['r3 #1']);
});

test('a group begins where its config says', async () => {
  const { node, client } = await started();
  await client.produce('t', ['old'], { timestamp: node.world.startMs - 2 * 3_600_000 });
  await client.produce('t', ['new']);
  for (const [groupId, reset, expected] of [
    ['latest', 'latest', ['newest #1']],
    ['duration', 'by_duration:PT1H', ['new #1', 'newest #1']],
    ['earliest', 'earliest', ['old #1', 'new #1', 'newest #1']],
  ] as const) {
    await client.configure({ type: GROUP, name: groupId }, { 'share.auto.offset.reset': reset });
    const member = new SharingMember(client, 't', { groupId });
    await member.initialize();
    await member.fetch({ maxRecords: 0, maxWaitMs: 100 });
    await node.advance(10);
    if (reset === 'latest') await client.produce('t', ['newest']);
    assert.deepEqual((await member.fetch({ maxWaitMs: 100 })).records, expected, reset);
  }
});

test('a group that reads committed records gets those of no other transactions', async () => {
  const { client, member } = await started({ 'share.isolation.level': 'read_committed' });
  await client.ask(FindCoordinator, { keyType: 1, coordinatorKeys: ['tx'] });
  const producer = await TestProducer.begin(client, 'tx');
  await producer.produce('t', ['aborted 1', 'aborted 2']);
  await client.produce('t', ['plain']);
  assert.deepEqual((await member.fetch()).records, [], 'nothing is stable');
  await producer.end(false);
  await producer.produce('t', ['committed']);
  await producer.end(true);
  const { records, ranges } = await member.fetch();
  assert.deepEqual(records, ['plain #1', 'committed #1']);
  assert.deepEqual(ranges, ['2-5 #1'], 'markers are delivered, and passed over by the client');
  assert.equal(await member.acknowledge(all(2, 5, ACCEPT, 0, ACCEPT, 0)), 'NONE');
  await client.produce('t', ['last']);
  assert.deepEqual((await member.fetch()).records, ['last #1']);
});

describe('dead letters', () => {
  const office = {
    'errors.deadletterqueue.topic.name': 'dlq.t',
    'errors.deadletterqueue.copy.record.enable': 'true',
    'share.delivery.count.limit': '2',
  };

  test('are what a group rejects, or has failed too often', async () => {
    const { client, member } = await started(office);
    await client.createTopic('dlq.t', { 'errors.deadletterqueue.group.enable': 'true' });
    await client.produce('t', ['a', 'b', 'c']);
    await member.fetch();
    assert.equal(await member.acknowledge(all(0, 2, REJECT, RELEASE, ACCEPT)), 'NONE');
    assert.deepEqual(await client.fetch('dlq.t'), ['a']);
    await member.fetch();
    assert.equal(await member.acknowledge(all(1, 1, RELEASE)), 'NONE');
    assert.deepEqual(await client.fetch('dlq.t'), ['a', 'b']);
    assert.deepEqual((await member.fetch()).records, []);
  });

  test('that cannot be written keep their record: it is the member’s until its lock ends, and then nobody’s', async () => {
    const { node, client, member } = await started(office);
    await client.produce('t', ['a']);
    await member.fetch();
    assert.equal(await member.acknowledge(all(0, 0, REJECT)), 'INVALID_CONFIG', 'there is no such topic');
    await node.advance(31_000);
    assert.deepEqual((await member.fetch()).records, ['a #2']);
    await node.advance(31_000);
    assert.deepEqual((await member.fetch()).records, []);
    await client.createTopic('dlq.t', { 'errors.deadletterqueue.group.enable': 'true' });
    await node.advance(2000);
    assert.deepEqual(await client.fetch('dlq.t'), ['a']);
  });

  test('come without content where their topic does not take it, and are written once', async () => {
    const { node, client, member } = await started(office);
    await client.createTopic('dlq.t', { 'errors.deadletterqueue.group.enable': 'true', 'max.message.bytes': '1000' });
    await client.produce('t', ['a', 'b'.repeat(2000)]);
    await member.fetch();
    assert.equal(await member.acknowledge(all(0, 1, REJECT, REJECT)), 'NONE');
    await node.advance(31_000);
    assert.deepEqual((await member.fetch()).records, []);
    assert.equal(await client.offset('dlq.t', -1), 2);
  });

  test('make their topic where the cluster allows it', async () => {
    const { client, member } = await started(office);
    await client.configure({ type: 4, name: '' }, { 'errors.deadletterqueue.auto.create.topics.enable': 'true' });
    await client.produce('t', ['a']);
    await member.fetch();
    assert.equal(await member.acknowledge(all(0, 0, REJECT)), 'NONE');
    assert.deepEqual(await client.fetch('dlq.t'), ['a']);
    const { configs } = await client.describe({ type: TOPIC, name: 'dlq.t' });
    assert.equal(configs['errors.deadletterqueue.group.enable'], 'true');
    const group = await client.describe({ type: GROUP, name: 'g' });
    assert.equal(group.configs['errors.deadletterqueue.topic.name'], 'dlq.t');
    const other = await client.describe({ type: GROUP, name: 'other' });
    assert.equal(
      'errors.deadletterqueue.topic.name' in other.configs,
      false,
      'where it is not set, Kafka’s tools see what they know',
    );
  });
});

test('what was released waits, where the group wants it', async () => {
  const { node, client, member } = await started({ 'ottla.share.redelivery.delay.ms': '5000' });
  await client.produce('t', ['a']);
  await member.fetch();
  await member.acknowledge(all(0, 0, RELEASE));
  const { answer } = await member.fetchLater({ maxWaitMs: 60_000 });
  await node.advance(4900);
  await client.produce('t', ['b']);
  assert.deepEqual((await node.run(answer)).records, ['b #1']);
  await node.advance(200);
  assert.deepEqual((await member.fetch()).records, ['a #2']);
});
