import assert from 'node:assert/strict';
import { test } from 'node:test';
import { directoryOf } from '@ottla/metadata';
import { AlterReplicaLogDirs, DescribeLogDirs, errorName } from '@ottla/protocol';
import type { FileOperation } from '@ottla/runtime';
import { type TestClient, TestNode } from './testing-node.ts';

const settings = { 'log.dirs': '/a,/b', 'metadata.log.dir': '/meta' };

async function withFaults(options: { settings?: Record<string, string> } = {}) {
  const fault: { of: (operation: FileOperation) => string | undefined } = { of: () => undefined };
  const machine = { fault: (operation: FileOperation) => fault.of(operation) };
  return { node: await TestNode.start({ settings: { ...settings, ...options.settings }, machine }), fault };
}

async function move(client: TestClient, path: string, topic: string, partitions: number[] = [0]): Promise<string[]> {
  const { results } = await client.ask(AlterReplicaLogDirs, { dirs: [{ path, topics: [{ name: topic, partitions }] }] });
  return results.flatMap((result) => result.partitions.map(({ errorCode }) => errorName(errorCode)));
}

/** `/a: orders-0 lag 0`, with `future` where it is one. */
async function describe(client: TestClient): Promise<string[]> {
  const { results } = await client.ask(DescribeLogDirs, { topics: null });
  return results.map(({ logDir, errorCode, isCordoned, topics }) => {
    const logs = topics.flatMap(({ name, partitions }) =>
      partitions.map(
        ({ partitionIndex, offsetLag, isFutureKey }) =>
          `${name}-${partitionIndex} lag ${offsetLag}${isFutureKey ? ' future' : ''}`,
      ),
    );
    return `${logDir}${isCordoned ? ' cordoned' : ''}: ${errorCode === 0 ? logs.join(', ') : errorName(errorCode)}`;
  });
}

async function fillWith(client: TestClient, topic: string, from: number, to: number): Promise<void> {
  for (let index = from; index < to; index++)
    assert.equal((await client.produce(topic, [`${index}`.padEnd(20_000, '.')])).error, 'NONE');
}

async function numbersIn(client: TestClient, topic: string): Promise<number[]> {
  const found: number[] = [];
  for (;;) {
    const more = await client.fetch(topic, { offset: found.length });
    if (more.length === 0) return found;
    found.push(...more.map((value) => Number.parseInt(value, 10)));
  }
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

/** In what directory a log really is. */
const placesOf = (node: TestNode, log: string) => ['/a', '/b'].filter((path) => node.list(path).includes(log));

test('a replica moves to another directory while it is written to, and is expected there after a restart', async () => {
  const { node } = await withFaults();
  const client = await node.client();
  await client.createTopic('orders');
  await fillWith(client, 'orders', 0, 100);
  assert.deepEqual(await describe(client), ['/a: orders-0 lag 0', '/b: ']);
  assert.deepEqual(await move(client, '/b', 'orders'), ['NONE']);
  assert.deepEqual(await describe(client), ['/a: orders-0 lag 0', '/b: orders-0 lag 100 future']);
  assert.deepEqual(await move(client, '/b', 'orders'), ['NONE']);
  await fillWith(client, 'orders', 100, 120);
  await node.advance(1_000);
  assert.deepEqual(await describe(client), ['/a: ', '/b: orders-0 lag 0']);
  await fillWith(client, 'orders', 120, 130);
  assert.deepEqual(await numbersIn(client, 'orders'), upTo(130));
  assert.deepEqual(placesOf(node, 'orders-0'), ['/b']);
  await node.restart();
  const after = await node.client();
  assert.deepEqual(await numbersIn(after, 'orders'), upTo(130));
  assert.deepEqual(await describe(after), ['/a: ', '/b: orders-0 lag 0']);
  // There and back again.
  assert.deepEqual(await move(after, '/a', 'orders'), ['NONE']);
  await node.advance(1_000);
  assert.deepEqual(await describe(after), ['/a: orders-0 lag 0', '/b: ']);
  assert.deepEqual(node.logs.at('error'), []);
  await node.stop();
});

test('a move is given up by moving back, and ends with its topic', async () => {
  const { node } = await withFaults();
  const client = await node.client();
  await client.createTopic('orders');
  await fillWith(client, 'orders', 0, 200);
  await move(client, '/b', 'orders');
  assert.deepEqual(await move(client, '/a', 'orders'), ['NONE']);
  await node.advance(2_000);
  assert.deepEqual(await describe(client), ['/a: orders-0 lag 0', '/b: ']);
  await move(client, '/b', 'orders');
  assert.equal(await client.deleteTopic('orders'), 'NONE');
  await node.advance(70_000);
  for (const path of ['/a', '/b']) assert.doesNotMatch(node.list(path).join(), /orders/);
  assert.deepEqual(node.logs.at('error'), []);
  await node.stop();
});

test('what cannot be moved is refused as Kafka does', async () => {
  const { node } = await withFaults();
  const client = await node.client();
  const long = 'x'.repeat(214);
  await client.createTopic('orders');
  await client.createTopic(long);
  assert.deepEqual(await move(client, '/nowhere', 'orders'), ['LOG_DIR_NOT_FOUND']);
  assert.deepEqual(await move(client, '/b', 'orders', [7]), ['UNKNOWN_TOPIC_OR_PARTITION']);
  assert.deepEqual(await move(client, '/b', '__cluster_metadata'), ['UNKNOWN_TOPIC_OR_PARTITION']);
  assert.deepEqual(await move(client, '/b', long), ['INVALID_TOPIC_EXCEPTION']);
  assert.equal(await client.configure({ type: 4, name: '1' }, { 'cordoned.log.dirs': '/b' }), 'NONE');
  assert.deepEqual(await move(client, '/b', 'orders'), ['INVALID_REPLICA_ASSIGNMENT']);
  await node.stop();
});

test('a directory named for what does not exist yet is where it will be created', async () => {
  const { node } = await withFaults();
  const client = await node.client();
  assert.deepEqual(await move(client, '/b', 'later', [0, 1]), ['UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_OR_PARTITION']);
  await client.createTopic('later', {}, { partitions: 3 });
  assert.deepEqual(await describe(client), ['/a: later-2 lag 0', '/b: later-0 lag 0, later-1 lag 0']);
  await node.stop();
});

test('a cordoned directory gets no new replicas, and a node with no other is not used', async () => {
  const { node } = await withFaults();
  const client = await node.client();
  await client.configure({ type: 4, name: '1' }, { 'cordoned.log.dirs': '/a' });
  await client.createTopic('orders', {}, { partitions: 3 });
  assert.deepEqual(await describe(client), ['/a cordoned: ', '/b: orders-0 lag 0, orders-1 lag 0, orders-2 lag 0']);
  await client.configure({ type: 4, name: '1' }, { 'cordoned.log.dirs': '*' });
  await node.advance(100);
  assert.equal(await client.createTopic('none'), 'INVALID_REPLICATION_FACTOR');
  await node.restart();
  const after = await node.client();
  assert.equal(await after.createTopic('none'), 'INVALID_REPLICATION_FACTOR');
  await after.configure({ type: 4, name: '1' }, { 'cordoned.log.dirs': null });
  await node.advance(100);
  assert.equal(await after.createTopic('some'), 'NONE');
  await node.stop();
});

test('a crash at any operation of a move loses nothing, and the move is finished or can be', async () => {
  let moved = 0;
  for (let nth = 3; nth < 120; nth += 13) {
    const { node, fault } = await withFaults();
    const client = await node.client();
    await client.createTopic('orders', { 'flush.messages': '1' });
    for (let index = 0; index < 5; index++) await client.produce('orders', [`${index}`]);
    await move(client, '/b', 'orders');
    let operations = 0;
    // From then on nothing reaches the disk.
    fault.of = ({ kind }) => (kind !== 'read' && kind !== 'stat' && ++operations >= nth ? 'EIO' : undefined);
    await node.advance(3_000);
    node.machine.crash();
    fault.of = () => undefined;
    await node.start();
    const after = await node.client();
    assert.deepEqual(await numbersIn(after, 'orders'), upTo(5), `operation ${nth}`);
    assert.equal((await after.produce('orders', ['5'])).baseOffset, 5);
    await node.advance(3_000);
    const [place, ...others] = placesOf(node, 'orders-0');
    assert.deepEqual(others, []);
    if (place === '/b') moved++;
    assert.deepEqual(await numbersIn(after, 'orders'), upTo(6), `operation ${nth}`);
    await node.stop();
  }
  assert.ok(moved > 0);
});

test('a target that is full is waited for, and one that fails ends the move alone', async () => {
  const { node, fault } = await withFaults();
  const client = await node.client();
  await client.createTopic('orders');
  await fillWith(client, 'orders', 0, 100);
  await move(client, '/b', 'orders');
  fault.of = ({ kind, path }) => (kind === 'write' && path.startsWith('/b/orders') ? 'ENOSPC' : undefined);
  await node.advance(5_000);
  assert.deepEqual(placesOf(node, 'orders-0'), ['/a']);
  await fillWith(client, 'orders', 100, 110);
  fault.of = () => undefined;
  await node.advance(5_000);
  assert.deepEqual(placesOf(node, 'orders-0'), ['/b']);
  await move(client, '/a', 'orders');
  fault.of = ({ kind, path }) => (kind === 'write' && path.startsWith('/a/orders') ? 'EIO' : undefined);
  await node.advance(5_000);
  assert.deepEqual(await describe(client), ['/a: KAFKA_STORAGE_ERROR', '/b: orders-0 lag 0']);
  assert.deepEqual(await move(client, '/a', 'orders'), ['KAFKA_STORAGE_ERROR']);
  assert.deepEqual(await numbersIn(client, 'orders'), upTo(110));
  await node.stop();
});

/** Where the metadata says that the replica is; the paths by their ids are looked up while all directories work. */
function expectedPlaces(node: TestNode): (topic: string) => string | undefined {
  const paths = new Map(node.server.parts.logManager!.describeDirs().map(({ path, online }) => [online?.id, path]));
  return (topic) => {
    const partition = node.server.parts.metadata.image.topics.byName(topic)!.partition(0)!;
    return paths.get(directoryOf(partition, 1));
  };
}

const leaderOf = (node: TestNode, topic: string) => node.server.parts.metadata.image.topics.byName(topic)!.partition(0)!.leader;

/** `orders` in /a with its copy in /b that is being flushed, and `other` in /b. */
async function withCopyBeingFlushed() {
  const { node, fault } = await withFaults();
  const client = await node.client();
  await client.createTopic('orders');
  await move(client, '/b', 'other');
  await client.createTopic('other');
  const placeOf = expectedPlaces(node);
  await fillWith(client, 'orders', 0, 5);
  node.machine.disk.syncMs = () => 1_000;
  await move(client, '/b', 'orders');
  await node.advance(500);
  assert.deepEqual(await describe(client), ['/a: orders-0 lag 0', '/b: other-0 lag 0, orders-0 lag 0 future']);
  assert.equal(placeOf('orders'), '/a');
  return { node, fault, client, placeOf };
}

test('a move that is given up while its copy is flushed is not announced', async () => {
  const { node, client, placeOf } = await withCopyBeingFlushed();
  assert.deepEqual(await move(client, '/a', 'orders'), ['NONE']);
  await node.advance(10_000);
  assert.equal(placeOf('orders'), '/a');
  assert.deepEqual(placesOf(node, 'orders-0'), ['/a']);
  await node.stop();
});

test('a target that fails while a copy is flushed takes nobody out of the place he is in', async () => {
  const { node, fault, client, placeOf } = await withCopyBeingFlushed();
  fault.of = ({ kind, path }) => (kind === 'write' && path.startsWith('/b/other') ? 'EIO' : undefined);
  assert.equal((await client.produce('other', ['x'])).error, 'KAFKA_STORAGE_ERROR');
  await node.advance(10_000);
  assert.equal(placeOf('orders'), '/a');
  assert.equal(leaderOf(node, 'orders'), 1);
  assert.equal((await client.produce('orders', ['5'])).error, 'NONE');
  await node.stop();
});

test('a move that was announced is taken back when its target fails', async () => {
  const { node, fault, client, placeOf } = await withCopyBeingFlushed();
  fault.of = ({ kind, path }) => (kind === 'rename' && /^.b.orders-0[^/]*$/.test(path) ? 'EIO' : undefined);
  const told = new Set<string | undefined>();
  const leaders = new Set<number>();
  node.server.parts.metadata.onChange(() => {
    told.add(placeOf('orders'));
    leaders.add(leaderOf(node, 'orders'));
  });
  await node.advance(15_000);
  assert.deepEqual(told, new Set(['/b', '/a']));
  assert.deepEqual(leaders, new Set([1]));
  assert.equal(placeOf('orders'), '/a');
  assert.equal(leaderOf(node, 'orders'), 1);
  assert.equal((await client.produce('orders', ['5'])).error, 'NONE');
  assert.deepEqual(await numbersIn(client, 'orders'), upTo(6));
  await node.stop();
});

test('a replica whose directory fails before its copy takes over is led elsewhere', async () => {
  const { node, fault, client, placeOf } = await withCopyBeingFlushed();
  fault.of = ({ kind, path }) => (kind === 'rename' && path === '/a/orders-0' ? 'EIO' : undefined);
  const told = new Set<string | undefined>();
  node.server.parts.metadata.onChange(() => told.add(placeOf('orders')));
  await node.advance(15_000);
  assert.ok(told.has('/b'));
  assert.equal(placeOf('orders'), '/a');
  // There is nobody else, but there would be.
  assert.equal(leaderOf(node, 'orders'), -1);
  assert.equal(leaderOf(node, 'other'), 1);
  assert.equal((await client.produce('orders', ['5'])).error, 'KAFKA_STORAGE_ERROR');
  await node.stop();
});

test('so is one whose directory fails while the controller is told where it will be', async () => {
  const { node, fault, client, placeOf } = await withCopyBeingFlushed();
  let isTelling = false;
  fault.of = ({ kind, path }) => {
    isTelling ||= kind === 'write' && path.startsWith('/meta');
    return path.startsWith('/a/orders') && kind === 'write' ? 'EIO' : undefined;
  };
  while (!isTelling) await node.advance(10);
  assert.equal(placeOf('orders'), '/a');
  assert.equal((await client.produce('orders', ['5'])).error, 'KAFKA_STORAGE_ERROR');
  await node.advance(15_000);
  assert.equal(placeOf('orders'), '/a');
  assert.equal(leaderOf(node, 'orders'), -1);
  await node.stop();
});
