import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DescribeQuorum,
  Fetch,
  FindCoordinator,
  InitProducerId,
  JoinGroup,
  OffsetCommit,
  OffsetFetch,
  SyncGroup,
} from '@ottla/protocol';
import { MemoryFiles, nodeRuntime, type Runtime, silentLogger } from '@ottla/runtime';
import { formatForDevelopment, withOwnQuorum } from './format.ts';
import { BrokerServer } from './server.ts';
import { TestNode, testSettings, valuesIn } from './testing-node.ts';

const TOPIC = 2;
const settingsOnRealPorts = withOwnQuorum({
  ...testSettings,
  listeners: 'PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0',
  'controller.quorum.bootstrap.servers': '',
});

function onRealPorts(): Runtime {
  return { ...nodeRuntime({ logger: silentLogger }), files: new MemoryFiles() };
}

/** A group's only member: joined, in sync, with offset 2 of orders-0 committed. */
async function commitAsGroup(node: TestNode): Promise<void> {
  const client = await node.client();
  const found = await client.ask(FindCoordinator, { keyType: 0, coordinatorKeys: ['readers'] });
  assert.equal(found.coordinators[0]!.errorCode, 0);
  const protocols = [{ name: 'range', metadata: Buffer.alloc(0) }];
  const join = { groupId: 'readers', sessionTimeoutMs: 30_000, rebalanceTimeoutMs: 60_000, protocolType: 'consumer', protocols };
  const { memberId } = await client.ask(JoinGroup, join);
  const joined = await client.ask(JoinGroup, { ...join, memberId });
  assert.equal(joined.errorCode, 0);
  const { generationId } = joined;
  const assignments = [{ memberId, assignment: Buffer.from('x') }];
  const sync = { groupId: 'readers', generationId, memberId, assignments, protocolType: 'consumer', protocolName: 'range' };
  assert.equal((await client.ask(SyncGroup, sync)).errorCode, 0);
  const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0, committedOffset: 2 }] }];
  const commit = { groupId: 'readers', generationIdOrMemberEpoch: generationId, memberId, topics };
  const committed = await client.ask(OffsetCommit, commit, 8);
  assert.equal(committed.topics[0]!.partitions[0]!.errorCode, 0);
}

async function committedOffset(node: TestNode): Promise<number> {
  const groups = [{ groupId: 'readers', topics: [{ name: 'orders', partitionIndexes: [0] }] }];
  const answer = await (await node.client()).ask(OffsetFetch, { groups }, 8);
  assert.equal(answer.groups[0]!.errorCode, 0);
  return answer.groups[0]!.topics[0]!.partitions[0]!.committedOffset;
}

test('after an orderly stop and a start everything is there: topics, records, configs, groups, and what producers sent last', async () => {
  const node = await TestNode.start();
  const before = await node.client();
  assert.equal(await before.createTopic('orders', { 'retention.ms': '123456789' }, { partitions: 2 }), 'NONE');
  assert.equal(await before.configure({ type: 4, name: '' }, { 'message.max.bytes': '2000000' }), 'NONE');
  const topicId = await before.topicId('orders');
  const { producerId } = await before.ask(InitProducerId, { transactionalId: null, transactionTimeoutMs: 1 });
  const idempotent = { producerId, producerEpoch: 0 };
  assert.equal((await before.produce('orders', ['one', 'two'], { ...idempotent, baseSequence: 0 })).baseOffset, 0);
  await commitAsGroup(node);

  await node.restart();
  const after = await node.client();
  assert.equal(await after.topicId('orders'), topicId);
  assert.deepEqual(await after.fetch('orders'), ['one', 'two']);
  assert.deepEqual(await after.fetch('orders', { partition: 1 }), []);
  const { configs } = await after.describe({ type: TOPIC, name: 'orders' });
  assert.equal(configs['retention.ms'], '123456789');
  assert.equal(configs['max.message.bytes'], '2000000');
  // A retry of what was acknowledged before the stop is answered with its offset, not appended again.
  assert.equal((await after.produce('orders', ['one', 'two'], { ...idempotent, baseSequence: 0 })).baseOffset, 0);
  assert.equal((await after.produce('orders', ['three'], { ...idempotent, baseSequence: 2 })).baseOffset, 2);
  assert.equal(
    (await after.produce('orders', ['gap'], { ...idempotent, baseSequence: 9 })).error,
    'OUT_OF_ORDER_SEQUENCE_NUMBER',
  );
  assert.equal(await committedOffset(node), 2);
  assert.notEqual((await after.ask(InitProducerId, { transactionalId: null, transactionTimeoutMs: 1 })).producerId, producerId);
  assert.deepEqual(node.logs.at('error'), []);
  await node.stop();
});

test('a killed process loses nothing: what was written is recovered, as are the sequences of producers', async () => {
  const node = await TestNode.start();
  const before = await node.client();
  await before.createTopic('orders');
  const idempotent = { producerId: 7000, producerEpoch: 0 };
  await before.produce('orders', ['one'], { ...idempotent, baseSequence: 0 });
  await before.produce('orders', ['two'], { ...idempotent, baseSequence: 1 });
  await commitAsGroup(node);
  node.machine.kill();
  await node.start();
  const after = await node.client();
  assert.deepEqual(await after.fetch('orders'), ['one', 'two']);
  assert.equal((await after.produce('orders', ['two'], { ...idempotent, baseSequence: 1 })).baseOffset, 1);
  assert.equal((await after.produce('orders', ['three'], { ...idempotent, baseSequence: 2 })).baseOffset, 2);
  assert.equal(await committedOffset(node), 2);
  assert.deepEqual(node.logs.at('error'), []);
  await node.stop();
});

test('after a power failure the metadata is all there, and what was flushed of the records', async () => {
  const node = await TestNode.start();
  const before = await node.client();
  await before.createTopic('flushed', { 'flush.messages': '1' });
  await before.createTopic('cached');
  await before.configure({ type: TOPIC, name: 'cached' }, { 'retention.ms': '77777' });
  await before.produce('flushed', ['kept']);
  await before.produce('cached', ['in memory only']);
  node.machine.crash();
  await node.start();
  const after = await node.client();
  assert.deepEqual(await after.topicNames(), ['cached', 'flushed']);
  assert.equal((await after.describe({ type: TOPIC, name: 'cached' })).configs['retention.ms'], '77777');
  assert.deepEqual(await after.fetch('flushed'), ['kept']);
  assert.deepEqual(await after.fetch('cached'), []);
  assert.equal((await after.produce('cached', ['again'])).baseOffset, 0);
  assert.deepEqual(node.logs.at('error'), []);
  await node.stop();
});

test('a topic deleted just before a crash stays deleted', async () => {
  const node = await TestNode.start();
  const before = await node.client();
  await before.createTopic('gone');
  await before.createTopic('stays');
  await before.produce('gone', ['x']);
  assert.equal(await before.deleteTopic('gone'), 'NONE');
  node.machine.crash();
  await node.start();
  assert.deepEqual(await (await node.client()).topicNames(), ['stays']);
  await node.stop();
});

test('a request under way when the node stops is answered before its connection closes', async () => {
  const node = await TestNode.start();
  const client = await node.client();
  await client.createTopic('orders');
  const polling = client.later(Fetch, await client.fetchRequest('orders', { minBytes: 1, maxWaitMs: 60_000 }));
  await node.advance(100);
  await node.stop();
  assert.deepEqual(valuesIn(await node.run(polling)), []);
  await node.advance(100);
  assert.equal(client.connection.closed, true);
  await assert.rejects(node.connect(), /ECONNREFUSED|refused/);
});

test('the idle records of the metadata log come as often as metadata.max.idle.interval.ms says, and never at 0', async () => {
  for (const [intervalMs, records] of [
    [1000, 10],
    [0, 0],
  ]) {
    const node = await TestNode.start({ settings: { 'metadata.max.idle.interval.ms': String(intervalMs) } });
    const client = await node.client();
    const highWatermark = async () => {
      const topics = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }];
      return (await client.ask(DescribeQuorum, { topics })).topics[0]!.partitions[0]!.highWatermark;
    };
    const before = await highWatermark();
    await node.advance(10_000);
    assert.equal((await highWatermark()) - before, records);
    await node.stop();
  }
});

test('a directory that a running node has is refused to a second one, and the first goes on', async () => {
  const runtime = onRealPorts();
  formatForDevelopment(runtime, settingsOnRealPorts);
  const first = await BrokerServer.start({ runtime, properties: settingsOnRealPorts });
  await assert.rejects(
    BrokerServer.start({ runtime, properties: settingsOnRealPorts }),
    /another node is using \/data: stop it, or give this one a directory of its own/,
  );
  const socket = await runtime.network.connect(first.address);
  socket.destroy();
  await first.stop();
  await (await BrokerServer.start({ runtime, properties: settingsOnRealPorts })).stop();
});

test('a directory that a running controller has is refused to a second one', async () => {
  const settings = {
    ...settingsOnRealPorts,
    'process.roles': 'controller',
    listeners: 'CONTROLLER://127.0.0.1:0',
  };
  const runtime = onRealPorts();
  formatForDevelopment(runtime, settings);
  const first = await BrokerServer.start({ runtime, properties: settings });
  await assert.rejects(BrokerServer.start({ runtime, properties: settings }), /another node is using \/data/);
  await first.stop();
  await (await BrokerServer.start({ runtime, properties: settings })).stop();
});

test('a port in use is refused by its number, and leaves no lock and no open port behind', async () => {
  const runtime = onRealPorts();
  formatForDevelopment(runtime, settingsOnRealPorts);
  const taken = await runtime.network.listen({ host: '127.0.0.1', port: 0 }, (socket) => socket.destroy());
  const { port } = taken.address;
  const blocked = { ...settingsOnRealPorts, listeners: `PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:${port}` };
  await assert.rejects(BrokerServer.start({ runtime, properties: blocked }), new RegExp(`EADDRINUSE.*${port}|${port}.*in use`));
  await taken.close();
  const server = await BrokerServer.start({ runtime, properties: blocked });
  await server.stop();
});

test('a directory without format is refused with what to do', async () => {
  const node = new TestNode();
  await assert.rejects(node.start(), /\/data is not formatted: run "ottla storage format", or start with --format/);
});

test('a directory of another node is refused', async () => {
  const node = await TestNode.start();
  await node.stop();
  await assert.rejects(node.start({ 'node.id': '2' }), /\/data belongs to node 1, not 2/);
  await node.start({ 'node.id': '1' });
  await node.stop();
});

const sasl = {
  listeners: 'CLIENTS://node:9092,CONTROLLER://node:9093',
  'listener.security.protocol.map': 'CLIENTS:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT',
  'inter.broker.listener.name': 'CLIENTS',
};
for (const { title, settings, refusal } of [
  {
    title: 'a listener with SASL',
    settings: sasl,
    refusal: /no TLS and no SASL yet: listener CLIENTS must be PLAINTEXT, not SASL_PLAINTEXT/,
  },
  {
    title: 'an authorizer',
    settings: { 'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer' },
    refusal: /does not enforce ACLs yet: unset authorizer\.class\.name/,
  },
  {
    title: 'tiered storage',
    settings: { 'remote.log.storage.system.enable': 'true' },
    refusal: /no tiered storage yet: remote\.log\.storage\.system\.enable must be false/,
  },
  {
    title: 'a policy for topics, which would be a Java class',
    settings: { 'create.topic.policy.class.name': 'com.example.Policy' },
    refusal: /loads no classes: unset create\.topic\.policy\.class\.name/,
  },
]) {
  test(`${title} is refused rather than ignored`, async () => {
    const node = new TestNode({ settings });
    await assert.rejects(node.start(), refusal);
    assert.deepEqual(node.list('/data'), []);
  });
}
