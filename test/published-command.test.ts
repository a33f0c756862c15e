/** The command as it is published: bundled, beside its libraries and nothing else of this repository. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import { installCommand } from '../scripts/bundle.ts';

test('the published command runs a node, and talks to it in every codec', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottla-published-'));
  try {
    const ottla = await installCommand(join(directory, 'ottla'));
    const { version } = JSON.parse(readFileSync(join(directory, 'ottla/package.json'), 'utf8'));
    assert.equal(await outputOf(ottla, ['--version']), `${version}\n`);

    const node = spawn(process.execPath, [ottla, 'start', '--port', '0', '--data', join(directory, 'data')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = new Promise<number | null>((resolve) => void node.once('exit', resolve));
    try {
      const bootstrap = ['--bootstrap', await addressOf(node.stdout)];
      for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'])
        await outputOf(ottla, ['produce', 'greetings', '--value', `by ${codec}`, '--compression', codec, ...bootstrap]);
      const all = await outputOf(ottla, ['consume', 'greetings', '--from-beginning', '--max-messages', '4', ...bootstrap]);
      assert.equal(all, 'by gzip\nby snappy\nby lz4\nby zstd\n');
    } finally {
      node.kill('SIGTERM');
      assert.equal(await exit, 0);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

/** From the line with which a node says that it serves. */
async function addressOf(output: Readable): Promise<string> {
  let printed = '';
  for await (const chunk of output.iterator({ destroyOnReturn: false })) {
    printed += chunk;
    const [, address] = /Kafka on ([\w.:]+)/.exec(printed) ?? [];
    if (address) return address;
  }
  throw new Error(`the node ended before it served: ${printed}`);
}

function outputOf(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [program, ...args], (error, stdout, stderr) =>
      error ? reject(new Error(stderr)) : resolve(stdout),
    );
  });
}
