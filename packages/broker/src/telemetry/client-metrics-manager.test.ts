import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readClientMetricsSubscription } from '@ottla/metadata';
import { type CompressionCodec, compress, compressionCodecs, idOfCodec, KafkaError, type Uuid, ZERO_UUID } from '@ottla/protocol';
import { type ClientAttributes, ClientMetricsManager } from './client-metrics-manager.ts';

const me: Uuid = 'f3qa2q0ZQ5mZy1tJcKn0_A';
const client: ClientAttributes = {
  client_id: 'payments-1',
  client_software_name: 'apache-kafka-java',
  client_software_version: '4.3.1',
  client_source_address: '10.0.0.7',
  client_source_port: '50123',
};

class Connection {
  #callbacks: (() => void)[] = [];
  onClosed(callback: () => void): void {
    this.#callbacks.push(callback);
  }
  close(): void {
    for (const callback of this.#callbacks) callback();
  }
}

type Configs = Readonly<Record<string, Readonly<Record<string, string>>>>;

const subscriptionsOf = (configs: Configs) =>
  Object.entries(configs).map(([name, values]) => readClientMetricsSubscription(name, new Map(Object.entries(values))));

function setUp(configs: Configs = {}, telemetryMaxBytes = 1000) {
  const received: string[] = [];
  const connection = new Connection();
  let ids = 0;
  let nowMs = 0;
  const manager = new ClientMetricsManager({
    subscriptions: subscriptionsOf(configs),
    telemetryMaxBytes,
    randomUuid: () => Buffer.from(`client instance${String.fromCharCode(++ids)}`).toString('base64url'),
    receive: (metrics) => {
      const text = Buffer.from(metrics).toString();
      if (text === 'nonsense') throw new RangeError('a message is cut short');
      received.push(text);
    },
  });
  const outcomeOf = <Result>(attempt: () => Result): Result | string => {
    try {
      return attempt();
    } catch (error) {
      assert.ok(error instanceof KafkaError, String(error));
      return error.name;
    }
  };
  return {
    manager,
    received,
    connection,
    pass: (ms: number) => void (nowMs += ms),
    update: (changed: Configs) => manager.updateSubscriptions(subscriptionsOf(changed)),
    get: (id: Uuid = me, by: ClientAttributes = client, on = connection) => manager.getSubscriptions(id, by, on, nowMs),
    tryGet: (id: Uuid = me) => outcomeOf(() => manager.getSubscriptions(id, client, connection, nowMs).requestedMetrics),
    push: (
      text: string | Uint8Array,
      { id = me, subscriptionId = 0, terminating = false, compressionType = 0 } = {},
    ): string | undefined =>
      outcomeOf(() =>
        manager.push(
          { clientInstanceId: id, subscriptionId, terminating, compressionType, metrics: Buffer.from(text) },
          client,
          connection,
          nowMs,
        ),
      ) as string | undefined,
  };
}

test('a client without an id is given one, and keeps it', () => {
  const { get } = setUp();
  const { clientInstanceId } = get(ZERO_UUID);
  assert.notEqual(clientInstanceId, ZERO_UUID);
  assert.equal(get(me).clientInstanceId, me);
});

test('subscription ids are those of Kafka, which gives every broker the same', () => {
  const told = (configs: Configs) => {
    const { subscriptionId, requestedMetrics, pushIntervalMs } = setUp(configs).get();
    return { subscriptionId, requestedMetrics, pushIntervalMs };
  };
  // By the classes of Apache Kafka 4.3.1: the metrics stand in the order of a java.util.HashSet.
  assert.deepEqual(told({}), { subscriptionId: -272224984, requestedMetrics: [], pushIntervalMs: 300_000 });
  assert.deepEqual(told({ a: { metrics: '*', 'interval.ms': '1000' } }), {
    subscriptionId: 160089167,
    requestedMetrics: ['*'],
    pushIntervalMs: 1000,
  });
  const names =
    'a,b,z.y.x,c,org.apache.kafka.producer.,org.apache.kafka.consumer.,metric1,metric2,metric3,metric4,metric5,metric6,org.x,metric7';
  const asConfigured =
    'org.apache.kafka.producer.,org.apache.kafka.consumer.,a,b,c,org.x,z.y.x,metric1,metric2,metric3,metric4,metric5,metric6,metric7';
  assert.deepEqual(told({ a: { metrics: asConfigured, 'interval.ms': '100' } }), {
    subscriptionId: 1691313534,
    requestedMetrics: names.split(','),
    pushIntervalMs: 100,
  });
});

test('what several subscriptions ask for is asked for together, at the shortest interval', () => {
  const { get } = setUp({
    a: { metrics: 'a.b,c', 'interval.ms': '60000' },
    b: { metrics: 'c,d', 'interval.ms': '5000', match: 'client_id=pay.*' },
    other: { metrics: 'x', 'interval.ms': '100', match: 'client_id=payments' },
    nobody: { metrics: '*', match: 'client_software_name=apache.*,client_source_port=1' },
  });
  const told = get();
  assert.deepEqual([...told.requestedMetrics!].sort(), ['a.b', 'c', 'd']);
  assert.equal(told.pushIntervalMs, 5000);
  assert.deepEqual(get(ZERO_UUID, { ...client, client_id: null }).requestedMetrics!.toSorted(), ['a.b', 'c']);
  assert.deepEqual(get(ZERO_UUID, { ...client, client_source_port: '1' }).requestedMetrics, ['*']);
});

test('a client that matches nothing is told to push nothing', () => {
  const { get } = setUp({ a: { metrics: '*', match: 'client_instance_id=other' } });
  assert.deepEqual(get().requestedMetrics, []);
  assert.equal(get(ZERO_UUID).pushIntervalMs, 300_000);
});

test('a client asks and pushes once in an interval', () => {
  const { get, tryGet, push, pass, received } = setUp({ a: { metrics: '*', 'interval.ms': '1000' } });
  const { subscriptionId } = get();
  assert.equal(tryGet(), 'THROTTLING_QUOTA_EXCEEDED');
  pass(1);
  assert.equal(push('first', { subscriptionId }), undefined, 'the first push comes whenever it likes');
  assert.equal(push('early', { subscriptionId }), 'THROTTLING_QUOTA_EXCEEDED');
  pass(999);
  assert.equal(push('early', { subscriptionId }), 'THROTTLING_QUOTA_EXCEEDED');
  assert.equal(tryGet(), 'THROTTLING_QUOTA_EXCEEDED');
  pass(1);
  assert.equal(push('second', { subscriptionId }), undefined);
  pass(1000);
  assert.deepEqual(tryGet(), ['*']);
  assert.deepEqual(received, ['first', 'second']);
});

test('a client whose subscription has changed asks for it at once', () => {
  const { get, tryGet, push, pass, update } = setUp({ a: { metrics: '*', 'interval.ms': '1000' } });
  const { subscriptionId } = get();
  pass(1);
  update({ a: { metrics: 'x', 'interval.ms': '1000' } });
  assert.equal(push('old', { subscriptionId }), 'UNKNOWN_SUBSCRIPTION_ID');
  assert.deepEqual(tryGet(), ['x']);
  assert.equal(tryGet(), 'THROTTLING_QUOTA_EXCEEDED');
  update({});
  assert.deepEqual(tryGet(), []);
});

test('a push of an unknown compression is refused, and of each known one accepted', () => {
  for (const codec of compressionCodecs) {
    const { get, push, received } = setUp();
    const { subscriptionId } = get();
    const packed = compress(codec as CompressionCodec, Buffer.from('metrics'));
    assert.equal(push(packed, { subscriptionId, compressionType: idOfCodec(codec) }), undefined, codec);
    assert.deepEqual(received, ['metrics']);
  }
  const { get, tryGet, push } = setUp();
  const { subscriptionId } = get();
  assert.equal(push('', { subscriptionId, compressionType: 5 }), 'UNSUPPORTED_COMPRESSION_TYPE');
  assert.deepEqual(tryGet(), [], 'it may ask again at once');
});

test('a push has at most telemetry.max.bytes, packed and unpacked', () => {
  const attempt = (text: string, codec: CompressionCodec, maxBytes = 1000) => {
    const { get, push } = setUp({}, maxBytes);
    return push(compress(codec, Buffer.from(text)), { subscriptionId: get().subscriptionId!, compressionType: idOfCodec(codec) });
  };
  assert.equal(attempt('x'.repeat(1000), 'none'), undefined);
  assert.equal(attempt('x'.repeat(1001), 'none'), 'TELEMETRY_TOO_LARGE');
  for (const codec of ['gzip', 'lz4', 'snappy', 'zstd'] as const) {
    assert.equal(attempt('x'.repeat(1000), codec), undefined, codec);
    assert.equal(attempt('x'.repeat(1001), codec), 'INVALID_RECORD', codec);
    assert.equal(attempt('x'.repeat(20_000_000), codec, 2_000_000), 'INVALID_RECORD', codec);
  }
});

test('what cannot be read is INVALID_RECORD', () => {
  const { get, push } = setUp();
  const { subscriptionId } = get();
  assert.equal(push('nonsense', { subscriptionId }), 'INVALID_RECORD');
  const other = setUp();
  assert.equal(other.push('no gzip', { subscriptionId: other.get().subscriptionId!, compressionType: 1 }), 'INVALID_RECORD');
});

test('a client that terminates pushes at once, and then no more', () => {
  const { get, push, received } = setUp();
  const { subscriptionId } = get();
  assert.equal(push('usual', { subscriptionId }), undefined);
  assert.equal(push('early', { subscriptionId }), 'THROTTLING_QUOTA_EXCEEDED');
  assert.equal(push('last', { subscriptionId, terminating: true }), undefined);
  assert.equal(push('', { subscriptionId, terminating: true }), 'INVALID_REQUEST');
  assert.deepEqual(received, ['usual', 'last']);
});

test('nobody has a reserved id', () => {
  const { push } = setUp();
  for (const id of [ZERO_UUID, 'AAAAAAAAAAAAAAAAAAAAAQ']) assert.equal(push('', { id }), 'INVALID_REQUEST');
});

test('a client is forgotten with its connection, after three intervals of silence, or when there are too many', () => {
  const { manager, get, tryGet, connection, pass } = setUp({ a: { metrics: '*', 'interval.ms': '40000' } });
  get();
  connection.close();
  assert.equal(manager.instances, 0);
  get();
  pass(119_999);
  assert.deepEqual(tryGet(), ['*']);
  pass(39_999);
  assert.equal(tryGet(), 'THROTTLING_QUOTA_EXCEEDED');
  pass(120_000);
  get(ZERO_UUID);
  assert.equal(manager.instances, 1, 'whoever comes next makes room');
  const another = new Connection();
  for (let index = 0; index < 20_000; index++) get(idOf(index), client, another);
  assert.equal(manager.instances, 16_384);
  another.close();
  assert.equal(manager.instances, 16_383);
});

const idOf = (index: number): Uuid => Buffer.from(String(index).padStart(16, '0')).toString('base64url');
