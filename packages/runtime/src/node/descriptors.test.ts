import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, test } from 'node:test';
import type { File } from '../files.ts';
import { Descriptors, descriptorBudget } from './descriptors.ts';
import { NodeFiles } from './files.ts';

const budget = 4;
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ottla-descriptors-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const encode = (text: string) => new TextEncoder().encode(text);

function contentOf(file: File): string {
  const bytes = new Uint8Array(file.size());
  file.read(bytes, 0);
  return new TextDecoder().decode(bytes);
}

test('far more files are open than descriptors held, and each keeps what was written', async () => {
  const descriptors = new Descriptors(budget);
  const files = new NodeFiles(descriptors);
  const open = Array.from({ length: 20 }, (_, index) => files.open(join(directory, `${index}`), 'truncate'));
  for (let round = 0; round < 3; round++) {
    for (const [index, file] of open.entries()) file.write(encode(`${index}.`), round * `${index}.`.length);
    assert.ok(descriptors.held <= budget);
  }
  // More at once than there may be: none is taken from under a sync.
  await Promise.all(open.map((file) => file.syncLater()));
  for (const [index, file] of open.entries()) assert.equal(contentOf(file), `${index}.`.repeat(3));
  for (const file of open) file.close();
  assert.equal(descriptors.held, 0);
  assert.throws(() => open[0]!.size(), { code: 'EBADF' });
  await assert.rejects(open[0]!.syncLater(), { code: 'EBADF' });
});

test('a file in use keeps its descriptor before one that is not', () => {
  const files = new NodeFiles(new Descriptors(budget));
  const hot = files.open(join(directory, 'hot'), 'truncate');
  for (let index = 0; index < 20; index++) {
    files.open(join(directory, `${index}`), 'truncate');
    hot.write(encode('x'), index);
    files.remove(join(directory, 'hot'));
  }
  // Opened anew it would not be found.
  assert.equal(hot.size(), 20);
});

test('a file that only may be read is still so after a rest', () => {
  const files = new NodeFiles(new Descriptors(1));
  files.writeFileDurably(join(directory, 'a'), 'a');
  const a = files.open(join(directory, 'a'), 'read');
  files.open(join(directory, 'b'), 'truncate');
  assert.equal(contentOf(a), 'a');
  assert.throws(() => a.write(encode('x'), 0), { code: 'EBADF' });
});

test('files take half of what the process may have, within reason', () => {
  assert.equal(descriptorBudget(1024), 512);
  assert.equal(descriptorBudget(10), 16);
  assert.equal(descriptorBudget(Number.POSITIVE_INFINITY), 16_384);
});

test('a process that runs out of descriptors all the same takes some back from its files', {
  skip: process.platform === 'win32',
}, () => {
  const program = `
    import { NodeFiles } from ${JSON.stringify(join(import.meta.dirname, 'files.ts'))};
    import { Descriptors } from ${JSON.stringify(join(import.meta.dirname, 'descriptors.ts'))};
    const files = new NodeFiles(new Descriptors(1_000_000));
    const open = Array.from({ length: 500 }, (_, index) => files.open(${JSON.stringify(`${directory}/`)} + index, 'truncate'));
    for (const [index, file] of open.entries()) file.write(new Uint8Array([index & 255]), 0);
    files.writeFileDurably(${JSON.stringify(`${directory}/more`)}, 'x');
    console.log(open.reduce((sum, file) => sum + file.size(), 0), files.list(${JSON.stringify(directory)}).length);
  `;
  const node = [process.execPath, '--input-type=module-typescript', '-e', program];
  const { stdout, stderr } = spawnSync('sh', ['-c', 'ulimit -n 128 && exec "$@"', 'sh', ...node], { encoding: 'utf8' });
  assert.equal(stdout.trim(), '500 501', stderr);
});
