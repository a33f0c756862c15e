/** What every client library may expect of a broker, whichever the library and whichever the broker. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Client,
  ClientError,
  type LibraryName,
  libraries,
  type ReadRecord,
  type Record,
  supports,
} from './clients/client.ts';
import { eventually } from './processes.ts';
import { againstEachTarget, type Bench } from './targets/against.ts';
import { clusterId, nodeId } from './targets/node.ts';

/** Kafka's error codes that the expectations name. */
export const errorCodes = {
  unknownTopicOrPartition: 3,
  invalidTopic: 17,
  topicAlreadyExists: 36,
  invalidPartitions: 37,
  invalidConfig: 40,
  nonEmptyGroup: 68,
  groupIdNotFound: 69,
} as const;

export function expectOf(library: LibraryName, more: (bench: Bench) => void = () => {}): void {
  againstEachTarget(library, (bench) => {
    const client = () => bench.client(library);
    const knows = (feature: Parameters<typeof supports>[1]) => supports(libraries[library], feature);
    const admin = () => bench.client(knows('createTopic') ? library : 'java');

    if (knows('cluster')) {
      test('describes the cluster', async () => {
        const { clusterId: id, controllerId, brokers } = await client().call('cluster', {});
        assert.equal(id, clusterId);
        assert.equal(controllerId, nodeId);
        assert.deepEqual(brokers, [{ id: nodeId, host: '127.0.0.1', port: bench.node.port }]);
      });
    }

    if (knows('createTopic')) topicExpectations(client, knows);
    dataExpectations(client, admin, library);
    if (library !== 'kcat') groupExpectations(client, knows);
    more(bench);
  });
}

type Knows = (feature: Parameters<typeof supports>[1]) => boolean;

function topicExpectations(client: () => Client, knows: Knows): void {
  test('creates, lists, describes and deletes a topic', async () => {
    const topic = 'admin-topic';
    await client().call('createTopic', { topic, partitions: 3 });
    await eventually('listed', async () => (await client().call('topics', {})).includes(topic));
    assert.equal(await eventually('described', () => client().call('partitions', { topic })), 3);
    await client().call('deleteTopic', { topic });
    await eventually('gone', async () => !(await client().call('topics', {})).includes(topic));
  });

  test('is told why a topic cannot be created', async () => {
    const create =
      (topic: string, partitions = 1, configs = {}) =>
      () =>
        client().call('createTopic', { topic, partitions, configs });
    await create('admin-twice')();
    await assert.rejects(create('admin-twice'), withCode(errorCodes.topicAlreadyExists));
    await assert.rejects(create('no such/name'), withCode(errorCodes.invalidTopic));
    await assert.rejects(create('admin-config', 1, { 'no.such.config': '1' }), withCode(errorCodes.invalidConfig));
    await assert.rejects(create('admin-config', 1, { 'retention.ms': 'soon' }), withCode(errorCodes.invalidConfig));
  });

  test('is told that a topic to delete does not exist', async () => {
    await assert.rejects(
      () => client().call('deleteTopic', { topic: 'never-created' }),
      withCode(errorCodes.unknownTopicOrPartition),
    );
  });

  if (knows('addPartitions')) {
    test('adds partitions, and never takes any away', async () => {
      const topic = 'admin-grows';
      await client().call('createTopic', { topic, partitions: 2 });
      await client().call('addPartitions', { topic, total: 4 });
      await eventually('four partitions', async () => (await client().call('partitions', { topic })) === 4);
      await assert.rejects(() => client().call('addPartitions', { topic, total: 3 }), withCode(errorCodes.invalidPartitions));
    });
  }

  if (knows('topicConfig')) {
    test("reads and changes a topic's configuration", async () => {
      const topic = 'admin-configured';
      await client().call('createTopic', { topic, partitions: 1, configs: { 'cleanup.policy': 'compact' } });
      const config = async (name: string) => eventually(name, () => client().call('topicConfig', { topic, name }));
      assert.deepEqual(await config('cleanup.policy'), { value: 'compact', isDefault: false });
      assert.deepEqual(await config('retention.ms'), { value: '604800000', isDefault: true });
      await client().call('setTopicConfig', { topic, name: 'retention.ms', value: '3600000' });
      await eventually('changed', async () => (await config('retention.ms')).value === '3600000');
      await assert.rejects(
        () => client().call('setTopicConfig', { topic, name: 'retention.ms', value: 'soon' }),
        withCode(errorCodes.invalidConfig),
      );
    });
  }
}

function dataExpectations(client: () => Client, admin: () => Client, library: LibraryName): void {
  const { codecs } = libraries[library];
  const choosesTimestamps = library !== 'kcat';

  test('writes and reads keys, values, headers and timestamps as they were', async () => {
    const topic = await freshTopic(admin(), 'data-whole');
    const records: Record[] = [
      {
        partition: 0,
        key: 'k1',
        value: 'first',
        headers: [
          ['trace', 'abc'],
          ['empty', ''],
        ],
      },
      { partition: 0, key: 'ключ', value: '值 🎈', headers: [] },
      { partition: 0, key: null, value: 'no key', headers: [] },
      { partition: 0, key: 'tombstone', value: null, headers: [] },
    ];
    if (choosesTimestamps) for (const [i, record] of records.entries()) record.timestamp = 1_700_000_000_000 + i;
    const earliest = Date.now();
    if (library !== 'kcat') await client().call('produce', { topic, records });
    else for (const record of records) await client().call('produce', { topic, records: [record] }); // one run per set of headers
    const read = await client().call('read', { topic, partition: 0, start: 'earliest', count: records.length });
    assert.deepEqual(
      read,
      records.map((record, offset) => ({ ...record, timestamp: record.timestamp ?? read[offset]!.timestamp, offset })),
    );
    if (!choosesTimestamps)
      assert.ok(read.every(({ timestamp }) => timestamp >= earliest - 1000 && timestamp <= Date.now() + 1000));
  });

  for (const codec of codecs) {
    test(`writes and reads batches of codec ${codec}`, async () => {
      const topic = await freshTopic(admin(), `data-${codec}`);
      await client().call('produce', { topic, records: numbered(200), codec });
      assertNumbered(await client().call('read', { topic, partition: 0, start: 'earliest', count: 200 }), 0, 200);
    });
  }

  for (const acks of ['0', '1', 'all'] as const) {
    test(`writes with acks=${acks}`, async () => {
      const topic = await freshTopic(admin(), `data-acks-${acks}`);
      await client().call('produce', { topic, records: numbered(20), acks });
      assertNumbered(await client().call('read', { topic, partition: 0, start: 'earliest', count: 20 }), 0, 20);
    });
  }

  test('writes idempotently', async () => {
    const topic = await freshTopic(admin(), 'data-idempotent');
    await client().call('produce', { topic, records: numbered(100), idempotent: true });
    assertNumbered(await client().call('read', { topic, partition: 0, start: 'earliest', count: 100 }), 0, 100);
    assert.deepEqual((await client().call('offsets', { topic })).latest, [100]);
  });

  test('reads from an offset, and asks for the first and the next one', async () => {
    const topic = await freshTopic(admin(), 'data-offsets', 2);
    await client().call('produce', { topic, records: numbered(10).map((record) => ({ ...record, partition: 1 })) });
    assert.deepEqual(await client().call('offsets', { topic }), { earliest: [0, 0], latest: [0, 10] });
    assertNumbered(await client().call('read', { topic, partition: 1, start: 7, count: 3 }), 7, 3);
  });

  if (choosesTimestamps) {
    test('reads from a timestamp', async () => {
      const topic = await freshTopic(admin(), 'data-timestamps');
      const at = 1_700_000_000_000;
      await client().call('produce', {
        topic,
        records: numbered(10).map((record, i) => ({ ...record, timestamp: at + i * 1000 })),
      });
      assertNumbered(await client().call('read', { topic, partition: 0, start: { timestamp: at + 3500 }, count: 6 }), 4, 6);
    });
  }

  if (supports(libraries[library], 'deleteRecords')) {
    test('deletes records before an offset', async () => {
      const topic = await freshTopic(admin(), 'data-deleted');
      await client().call('produce', { topic, records: numbered(10) });
      await client().call('deleteRecords', { topic, partition: 0, before: 4 });
      assert.deepEqual(await client().call('offsets', { topic }), { earliest: [4], latest: [10] });
      assertNumbered(await client().call('read', { topic, partition: 0, start: 'earliest', count: 6 }), 4, 6);
    });
  }
}

function groupExpectations(client: () => Client, knows: Knows): void {
  test('a group commits, and whoever comes next resumes there', async () => {
    const topic = await freshTopic(client(), 'group-resumes', 3);
    const group = 'group-of-one';
    const inEach = numbered(30).map((record, i) => ({ ...record, partition: i % 3 }));
    await client().call('produce', { topic, records: inEach });
    await client().call('join', { member: 'a', group, topics: [topic] });
    assert.equal((await client().call('poll', { member: 'a', count: 30 })).length, 30);
    assert.deepEqual(await client().call('assignment', { member: 'a' }), [
      [topic, 0],
      [topic, 1],
      [topic, 2],
    ]);
    assert.deepEqual(await client().call('describeGroup', { group }), { state: 'Stable', members: 1 });
    await client().call('commit', { member: 'a' });
    assert.equal(await client().call('committed', { group, topic, partition: 1 }), 10);
    await assert.rejects(() => client().call('deleteGroup', { group }), withCode(errorCodes.nonEmptyGroup));
    await client().call('leave', { member: 'a' });
    await client().call('produce', { topic, records: [{ partition: 1, key: 'late', value: 'the 31st' }] });
    await client().call('join', { member: 'b', group, topics: [topic] });
    const resumed = await client().call('poll', { member: 'b', count: 1 });
    assert.deepEqual(
      resumed.map(({ value }) => value),
      ['the 31st'],
    );
    assert.deepEqual(await client().call('poll', { member: 'b', count: 1, timeoutMs: 300 }), []);
    await client().call('leave', { member: 'b' });
  });

  test('lists, describes and deletes groups', async () => {
    const group = 'group-of-one'; // left behind by the test above
    assert.ok((await client().call('groups', {})).includes(group));
    await eventually('empty', async () => (await client().call('describeGroup', { group })).state === 'Empty');
    assert.deepEqual(await client().call('describeGroup', { group }), { state: 'Empty', members: 0 });
    await client().call('deleteGroup', { group });
    assert.ok(!(await client().call('groups', {})).includes(group));
    await assert.rejects(() => client().call('deleteGroup', { group }), withCode(errorCodes.groupIdNotFound));
  });

  if (knows('setGroupOffset')) {
    test("sets a group's offset without being a member", async () => {
      const topic = await freshTopic(client(), 'group-set');
      const group = 'group-set-offset';
      await client().call('produce', { topic, records: numbered(10) });
      await client().call('setGroupOffset', { group, topic, partition: 0, offset: 8 });
      assert.equal(await client().call('committed', { group, topic, partition: 0 }), 8);
      await client().call('join', { member: 'c', group, topics: [topic] });
      assertNumbered(await client().call('poll', { member: 'c', count: 2 }), 8, 2);
      await client().call('leave', { member: 'c' });
    });
  }
}

/**
 * Creates a topic and waits until each partition answers as its leader: metadata may tell of it a moment earlier, and a library
 * that writes to several partitions and is refused by one writes to all of them again. Records of long ago stay: a round of
 * retention comes half a minute after a node has started, and finds a slow test still at work.
 */
export async function freshTopic(
  client: Client,
  topic: string,
  partitions = 1,
  configs: { [name: string]: string } = {},
): Promise<string> {
  await client.call('createTopic', { topic, partitions, configs: { 'retention.ms': '-1', ...configs } });
  await eventually(`${topic} exists`, async () => (await client.call('partitions', { topic })) === partitions);
  await eventually(`${topic} is led`, async () => (await client.call('offsets', { topic })).latest.length === partitions);
  return topic;
}

/** Records for partition 0 whose values are long enough, and alike enough, that compressing pays. */
export function numbered(count: number): Record[] {
  return Array.from({ length: count }, (_, i) => ({ partition: 0, key: `key-${i}`, value: longValue(i) }));
}

/** Checks that these are the numbered records with offsets from `first` on. */
export function assertNumbered(read: readonly ReadRecord[], first: number, count: number): void {
  const seen = read.map(({ offset, key, value }) => ({ offset, key, value }));
  assert.deepEqual(
    seen,
    Array.from({ length: count }, (_, i) => ({ offset: first + i, key: `key-${first + i}`, value: longValue(first + i) })),
  );
}

function longValue(i: number): string {
  return `record ${i} ${'compresses well '.repeat(6)}`;
}

export function withCode(code: number): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ClientError, `a broker's error, not ${error}`);
    assert.equal(error.code, code, error.message);
    return true;
  };
}
