import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { family as hashes } from '../../scripts/vectors/hashes.ts';
import { family as records } from '../../scripts/vectors/records.ts';

for (const { file, check } of [records, hashes]) {
  test(`${file} agrees with Apache Kafka`, () => {
    const lines = linesOf(file);
    assert.ok(lines.length > 50);
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
