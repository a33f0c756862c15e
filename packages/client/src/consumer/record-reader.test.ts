import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildBatch, buildControlBatch } from '@ottla/protocol';
import { RecordReader } from './record-reader.ts';

const text = new TextEncoder();

function data(baseOffset: number, values: string[], producerId = -1): Uint8Array {
  const records = values.map((value) => ({ value: text.encode(value), timestamp: 1 }));
  return buildBatch({ baseOffset, producerId, producerEpoch: 0, baseSequence: 0, isTransactional: producerId >= 0, records });
}

function marker(baseOffset: number, type: 'abort' | 'commit', producerId: number): Uint8Array {
  return buildControlBatch({
    baseOffset,
    producerId,
    producerEpoch: 0,
    records: [{ type, coordinatorEpoch: 0 }],
    isTransactional: true,
  } as never);
}

/** "offset value" of each, then where to go on. */
function read(batches: Uint8Array[], options: Partial<ConstructorParameters<typeof RecordReader>[1]> = {}): string[] {
  const reader = new RecordReader(Buffer.concat(batches), {
    fromOffset: 0,
    checkCrcs: true,
    abortedTransactions: null,
    ...options,
  });
  const lines: string[] = [];
  for (let record = reader.next(); record; record = reader.next())
    lines.push(`${record.offset} ${Buffer.from(record.value!).toString()}`);
  return [...lines, `next ${reader.nextOffset}`];
}

test('records before the offset asked for are skipped', () => {
  assert.deepEqual(read([data(0, ['a', 'b', 'c']), data(3, ['d'])], { fromOffset: 2 }), ['2 c', '3 d', 'next 4']);
});

test('a batch cut off at the end is left for the next fetch', () => {
  assert.deepEqual(read([data(0, ['a']), data(1, ['b']).subarray(0, 40)]), ['0 a', 'next 1']);
});

test('markers are never records, but move the position', () => {
  assert.deepEqual(read([data(0, ['a'], 7), marker(1, 'commit', 7)]), ['0 a', 'next 2']);
});

test('read_committed leaves out what was aborted, and only that', () => {
  const log = [
    data(0, ['a'], 7),
    data(1, ['b'], 8),
    data(2, ['plain']),
    marker(3, 'abort', 7),
    data(4, ['c'], 7),
    marker(5, 'commit', 8),
    marker(6, 'commit', 7),
  ];
  const abortedTransactions = [{ producerId: 7, firstOffset: 0 }];
  assert.deepEqual(read(log, { abortedTransactions }), ['1 b', '2 plain', '4 c', 'next 7']);
  assert.deepEqual(read(log), ['0 a', '1 b', '2 plain', '4 c', 'next 7']);
});

test('a crc that does not match is told', () => {
  const broken = data(0, ['a']);
  broken[broken.length - 1]! ^= 1;
  assert.throws(() => read([broken]), { name: 'CORRUPT_MESSAGE' });
});
