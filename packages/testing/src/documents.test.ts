/**
 * Runs the examples of the documents, so that they stay true. Each `ts` block is a program of its own, against a Kafka of its
 * own in place of 127.0.0.1:9092. A line that ends in `// → text` must have printed that text.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { startKafka } from './start-kafka.ts';

const root = join(import.meta.dirname, '../../..');
const topics = [
  { name: 'orders', partitions: 1 },
  { name: 'readings', partitions: 3 },
];

for (const path of ['docs/client.md', 'docs/testing.md', 'packages/testing/README.md']) {
  const blocks = [...readFileSync(join(root, path), 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, block]) => block!);
  assert.ok(blocks.length > 0, `${path} has no examples`);
  for (const [index, block] of blocks.entries()) {
    // Tests register themselves, with what they need.
    if (block.includes("from 'node:test'")) await run(block, path);
    else test(`${path}: example ${index + 1} does what it says`, () => runAgainstKafka(block, path));
  }
}

async function runAgainstKafka(block: string, path: string): Promise<void> {
  await using kafka = await startKafka({ topics });
  const printed: string[] = [];
  const { log } = console;
  console.log = (...values: unknown[]) => void printed.push(values.join(' '));
  try {
    await run(block.replaceAll('127.0.0.1:9092', kafka.bootstrapServers), path);
  } finally {
    console.log = log;
  }
  assert.deepEqual(
    printed,
    [...block.matchAll(/\/\/ → (.*)$/gm)].map(([, text]) => text),
  );
}

async function run(block: string, path: string): Promise<void> {
  // A data: module cannot find packages by name.
  const code = stripTypeScriptTypes(block).replace(
    /from '(@ottla\/\w+)'/g,
    (_, name: string) => `from '${import.meta.resolve(name)}'`,
  );
  await import(`data:text/javascript,${encodeURIComponent(`${code}\n//# sourceURL=${path}`)}`);
}
