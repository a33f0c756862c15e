import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runVectors } from '../scripts/vectors/run.ts';

const { outcomes, unknown } = runVectors(fileURLToPath(new URL('../vectors', import.meta.url)));

for (const { name, count, problems } of outcomes) {
  test(`${count} vectors of Apache Kafka agree: ${name}`, () => assert.deepEqual(problems, []));
}

test('every vector file has a family', () => {
  assert.deepEqual(unknown, []);
  assert.ok(outcomes.find(({ name }) => name === 'messages')!.count >= 2956);
});
