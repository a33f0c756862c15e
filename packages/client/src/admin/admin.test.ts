import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startKafka } from '@ottla/testing';
import { Consumer } from '../consumer/consumer.ts';
import { Producer } from '../producer/producer.ts';
import { SimulatedKafka } from '../testing/simulated-kafka.ts';
import { Admin } from './admin.ts';
import type { ConfigChange, ConfigResource } from './configs.ts';
import { ItemsError } from './each-item.ts';

test('topics are created, listed, described, grown and deleted', async () => {
  await using kafka = await startKafka();
  const admin = kafka.admin();
  const [created] = await admin.createTopics([{ name: 'a', partitions: 2, configs: { 'retention.ms': '1000' } }, { name: 'b' }]);
  assert.deepEqual([created?.name, created?.partitions, created?.replicationFactor], ['a', 2, 1]);
  assert.deepEqual(
    (await admin.listTopics()).map(({ name }) => name),
    ['a', 'b'],
  );
  await admin.createPartitions({ a: 3 });
  const [described] = await admin.describeTopics(['a']);
  assert.equal(described?.topicId, created?.topicId);
  assert.deepEqual(
    described?.partitions.map(({ partition, leaderId, isr }) => [partition, leaderId, isr]),
    [0, 1, 2].map((partition) => [partition, 1, [1]]),
  );
  await admin.deleteTopics(['a']);
  assert.deepEqual(
    (await admin.listTopics()).map(({ name }) => name),
    ['b'],
  );
});

test('of several items each failure is named, and the others are done', async () => {
  await using kafka = await startKafka({ topics: ['taken'] });
  const admin = kafka.admin();
  const creating = admin.createTopics([{ name: 'taken' }, { name: 'fine' }, { name: 'not fine' }]);
  await assert.rejects(creating, (error: ItemsError) => {
    assert.ok(error instanceof ItemsError);
    assert.equal(error.name, 'TOPIC_ALREADY_EXISTS');
    assert.deepEqual(
      [...error.failures].map(([item, { name }]) => [item, name]),
      [
        ['taken', 'TOPIC_ALREADY_EXISTS'],
        ['not fine', 'INVALID_TOPIC_EXCEPTION'],
      ],
    );
    return true;
  });
  assert.deepEqual(
    (await admin.listTopics()).map(({ name }) => name),
    ['fine', 'taken'],
  );
  await admin.createTopics([{ name: 'dry' }], { validateOnly: true });
  assert.equal((await admin.listTopics()).length, 2);
});

test('configs are changed one by one, and described with where they come from', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  const admin = kafka.admin();
  const topic = { type: 'topic', name: 'log' } as const;
  await admin.incrementalAlterConfigs([{ ...topic, set: { 'cleanup.policy': 'compact', 'retention.ms': '5' } }]);
  await admin.incrementalAlterConfigs([{ ...topic, append: { 'cleanup.policy': 'delete' }, unset: ['retention.ms'] }]);
  const [described] = await admin.describeConfigs([topic], { names: ['cleanup.policy', 'retention.ms'], documentation: true });
  assert.deepEqual(
    described?.configs.map(({ name, value, source, type }) => [name, value, source, type]),
    [
      ['cleanup.policy', 'compact,delete', 'topic', 'list'],
      ['retention.ms', '604800000', 'default', 'long'],
    ],
  );
  assert.ok(described.configs[0]?.documentation);
  const wrong = admin.incrementalAlterConfigs([{ ...topic, set: { 'retention.ms': 'long' } }]);
  await assert.rejects(wrong, { name: 'INVALID_CONFIG' });
  const [broker] = await admin.describeConfigs([{ type: 'broker', name: '1' }], { names: ['node.id'] });
  assert.deepEqual([broker?.configs[0]?.value, broker?.configs[0]?.isReadOnly], ['1', true]);
});

test('offsets are found by place and by time, and records before one deleted', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  const admin = kafka.admin();
  await using producer = new Producer(kafka);
  const beganMs = Date.now() - 100_000;
  for (const [value, second] of [
    ['a', 0],
    ['b', 30],
    ['c', 20],
  ] as const) {
    await producer.send({ topic: 'log', value, timestamp: beganMs + second * 1000 });
  }
  const offsetAt = async (at: Parameters<Admin['listOffsets']>[0][number]['at']) =>
    (await admin.listOffsets([{ topic: 'log', partition: 0, at }]))[0]?.offset;
  assert.equal(await offsetAt('earliest'), 0);
  assert.equal(await offsetAt('latest'), 3);
  assert.equal(await offsetAt('maxTimestamp'), 1);
  assert.equal(await offsetAt({ timestamp: beganMs + 1 }), 1);
  assert.equal(await offsetAt({ timestamp: beganMs + 60_000 }), -1);
  assert.deepEqual(await admin.deleteRecords([{ topic: 'log', partition: 0, beforeOffset: 2 }]), [
    { topic: 'log', partition: 0, logStartOffset: 2 },
  ]);
  assert.equal(await offsetAt('earliest'), 2);
});

test('groups are listed, described, moved and deleted', async () => {
  await using kafka = await startKafka({ topics: [{ name: 'log', partitions: 2 }] });
  const admin = kafka.admin();
  const consumer = new Consumer({ ...kafka, groupId: 'g', autoOffsetReset: 'earliest', clientId: 'reader' });
  consumer.subscribe(['log']);
  while (consumer.assignment.length === 0) await consumer.poll({ timeoutMs: 50 });
  const [group] = await admin.describeConsumerGroups(['g']);
  assert.deepEqual([group?.state, group?.type, group?.assignor, group?.coordinatorId], ['Stable', 'classic', 'range', 1]);
  assert.deepEqual(
    group?.members.map(({ clientId, assignment }) => [clientId, assignment.length]),
    [['reader', 2]],
  );
  await assert.rejects(admin.deleteConsumerGroups(['g']), { name: 'NON_EMPTY_GROUP' });
  await assert.rejects(admin.alterConsumerGroupOffsets('g', [{ topic: 'log', partition: 0, offset: 5 }]), {
    name: 'UNKNOWN_MEMBER_ID',
  });
  await consumer.close();

  await admin.alterConsumerGroupOffsets('g', [{ topic: 'log', partition: 0, offset: 5, metadata: 'moved' }]);
  const [offset] = await admin.listConsumerGroupOffsets('g', [{ topic: 'log', partition: 0 }]);
  assert.deepEqual([offset?.offset, offset?.metadata], [5, 'moved']);
  await admin.deleteConsumerGroupOffsets('g', [{ topic: 'log', partition: 0 }]);
  assert.deepEqual(
    (await admin.listConsumerGroupOffsets('g')).map(({ partition }) => partition),
    [1],
  );
  assert.deepEqual(
    (await admin.listConsumerGroups({ states: ['Empty'] })).map(({ groupId }) => groupId),
    ['g'],
  );
  await admin.deleteConsumerGroups(['g']);
  assert.deepEqual(await admin.listConsumerGroups(), []);
  await assert.rejects(admin.describeConsumerGroups(['g']), { name: 'GROUP_ID_NOT_FOUND' });
});

test('the cluster and its directories are described', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  const cluster = await kafka.admin().describeCluster();
  assert.equal(cluster.clusterId, kafka.clusterId);
  assert.deepEqual(
    cluster.nodes.map(({ id, host, port }) => [id, `${host}:${port}`]),
    [[1, kafka.bootstrapServers]],
  );
  const [dir] = await kafka.admin().describeLogDirs({ partitions: [{ topic: 'log', partition: 0 }] });
  assert.equal(dir?.error, null);
  assert.deepEqual(
    dir?.partitions.map(({ topic, partition, isFuture }) => [topic, partition, isFuture]),
    [['log', 0, false]],
  );
});

test('where nobody listens, connect says so at once', async () => {
  await using admin = new Admin({ bootstrapServers: '127.0.0.1:1' });
  await assert.rejects(admin.connect(), /no broker answers: cannot connect to 127\.0\.0\.1:1/);
});

test('calls under way when the admin closes hear of it', async () => {
  const admin = new Admin({ bootstrapServers: '127.0.0.1:1' });
  const listing = admin.listTopics();
  listing.catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 50));
  await admin.close();
  await assert.rejects(listing, { name: 'ClientClosedError' });
});

test('what does not exist is told at once, with a text', async () => {
  const { world, kafka, runtime } = await SimulatedKafka.start(1);
  const admin = new Admin({ bootstrapServers: kafka.bootstrapServers, runtime });
  await world.runUntil(admin.connect());
  const nothing: ConfigResource = { type: 'topic', name: 'none' };
  const beganMs = runtime.clock.monotonicMs();
  const calls: (() => Promise<unknown>)[] = [
    () => admin.describeConfigs([nothing]),
    () => admin.incrementalAlterConfigs([{ ...nothing, set: { 'retention.ms': '1' } }]),
    () => admin.deleteTopics(['none']),
    () => admin.createPartitions({ none: 3 }),
  ];
  for (const call of calls)
    await assert.rejects(world.runUntil(call()), { name: 'UNKNOWN_TOPIC_OR_PARTITION', message: /none.*\w{3}/ });
  // A request each, on wires that take up to 20 ms, and no pause.
  assert.ok(runtime.clock.monotonicMs() - beganMs < calls.length * 50);
  await world.runUntil(Promise.all([admin.close(), kafka.stop()]));
});

test('a broker that is not there keeps nobody from the configs of others', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  const admin = kafka.admin();
  const absent = { type: 'broker', name: '9' } as const;
  const log = { type: 'topic', name: 'log' } as const;
  await assert.rejects(admin.describeConfigs([absent, log]), (error: ItemsError) => {
    assert.deepEqual([...error.failures.keys()], ['broker 9']);
    return true;
  });
  const changes: ConfigChange[] = [
    { ...absent, set: { 'log.retention.ms': '1000' } },
    { ...log, set: { 'retention.ms': '1000' } },
  ];
  await assert.rejects(admin.incrementalAlterConfigs(changes), { name: 'BROKER_NOT_AVAILABLE' });
  const [described] = await admin.describeConfigs([log], { names: ['retention.ms'] });
  assert.equal(described!.configs[0]!.value, '1000');
});
