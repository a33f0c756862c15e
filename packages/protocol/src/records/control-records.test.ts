import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '../errors.ts';
import { batchesOf } from './batches-of.ts';
import {
  buildControlBatch,
  type ControlRecord,
  type ControlRecordToWrite,
  controlRecordKey,
  controlRecordTypeOf,
  readControlRecord,
} from './control-records.ts';

const voter = {
  voterId: 1,
  voterDirectoryId: 'AAAAAAAAAAEAAAAAAAAAAg',
  endpoints: [{ name: 'CONTROLLER', host: 'localhost', port: 9093 }],
  kRaftVersionFeature: { minSupportedVersion: 0, maxSupportedVersion: 1 },
};

function readBack(records: readonly ControlRecordToWrite[]): unknown[] {
  const [batch] = batchesOf(buildControlBatch({ records, timestamp: 5, baseOffset: 3, leaderEpoch: 2 }));
  assert.ok(batch!.isControl && batch!.isCrcValid());
  return [...batch!.records()].map(readControlRecord);
}

test('every control record reads as it was written', () => {
  const records: ControlRecord[] = [
    {
      type: 'leaderChange',
      value: {
        version: 0,
        leaderId: 1,
        voters: [{ voterId: 1, voterDirectoryId: 'AAAAAAAAAAAAAAAAAAAAAA' }],
        grantingVoters: [],
      },
    },
    { type: 'snapshotHeader', value: { version: 0, lastContainedLogTimestamp: 1_700_000_000_000 } },
    { type: 'snapshotFooter', value: { version: 0 } },
    { type: 'kraftVersion', value: { version: 0, kRaftVersion: 1 } },
    { type: 'kraftVoters', value: { version: 0, voters: [voter] } },
  ];
  assert.deepEqual(readBack(records), records);
});

test('the end of a transaction is a transactional control batch of its producer', () => {
  for (const type of ['abort', 'commit'] as const) {
    const bytes = buildControlBatch({
      records: [{ type, coordinatorEpoch: 12 }],
      timestamp: 1_700_000_000_000,
      producerId: 4000,
      producerEpoch: 3,
    });
    const [batch] = batchesOf(bytes);
    assert.deepEqual([batch!.isControl, batch!.isTransactional, batch!.producerId, batch!.baseSequence], [true, true, 4000, -1]);
    assert.deepEqual([...batch!.records()].map(readControlRecord), [{ type, coordinatorEpoch: 12 }]);
  }
});

test('a control batch has the bytes that Kafka writes', () => {
  const commit = buildControlBatch({
    records: [{ type: 'commit', coordinatorEpoch: 12 }],
    timestamp: 1_700_000_000_000,
    baseOffset: 500,
    leaderEpoch: 8,
    producerId: 4000,
    producerEpoch: 3,
  });
  assert.equal(
    Buffer.from(commit).toString('hex'),
    '00000000000001f400000042000000080267bf99af0030000000000000018bcfe568000000018bcfe568000000000000000fa00003ffffffff000000012000000008000000010c00000000000c00',
  );
  const voters = buildControlBatch({
    records: [{ type: 'kraftVoters', value: { voters: [voter] } }],
    timestamp: 1_700_000_000_000,
    baseOffset: 2,
    leaderEpoch: 3,
  });
  assert.equal(
    Buffer.from(voters).toString('hex'),
    '0000000000000002000000740000000302ef498a2f0020000000000000018bcfe568000000018bcfe56800ffffffffffffffffffffffffffff00000001820100000008000000066e0000020000000100000000000000010000000000000002020b434f4e54524f4c4c45520a6c6f63616c686f73742385000000000100000000',
  );
});

test('types of a later Kafka are unknown, and no error', () => {
  assert.equal(controlRecordTypeOf(Uint8Array.of(0, 0, 0, 7)), 'unknown');
  assert.deepEqual(readControlRecord({ key: Uint8Array.of(0, 0, 1, 0), value: null }), { type: 'unknown', typeNumber: 256 });
});

test('keys and values that are none are refused', () => {
  const cases = [
    { key: null, value: null },
    { key: Uint8Array.of(0, 0, 0), value: null },
    { key: Uint8Array.of(255, 255, 0, 1), value: new Uint8Array(6) },
    { key: controlRecordKey('commit'), value: null },
    { key: controlRecordKey('commit'), value: Uint8Array.of(0, 0, 0) },
    { key: controlRecordKey('commit'), value: Uint8Array.of(255, 255, 0, 0, 0, 0) },
    { key: controlRecordKey('kraftVoters'), value: Uint8Array.of(0, 0, 200) },
    { key: controlRecordKey('leaderChange'), value: new Uint8Array(0) },
  ];
  for (const record of cases) assert.throws(() => readControlRecord(record), KafkaError);
});
