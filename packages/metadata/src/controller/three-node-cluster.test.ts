/** What Apache Kafka's controller wrote in a real cluster, ours must write in the same state for the same request. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MetadataRecord } from '@ottla/protocol';
import { TestController } from '../../test/test-controller.ts';
import { type LoggedRecord, readThreeNodeLog } from '../../test/three-node-log.ts';

const log = readThreeNodeLog();

/** A controller that has seen the log up to an offset, and the records that Kafka wrote there. */
function at(offset: number, lastOffset = offset): { controller: TestController; written: MetadataRecord[] } {
  const controller = new TestController();
  for (const { record, offset: each } of log) if (each < offset) controller.follow(record, each);
  assert.equal(controller.nextOffset, offset);
  for (const broker of controller.image.brokers.values()) {
    controller.controller.brokerHeartbeat(heartbeat(controller, broker.id), { ...controller.context(), nowMs: 0 });
  }
  return {
    controller,
    written: log.filter(({ offset: each }) => each >= offset && each <= lastOffset).map(({ record }) => record),
  };
}

function heartbeat(controller: TestController, brokerId: number, wantShutDown = false) {
  const { epoch: brokerEpoch, fenced: wantFence } = controller.image.brokers.get(brokerId)!;
  const offset = controller.nextOffset;
  return {
    brokerId,
    brokerEpoch,
    currentMetadataOffset: offset,
    wantFence,
    wantShutDown,
    offlineLogDirs: [],
    cordonedLogDirs: [],
  };
}

/** Kafka walks partitions in the order of hash tables: their order among themselves means nothing, their place among the others does. */
function assertSameRecords(actual: readonly MetadataRecord[], expected: readonly MetadataRecord[]): void {
  const text = (record: MetadataRecord) =>
    JSON.stringify(record, (_, value) => (value instanceof Uint8Array ? [...value] : value));
  const types = (records: readonly MetadataRecord[]) => records.map(({ type }) => type);
  assert.deepEqual(types(actual), types(expected));
  assert.deepEqual(actual.map(text).sort(), expected.map(text).sort());
}

const offsetOf = (find: (entry: LoggedRecord) => boolean): number => log.find(find)!.offset;
const partitionsOf = (count: number, ...replicas: number[][]) =>
  Array.from({ length: count }, (_, partitionIndex) => ({ partitionIndex, brokerIds: replicas[partitionIndex]! }));

test('a new cluster begins with a transaction of its features', () => {
  const controller = new TestController();
  const bootstrap = log.filter(({ offset }) => offset >= 4 && offset <= 10).map(({ record }) => record);
  const { records } = controller.controller.activate(bootstrap, controller.context());
  assertSameRecords(
    records,
    log.filter(({ offset }) => offset >= 3 && offset <= 12).map(({ record }) => record),
  );
});

test('a broker registers', () => {
  const { controller, written } = at(13);
  const { value } = written[0]! as Extract<MetadataRecord, { type: 'RegisterBrokerRecord' }>;
  const { records, response } = controller.controller.registerBroker(
    { ...value, clusterId: 'vPeOCWypqUOSepEvx0cbog', listeners: value.endPoints, previousBrokerEpoch: -1 },
    controller.context(),
  );
  assertSameRecords(records, written);
  assert.equal(response.brokerEpoch, 13);
});

test('the first heartbeat unfences the broker and tells its cordoned directories', () => {
  const { controller, written } = at(21, 22);
  const request = { ...heartbeat(controller, 1), wantFence: false };
  assertSameRecords(controller.controller.brokerHeartbeat(request, controller.context()).records, written);
});

test('a topic with configs is created', () => {
  const { controller, written } = at(161, 167);
  const { records, response } = controller.controller.createTopics(
    {
      topics: [
        {
          name: 't1',
          numPartitions: -1,
          replicationFactor: -1,
          assignments: partitionsOf(3, [3, 1, 2], [1, 2, 3], [2, 3, 1]),
          configs: [
            { name: 'min.insync.replicas', value: '2' },
            { name: 'segment.bytes', value: '1048576' },
          ],
        },
      ],
      timeoutMs: 0,
      validateOnly: false,
    },
    controller.context(),
  );
  const id = response.topics[0]!.topicId;
  const named = (value: string) => JSON.parse(JSON.stringify(value).replaceAll('czgjCwTYRjeP-FpebEOouQ', id));
  assertSameRecords(records, named(written as never));
});

test('partitions are added', () => {
  const { controller, written } = at(185, 186);
  const topics = [{ name: 't1', count: 5, assignments: [{ brokerIds: [1, 2, 3] }, { brokerIds: [2, 3, 1] }] }];
  const { records } = controller.controller.createPartitions({ topics, timeoutMs: 0, validateOnly: false }, controller.context());
  assertSameRecords(records, written);
});

for (const [offset, lastOffset, resourceType, resourceName, name, value] of [
  [189, 189, 2, 't1', 'retention.ms', '3600000'],
  [192, 192, 2, 't1', 'retention.ms', null],
  [194, 194, 4, '', 'log.cleaner.threads', '1'],
  [197, 198, 4, '', 'min.insync.replicas', '1'],
  [200, 200, 4, '1', 'background.threads', '9'],
  [203, 203, 32, 'sg1', 'share.auto.offset.reset', 'earliest'],
  [205, 205, 16, 'sub1', 'metrics', 'org.apache.kafka.'],
] as const) {
  test(`config ${name} of ${resourceType}:${resourceName} becomes ${value}`, () => {
    const { controller, written } = at(offset, lastOffset);
    const configs = [{ name, configOperation: value === null ? 1 : 0, value }];
    const { records, response } = controller.controller.incrementalAlterConfigs({
      resources: [{ resourceType, resourceName, configs }],
      validateOnly: false,
    });
    assert.equal(response.responses[0]!.errorMessage, null);
    assertSameRecords(records, written);
  });
}

test('quotas are set and removed', () => {
  const entity = [
    { entityType: 'user', entityName: 'alice' },
    { entityType: 'client-id', entityName: 'c1' },
  ];
  const set = at(208, 209);
  const ops = [
    { key: 'producer_byte_rate', value: 1_024_000, remove: false },
    { key: 'request_percentage', value: 50, remove: false },
  ];
  assertSameRecords(
    set.controller.controller.alterClientQuotas({ entries: [{ entity, ops }], validateOnly: false }).records,
    set.written,
  );
  const removed = at(214);
  const remove = [{ key: 'producer_byte_rate', value: 0, remove: true }];
  const request = { entries: [{ entity, ops: remove }], validateOnly: false };
  assertSameRecords(removed.controller.controller.alterClientQuotas(request).records, removed.written);
});

test('a SCRAM credential is removed', () => {
  const { controller, written } = at(219);
  const { records } = controller.controller.alterUserScramCredentials({
    deletions: [{ name: 'bob', mechanism: 2 }],
    upsertions: [],
  });
  assertSameRecords(records, written);
});

test('an ACL is removed by a filter', () => {
  const { controller, written } = at(225);
  const filter = {
    resourceTypeFilter: 2,
    resourceNameFilter: 't1-and-more',
    patternTypeFilter: 2,
    principalFilter: null,
    hostFilter: null,
    operation: 1,
    permissionType: 1,
  };
  assertSameRecords(controller.controller.deleteAcls({ filters: [filter] }).records, written);
});

test('a feature is lowered and raised', () => {
  for (const [offset, maxVersionLevel, upgradeType] of [
    [227, 0, 2],
    [230, 1, 1],
  ] as const) {
    const { controller, written } = at(offset);
    const featureUpdates = [{ feature: 'group.version', maxVersionLevel, upgradeType, allowDowngrade: false }];
    assertSameRecords(
      controller.controller.updateFeatures({ featureUpdates, timeoutMs: 0, validateOnly: false }).records,
      written,
    );
  }
});

test('producer ids are given out in blocks', () => {
  const { controller, written } = at(269);
  const { records, response } = controller.controller.allocateProducerIds({ brokerId: 2, brokerEpoch: 14 });
  assertSameRecords(records, written);
  assert.deepEqual([response.producerIdStart, response.producerIdLen], [1000, 1000]);
});

test('a reassignment begins, and completes once the new replica is in sync', () => {
  const begins = at(317);
  const topics = [{ name: 'm1', partitions: [{ partitionIndex: 0, replicas: [3, 1] }] }];
  const asked = { topics, timeoutMs: 0, allowReplicationFactorChange: true };
  assertSameRecords(begins.controller.controller.alterPartitionReassignments(asked).records, begins.written);

  const completes = at(319);
  const { leaderEpoch, partitionEpoch } = completes.controller.partition('m1');
  const isr = [
    { brokerId: 1, brokerEpoch: 13 },
    { brokerId: 2, brokerEpoch: 14 },
    { brokerId: 3, brokerEpoch: 15 },
  ];
  const partition = { partitionIndex: 0, leaderEpoch, partitionEpoch, newIsr: [], newIsrWithEpochs: isr, leaderRecoveryState: 0 };
  const change = { brokerId: 1, brokerEpoch: 13, topics: [{ topicId: 'jcvXVizbREyuiLYnQV7qtQ', partitions: [partition] }] };
  assertSameRecords(completes.controller.controller.alterPartition(change).records, completes.written);
});

test('the preferred leader is elected', () => {
  const { controller, written } = at(327);
  const request = { electionType: 0, topicPartitions: [{ topic: 'm1', partitions: [0] }], timeoutMs: 0 };
  assertSameRecords(controller.controller.electLeaders(request).records, written);
});

test('a topic is deleted', () => {
  const { controller, written } = at(331);
  const request = { topics: [{ name: 'm1', topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }], topicNames: [], timeoutMs: 0 };
  assertSameRecords(controller.controller.deleteTopics(request).records, written);
});

test('a broker that wants to shut down gives up its partitions', () => {
  const { controller, written } = at(443, 460);
  const { records, response } = controller.controller.brokerHeartbeat(heartbeat(controller, 3, true), controller.context());
  assertSameRecords(records, written);
  assert.deepEqual([response.isFenced, response.shouldShutDown], [false, false]);
});

test('and is fenced once everybody has heard', () => {
  const { controller, written } = at(465);
  const { records, response } = controller.controller.brokerHeartbeat(heartbeat(controller, 3, true), controller.context());
  assertSameRecords(records, written);
  assert.deepEqual([response.isFenced, response.shouldShutDown], [true, true]);
});

test('a killed broker is fenced when its session ends', () => {
  const { controller, written } = at(590, 608);
  controller.controller.brokerHeartbeat(heartbeat(controller, 2), { ...controller.context(), nowMs: -10_000 });
  assertSameRecords(controller.controller.tick({ ...controller.context(), nowMs: 1 }).records, written);
});

test('a broker back from an unclean stop is eligible no more', () => {
  const { controller, written } = at(633, 634);
  const { value } = written[1]! as Extract<MetadataRecord, { type: 'RegisterBrokerRecord' }>;
  const { records, response } = controller.controller.registerBroker(
    { ...value, clusterId: 'vPeOCWypqUOSepEvx0cbog', listeners: value.endPoints, previousBrokerEpoch: -1 },
    controller.context(),
  );
  assertSameRecords(records, written);
  assert.equal(response.brokerEpoch, 633);
});

test('unfenced, the last leader of a lost partition leads it again, recovering', () => {
  const { controller, written } = at(639, 640);
  const request = { ...heartbeat(controller, 2), wantFence: false };
  assertSameRecords(controller.controller.brokerHeartbeat(request, controller.context()).records, written);
});

test('leaders go back to the first replicas', () => {
  const { controller, written } = at(780, 791);
  controller.controller.tick({ ...controller.context(), nowMs: 0 });
  const nowMs = 300_000;
  for (const id of [1, 2, 3])
    controller.controller.brokerHeartbeat(heartbeat(controller, id), { ...controller.context(), nowMs });
  const { records } = controller.controller.tick({ ...controller.context(), nowMs });
  assertSameRecords(
    records.filter(({ type }) => type !== 'NoOpRecord'),
    written,
  );
});

for (const [brokerId, offset, lastOffset] of [
  [1, offsetOf(({ offset }) => offset === 813), 831],
  [2, 832, 850],
  [3, 851, 868],
] as const) {
  test(`the cluster stops: broker ${brokerId} gives up its partitions`, () => {
    const { controller, written } = at(offset, lastOffset);
    const { records } = controller.controller.brokerHeartbeat(heartbeat(controller, brokerId, true), controller.context());
    assertSameRecords(records, written);
  });
}
