import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MetadataRecord, writeMetadataRecord } from '@ottla/protocol';
import fc from 'fast-check';
import { dividedIntoBatches, requireOneBatch } from './batch-limits.ts';

const level = (bytes: number): MetadataRecord => ({
  type: 'FeatureLevelRecord',
  version: 0,
  value: { name: 'n'.repeat(bytes), featureLevel: 1 },
});

test('a division keeps all records in their order, in batches that each may be appended, none of which could take one more', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 60 }),
      fc.integer({ min: 200, max: 2_000 }),
      fc.integer({ min: 1, max: 20 }),
      (sizes, maxBytes, maxRecords) => {
        const records = sizes.map(level);
        const batches = dividedIntoBatches(records, { maxBytes, maxRecords });
        assert.deepEqual(batches.flat(), records);
        for (const [at, batch] of batches.entries()) {
          assert.ok(batch.length > 0 && batch.length <= maxRecords);
          requireOneBatch(batch.map(writeMetadataRecord), { maxBytes });
          const next = batches[at + 1]?.[0];
          if (next && batch.length < maxRecords)
            assert.throws(() => requireOneBatch([...batch, next].map(writeMetadataRecord), { maxBytes }));
        }
      },
    ),
  );
});

test('a record that fits no batch is refused', () => {
  assert.throws(() => dividedIntoBatches([level(10), level(5_000)], { maxBytes: 4_000, maxRecords: 10 }), {
    name: 'RECORD_LIST_TOO_LARGE',
    message: '1 metadata records take 5090 bytes, more than the 4000 of one batch',
  });
});
