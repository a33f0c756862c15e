import assert from 'node:assert/strict';
import { test } from 'node:test';
import zlib from 'node:zlib';
import fc from 'fast-check';
import { type ErrorName, KafkaError } from '../errors.ts';
import { BatchBuilder, buildBatch } from './batch-builder.ts';
import { BatchView, sequenceAfter } from './batch-view.ts';
import { batchesOf, batchLengthAt, lengthOfWholeBatches } from './batches-of.ts';
import { type CompressionCodec, compress, compressionCodecs } from './compression.ts';
import { inspectRecords, type RecordsInspection } from './inspect-records.ts';
import { buildLegacyMessageSet } from './legacy-message.ts';
import { recompressBatch } from './recompress-batch.ts';
import type { RecordToWrite } from './record.ts';
import { writeVarint } from './varints.ts';
import { walkRecords } from './walk-records.ts';

const bytesOrNull = fc.option(fc.uint8Array({ maxLength: 300 }), { nil: null });
const record = fc.record(
  {
    timestamp: fc.oneof(
      fc.constant(-1),
      fc.nat(),
      fc.integer({ min: 1_500_000_000_000, max: 1_900_000_000_000 }),
      fc.nat(2 ** 51),
    ),
    key: bytesOrNull,
    value: bytesOrNull,
    headers: fc.array(fc.record({ key: fc.string({ unit: 'grapheme' }), value: bytesOrNull }, { noNullPrototype: true }), {
      maxLength: 4,
    }),
  },
  { noNullPrototype: true },
);
const codec = fc.constantFrom<CompressionCodec>(...compressionCodecs);
const legacyCodec = fc.constantFrom<'none' | 'gzip' | 'snappy' | 'lz4'>('none', 'gzip', 'snappy', 'lz4');

function one(bytes: Uint8Array): BatchView {
  const batches = [...batchesOf(bytes)];
  assert.equal(batches.length, 1);
  return batches[0]!;
}

function throwsKafkaError(name: ErrorName, action: () => unknown, what?: string): void {
  assert.throws(action, (error) => error instanceof KafkaError && error.name === name, what);
}

test('batches round-trip in every codec', () => {
  const base = fc.record({
    baseOffset: fc.nat(2 ** 52),
    leaderEpoch: fc.integer({ min: -1, max: 1000 }),
    producerId: fc.nat(2 ** 52),
    producerEpoch: fc.nat(32767),
    baseSequence: fc.nat(0x7fff_ffff),
    isTransactional: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 30 }), codec, base, (records, codec, header) => {
      const batch = one(buildBatch({ records, codec, ...header }));
      assert.ok(batch.isCrcValid());
      assert.equal(batch.codec, codec);
      for (const name of Object.keys(header) as (keyof typeof header)[]) assert.equal(batch[name], header[name], name);
      assert.equal(batch.recordsCount, records.length);
      assert.equal(batch.nextOffset, header.baseOffset + records.length);
      assert.equal(batch.maxTimestamp, Math.max(...records.map(({ timestamp }) => timestamp)));
      assert.deepEqual(
        [...batch.records()],
        records.map((record, index) => ({
          offset: header.baseOffset + index,
          sequence: sequenceAfter(header.baseSequence, index),
          ...record,
        })),
      );
    }),
  );
});

test('offsets with gaps round-trip, and the range may be wider than the records', () =>
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { minLength: 1, maxLength: 20 }), fc.nat(100), (gaps, slack) => {
      let offset = 50;
      const records = gaps.map((gap) => ({ offset: (offset += gap + 1), timestamp: 1 }));
      const batch = one(buildBatch({ records, baseOffset: 7, lastOffset: offset + slack }));
      assert.deepEqual(
        [...batch.records()].map((read) => read.offset),
        records.map((written) => written.offset),
      );
      assert.equal(batch.lastOffset, offset + slack);
    }),
  ));

test('message sets of magic 0 and 1 round-trip', () =>
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 10 }),
      legacyCodec,
      fc.constantFrom<0 | 1>(0, 1),
      fc.nat(2 ** 50),
      fc.option(fc.nat(), { nil: undefined }),
      (records, codec, magic, baseOffset, logAppendTimeMs) => {
        const plain = records.map(({ headers, ...rest }): RecordToWrite => rest);
        const bytes = buildLegacyMessageSet({ magic, records: plain, codec, baseOffset, logAppendTimeMs });
        const batches = [...batchesOf(bytes)];
        assert.equal(batches.length, codec === 'none' ? records.length : 1);
        assert.ok(batches.every((batch) => batch.isCrcValid() && batch.magic === magic));
        assert.equal(batches[0]!.baseOffset, baseOffset);
        assert.equal(batches.at(-1)!.nextOffset, baseOffset + records.length);
        assert.deepEqual(
          batches.flatMap((batch) => [...batch.records()]),
          plain.map(({ key, value, timestamp }, index) => ({
            offset: baseOffset + index,
            timestamp: magic === 0 ? -1 : (logAppendTimeMs ?? timestamp),
            sequence: -1,
            key,
            value,
            headers: [],
          })),
        );
      },
    ),
  ));

test('a leader stamps offset and epoch without touching the crc', () => {
  const batch = one(buildBatch({ records: [{ timestamp: 5 }, { timestamp: 6 }] }));
  const { crc } = batch;
  batch.baseOffset = 2 ** 40 + 1;
  batch.leaderEpoch = 12;
  assert.equal(batch.crc, crc);
  assert.ok(batch.isCrcValid());
  assert.deepEqual(
    [batch.baseOffset, batch.lastOffset, batch.nextOffset, batch.leaderEpoch],
    [2 ** 40 + 1, 2 ** 40 + 2, 2 ** 40 + 3, 12],
  );
  batch.setLastOffset(100);
  assert.deepEqual(
    [...batch.records()].map(({ offset }) => offset),
    [99, 100],
  );
});

test('log-append time holds for every record and keeps the crc true', () => {
  const batch = one(buildBatch({ records: [{ timestamp: 5 }, { timestamp: 6 }], codec: 'lz4' }));
  batch.setLogAppendTime(1_700_000_000_000);
  assert.ok(batch.isCrcValid());
  assert.equal(batch.timestampType, 'LogAppendTime');
  assert.deepEqual(
    [...batch.records()].map(({ timestamp }) => timestamp),
    [1_700_000_000_000, 1_700_000_000_000],
  );
  batch.setMaxTimestamp('CreateTime', 6);
  assert.deepEqual(
    [...batch.records()].map(({ timestamp }) => timestamp),
    [5, 6],
  );
});

test('an empty batch keeps its range', () => {
  const batch = one(buildBatch({ records: [], baseOffset: 10, lastOffset: 19, codec: 'zstd', maxTimestamp: 77 }));
  assert.deepEqual(
    [batch.length, batch.recordsCount, batch.nextOffset, batch.baseTimestamp, batch.maxTimestamp, batch.codec],
    [61, 0, 20, -1, 77, 'none'],
  );
  assert.deepEqual([...batch.records()], []);
  assert.throws(() => buildBatch({ records: [] }), RangeError);
});

test('one view moves over a whole buffer, wherever that begins in memory', () => {
  const pieces = [
    buildBatch({ records: [{}] }),
    buildLegacyMessageSet({ magic: 1, records: [{}], baseOffset: 1 }),
    buildBatch({ records: [{}], baseOffset: 2 }),
  ];
  const whole = Buffer.concat([Buffer.alloc(3), ...pieces]).subarray(3);
  const view = new BatchView(whole);
  const seen: number[] = [];
  for (let at = 0; at < whole.length; at = view.end) seen.push(view.moveTo(at).baseOffset);
  assert.deepEqual(seen, [0, 1, 2]);
  assert.deepEqual(
    [...batchesOf(whole)].map(({ bytes }) => bytes.length),
    pieces.map(({ length }) => length),
  );
});

test('a batch cut off anywhere is left out, and those before it are not', () => {
  const first = buildBatch({ records: [{ value: new Uint8Array(20) }] });
  const whole = Buffer.concat([first, first]);
  for (let cut = first.length; cut < whole.length; cut++) {
    assert.equal([...batchesOf(whole.subarray(0, cut))].length, 1, `cut at ${cut}`);
    assert.equal(lengthOfWholeBatches(whole.subarray(0, cut)), first.length);
  }
  assert.equal([...batchesOf(whole)].length, 2);
});

test('lengths and magics that no batch has are corrupt', () => {
  for (const length of [-0x8000_0000, -1, 0, 13, 48]) {
    const bytes = buildBatch({ records: [{}] });
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    view.setInt32(8, length);
    throwsKafkaError('CORRUPT_MESSAGE', () => [...batchesOf(bytes)]);
  }
  for (const magic of [-1, 3, 127]) {
    const bytes = buildBatch({ records: [{}] });
    bytes[16] = magic;
    throwsKafkaError('CORRUPT_MESSAGE', () => [...batchesOf(bytes)]);
  }
  const huge = buildBatch({ records: [{}] });
  new DataView(huge.buffer).setInt32(8, 0x7fff_ffff);
  assert.equal(batchLengthAt(huge, new DataView(huge.buffer), 0), -1);
});

test('one flipped bit fails the crc', () =>
  fc.assert(
    fc.property(fc.nat(), fc.nat(7), codec, (where, bit, codec) => {
      const batch = one(
        buildBatch({ records: [{ key: Uint8Array.of(1, 2, 3), value: new Uint8Array(50), timestamp: 9 }], codec }),
      );
      const at = 17 + (where % (batch.length - 17));
      batch.buffer[at]! ^= 1 << bit;
      throwsKafkaError('CORRUPT_MESSAGE', () => batch.ensureCrc());
    }),
  ));

test('whatever the bytes of the records are, reading ends in records or in a KafkaError', () =>
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 5 }),
      codec,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (records, codec, edits) => {
        const batch = one(buildBatch({ records, codec }));
        for (const [where, byte] of edits) batch.buffer[57 + (where % (batch.length - 57))] = byte;
        try {
          [...batch.records({ maxBytes: 1 << 20 })];
        } catch (error) {
          assert.ok(error instanceof KafkaError, String(error));
        }
      },
    ),
    { numRuns: 1000 },
  ));

test('whatever the bytes of a message set are, reading ends in records or in a KafkaError', () =>
  fc.assert(
    fc.property(
      fc.constantFrom<0 | 1>(0, 1),
      legacyCodec,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (magic, codec, edits) => {
        const bytes = buildLegacyMessageSet({
          magic,
          codec,
          records: [{ key: Uint8Array.of(1), value: new Uint8Array(40) }, { timestamp: 4 }],
        });
        for (const [where, byte] of edits) bytes[where % bytes.length] = byte;
        try {
          for (const batch of batchesOf(bytes)) [...batch.records({ maxBytes: 1 << 20 })];
        } catch (error) {
          assert.ok(error instanceof KafkaError, String(error));
        }
      },
    ),
    { numRuns: 1000 },
  ));

test('a record section is refused unless it comes out even', () => {
  const good = [0, 0, 0, 1, 1, 0]; // attributes, timestamp, offset, null key, null value, no headers
  const cases: [string, number, number[]][] = [
    ['a record too many', 1, [12, ...good, 12, ...good]],
    ['a record too few', 2, [12, ...good]],
    ['a record shorter than its contents', 1, [10, ...good]],
    ['a record longer than its contents', 1, [14, ...good, 0]],
    ['a record of negative length', 1, [1, ...good]],
    ['a key past the end of its record', 1, [12, 0, 0, 0, 100, 1, 0]],
    ['a negative count of headers', 1, [12, 0, 0, 0, 1, 1, 1]],
    ['more headers than bytes', 1, [12, 0, 0, 0, 1, 1, 100]],
    ['a header without a key', 1, [16, 0, 0, 0, 1, 1, 2, 1, 1]],
    ['a varint without an end', 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ['a negative count of records', -1, []],
  ];
  for (const [what, count, section] of cases) {
    const bytes = Buffer.concat([buildBatch({ records: [], lastOffset: 0 }), Uint8Array.from(section)]);
    bytes.writeInt32BE(49 + section.length, 8);
    bytes.writeInt32BE(count, 57);
    throwsKafkaError('INVALID_RECORD', () => [...one(bytes).records()], what);
    throwsKafkaError('INVALID_RECORD', () => inspectRecords(one(bytes)), what);
  }
});

test('a length of 2 GB costs nothing', () => {
  const section = new Uint8Array(20);
  writeVarint(section, 0, 0x7fff_ffff);
  const bytes = Buffer.concat([buildBatch({ records: [], lastOffset: 0 }), section]);
  bytes.writeInt32BE(49 + section.length, 8);
  bytes.writeInt32BE(1, 57);
  throwsKafkaError('INVALID_RECORD', () => [...one(bytes).records()]);
});

test('nested compression is refused', () => {
  for (const magic of [0, 1] as const) {
    const inner = buildLegacyMessageSet({ magic, codec: 'gzip', records: [{}] });
    const bytes = buildLegacyMessageSet({ magic, records: [{ value: compress('gzip', inner) }] });
    bytes[17]! |= 1;
    throwsKafkaError('INVALID_RECORD', () => [...one(bytes).records()]);
  }
});

test('a wrapper and what it wraps are of one magic', () => {
  const inner = buildLegacyMessageSet({ magic: 0, records: [{}] });
  const bytes = buildLegacyMessageSet({ magic: 1, records: [{ value: compress('gzip', inner) }] });
  bytes[17]! |= 1;
  throwsKafkaError('INVALID_RECORD', () => [...one(bytes).records()]);
});

test('inspecting reports count, order, the greatest timestamp and the records at fault', () => {
  const records = [
    { timestamp: 100, key: Uint8Array.of(1) },
    { timestamp: 300 },
    { timestamp: -1, key: Uint8Array.of(2) },
    { timestamp: 300, key: Uint8Array.of(3) },
    { timestamp: 5, key: Uint8Array.of(4) },
  ];
  for (const codec of compressionCodecs) {
    const batch = one(buildBatch({ records, codec, baseOffset: 20 }));
    const { section, ...report } = inspectRecords(batch, { earliestTimestamp: 50, latestTimestamp: 299, requireKeys: true });
    assert.deepEqual(report, {
      count: 5,
      isConsecutive: true,
      maxTimestamp: 300,
      offsetOfMaxTimestamp: 21,
      offending: 3,
      nullKeys: [{ index: 1, offset: 21, timestamp: 300 }],
      outOfRange: [
        { index: 1, offset: 21, timestamp: 300 },
        { index: 3, offset: 23, timestamp: 300 },
        { index: 4, offset: 24, timestamp: 5 },
      ],
    });
    const again = one(recompressBatch(batch, { codec: 'zstd', section }));
    assert.ok(again.isCrcValid());
    assert.equal(again.codec, 'zstd');
    assert.deepEqual([...again.records()], [...batch.records()]);
  }
  assert.equal(inspectRecords(one(buildBatch({ records: [{ offset: 1 }] }))).isConsecutive, false);
});

test('what the short way through the records passes, inspecting passes too, with the same greatest timestamp', () => {
  const walked = { ordinary: 0, refused: 0 };
  const times = fc.oneof(
    fc.constant(1_700_000_000_000),
    fc.integer({ min: 1_700_000_000_000, max: 1_700_000_050_000 }),
    fc.constant(-1),
  );
  const records = fc.array(record, { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(
      records,
      fc.array(times, { minLength: 8, maxLength: 8 }),
      fc.boolean(),
      fc.option(fc.tuple(fc.nat(400), fc.nat(255))),
      fc.boolean(),
      (given, at, areClose, change, requireKeys) => {
        const bytes = buildBatch({ records: given.map((one, index) => (areClose ? { ...one, timestamp: at[index]! } : one)) });
        if (change) bytes[61 + (change[0] % (bytes.length - 61))] = change[1];
        const batch = one(bytes);
        const base = batch.baseTimestamp;
        const [earliestTimestamp, latestTimestamp] = [base - 20_000, base + 30_000];
        const rules = { count: batch.recordsCount, smallestDelta: -20_000, largestDelta: 30_000, requireKeys };
        const greatestDelta = walkRecords(bytes, 61, rules);
        let inspection: RecordsInspection | undefined;
        try {
          inspection = inspectRecords(batch, { earliestTimestamp, latestTimestamp, requireKeys });
        } catch (error) {
          assert.ok(error instanceof KafkaError);
        }
        const isFine = inspection !== undefined && inspection.offending === 0;
        if (greatestDelta === undefined) {
          walked.refused++;
          if (!change) assert.ok(!isFine || given.some(({ timestamp }, index) => (areClose ? at[index] : timestamp) === -1));
          return;
        }
        walked.ordinary++;
        assert.ok(isFine);
        if (base + greatestDelta >= 0) assert.equal(base + greatestDelta, inspection!.maxTimestamp);
      },
    ),
    { numRuns: 3000 },
  );
  assert.ok(walked.ordinary > 300 && walked.refused > 300, JSON.stringify(walked));
});

test('inspecting counts the records at fault, and names no more than it is asked to', () => {
  const records = Array.from({ length: 50 }, (_, index) => ({
    timestamp: index,
    key: index % 2 === 0 ? null : Uint8Array.of(1),
  }));
  const batch = one(buildBatch({ records }));
  const { offending, nullKeys, outOfRange } = inspectRecords(batch, {
    requireKeys: true,
    earliestTimestamp: 10,
    maxOffending: 4,
  });
  assert.equal(offending, 30);
  assert.deepEqual(
    [nullKeys.map(({ index }) => index), outOfRange.map(({ index }) => index)],
    [
      [0, 2, 4, 6],
      [0, 1, 2, 3],
    ],
  );
});

test('a count of records that the bytes cannot hold is refused before the bytes are looked at', () => {
  const count = 1000;
  const section = new Uint8Array(count * 7 - 1);
  const compressed = zlib.gzipSync(section);
  const bytes = Buffer.concat([buildBatch({ records: [], lastOffset: 0 }), compressed]);
  bytes.writeInt32BE(49 + compressed.length, 8);
  bytes.writeInt16BE(1, 21);
  bytes.writeInt32BE(count, 57);
  throwsKafkaError('INVALID_RECORD', () => inspectRecords(one(bytes)));
  throwsKafkaError('MESSAGE_TOO_LARGE', () => inspectRecords(one(bytes), { maxBytes: 6999 }), 'known from the header alone');
});

test('records are copied under new offsets byte for byte', () =>
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), (records) => {
      const batch = one(buildBatch({ records, codec: 'zstd', baseOffset: 3 }));
      const builder = new BatchBuilder({ codec: 'lz4' });
      for (const cursor = batch.cursor(); cursor.next(); ) builder.appendCopy(cursor);
      const copied = one(builder.build());
      assert.ok(copied.isCrcValid());
      assert.deepEqual(
        [...copied.records()],
        [...batch.records()].map((record, offset) => ({ ...record, offset })),
      );
    }),
  ));

test('a builder knows its size before it is done, and never less than it promised', () =>
  fc.assert(
    fc.property(fc.array(record, { maxLength: 30 }), fc.integer({ min: 100, max: 2000 }), (records, limitBytes) => {
      const builder = new BatchBuilder({ producerId: 1, producerEpoch: 0, baseSequence: 0 });
      for (const { timestamp, key, value, headers } of records) {
        if (!builder.hasRoomFor(key, value, headers, limitBytes)) break;
        assert.equal(builder.append(timestamp, key, value, headers), builder.count - 1);
      }
      if (builder.isEmpty) return;
      const { count, estimatedBytes, maxTimestamp } = builder;
      const batch = one(builder.build());
      assert.equal(batch.length, estimatedBytes);
      assert.ok(batch.length <= limitBytes || count === 1);
      assert.equal(batch.maxTimestamp, maxTimestamp);
      assert.ok(batch.isCrcValid());
    }),
  ));

test('a builder refuses offsets that do not ascend and negative timestamps', () => {
  const builder = new BatchBuilder();
  builder.appendAt(5, 0, null, null);
  assert.throws(() => builder.appendAt(5, 0, null, null), RangeError);
  assert.throws(() => builder.append(-2, null, null), RangeError);
});
