import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchView, batchesOf, buildBatch } from '@ottla/protocol';
import { maxDecompressedBytes } from './decompression-budget.ts';
import { append, batchOf, endTransaction, openLog, startMs, testRuntime, valuesIn } from './log-fixture.ts';

const failsWith = (name: string, message?: RegExp) => (error: unknown) => {
  assert.equal((error as Error).name, name, (error as Error).stack);
  if (message) assert.match((error as Error).message, message);
  return true;
};

test('the leader stamps offsets, epoch and nothing else', () => {
  const log = openLog(testRuntime());
  const first = append(log, batchOf(['a', 'b', 'c']), 4);
  const second = append(log, batchOf(['d']), 5);
  assert.deepEqual([first.firstOffset, first.lastOffset, second.firstOffset, second.lastOffset], [0, 2, 3, 3]);
  assert.deepEqual([first.logAppendTimeMs, first.maxTimestamp, first.logStartOffset, first.duplicate], [-1, startMs, 0, false]);

  const { records } = log.read({ startOffset: 1, endOffset: 4, maxBytes: 1e6, minOneBatch: true });
  const batches = [...batchesOf(records)];
  assert.deepEqual(
    batches.map((batch) => [batch.baseOffset, batch.leaderEpoch, batch.isCrcValid()]),
    [
      [0, 4, true],
      [3, 5, true],
    ],
  );
  assert.deepEqual(log.epochs, [
    { epoch: 4, startOffset: 0 },
    { epoch: 5, startOffset: 3 },
  ]);
});

test("bytes that are not the log's to change are copied", () => {
  const log = openLog(testRuntime());
  append(log, batchOf(['a']));
  const records = batchOf(['b']);
  const before = records.slice();
  log.append(records, { leaderEpoch: 3, origin: 'client', mayModify: false });
  assert.deepEqual(records, before);
});

test('a reader gets at least one batch, no more than it asks for, and nothing at or behind its end offset', () => {
  const log = openLog(testRuntime());
  for (const value of ['a', 'b', 'c', 'd']) append(log, batchOf([value.repeat(100)]));
  const batchBytes = batchOf(['a'.repeat(100)]).length;
  const read = (options: { startOffset: number; endOffset?: number; maxBytes: number; minOneBatch?: boolean }) =>
    log.read({ endOffset: 4, minOneBatch: true, ...options });

  assert.equal(read({ startOffset: 0, maxBytes: 1 }).records.length, batchBytes);
  assert.equal(read({ startOffset: 0, maxBytes: 1, minOneBatch: false }).isFirstBatchCut, true);
  assert.equal(read({ startOffset: 0, maxBytes: batchBytes * 2 + 5 }).records.length, batchBytes * 2 + 5);
  assert.equal(read({ startOffset: 1, endOffset: 3, maxBytes: 1e6 }).records.length, batchBytes * 2);
  assert.equal(read({ startOffset: 3, endOffset: 3, maxBytes: 1e6 }).records.length, 0);
  assert.equal(read({ startOffset: 4, maxBytes: 1e6 }).records.length, 0);
  assert.throws(() => read({ startOffset: 5, maxBytes: 1 }), failsWith('OFFSET_OUT_OF_RANGE', /up to 4/));
  log.advanceLogStartOffset(2);
  assert.throws(() => read({ startOffset: 1, maxBytes: 1 }), failsWith('OFFSET_OUT_OF_RANGE', /starting from offset: 2/));
});

test("what a client must not send is refused with Kafka's errors, and changes nothing", () => {
  const log = openLog(testRuntime(), { config: { maxMessageBytes: 500, segmentBytes: 100_000 } });
  const refused = (records: Uint8Array, name: string, message: RegExp, apiVersion = 12) => {
    assert.throws(() => log.append(records, { leaderEpoch: 0, origin: 'client', apiVersion }), failsWith(name, message));
  };
  const corrupt = batchOf(['a']);
  corrupt[corrupt.length - 1]! ^= 1;
  refused(corrupt, 'CORRUPT_MESSAGE', /stored crc = \d+\) in topic partition t-0\.$/);
  refused(batchOf(['a'.repeat(600)]), 'MESSAGE_TOO_LARGE', /exceeds the maximum configured value of 500\.$/);
  refused(
    batchOf(['a'], { baseOffset: 7 }),
    'INVALID_RECORD',
    /baseOffset of the record batch in the append to t-0 should be 0, but it is 7/,
  );
  refused(batchOf(['a'], { isControl: true }), 'INVALID_RECORD', /not allowed to write control records/);
  refused(
    batchOf(['a'], { producerId: 3, producerEpoch: 0 }),
    'INVALID_RECORD',
    /Invalid sequence number -1 in record batch with producerId 3/,
  );
  refused(buildBatch({ records: [], lastOffset: 0 }), 'INVALID_RECORD', /Invalid reported count for record batch: 0/);
  refused(batchOf(['a'], { lastOffset: 4 }), 'INVALID_RECORD', /Inconsistent batch offset range \[0, 4\] and count of records 1/);
  refused(new Uint8Array(0), 'INVALID_RECORD', /at least one record batch/);
  refused(new Uint8Array([...batchOf(['a']), ...batchOf(['b'])]), 'INVALID_RECORD', /exactly one record batch/);
  refused(batchOf(['a'], { codec: 'zstd' }), 'UNSUPPORTED_COMPRESSION_TYPE', /ZStandard/, 6);
  const miscounted = batchOf(['a', 'b']);
  new DataView(miscounted.buffer).setInt32(57, 3);
  new DataView(miscounted.buffer).setInt32(23, 2);
  new BatchView(miscounted).refreshCrc();
  refused(miscounted, 'INVALID_RECORD', /./);
  const oldMagic = batchOf(['a']);
  oldMagic[16] = 1;
  refused(oldMagic, 'INVALID_RECORD', /only allowed to contain record batches with magic version 2/);
  oldMagic[16] = 9;
  refused(oldMagic, 'CORRUPT_MESSAGE', /Invalid magic found in record: 9/);
  assert.deepEqual([log.logEndOffset, log.sizeBytes, log.latestEpoch], [0, 0, -1]);
});

test('what a read would return is known from positions, and so is that waiting will not add to it', () => {
  const log = openLog(testRuntime(), { config: { segmentBytes: 350 } });
  for (const value of ['a', 'b', 'c', 'd', 'e', 'f']) append(log, batchOf([value.repeat(50)]));
  const bases = log.segments.map(({ baseOffset }) => baseOffset);
  assert.ok(bases.length > 1);
  for (let startOffset = 0; startOffset <= 6; startOffset++) {
    for (const maxBytes of [1, 200, 1e6]) {
      for (const endOffset of [startOffset, 6]) {
        const request = { startOffset, endOffset, maxBytes, minOneBatch: true };
        const isCutShort = bases.some((base) => base > startOffset && base < endOffset);
        assert.equal(log.measure(request), isCutShort ? Number.POSITIVE_INFINITY : log.read(request).records.length);
      }
    }
  }
  assert.throws(
    () => log.measure({ startOffset: 7, endOffset: 7, maxBytes: 1, minOneBatch: true }),
    failsWith('OFFSET_OUT_OF_RANGE'),
  );
});

test('a batch larger than a segment is refused', () => {
  const log = openLog(testRuntime(), { config: { segmentBytes: 300 } });
  assert.throws(
    () => append(log, batchOf(['a'.repeat(400)])),
    failsWith('RECORD_LIST_TOO_LARGE', /maximum configured segment size of 300/),
  );
});

test('every record without a key is named when the topic is compacted', () => {
  const log = openLog(testRuntime(), { config: { cleanupPolicy: ['compact'] } });
  append(log, batchOf(['a']));
  assert.throws(
    () => append(log, batchOf(['a', 'b'], { key: null })),
    (error: unknown) => {
      failsWith('INVALID_RECORD', /2 record errors in total/)(error);
      assert.deepEqual(
        (error as { recordErrors: unknown }).recordErrors,
        [0, 1].map((batchIndex) => ({
          batchIndex,
          message: 'Compacted topic cannot accept message without key in topic partition t-0',
        })),
      );
      return true;
    },
  );
});

test('a time that a number does not hold exactly is refused, wherever the batch says its times lie', () => {
  const log = openLog(testRuntime());
  const records = Buffer.from(batchOf(['a']));
  const view = new BatchView(records);
  records.writeBigInt64BE(-(2n ** 60n), 27);
  records.writeBigInt64BE(1n, 35);
  view.refreshCrc();
  assert.throws(() => append(log, records), failsWith('INVALID_TIMESTAMP'));
  assert.equal(log.logEndOffset, 0);
});

test('a producer id that a number does not hold exactly is refused', () => {
  const log = openLog(testRuntime());
  const records = Buffer.from(batchOf(['a'], { producerId: 1, producerEpoch: 0, baseSequence: 0 }));
  records.writeBigInt64BE(2n ** 60n + 1n, 43);
  new BatchView(records).refreshCrc();
  assert.throws(() => append(log, records), failsWith('INVALID_RECORD', /Invalid producerId/));
});

test('of very many records at fault the first hundred are named, and all are counted', () => {
  const log = openLog(testRuntime(), { config: { cleanupPolicy: ['compact'], messageTimestampAfterMaxMs: 500 } });
  const values = Array.from({ length: 5000 }, () => 'a');
  const refuse = (records: Uint8Array) => {
    try {
      append(log, records);
    } catch (error) {
      return error as Error & { recordErrors: { batchIndex: number }[] };
    }
    throw new Error('appended');
  };
  const noKeys = refuse(batchOf(values, { key: null, codec: 'zstd' }));
  assert.match(noKeys.message, /5000 record errors in total.*the first 100 of 5000 records at fault are named/);
  assert.deepEqual(
    noKeys.recordErrors.map(({ batchIndex }) => batchIndex),
    Array.from({ length: 100 }, (_, index) => index),
  );
  const tooLate = refuse(batchOf(values, { timestamp: startMs + 501, codec: 'zstd' }));
  assert.match(tooLate.message, /invalid timestamp; the first 100 of 5000/);
  assert.equal(tooLate.recordErrors.length, 100);
  const badType = refuse(batchOf(values, { logAppendTimeMs: -1, timestamp: -1 }));
  assert.equal(badType.recordErrors.length, 100);
});

test('a batch may decompress to 16 MiB, or to 64 times its bytes, and no more', () => {
  const MiB = 1024 * 1024;
  const log = openLog(testRuntime());
  const bomb = (mebibytes: number) => batchOf(['x'.repeat(mebibytes * MiB - 100)], { codec: 'zstd' });
  assert.equal(append(log, bomb(16)).lastOffset, 0);
  assert.throws(() => append(log, bomb(17)), failsWith('MESSAGE_TOO_LARGE', /decompress to more than 16777216 bytes/));
  assert.equal(maxDecompressedBytes(MiB), 64 * MiB);
  assert.equal(maxDecompressedBytes(2 ** 31), 128 * MiB);
  assert.equal(log.logEndOffset, 1);
});

test('the batches of one request share what they may decompress to, the refused ones too', () => {
  const MiB = 1024 * 1024;
  const log = openLog(testRuntime());
  const decompression = { bytesLeft: 5 * MiB };
  const appendPart = (mebibytes: number) =>
    log.append(batchOf(['x'.repeat(mebibytes * MiB - 1000)], { codec: 'zstd' }), {
      leaderEpoch: 0,
      origin: 'client',
      decompression,
    });
  appendPart(2);
  assert.ok(decompression.bytesLeft <= 3 * MiB + 1000 && decompression.bytesLeft >= 3 * MiB);
  assert.throws(() => appendPart(4), failsWith('MESSAGE_TOO_LARGE'));
  assert.equal(decompression.bytesLeft, 0);
  assert.throws(() => appendPart(1), failsWith('MESSAGE_TOO_LARGE', /send fewer/));
  assert.equal(log.logEndOffset, 1);
});

test("record times have to lie within the topic's bounds", () => {
  const log = openLog(testRuntime(), { config: { messageTimestampBeforeMaxMs: 1000, messageTimestampAfterMaxMs: 500 } });
  append(log, batchOf(['a'], { timestamp: startMs - 1000 }));
  append(log, batchOf(['a'], { timestamp: startMs + 500 }));
  append(log, batchOf(['a'], { timestamp: -1 }));
  for (const timestamp of [startMs - 1001, startMs + 501]) {
    assert.throws(
      () => append(log, batchOf(['a'], { timestamp })),
      (error: unknown) => {
        failsWith('INVALID_TIMESTAMP', /One or more records have been rejected due to invalid timestamp/)(error);
        const [first] = (error as { recordErrors: { message: string }[] }).recordErrors;
        assert.equal(
          first!.message,
          `Timestamp ${timestamp} of message with offset 0 is out of range. The timestamp should be within [${startMs - 1000}, ${startMs + 500}]`,
        );
        return true;
      },
    );
  }
});

test('under log-append time the records get the time of the append', () => {
  const log = openLog(testRuntime(), { config: { messageTimestampType: 'LogAppendTime' } });
  const result = append(log, batchOf(['a', 'b'], { timestamp: 12 }));
  assert.deepEqual([result.logAppendTimeMs, result.maxTimestamp], [startMs, startMs]);
  const [batch] = batchesOf(log.read({ startOffset: 0, endOffset: 2, maxBytes: 1e6, minOneBatch: true }).records);
  assert.deepEqual(
    [batch!.timestampType, batch!.isCrcValid(), [...batch!.records()][1]!.timestamp],
    ['LogAppendTime', true, startMs],
  );
  assert.throws(() => append(log, batchOf(['a'], { logAppendTimeMs: startMs })), failsWith('INVALID_TIMESTAMP'));
});

test('a header that lies about the largest timestamp is corrected', () => {
  const log = openLog(testRuntime());
  const records = batchOf(['a'], { timestamp: startMs });
  new BatchView(records).setMaxTimestamp('CreateTime', startMs + 999_999);
  assert.equal(append(log, records).maxTimestamp, startMs);
});

test('a topic with its own codec recompresses, and only then', () => {
  const runtime = testRuntime();
  const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
  for (const [index, target] of (['producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'] as const).entries()) {
    const log = openLog(runtime, { directory: `/data/t-${index}`, config: { compressionType: target } });
    for (const codec of codecs)
      append(
        log,
        batchOf(['x'.repeat(200), codec], { codec, producerId: 9, producerEpoch: 1, baseSequence: codecs.indexOf(codec) * 2 }),
      );
    const batches = [...batchesOf(log.read({ startOffset: 0, endOffset: 10, maxBytes: 1e6, minOneBatch: true }).records)];
    assert.deepEqual(
      batches.map((batch) => batch.codec),
      target === 'producer' ? codecs : codecs.map(() => (target === 'uncompressed' ? 'none' : target)),
    );
    assert.ok(batches.every((batch) => batch.isCrcValid() && batch.producerId === 9 && batch.recordsCount === 2));
    assert.deepEqual(
      valuesIn(log)
        .filter(([offset]) => offset % 2 === 1)
        .map(([, value]) => value),
      codecs,
    );
    log.close();
  }
  const limited = openLog(runtime, { directory: '/data/t-9', config: { compressionType: 'uncompressed', maxMessageBytes: 300 } });
  assert.throws(
    () => append(limited, batchOf(['x'.repeat(1000)], { codec: 'gzip' })),
    failsWith('MESSAGE_TOO_LARGE', /Message batch size is \d+ bytes in append to partition/),
  );
});

test('a compressed batch with badly numbered records is written anew', () => {
  const log = openLog(testRuntime());
  const value = new TextEncoder().encode('v');
  const records = buildBatch({
    codec: 'lz4',
    records: [0, 2].map((offset) => ({ offset, timestamp: startMs, value })),
    lastOffset: 2,
  });
  const header = new DataView(records.buffer);
  header.setInt32(23, 1);
  new BatchView(records).refreshCrc();
  append(log, records);
  assert.deepEqual(
    valuesIn(log).map(([offset]) => offset),
    [0, 1],
  );
});

test('a repeated batch of an idempotent producer is answered with the offset of the original', () => {
  const log = openLog(testRuntime());
  const batch = (baseSequence: number, producerEpoch = 0) => batchOf(['a', 'b'], { producerId: 7, producerEpoch, baseSequence });
  for (let sequence = 0; sequence < 14; sequence += 2) append(log, batch(sequence));
  for (const sequence of [12, 4]) {
    const repeated = append(log, batch(sequence));
    assert.deepEqual([repeated.firstOffset, repeated.lastOffset, repeated.duplicate], [sequence, sequence + 1, true]);
  }
  assert.throws(
    () => append(log, batch(2)),
    failsWith('OUT_OF_ORDER_SEQUENCE_NUMBER', /2 \(incoming seq. number\), 13 \(current end sequence number\)/),
  );
  assert.throws(() => append(log, batch(16)), failsWith('OUT_OF_ORDER_SEQUENCE_NUMBER'));
  assert.throws(() => append(log, batch(5, 1)), failsWith('OUT_OF_ORDER_SEQUENCE_NUMBER', /new epoch/));
  assert.equal(append(log, batch(0, 1)).firstOffset, 14);
  assert.throws(
    () => append(log, batch(14, 0)),
    failsWith('INVALID_PRODUCER_EPOCH', /is 0, which is smaller than the last seen epoch 1/),
  );
  assert.equal(log.logEndOffset, 16);
});

test('sequences wrap to 0, and an unknown producer may begin anywhere unless it uses transactions v2', () => {
  const log = openLog(testRuntime());
  const batch = (baseSequence: number, producerId = 7) => batchOf(['a', 'b'], { producerId, producerEpoch: 0, baseSequence });
  append(log, batch(2 ** 31 - 4));
  append(log, batch(2 ** 31 - 2));
  append(log, batch(0));
  assert.equal(append(log, batch(2 ** 31 - 2)).duplicate, true);
  const across = openLog(testRuntime());
  append(across, batchOf(['a', 'b', 'c'], { producerId: 7, producerEpoch: 0, baseSequence: 2 ** 31 - 2 }));
  assert.equal(append(across, batch(1)).firstOffset, 3);
  assert.throws(
    () => log.append(batch(5, 8), { leaderEpoch: 0, origin: 'client', expectSequenceZero: true }),
    failsWith('OUT_OF_ORDER_SEQUENCE_NUMBER'),
  );
});

test('producers are forgotten after their expiration, but not with a transaction open', () => {
  const runtime = testRuntime();
  const log = openLog(runtime, { producerIdExpirationMs: 1000 });
  append(log, batchOf(['a'], { producerId: 7, producerEpoch: 0, baseSequence: 0 }));
  append(log, batchOf(['a'], { producerId: 8, producerEpoch: 0, baseSequence: 0, isTransactional: true }));
  log.removeExpiredProducers(startMs + 999);
  assert.equal(log.activeProducers().length, 2);
  log.removeExpiredProducers(startMs + 1000);
  assert.deepEqual(
    log.activeProducers().map((producer) => producer.producerId),
    [8],
  );
});

test('the last stable offset waits for open transactions and for their markers to be replicated', () => {
  const log = openLog(testRuntime());
  const data = (producerId: number, baseSequence: number) =>
    append(log, batchOf(['a', 'b'], { producerId, producerEpoch: 0, baseSequence, isTransactional: true }));
  log.onHighWatermark(0);
  append(log, batchOf(['plain']));
  data(1, 0); // 1, 2
  data(2, 0); // 3, 4
  log.onHighWatermark(5);
  assert.equal(log.lastStableOffset, 1);
  assert.throws(
    () => append(log, batchOf(['a'], { producerId: 1, producerEpoch: 0, baseSequence: 2 })),
    failsWith('INVALID_TXN_STATE'),
  );

  log.append(endTransaction('abort', { producerId: 1, producerEpoch: 0 }), { leaderEpoch: 0, origin: 'coordinator' }); // 5
  assert.equal(log.lastStableOffset, 1);
  log.onHighWatermark(6);
  assert.equal(log.lastStableOffset, 3);
  log.append(endTransaction('commit', { producerId: 2, producerEpoch: 0 }), { leaderEpoch: 0, origin: 'coordinator' }); // 6
  log.onHighWatermark(7);
  assert.equal(log.lastStableOffset, 7);
  assert.deepEqual(log.abortedTransactions(0, 7), [{ producerId: 1, firstOffset: 1, lastOffset: 5, lastStableOffset: 3 }]);
  assert.deepEqual(log.abortedTransactions(6, 7), []);
});

test('a marker of an older coordinator is fenced', () => {
  const log = openLog(testRuntime());
  const marker = (coordinatorEpoch: number, producerEpoch = 0, transactionVersion2 = false) =>
    log.append(endTransaction('commit', { producerId: 1, producerEpoch, coordinatorEpoch }), {
      leaderEpoch: 0,
      origin: 'coordinator',
      transactionVersion2,
    });
  append(log, batchOf(['a'], { producerId: 1, producerEpoch: 0, baseSequence: 0, isTransactional: true }));
  assert.throws(() => marker(4, 0, true), failsWith('INVALID_PRODUCER_EPOCH'));
  marker(4, 1, true);
  marker(4, 1, true); // a retry
  assert.throws(() => marker(3, 1), failsWith('TRANSACTION_COORDINATOR_FENCED'));
});

test('a follower takes batches as they are, but none of an epoch it does not know and none twice', () => {
  const leader = openLog(testRuntime());
  for (const epoch of [0, 0, 1, 2]) append(leader, batchOf(['a', 'b']), epoch);
  const { records } = leader.read({ startOffset: 0, endOffset: 8, maxBytes: 1e6, minOneBatch: true });
  const follower = openLog(testRuntime());
  const result = follower.append(records, { leaderEpoch: 1, origin: 'replication' });
  assert.deepEqual([result.firstOffset, result.lastOffset, result.batches, follower.logEndOffset], [0, 5, 3, 6]);
  assert.deepEqual(follower.epochs, leader.epochs.slice(0, 2));
  assert.throws(() => follower.append(records, { leaderEpoch: 2, origin: 'replication' }), /Unexpected offset/);
});

test('a raft leader appends several batches with the offsets and the epoch it gave them', () => {
  const log = openLog(testRuntime());
  const records = new Uint8Array([
    ...batchOf(['a', 'b'], { leaderEpoch: 3 }),
    ...batchOf(['c'], { baseOffset: 2, leaderEpoch: 3 }),
  ]);
  assert.equal(log.append(records, { leaderEpoch: 3, origin: 'raft' }).lastOffset, 2);
  assert.throws(
    () => log.append(batchOf(['d'], { baseOffset: 3, leaderEpoch: 2 }), { leaderEpoch: 3, origin: 'raft' }),
    failsWith('INVALID_RECORD'),
  );
});

test('epochs end where the next begins', () => {
  const log = openLog(testRuntime());
  for (const epoch of [1, 1, 3]) append(log, batchOf(['a', 'b']), epoch);
  assert.deepEqual(log.endOffsetForEpoch(0), { leaderEpoch: 0, endOffset: 0 });
  assert.deepEqual(log.endOffsetForEpoch(1), { leaderEpoch: 1, endOffset: 4 });
  assert.deepEqual(log.endOffsetForEpoch(2), { leaderEpoch: 1, endOffset: 4 });
  assert.deepEqual(log.endOffsetForEpoch(3), { leaderEpoch: 3, endOffset: 6 });
  assert.deepEqual(log.endOffsetForEpoch(4), { leaderEpoch: -1, endOffset: -1 });
  log.assignLeaderEpoch(5, 6);
  assert.equal(log.latestEpoch, 5);
  log.truncateTo(6);
  assert.equal(log.latestEpoch, 3);
});

test('offsets are found by time', () => {
  const log = openLog(testRuntime(), { config: { segmentBytes: 2000, indexIntervalBytes: 200 } });
  for (let index = 0; index < 100; index++) append(log, batchOf(['x'.repeat(50)], { timestamp: startMs + index * 10 }));
  assert.ok(log.segments.length > 3);
  for (const [timestamp, offset] of [
    [0, 0],
    [startMs + 1, 1],
    [startMs + 500, 50],
    [startMs + 985, 99],
  ] as const) {
    assert.equal(log.offsetForTimestamp(timestamp)?.offset, offset);
  }
  assert.equal(log.offsetForTimestamp(startMs + 991), undefined);
  assert.equal(log.offsetForTimestamp(startMs + 500, { endOffset: 50 }), undefined);
  assert.deepEqual(log.offsetOfMaxTimestamp(), { timestamp: startMs + 990, offset: 99, leaderEpoch: 0 });
  log.advanceLogStartOffset(60);
  assert.equal(log.offsetForTimestamp(0)?.offset, 60);
  append(log, batchOf(['late', 'later'], { timestamp: startMs + 990 }));
  assert.equal(log.offsetOfMaxTimestamp()?.offset, 99);
  assert.equal(openLog(testRuntime()).offsetOfMaxTimestamp(), undefined);
});

test('segments roll by size, by the time of the records, and when an index is full', () => {
  const bases = (config: Parameters<typeof openLog>[1], timestamps: readonly number[]) => {
    const log = openLog(testRuntime(), config);
    for (const timestamp of timestamps) append(log, batchOf(['x'.repeat(100)], { timestamp }));
    return log.segments.map((segment) => segment.baseOffset);
  };
  const same = [0, 0, 0, 0, 0].map(() => startMs);
  const { length } = batchOf(['x'.repeat(100)]);
  assert.deepEqual(bases({ config: { segmentBytes: length * 2 } }, same), [0, 2, 4]);
  assert.deepEqual(
    bases({ config: { segmentMs: 100 } }, [startMs, startMs + 100, startMs + 101, startMs + 150, startMs + 202]),
    [0, 2, 4],
  );
  assert.deepEqual(bases({ config: { segmentIndexBytes: 24, indexIntervalBytes: 0 } }, same), [0, 2, 4]);
});

test('a full disk refuses an append and leaves the log as it was', async () => {
  const { MemoryFiles } = await import('@ottla/runtime');
  const runtime = testRuntime(new MemoryFiles({ capacityBytes: 3000 }));
  const log = openLog(runtime);
  let appended = 0;
  assert.throws(() => {
    for (; ; appended++) append(log, batchOf(['x'.repeat(300)]));
  }, failsWith('IoError'));
  assert.equal(log.logEndOffset, appended);
  assert.equal(valuesIn(log).length, appended);
  assert.equal(runtime.files.stat('/data/t-0/00000000000000000000.log')!.size, log.sizeBytes);
});
