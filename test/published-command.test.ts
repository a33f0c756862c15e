/** The command as it is published: bundled, beside its libraries and nothing else of this repository. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { installCommand } from '../scripts/bundle.ts';

const directory = mkdtempSync(join(tmpdir(), 'ottla-published-'));
const data = join(directory, 'data');
after(() => rmSync(directory, { recursive: true, force: true }));

test('the published command runs a node, and talks to it in every codec', async () => {
  const ottla = await installCommand(join(directory, 'ottla'));
  const { version } = JSON.parse(readFileSync(join(directory, 'ottla/package.json'), 'utf8'));
  assert.equal(await outputOf(ottla, ['--version']), `${version}\n`);

  const node = startNode(ottla);
  try {
    const bootstrap = ['--bootstrap', await addressOf(node.process.stdout)];
    for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'])
      await outputOf(ottla, ['produce', 'greetings', '--value', `by ${codec}`, '--compression', codec, ...bootstrap]);
    assert.equal(await greetings(ottla, bootstrap), allGreetings);
  } finally {
    node.process.kill('SIGTERM');
    assert.equal(await node.exit, 0);
  }
});

test('after a crash threads of the published command recover what is large, or are told to stop', async () => {
  const ottla = join(directory, 'ottla/bin/ottla.js');
  // What a segment has that was allocated in advance; of zeros a recovery reads the first.
  const allocate = (): void => truncateSync(join(data, 'greetings-0/00000000000000000000.log'), 1100 * 1024 * 1024);
  allocate();
  rmSync(join(data, '.kafka_cleanshutdown'));
  const node = startNode(ottla);
  try {
    const [, recovered, address] = await printed(node.process.stdout, /a log is recovered.* (bytes=.*)\n[\s\S]*Kafka on (\S+) /);
    assert.match(recovered!, /^bytes=1153433600 .*logEndOffset=4 .*progress="1\/1 logs, 100 %"$/);
    assert.equal(await greetings(ottla, ['--bootstrap', address!]), allGreetings);
  } finally {
    node.process.kill('SIGKILL');
    await node.exit;
  }

  allocate();
  const told = startNode(ottla);
  try {
    await printed(told.process.stdout, /logs are being recovered/);
  } finally {
    told.process.kill('SIGTERM');
    assert.equal(await told.exit, 0);
  }
});

const allGreetings = 'by gzip\nby snappy\nby lz4\nby zstd\n';

function greetings(ottla: string, bootstrap: readonly string[]): Promise<string> {
  return outputOf(ottla, ['consume', 'greetings', '--from-beginning', '--max-messages', '4', ...bootstrap]);
}

function startNode(ottla: string) {
  const node = spawn(process.execPath, [ottla, 'start', '--port', '0', '--data', data], { stdio: ['ignore', 'pipe', 'inherit'] });
  return { process: node, exit: new Promise<number | null>((resolve) => void node.once('exit', resolve)) };
}

/** From the line with which a node says that it serves. */
async function addressOf(output: Readable): Promise<string> {
  return (await printed(output, /Kafka on (\S+) /))[1]!;
}

/** Waits for what the pattern matches. */
async function printed(output: Readable, pattern: RegExp): Promise<RegExpExecArray> {
  let text = '';
  for await (const chunk of output.iterator({ destroyOnReturn: false })) {
    text += chunk;
    const match = pattern.exec(text);
    if (match) return match;
  }
  throw new Error(`the node ended without ${pattern}: ${text}`);
}

function outputOf(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [program, ...args], (error, stdout, stderr) =>
      error ? reject(new Error(stderr)) : resolve(stdout),
    );
  });
}
