import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorName, FindCoordinator, Metadata, ZERO_UUID } from '@ottla/protocol';
import { type TestClient, TestNode } from './testing-node.ts';

async function ask(client: TestClient, name: string, { allowAutoTopicCreation = true } = {}) {
  const { topics } = await client.ask(Metadata, { topics: [{ name, topicId: ZERO_UUID }], allowAutoTopicCreation });
  return { error: errorName(topics[0]!.errorCode), partitions: topics[0]!.partitions.length };
}

const find = async (client: TestClient) => {
  const { coordinators } = await client.ask(FindCoordinator, { keyType: 0, coordinatorKeys: ['readers'] });
  return { error: errorName(coordinators[0]!.errorCode), nodeId: coordinators[0]!.nodeId };
};

test('asking for a topic creates it, with the defaults of the broker', async () => {
  const node = await TestNode.start({ settings: { 'num.partitions': '3' } });
  const client = await node.client();
  assert.deepEqual(await ask(client, 'orders', { allowAutoTopicCreation: false }), {
    error: 'UNKNOWN_TOPIC_OR_PARTITION',
    partitions: 0,
  });
  assert.deepEqual(await client.topicNames(), []);
  await ask(client, 'orders');
  assert.deepEqual(await ask(client, 'orders'), { error: 'NONE', partitions: 3 });
  assert.equal((await ask(client, 'no/topic')).error, 'INVALID_TOPIC_EXCEPTION');
  assert.deepEqual(await client.topicNames(), ['orders']);
  await node.stop();
});

test('many who ask at once for a topic create it once', async () => {
  const node = await TestNode.start();
  const clients = [await node.connect(), await node.connect(), await node.connect()];
  const request = { topics: [{ name: 'orders', topicId: ZERO_UUID }], allowAutoTopicCreation: true };
  await node.run(Promise.all(clients.flatMap((client) => [client.later(Metadata, request), client.later(Metadata, request)])));
  assert.deepEqual(await ask(clients[0]!, 'orders'), { error: 'NONE', partitions: 1 });
  assert.deepEqual(node.logs.at('warn'), []);
  await node.stop();
});

test('of very many topics that are asked for at once a part is created, and the others when asked for again', async () => {
  const node = await TestNode.start();
  const client = await node.client();
  const topics = Array.from({ length: 450 }, (_, index) => ({ name: `t${index}`, topicId: ZERO_UUID }));
  const created: number[] = [];
  for (let round = 0; round < 3; round++) {
    const answer = await client.ask(Metadata, { topics, allowAutoTopicCreation: true });
    assert.deepEqual(
      new Set(answer.topics.map(({ errorCode }) => errorName(errorCode))),
      new Set(round < 2 ? ['NONE', 'UNKNOWN_TOPIC_OR_PARTITION'] : ['NONE']),
    );
    created.push((await client.topicNames()).length);
  }
  assert.deepEqual(created, [200, 400, 450]);
  assert.deepEqual(node.logs.at('warn'), []);
  await node.stop();
});

test('with auto.create.topics.enable=false asking creates nothing', async () => {
  const node = await TestNode.start({ settings: { 'auto.create.topics.enable': 'false' } });
  const client = await node.client();
  assert.equal((await ask(client, 'orders')).error, 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.deepEqual(await client.topicNames(), []);
  await node.stop();
});

test('with delete.topic.enable=false deletion is refused', async () => {
  const node = await TestNode.start({ settings: { 'delete.topic.enable': 'false' } });
  const client = await node.client();
  await client.createTopic('orders');
  assert.equal(await client.deleteTopic('orders'), 'TOPIC_DELETION_DISABLED');
  assert.deepEqual(await client.topicNames(), ['orders']);
  await node.stop();
});

test('the topic of the groups is created when the first group looks for its coordinator', async () => {
  const node = await TestNode.start({
    settings: { 'offsets.topic.num.partitions': '4', 'offsets.topic.segment.bytes': '2000000' },
  });
  const client = await node.client();
  assert.deepEqual(await find(client), { error: 'NONE', nodeId: 1 });
  assert.deepEqual(await ask(client, '__consumer_offsets'), { error: 'NONE', partitions: 4 });
  const { configs } = await client.describe({ type: 2, name: '__consumer_offsets' });
  assert.deepEqual(
    [configs['cleanup.policy'], configs['compression.type'], configs['segment.bytes']],
    ['compact', 'producer', '2000000'],
  );
  await node.stop();
});

test('without brokers enough for its replicas that topic cannot be, and the log says which setting is meant', async () => {
  const node = await TestNode.start({ settings: { 'offsets.topic.replication.factor': '3' } });
  const client = await node.client();
  assert.deepEqual(await find(client), { error: 'COORDINATOR_NOT_AVAILABLE', nodeId: -1 });
  assert.deepEqual(await client.topicNames(), []);
  const [warning] = node.logs.lines.filter(({ level }) => level === 'warn');
  assert.equal(warning!.fields['topic'], '__consumer_offsets');
  assert.match(`${warning!.message} ${warning!.fields['reason']}`, /replication factor|offsets\.topic\.replication\.factor/);
  await node.stop();
});

test('a topic asks for more replicas than there are brokers in vain', async () => {
  const node = await TestNode.start({ settings: { 'default.replication.factor': '2' } });
  const client = await node.client();
  assert.equal(await client.createTopic('orders', {}, { replicas: 3 }), 'INVALID_REPLICATION_FACTOR');
  assert.equal(await client.createTopic('orders'), 'INVALID_REPLICATION_FACTOR');
  assert.equal(await client.createTopic('orders', {}, { replicas: 1 }), 'NONE');
  assert.equal(await client.createTopic('orders', {}, { replicas: 1 }), 'TOPIC_ALREADY_EXISTS');
  await node.stop();
});
