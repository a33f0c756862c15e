import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ProcessExit } from '../index.ts';
import { nodeProcesses } from './processes.ts';

type Ended = { readonly lines: string[]; readonly messages: unknown[]; readonly exit: ProcessExit };

async function run(
  source: string,
  onMessage: (message: unknown, child: ReturnType<typeof nodeProcesses.start>) => void = () => {},
) {
  const directory = mkdtempSync(join(tmpdir(), 'ottla-processes-'));
  const program = join(directory, 'program.mjs');
  writeFileSync(program, source);
  try {
    return await new Promise<Ended>((resolve) => {
      const lines: string[] = [];
      const messages: unknown[] = [];
      const child = nodeProcesses.start({
        program,
        args: ['one', 'two words'],
        onLine: (line) => void lines.push(line),
        onMessage: (message) => {
          messages.push(message);
          onMessage(message, child);
        },
        onExit: (exit) => resolve({ lines, messages, exit }),
      });
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('a process gets its arguments, and its lines, its last half line too, come before its exit', async () => {
  const { lines, exit } = await run(
    'console.log(process.argv.slice(2).join("|")); process.stderr.write("no newline"); process.exitCode = 3;',
  );
  assert.deepEqual(lines, ['one|two words', 'no newline']);
  assert.deepEqual(exit, { code: 3, signal: null });
});

test('parent and child send each other messages, and a signal ends the child', async () => {
  const ended = await run('process.on("message", (m) => process.send({ heard: m })); process.send("up");', (message, child) => {
    if (message === 'up') child.send({ all: 'well' });
    else child.signal('SIGKILL');
  });
  assert.deepEqual(ended.messages, ['up', { heard: { all: 'well' } }]);
  assert.deepEqual(ended.exit, { code: null, signal: 'SIGKILL' });
});
