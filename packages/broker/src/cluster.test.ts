import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiVersions, CreateTopics, errorName, UpdateFeatures } from '@ottla/protocol';
import { readMetaProperties, writeMetaProperties } from '@ottla/storage';
import { TestCluster } from './testing-cluster.ts';

const rf3 = { partitions: 3, replicas: 3 };

for (const { title, options } of [
  { title: 'three nodes with both roles', options: { combined: 3 } },
  { title: 'three controllers and three brokers', options: { controllers: 3, brokers: 3 } },
  { title: 'one controller and three brokers', options: { controllers: 1, brokers: 3 } },
  { title: 'three nodes of a static quorum', options: { combined: 3, isStatic: true } },
]) {
  test(`${title}: all register, topics are made through any broker, and records are read from any leader`, async () => {
    const cluster = await TestCluster.start(options);
    for (const id of [1, 2, 3])
      await cluster.waitFor(`broker ${id} knows all`, async () => (await cluster.liveBrokers(id)).join() === '1,2,3');
    for (const id of [1, 2, 3]) assert.equal(await cluster.createTopic(id, `by-${id}`, rf3), 'NONE');
    assert.equal(await cluster.createTopic(3, 'by-1'), 'TOPIC_ALREADY_EXISTS');
    for (const id of [1, 2, 3]) {
      await cluster.waitFor('a leader is known', async () => (await cluster.partition(id, 'by-2')).leader > 0);
      const { leader, isr } = await cluster.partition(id, 'by-2');
      assert.deepEqual(isr, [1, 2, 3]);
      const client = await cluster.client(leader);
      assert.equal((await client.produce('by-2', [`through ${id}`])).error, 'NONE');
    }
    const { leader } = await cluster.partition(1, 'by-2');
    assert.deepEqual(await (await cluster.client(leader)).fetch('by-2'), ['through 1', 'through 2', 'through 3']);
    await cluster.stopAll();
    assert.deepEqual(cluster.errors(), []);
  });
}

test('when the active controller dies another one takes over, and no request that was answered is undone', async () => {
  const cluster = await TestCluster.start({ controllers: 3, brokers: 2 });
  const first = await cluster.newController();
  const created: string[] = [];
  const client = await cluster.client(1);
  const create = async (name: string): Promise<void> => {
    const topics = [{ name, numPartitions: 1, replicationFactor: 2 }];
    const answer = await client.later(CreateTopics, { topics, timeoutMs: 60_000 });
    const error = errorName(answer.topics[0]!.errorCode);
    // Whoever did not hear the first answer is told that it is there.
    assert.ok(error === 'NONE' || error === 'TOPIC_ALREADY_EXISTS', error);
    created.push(name);
  };
  const before = Array.from({ length: 10 }, (_, index) => create(`before-${index}`));
  await cluster.advance(1);
  cluster.node(first).kill();
  const after = Array.from({ length: 10 }, (_, index) => create(`after-${index}`));
  const second = await cluster.newController(first);
  assert.notEqual(second, first);
  await cluster.run(Promise.all([...before, ...after]));
  assert.equal(created.length, 20);
  for (const id of [1, 2])
    await cluster.waitFor('all are known', async () => (await (await cluster.client(id)).topicNames()).length === 20);
  // Heartbeats have found it too: nobody was fenced.
  await cluster.advance(20_000);
  assert.deepEqual(await cluster.liveBrokers(1), [1, 2]);
  await cluster.run(cluster.node(first).start());
  await cluster.stopAll();
  assert.deepEqual(cluster.errors(), []);
});

test('a broker that dies is fenced when its session is over, others lead, and it comes back', async () => {
  const cluster = await TestCluster.start({ combined: 3 });
  assert.equal(await cluster.createTopic(1, 'orders', { partitions: 6, replicas: 3 }), 'NONE');
  await cluster.waitFor('the topic is known', async () => (await cluster.partition(1, 'orders', 5)).leader > 0);
  const controller = await cluster.newController();
  const victim = [1, 2, 3].find((id) => id !== controller)!;
  cluster.node(victim).kill();
  await cluster.waitFor('it is fenced', async () => !(await cluster.liveBrokers(controller)).includes(victim), 12_000);
  for (const index of [0, 1, 2, 3, 4, 5]) {
    const { leader, isr } = await cluster.partition(controller, 'orders', index);
    assert.ok(leader > 0 && leader !== victim && !isr.includes(victim), `partition ${index} has leader ${leader}, isr ${isr}`);
  }
  await cluster.run(cluster.node(victim).start());
  await cluster.waitFor('it is back', async () => (await cluster.liveBrokers(controller)).includes(victim));
  await cluster.waitFor('it is in sync', async () => (await cluster.partition(controller, 'orders')).isr.includes(victim));
  await cluster.stopAll();
  assert.deepEqual(cluster.errors(), []);
});

test('a broker that is killed and starts at once waits for its old session to end, and then registers', async () => {
  const cluster = await TestCluster.start({ controllers: 1, brokers: 2 });
  cluster.node(2).kill();
  const beganMs = cluster.world.time.nowMs;
  await cluster.run(cluster.node(2).start());
  const tookMs = cluster.world.time.nowMs - beganMs;
  assert.ok(tookMs > 5_000 && tookMs < 12_000, `it took ${tookMs} ms`);
  assert.ok(cluster.node(2).logs.at('info').includes('this broker is not registered yet'));
  await cluster.stopAll();
  assert.deepEqual(cluster.errors(), []);
});

test('a controlled shutdown moves leaderships before the broker goes, and takes no session timeout', async () => {
  const cluster = await TestCluster.start({ controllers: 3, brokers: 3 });
  assert.equal(await cluster.createTopic(1, 'orders', { partitions: 9, replicas: 3 }), 'NONE');
  await cluster.waitFor('the topic is known', async () => (await cluster.partition(1, 'orders', 8)).leader > 0);
  const beganMs = cluster.world.time.nowMs;
  await cluster.run(cluster.node(2).stop());
  assert.ok(cluster.world.time.nowMs - beganMs < 3_000, `it took ${cluster.world.time.nowMs - beganMs} ms`);
  for (let index = 0; index < 9; index++) {
    const { leader, isr } = await cluster.partition(1, 'orders', index);
    assert.ok(leader > 0 && leader !== 2 && !isr.includes(2), `partition ${index} has leader ${leader}, isr ${isr}`);
  }
  await cluster.run(cluster.node(2).start());
  await cluster.waitFor('it is in sync', async () => (await cluster.partition(1, 'orders')).isr.length === 3);
  await cluster.stopAll();
  assert.deepEqual(cluster.errors(), []);
});

test('after a stop of all nodes, and after a power failure of all, everything is there', async () => {
  const cluster = await TestCluster.start({ combined: 3 });
  assert.equal(await cluster.createTopic(1, 'orders', rf3), 'NONE');
  const produce = async (value: string): Promise<void> => {
    await cluster.waitFor('there is a leader', async () => (await cluster.partition(1, 'orders')).leader > 0);
    const { leader } = await cluster.partition(1, 'orders');
    await cluster.waitFor(
      'the record is in all replicas',
      async () => (await (await cluster.client(leader)).produce('orders', [value])).error === 'NONE',
    );
  };
  await produce('one');
  await cluster.stopAll();
  await cluster.startAll();
  await produce('two');
  for (const node of cluster.nodes) node.crash();
  await cluster.startAll();
  assert.deepEqual(await (await cluster.client(1)).topicNames(), ['orders']);
  await produce('three');
  await cluster.stopAll();
  assert.deepEqual(cluster.errors(), []);
});

test('an active controller that is cut off from the others stops being it, and takes back what it could not have committed', async () => {
  const cluster = await TestCluster.start({ combined: 3 });
  const first = await cluster.newController();
  cluster.isolate(first);
  const client = await cluster.connect(first);
  const topics = [{ name: 'nobody-heard', numPartitions: 1, replicationFactor: 1 }];
  const lost = client.later(CreateTopics, { topics, timeoutMs: 5_000 });
  lost.catch(() => {});
  const second = await cluster.newController(first);
  assert.equal(await cluster.createTopic(second, 'orders', { replicas: 2 }), 'NONE');
  cluster.heal();
  await cluster.waitFor('it follows the other one', async () =>
    (await (await cluster.client(first)).topicNames()).includes('orders'),
  );
  const answer = await cluster.run(lost);
  // The broker beside it has asked the new controller.
  assert.equal(errorName(answer.topics[0]!.errorCode), 'NONE');
  assert.deepEqual(await (await cluster.client(second)).topicNames(), ['nobody-heard', 'orders']);
  await cluster.stopAll();
  assert.deepEqual(cluster.errors(), []);
});

test('a broker that was away for so long that it is given a snapshot drops what was deleted meanwhile', async () => {
  const settings = {
    'metadata.log.max.record.bytes.between.snapshots': '2000',
    'metadata.max.retention.bytes': '4000',
    'metadata.log.segment.bytes': '8388608',
  };
  const cluster = await TestCluster.start({ controllers: 1, brokers: 2, settings });
  for (const name of ['gone', 'stays', 'again']) assert.equal(await cluster.createTopic(1, name, { replicas: 2 }), 'NONE');
  await cluster.waitFor('it has them', async () => (await (await cluster.client(2)).topicNames()).length === 3);
  cluster.isolate(2);
  const client = await cluster.client(1);
  await cluster.waitFor('it is fenced', async () => (await cluster.liveBrokers(1)).join() === '1', 20_000);
  for (const name of ['gone', 'again']) {
    assert.equal(await client.deleteTopic(name), 'NONE');
    await cluster.waitFor('it is deleted', async () => !(await client.topicNames()).includes(name));
  }
  assert.equal(await cluster.createTopic(1, 'again'), 'NONE');
  for (let index = 0; index < 40; index++) assert.equal(await cluster.createTopic(1, `more-${index}`), 'NONE');
  await cluster.advance(5_000);
  cluster.heal();
  await cluster.waitFor('it is back', async () => (await cluster.liveBrokers(1)).join() === '1,2');
  const { logs, machine } = cluster.node(2);
  const given = 'the metadata log begins anew behind a snapshot of the leader';
  await cluster.waitFor('it is given a snapshot', () => logs.at('info').includes(given));
  const names = await (await cluster.client(2)).topicNames();
  assert.equal(names.length, 42);
  assert.ok(!names.includes('gone'));
  await cluster.waitFor('its files are going', () => !machine.files.list('/data').includes('gone-0'));
  assert.ok(machine.files.list('/data').includes('stays-0'));
  await cluster.stopAll();
  assert.deepEqual(cluster.errors(), []);
});

test('a static quorum becomes a dynamic one by an upgrade of kraft.version, and stays it', async () => {
  const cluster = await TestCluster.start({ combined: 3, isStatic: true });
  await cluster.newController();
  const level = async (id: number): Promise<number | undefined> => {
    const { finalizedFeatures } = await cluster.ask(id, ApiVersions, { clientSoftwareName: 'test', clientSoftwareVersion: '1' });
    return finalizedFeatures.find(({ name }) => name === 'kraft.version')?.maxVersionLevel;
  };
  assert.equal(await level(1), undefined);
  const update = async (maxVersionLevel: number, upgradeType = 1) => {
    const featureUpdates = [{ feature: 'kraft.version', maxVersionLevel, upgradeType }];
    const { errorCode } = await cluster.ask(2, UpdateFeatures, { timeoutMs: 10_000, featureUpdates });
    return errorName(errorCode);
  };
  // Every voter tells the leader first where it listens, and what it knows.
  await cluster.waitFor('the voters have told', async () => (await update(1)) === 'NONE');
  for (const id of [1, 2, 3]) await cluster.waitFor('it is upgraded', async () => (await level(id)) === 1);
  assert.equal(await update(0, 2), 'INVALID_UPDATE_VERSION');
  await cluster.stopAll();
  await cluster.startAll();
  assert.equal(await level(3), 1);
  assert.equal(await cluster.createTopic(1, 'orders', rf3), 'NONE');
  await cluster.stopAll();
  assert.deepEqual(cluster.errors(), []);
});

test('a broker of another cluster, and one with the id of a living one, are told so and do not start', async () => {
  const settings = { 'initial.broker.registration.timeout.ms': '20000' };
  const cluster = new TestCluster({ controllers: 1, brokers: 3, settings });
  cluster.format();
  const { files } = cluster.node(2).machine;
  const { nodeId, directoryId } = readMetaProperties(files, '/data')!;
  writeMetaProperties(files, '/data', { clusterId: 'another-cluster-xxxxxx', nodeId, directoryId: directoryId! }, 0);
  await cluster.run(Promise.all([cluster.node(101).start(), cluster.node(1).start()]));
  await assert.rejects(
    cluster.run(cluster.node(2).start()),
    /no active controller is known \(epoch \d+, voters .+\), and node101:9093 belongs to another cluster than another-cluster-xxxxxx/,
  );
  const [refusal] = cluster.errors();
  assert.match(refusal!, /node 2: a controller belongs to a cluster with another cluster id/);
  const third = cluster.node(3);
  const meta = readMetaProperties(third.machine.files, '/data')!;
  writeMetaProperties(third.machine.files, '/data', { ...meta, nodeId: 1, directoryId: meta.directoryId! }, 0);
  await assert.rejects(cluster.run(third.start({ 'node.id': '1' })), /DUPLICATE_BROKER_REGISTRATION/);
  assert.deepEqual(await cluster.liveBrokers(1), [1]);
  await cluster.run(Promise.all([cluster.node(1).stop(), cluster.node(101).stop()]));
});
