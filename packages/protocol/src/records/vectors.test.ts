import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { family as groupMetadataHash } from '../../scripts/vectors/group-metadata-hash.ts';
import { family as hashes } from '../../scripts/vectors/hashes.ts';
import { family as records } from '../../scripts/vectors/records.ts';

for (const { file, check } of [records, hashes, groupMetadataHash]) {
  test(`${file} agrees with Apache Kafka`, () => {
    const lines = linesOf(file);
    assert.ok(lines.length > 5);
    assert.deepEqual(
      lines.map((line) => check(line)).filter((problem) => problem !== undefined),
      [],
    );
  });
}

function linesOf(file: string): string[] {
  const bytes = readFileSync(new URL(`../../vectors/${file}`, import.meta.url));
  return (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8').trim().split('\n');
}

test('a vector that says something else is noticed', () => {
  for (const line of linesOf(records.file)) {
    const vector = JSON.parse(line) as {
      invalid?: boolean;
      batches?: { crc: number; records: { offset: number }[] }[];
      hex: string;
    };
    if (vector.invalid) continue;
    const [first] = vector.batches!;
    if (first!.records.length > 0) first!.records[0]!.offset++;
    else first!.crc++;
    assert.notEqual(records.check(JSON.stringify(vector)), undefined, line.slice(0, 60));
  }
});
