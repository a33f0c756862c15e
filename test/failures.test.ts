import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';

const script = new URL('../scripts/test.ts', import.meta.url).pathname;

/** What `npm test` prints of a file with these tests. */
function outputOf(tests: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'ottla-failures-'));
  try {
    const file = join(directory, 'some.test.ts');
    writeFileSync(file, `import assert from 'node:assert/strict';\nimport { describe, test } from 'node:test';\n${tests}`);
    // A test runner that runs in a test would report to the outer one.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    return spawnSync(process.execPath, [script, file], { encoding: 'utf8', env, maxBuffer: 64 << 20 }).stdout;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const end = (output: string): string | undefined => output.split('✖ failures in short:\n')[1];

test('a run ends with what failed: where, why, and which values were compared', () => {
  const output = outputOf(`
    describe('a cluster', () => {
      describe('of three', () => {
        test('starts', () => {});
        test('answers', () => assert.deepEqual(['a', 'b'], ['a', 'c'], '$ topics --list'));
      });
      test('ends', async () => { throw new Error('not within 10 ms: it ended', { cause: new Error('it runs') }); });
    });`);
  const told = end(output)!;
  assert.match(told, /^✖ a cluster > of three > answers \(.*some\.test\.ts\)\n {4}\$ topics --list\n/);
  assert.match(told, /\n {4}actual: \[ 'a', 'b' \]\n {4}expected: \[ 'a', 'c' \]\n✖ a cluster > ends \(.*\n/);
  assert.match(told, /\n {4}not within 10 ms: it ended\n {4}it runs\n$/);
  assert.ok(output.indexOf('✖ failures in short:') > output.indexOf('ℹ fail 2'), 'after the counts');
});

test('a run in which all is well says nothing of failures', () => {
  assert.equal(end(outputOf("test('fine', () => {});")), undefined);
});

test('however much fails, and however much it says, the end is short', () => {
  const told = end(
    outputOf(`
      const long = Array.from({ length: 30 }, (_, i) => 'line ' + i + 'x'.repeat(400)).join('\\n');
      for (let i = 0; i < 40; i++) test('number ' + i, () => assert.equal(long, 'short', long));`),
  )!;
  const lines = told.trimEnd().split('\n');
  assert.ok(lines.length <= 150, `${lines.length} lines`);
  assert.ok(lines.every((line) => line.length <= 310));
  assert.match(lines.at(-2)!, /^✖ number 24 /);
  assert.equal(lines.at(-1), 'and 15 more');
});
