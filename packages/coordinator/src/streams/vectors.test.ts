import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { family as topologies } from '../../scripts/streams-topology-vectors.ts';
import { family as assignments } from '../../scripts/task-assignor-vectors.ts';

for (const { file, check } of [topologies, assignments]) {
  const bytes = readFileSync(new URL(`../../vectors/${file}.gz`, import.meta.url));
  const lines = gunzipSync(bytes).toString('utf8').trim().split('\n');
  test(`${lines.length} times Apache Kafka's coordinator agrees: ${file}`, () =>
    assert.deepEqual(
      lines.map(check).filter((problem) => problem !== undefined),
      [],
    ));
}
