import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchesOf, DescribeConfigs, errorName, Fetch, Metadata, Produce } from '@ottla/protocol';
import { type TestClient, TestNode, type TestNodeOptions } from './testing-node.ts';

const ORDERS = { type: 2, name: 'orders' };
const CLUSTER = { type: 4, name: '' };
const THIS_BROKER = { type: 4, name: '1' };
const LOGGERS = { type: 8, name: '1' };

async function started(options: TestNodeOptions = {}): Promise<{ node: TestNode; client: TestClient }> {
  const node = await TestNode.start(options);
  const client = await node.client();
  assert.equal(await client.createTopic('orders'), 'NONE');
  return { node, client };
}

/** Of the first batch from an offset on. */
async function batchAt(client: TestClient, offset: number) {
  const { responses } = await client.ask(Fetch, await client.fetchRequest('orders', { offset }));
  const [batch] = batchesOf(responses[0]!.partitions[0]!.records!);
  return { codec: batch!.codec, timestampType: batch!.timestampType, maxTimestamp: batch!.maxTimestamp };
}

test("a topic's max.message.bytes bounds the next batch, the broker's where the topic has none", async () => {
  const { node, client } = await started();
  const large = ['x'.repeat(5_000)];
  assert.equal((await client.produce('orders', large)).error, 'NONE');
  assert.equal(await client.configure(ORDERS, { 'max.message.bytes': '1000' }), 'NONE');
  assert.equal((await client.produce('orders', large)).error, 'MESSAGE_TOO_LARGE');
  assert.equal(await client.configure(ORDERS, { 'max.message.bytes': null }), 'NONE');
  assert.equal((await client.produce('orders', large)).error, 'NONE');
  assert.equal(await client.configure(CLUSTER, { 'message.max.bytes': '2000' }), 'NONE');
  assert.equal((await client.produce('orders', large)).error, 'MESSAGE_TOO_LARGE');
  assert.equal(await client.configure(THIS_BROKER, { 'message.max.bytes': '9000' }), 'NONE');
  assert.equal((await client.produce('orders', large)).error, 'NONE');
  assert.equal(await client.configure(ORDERS, { 'max.message.bytes': '100' }), 'NONE');
  assert.equal((await client.produce('orders', large)).error, 'MESSAGE_TOO_LARGE');
  await node.stop();
});

test("compression.type recompresses on the way in, and producer keeps the producer's", async () => {
  const { node, client } = await started();
  const values = ['x'.repeat(500)];
  const codecs: string[] = [];
  for (const type of ['gzip', 'uncompressed', 'lz4', 'snappy', 'zstd', 'producer']) {
    assert.equal(await client.configure(ORDERS, { 'compression.type': type }), 'NONE');
    const { baseOffset } = await client.produce('orders', values, { codec: 'gzip' });
    codecs.push((await batchAt(client, baseOffset)).codec);
  }
  assert.deepEqual(codecs, ['gzip', 'none', 'lz4', 'snappy', 'zstd', 'gzip']);
  assert.equal(await client.configure(ORDERS, { 'compression.type': null }), 'NONE');
  assert.equal(await client.configure(CLUSTER, { 'compression.type': 'zstd' }), 'NONE');
  const { baseOffset } = await client.produce('orders', values);
  assert.equal((await batchAt(client, baseOffset)).codec, 'zstd');
  assert.deepEqual(await client.fetch('orders', { offset: baseOffset }), values);
  await node.stop();
});

test("message.timestamp.type decides whose time records carry, and the answer tells the log's", async () => {
  const { node, client } = await started();
  const timestamp = node.world.startMs - 1_000_000;
  assert.equal((await client.produce('orders', ['created'], { timestamp })).logAppendTimeMs, -1);
  assert.deepEqual(await batchAt(client, 0), { codec: 'none', timestampType: 'CreateTime', maxTimestamp: timestamp });
  assert.equal(await client.configure(ORDERS, { 'message.timestamp.type': 'LogAppendTime' }), 'NONE');
  await node.advance(5_000);
  const appended = await client.produce('orders', ['appended'], { timestamp });
  assert.ok(appended.logAppendTimeMs >= node.world.startMs + 5_000);
  const { timestampType, maxTimestamp } = await batchAt(client, 1);
  assert.deepEqual([timestampType, maxTimestamp], ['LogAppendTime', appended.logAppendTimeMs]);
  await node.stop();
});

test('records from too far in the future or past are refused by the limits in force', async () => {
  const { node, client } = await started();
  const nowMs = node.world.startMs;
  assert.equal((await client.produce('orders', ['x'], { timestamp: nowMs + 2 * 3_600_000 })).error, 'INVALID_TIMESTAMP');
  assert.equal(await client.configure(ORDERS, { 'message.timestamp.after.max.ms': '10800000' }), 'NONE');
  assert.equal((await client.produce('orders', ['x'], { timestamp: nowMs + 2 * 3_600_000 })).error, 'NONE');
  assert.equal((await client.produce('orders', ['x'], { timestamp: nowMs - 3_600_000 })).error, 'NONE');
  assert.equal(await client.configure(CLUSTER, { 'log.message.timestamp.before.max.ms': '60000' }), 'NONE');
  assert.equal((await client.produce('orders', ['x'], { timestamp: nowMs - 3_600_000 })).error, 'INVALID_TIMESTAMP');
  await node.stop();
});

test('log.segment.bytes of the cluster or of this broker rolls the segments of topics without their own', async () => {
  const { node, client } = await started();
  const segments = () => node.list('/data/orders-0').filter((name) => name.endsWith('.log')).length;
  const half = ['x'.repeat(600_000)];
  for (let count = 0; count < 4; count++) await client.produce('orders', half);
  assert.equal(segments(), 1);
  assert.equal(await client.configure(CLUSTER, { 'log.segment.bytes': '1048576' }), 'NONE');
  for (let count = 0; count < 4; count++) await client.produce('orders', half);
  assert.equal(segments(), 5);
  assert.equal(await client.configure(THIS_BROKER, { 'log.segment.bytes': '104857600' }), 'NONE');
  for (let count = 0; count < 4; count++) await client.produce('orders', half);
  assert.equal(segments(), 5);
  await node.stop();
});

test('log.retention.ms of the cluster removes segments of topics without their own', async () => {
  const { node, client } = await started({ settings: { 'log.retention.check.interval.ms': '5000' } });
  await client.produce('orders', ['old']);
  await node.advance(60_000);
  assert.equal(await client.offset('orders', -2), 0);
  assert.equal(await client.configure(CLUSTER, { 'log.retention.ms': '30000' }), 'NONE');
  await node.advance(7_000);
  assert.equal(await client.offset('orders', -2), 1);
  await node.stop();
});

test('dynamic configs survive a restart, and the strongest layer is in force and described', async () => {
  const { node, client } = await started({ settings: { 'log.retention.ms': '1000000' } });
  const retention = async () => {
    const { configs, sources } = await (await node.client()).describe(ORDERS);
    return [configs['retention.ms'], sources['retention.ms']];
  };
  const [STATIC, CLUSTER_WIDE, BROKER, TOPIC] = [4, 3, 2, 1];
  assert.deepEqual(await retention(), ['1000000', STATIC]);
  await client.configure(CLUSTER, { 'log.retention.ms': '2000000' });
  assert.deepEqual(await retention(), ['2000000', CLUSTER_WIDE]);
  await client.configure(THIS_BROKER, { 'log.retention.ms': '3000000' });
  assert.deepEqual(await retention(), ['3000000', BROKER]);
  await client.configure(ORDERS, { 'retention.ms': '4000000' });
  assert.deepEqual(await retention(), ['4000000', TOPIC]);
  await node.restart();
  assert.deepEqual(await retention(), ['4000000', TOPIC]);
  const again = await node.client();
  await again.configure(ORDERS, { 'retention.ms': null });
  assert.deepEqual(await retention(), ['3000000', BROKER]);
  await again.configure(THIS_BROKER, { 'log.retention.ms': null });
  assert.deepEqual(await retention(), ['2000000', CLUSTER_WIDE]);
  await again.configure(CLUSTER, { 'log.retention.ms': null });
  assert.deepEqual(await retention(), ['1000000', STATIC]);
  await node.stop();
});

test('what cannot change while the broker runs is refused, as is what is no value', async () => {
  const { node, client } = await started();
  assert.equal(await client.configure(CLUSTER, { 'auto.create.topics.enable': 'false' }), 'INVALID_REQUEST');
  assert.equal(await client.configure(THIS_BROKER, { 'broker.rack': 'r' }), 'INVALID_REQUEST');
  assert.equal(await client.configure(CLUSTER, { 'message.max.bytes': 'many' }), 'INVALID_REQUEST');
  assert.equal(await client.configure(ORDERS, { 'retention.ms': 'long' }), 'INVALID_CONFIG');
  assert.equal(await client.configure(ORDERS, { 'no.such.config': '1' }), 'INVALID_CONFIG');
  assert.equal(await client.configure({ type: 2, name: 'absent' }, { 'retention.ms': '1' }), 'UNKNOWN_TOPIC_OR_PARTITION');
  await node.stop();
});

test('a config that nothing acts on yet is said so, once, however it came', async () => {
  const { node, client } = await started({ settings: { 'num.io.threads': '3', 'connections.max.reauth.ms': '2' } });
  assert.ok(node.logs.at('info').some((message) => message.startsWith('num.io.threads has no meaning in Ottla')));
  assert.ok(node.logs.at('warn').includes('connections.max.reauth.ms is set, but Ottla does not act on it yet'));
  const warnings = () =>
    node.logs.lines.filter(({ level, message }) => level === 'warn' && message.includes('local.retention.ms'));
  assert.equal(await client.createTopic('created', { 'local.retention.ms': '1' }), 'NONE');
  assert.equal(await client.configure(ORDERS, { 'local.retention.ms': '1' }), 'NONE');
  assert.equal(await client.configure(ORDERS, { 'retention.ms': '1000000' }), 'NONE');
  assert.deepEqual(
    warnings().map(({ fields }) => fields['resources']),
    [['created'], ['orders']],
  );
  await node.restart();
  assert.deepEqual(
    warnings()
      .slice(2)
      .map(({ fields }) => fields['resources']),
    [['created', 'orders']],
  );
  await node.stop();
});

test('the levels of loggers change at once, for this run only', async () => {
  const { node, client } = await started();
  const refused = () => node.logs.lines.filter(({ message }) => message === 'connection opened').length;
  const before = refused();
  await node.connect();
  assert.equal(refused(), before + 1);
  assert.equal(await client.configure(LOGGERS, { network: 'ERROR' }), 'NONE');
  await node.connect();
  assert.equal(refused(), before + 1);
  assert.equal(await client.configure(LOGGERS, { network: null }), 'NONE');
  await node.connect();
  assert.equal(refused(), before + 2);
  assert.equal(await client.configure(LOGGERS, { network: 'LOUD' }), 'INVALID_CONFIG');
  await node.stop();
});

test('what becomes of topics is told at level debug, by controller and broker', async () => {
  const { node, client } = await started();
  const told = () => node.logs.lines.filter(({ level }) => level === 'debug');
  const before = told().length;
  assert.equal(await client.createTopic('told'), 'NONE');
  const lines = told().slice(before);
  const written = lines.find(({ message }) => message === 'the metadata log has new records');
  assert.deepEqual([written?.fields['TopicRecord'], written?.fields['PartitionRecord']], [1, 1]);
  const opened = lines.find(({ message }) => message === 'replica opened');
  assert.deepEqual([opened?.fields['topic'], opened?.fields['partition']], ['told', 0]);
  await node.stop();
});

test('no record is lost or doubled while configs change under a producer that does not wait', async () => {
  const { node, client } = await started();
  const admin = await node.connect();
  const answers: Promise<unknown>[] = [];
  const changes: readonly Record<string, string>[] = [
    { 'compression.type': 'lz4' },
    { 'segment.bytes': '1048576' },
    { 'message.timestamp.type': 'LogAppendTime' },
    { 'flush.messages': '3' },
    { 'min.insync.replicas': '1' },
    { 'compression.type': 'producer' },
    { 'retention.ms': '-1' },
  ];
  for (let sequence = 0; sequence < 140; sequence++) {
    const request = await client.produceRequest('orders', [`${sequence}`], {
      producerId: 1,
      producerEpoch: 0,
      baseSequence: sequence,
    });
    answers.push(client.later(Produce, request));
    if (sequence % 20 === 10) assert.equal(await admin.configure(ORDERS, changes[(sequence - 10) / 20]!), 'NONE');
  }
  await node.run(Promise.all(answers));
  const values: string[] = [];
  while (values.length < 140) {
    const more = await client.fetch('orders', { offset: values.length });
    assert.ok(more.length > 0, `only ${values.length} records`);
    values.push(...more);
  }
  assert.deepEqual(
    values,
    Array.from({ length: 140 }, (_, index) => `${index}`),
  );
  await node.stop();
});

test('metadata tells the rack and the advertised address', async () => {
  const { node, client } = await started({
    settings: { 'broker.rack': 'r1', 'advertised.listeners': 'PLAINTEXT://kafka.example:19092' },
  });
  const { brokers } = await client.ask(Metadata, { topics: [] });
  assert.deepEqual(
    brokers.map(({ nodeId, host, port, rack }) => ({ nodeId, host, port, rack })),
    [{ nodeId: 1, host: 'kafka.example', port: 19092, rack: 'r1' }],
  );
  await node.stop();
});

test('one request describes no more configs than fit an answer, and what is alike only once', async () => {
  const { node, client } = await started();
  const resources = Array.from({ length: 2_000 }, () => ({ resourceType: 4, resourceName: '1', configurationKeys: null }));
  const { results } = await client.ask(DescribeConfigs, { resources, includeSynonyms: true });
  const all = results[0]!.configs.length;
  const answered = Math.ceil(200_000 / all);
  assert.ok(answered < 2_000);
  results.forEach(({ errorCode, configs }, at) => {
    const expected = at < answered ? ['NONE', all] : ['POLICY_VIOLATION', 0];
    assert.deepEqual([errorName(errorCode), configs.length], expected);
  });
  await node.stop();
});
