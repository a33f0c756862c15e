import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  KafkaError,
  readGroupRecord,
  readMetadataRecord,
  readSubscription,
  readTransactionRecord,
  writeGroupRecordKey,
  writeGroupRecordValue,
  writeMetadataRecord,
  writeSubscription,
} from './index.ts';

test('a metadata record carries its type and version', () => {
  const topicId = 'AQIDBAUGBwgREhMUFRYXGA';
  const bytes = writeMetadataRecord({ type: 'TopicRecord', version: 0, value: { name: 'orders', topicId } });
  assert.deepEqual([...bytes.subarray(0, 3)], [1, 2, 0]);
  const record = readMetadataRecord(bytes);
  assert.ok(record.type === 'TopicRecord');
  assert.equal(record.value.name, 'orders');
  assert.equal(record.value.topicId, topicId);
});

test('a metadata record of an unknown frame, type or version is refused', () => {
  for (const bytes of [
    [2, 2, 0],
    [1, 99, 0],
    [1, 2, 9],
  ]) {
    assert.throws(() => readMetadataRecord(Uint8Array.from(bytes)), { name: 'UNSUPPORTED_VERSION' });
  }
  assert.throws(() => readMetadataRecord(new Uint8Array(0)), KafkaError);
});

test('a group record is a key and a value, or a tombstone', () => {
  const key = { group: 'g', topic: 'orders', partition: 3 };
  const record = {
    type: 'OffsetCommit',
    version: 3,
    key,
    value: { offset: 42, leaderEpoch: 1, metadata: '', commitTimestamp: 7 },
  } as const;
  const keyBytes = writeGroupRecordKey(record);
  assert.deepEqual([...keyBytes.subarray(0, 2)], [0, 1]);
  const read = readGroupRecord(keyBytes, writeGroupRecordValue(record));
  assert.ok(read.type === 'OffsetCommit' && read.value !== null);
  assert.equal(read.version, 3);
  assert.equal(read.value.offset, 42);
  assert.equal(writeGroupRecordValue({ ...record, value: null }), null);
  const tombstone = readGroupRecord(keyBytes, null);
  assert.ok(tombstone.type === 'OffsetCommit' && tombstone.value === null);
  assert.equal(tombstone.key.partition, 3);
});

test('a record of a newer broker is named by its number', () => {
  assert.deepEqual(readGroupRecord(Uint8Array.of(1, 0, 9, 9), null), { type: 'unknown', recordType: 256 });
  assert.deepEqual(readTransactionRecord(Uint8Array.of(0, 5), null), { type: 'unknown', recordType: 5 });
});

test('a subscription newer than this is read as the newest known one', () => {
  const bytes = writeSubscription({ topics: ['t'], rackId: 'r' }, 3);
  const newer = Uint8Array.of(0, 9, ...bytes.subarray(2), 1, 2, 3);
  assert.equal(readSubscription(newer).rackId, 'r');
  assert.throws(() => readSubscription(Uint8Array.of(0xff, 0xff)), { name: 'UNSUPPORTED_VERSION' });
});
