import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MetadataRecord, readMetadataRecord, writeMetadataRecord } from '@ottla/protocol';
import { assertSameImage, replayed } from '../../test/test-controller.ts';
import { readThreeNodeLog } from '../../test/three-node-log.ts';
import { metadataVersion } from '../features/metadata-versions.ts';
import {
  abortTransactionRecord,
  beginTransactionRecord,
  clearElrRecord,
  configRecord,
  endTransactionRecord,
  featureLevelRecord,
  partitionChangeRecord,
  partitionRecord,
  removeTopicRecord,
  topicRecord,
} from '../records.ts';
import { migratingDirectory } from './directory-ids.ts';
import { MetadataDelta } from './metadata-delta.ts';
import { MetadataImage } from './metadata-image.ts';
import type { PartitionState } from './partition-state.ts';

const topicId = 'czgjCwTYRjeP-FpebEOouQ';
const directory = 'AQAAAAAAAAAAAAAAAAAAAQ';
const latest = metadataVersion(30);

const partitionOf = (state: Partial<PartitionState> = {}): PartitionState => ({
  replicas: [1, 2, 3],
  isr: [1, 2, 3],
  elr: [],
  lastKnownElr: [],
  addingReplicas: [],
  removingReplicas: [],
  directories: [directory, directory, directory],
  leader: 1,
  leaderRecoveryState: 0,
  leaderEpoch: 0,
  partitionEpoch: 0,
  ...state,
});

const oneTopic = (state?: Partial<PartitionState>): MetadataRecord[] => [
  topicRecord('orders', topicId),
  partitionRecord(topicId, 0, partitionOf(state), latest),
];

test('the log of a real cluster replays to what that cluster knew', () => {
  const image = replayed(readThreeNodeLog().map(({ record }) => record));
  assert.deepEqual(
    [...image.features],
    [
      ['metadata.version', 30],
      ['eligible.leader.replicas.version', 1],
      ['group.version', 1],
      ['share.version', 1],
      ['streams.version', 1],
      ['transaction.version', 2],
    ],
  );
  assert.deepEqual([...image.topics.names()].sort(), [
    '__consumer_offsets',
    '__share_group_state',
    '__transaction_state',
    'c1',
    't1',
    't2',
  ]);
  assert.equal(image.topics.partitionCount, 5 + 1 + 1 + 4 + 4 + 4);
  assert.deepEqual(image.topics.byName('t1')!.partition(2), {
    replicas: [2, 3, 1],
    isr: [],
    elr: [2, 3],
    lastKnownElr: [3],
    addingReplicas: [],
    removingReplicas: [],
    directories: ['AQAAAAAAAAAAAAAAAAAAAg', 'AQAAAAAAAAAAAAAAAAAAAw', 'AQAAAAAAAAAAAAAAAAAAAQ'],
    leader: -1,
    leaderRecoveryState: 0,
    leaderEpoch: 4,
    partitionEpoch: 8,
  });
  for (const [id, epoch] of [
    [1, 13],
    [2, 633],
    [3, 532],
  ] as const) {
    const broker = image.brokers.get(id)!;
    assert.deepEqual([broker.epoch, broker.fenced, broker.rack, broker.cordonedDirectories], [epoch, true, `rack${id}`, []]);
  }
  assert.equal(image.controllers.size, 3);
  assert.deepEqual(image.producerIds, { brokerId: 1, brokerEpoch: 13, nextProducerId: 3000 });
  assert.deepEqual(image.scram.users(), ['alice']);
  assert.equal(image.acls.count, 0);
  assert.deepEqual(
    [...image.clientQuotas].map(({ values }) => Object.fromEntries(values)),
    [{ request_percentage: 50 }, { consumer_byte_rate: 9e9 }],
  );
  assert.deepEqual(Object.fromEntries(image.configs.of(2, 't1')), { 'min.insync.replicas': '2', 'segment.bytes': '1048576' });
  assert.deepEqual(Object.fromEntries(image.configs.of(4, '')), { 'log.cleaner.threads': '1', 'min.insync.replicas': '1' });
});

test('a snapshot replays to the image it was taken of, at any point of the log', () => {
  const log = readThreeNodeLog();
  const image = new MetadataImage();
  for (const { record, offset } of log) {
    image.replay(record, offset);
    if (record.type !== 'NoOpRecord' && !image.openTransaction) {
      const snapshot = image.toRecords().map((each) => readMetadataRecord(writeMetadataRecord(each)));
      assertSameImage(replayed(snapshot), image);
    }
  }
});

test('a copy has what the image has, and neither sees what the other hears later', () => {
  const log = readThreeNodeLog();
  const image = new MetadataImage();
  const taken: { copy: MetadataImage; records: MetadataRecord[] }[] = [];
  for (const [index, { record, offset }] of log.entries()) {
    image.replay(record, offset);
    if (index % 20 === 0 && !image.openTransaction) taken.push({ copy: image.copy(), records: image.toRecords() });
  }
  for (const { copy, records } of taken) assert.deepEqual(copy.toRecords(), records);
  const before = image.toRecords();
  for (const { copy } of taken) for (const topic of [...copy.topics]) copy.replay(removeTopicRecord(topic.id));
  assert.deepEqual(image.toRecords(), before);
});

test('a snapshot begins with metadata.version', () => {
  const image = replayed(readThreeNodeLog().map(({ record }) => record));
  const [first] = image.toRecords();
  assert.deepEqual(first, featureLevelRecord('metadata.version', 30));
});

test('records of a metadata transaction show when it ends, and never when it is aborted', () => {
  const image = new MetadataImage();
  const delta = new MetadataDelta();
  image.replay(beginTransactionRecord('two topics'), 7, delta);
  for (const record of oneTopic()) image.replay(record, 8, delta);
  assert.equal(image.topics.count, 0);
  assert.ok(delta.isEmpty);
  assert.deepEqual(image.openTransaction?.offset, 7);
  image.replay(endTransactionRecord, 10, delta);
  assert.equal(image.topics.count, 1);
  assert.equal(delta.createdTopics.length, 1);

  image.replay(beginTransactionRecord('more'), 11);
  image.replay(topicRecord('other', directory), 12);
  image.replay(abortTransactionRecord('failover'), 13);
  assert.equal(image.topics.byName('other'), undefined);
  assert.equal(image.highestOffset, 13);
});

test('every change bumps the partition epoch, and only one that names a leader the leader epoch', () => {
  const image = replayed([...oneTopic(), partitionChangeRecord(topicId, 0, { isr: [1, 2] }, latest)]);
  const { leaderEpoch, partitionEpoch, isr } = image.topics.partition(topicId, 0)!;
  assert.deepEqual([leaderEpoch, partitionEpoch, isr], [0, 1, [1, 2]]);
  image.replay(partitionChangeRecord(topicId, 0, { leader: 1 }, latest));
  const again = image.topics.partition(topicId, 0)!;
  assert.deepEqual([again.leader, again.leaderEpoch, again.partitionEpoch], [1, 1, 2]);
});

test('a partition written before directories had ids is in an unknown one', () => {
  const image = replayed([topicRecord('orders', topicId), partitionRecord(topicId, 0, partitionOf(), metadataVersion(16))]);
  assert.deepEqual(image.topics.partition(topicId, 0)!.directories, [migratingDirectory, migratingDirectory, migratingDirectory]);
});

test('a new minimum isr forgets who was eligible under the old one', () => {
  const image = replayed(oneTopic({ isr: [1], elr: [2, 3], lastKnownElr: [2] }));
  image.replay(clearElrRecord('orders'));
  const { elr, lastKnownElr, partitionEpoch } = image.topics.partition(topicId, 0)!;
  assert.deepEqual([elr, lastKnownElr, partitionEpoch], [[], [], 1]);
  image.replay(clearElrRecord(''));
  assert.equal(image.topics.partition(topicId, 0)!.partitionEpoch, 1);
});

test('with a topic go its partitions and configs', () => {
  const image = replayed([...oneTopic(), configRecord(2, 'orders', 'retention.ms', '1')]);
  const delta = new MetadataDelta();
  image.replay(removeTopicRecord(topicId), 5, delta);
  assert.equal(image.topics.partitionCount, 0);
  assert.equal(image.configs.of(2, 'orders').size, 0);
  assert.deepEqual(delta.deletedTopics, [
    { id: topicId, name: 'orders', created: false, deleted: true, partitions: new Set([0]) },
  ]);
});

test('a topic that is created and deleted in one stretch is no change', () => {
  const image = new MetadataImage();
  const delta = new MetadataDelta();
  for (const record of [...oneTopic(), removeTopicRecord(topicId)]) image.replay(record, 0, delta);
  assert.equal(delta.topics.size, 0);
});

test('legacy records fence and unfence, and the rest of a migration is ignored', () => {
  const log = readThreeNodeLog();
  const image = replayed(log.filter(({ offset }) => offset <= 22).map(({ record }) => record));
  image.replay({ type: 'FenceBrokerRecord', version: 0, value: { id: 1, epoch: 13 } });
  assert.equal(image.brokers.get(1)!.fenced, true);
  image.replay({ type: 'UnfenceBrokerRecord', version: 0, value: { id: 1, epoch: 13 } });
  assert.equal(image.brokers.get(1)!.fenced, false);
  image.replay({ type: 'ZkMigrationStateRecord', version: 0, value: { zkMigrationState: 3 } });
});

test('a record that cannot be is refused', () => {
  const image = new MetadataImage();
  assert.throws(() => image.replay(partitionChangeRecord(topicId, 0, { leader: 1 }, latest)), /log is corrupt/);
  assert.throws(() => image.replay(endTransactionRecord), /log is corrupt/);
});
