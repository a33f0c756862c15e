import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchView, KafkaError, writeInt64 } from '@ottla/protocol';
import fc from 'fast-check';
import { planAppend } from './append-plan.ts';
import { defaultLogConfig, type LogConfig } from './log-config.ts';
import { batchOf, startMs } from './log-fixture.ts';
import { analyzeRecords, checkProduceRecords, stampForAppend } from './log-validator.ts';
import { plainBatch } from './plain-batch.ts';

const config = fc.record({
  messageTimestampBeforeMaxMs: fc.constantFrom(2 ** 63, 5000, startMs),
  messageTimestampAfterMaxMs: fc.constantFrom(2 ** 63, 3_600_000, 1000),
  messageTimestampType: fc.constantFrom<LogConfig['messageTimestampType']>(
    'CreateTime',
    'CreateTime',
    'CreateTime',
    'LogAppendTime',
  ),
  compressionType: fc.constantFrom<LogConfig['compressionType']>('producer', 'producer', 'uncompressed', 'gzip'),
  cleanupPolicy: fc.constantFrom<readonly string[]>(['delete'], ['delete'], ['compact']),
  maxMessageBytes: fc.constantFrom(1 << 20, 200),
});

const batch = fc.record({
  values: fc.array(fc.string({ maxLength: 90 }), { minLength: 1, maxLength: 4 }),
  timestamp: fc.constantFrom(startMs, startMs, startMs + 900, startMs - 900, startMs + 100_000, 5),
  key: fc.constantFrom('key', 'key', null),
  producer: fc.constantFrom(
    {},
    { producerId: 5, producerEpoch: 0, baseSequence: 3 },
    { producerId: 5, producerEpoch: 0, baseSequence: 3, isTransactional: true },
    { producerId: 5, producerEpoch: 0, baseSequence: -1 },
  ),
  codec: fc.constantFrom('none', 'none', 'none', 'gzip'),
});

/** A header that says something else, with a crc that is right for it. */
const change = fc.option(
  fc.record({
    at: fc.constantFrom(0, 8, 11, 16, 21, 22, 23, 26, 27, 35, 42, 43, 51, 53, 57, 60, 61, 62, 63),
    value: fc.nat(255),
    refreshCrc: fc.boolean(),
  }),
  { freq: 2 },
);

test('what is plain is stamped as the long way would, and what the long way refuses is not plain', () => {
  let plain = 0;
  const runs = 2000;
  fc.assert(
    fc.property(batch, config, change, fc.boolean(), ({ values, producer, codec, ...rest }, given, changed, isTrailed) => {
      const topic: LogConfig = { ...defaultLogConfig, ...given };
      let records = batchOf(values, { ...rest, ...producer, codec: codec as 'none' });
      if (changed) {
        records[changed.at % records.length] = changed.value;
        if (changed.refreshCrc && new BatchView(records).length === records.length && records[16] === 2) {
          new BatchView(records).refreshCrc();
        }
      }
      if (isTrailed) records = Uint8Array.from([...records, 1]);
      const options = { leaderEpoch: 9, origin: 'client', apiVersion: 11 } as const;
      const context = { config: topic, partitionName: 't-0', nextOffset: 77, nowMs: startMs };
      const isPlain = plainBatch(records, topic, startMs) !== undefined;
      let long: ReturnType<typeof stampForAppend> | undefined;
      try {
        const bytes = records.slice();
        checkProduceRecords(bytes, 11);
        long = stampForAppend(analyzeRecords(bytes, { ...options, ...context }), { ...options, ...context });
      } catch (error) {
        assert.ok(error instanceof KafkaError);
      }
      if (!isPlain) return;
      plain++;
      assert.ok(long);
      const { view, firstOffset, batches, ...planned } = planAppend(records, options, context)!;
      assert.deepEqual(planned, long);
      assert.deepEqual([view.buffer, firstOffset, batches], [long.bytes, 77, 1]);
    }),
    { numRuns: runs },
  );
  assert.ok(plain > runs / 20 && plain < runs, `${plain}`);
});

test('what a number does not hold exactly is not plain', () => {
  for (const at of [27, 35, 43]) {
    const records = batchOf(['a']);
    const batch = new BatchView(records);
    assert.ok(plainBatch(records, defaultLogConfig, startMs));
    writeInt64(new DataView(records.buffer, records.byteOffset), at, 2 ** 63);
    batch.refreshCrc();
    assert.equal(plainBatch(records, defaultLogConfig, startMs), undefined);
  }
});
