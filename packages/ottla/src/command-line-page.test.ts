/** Runs the sessions of docs/command-line.md, in order, and compares what they print. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { startKafka } from '@ottla/testing';

const page = readFileSync(join(import.meta.dirname, '../../../docs/command-line.md'), 'utf8');

/** Each command of the page, and the text below it. */
const sessions = [...page.matchAll(/^```console\n([\s\S]*?)^```$/gm)]
  .flatMap(([, block]) => block!.split(/^\$ /m).slice(1))
  .map((session) => {
    const [command, ...lines] = session.split('\n');
    return { command: command!, expected: lines.join('\n') };
  });

test('the sessions of the page are what happens', async () => {
  assert.ok(sessions.length > 20);
  const bin = mkdtempSync(join(tmpdir(), 'ottla-page-'));
  try {
    writeFileSync(
      join(bin, 'ottla'),
      `#!/bin/sh\nexec "${process.execPath}" "${join(import.meta.dirname, '../bin/ottla.js')}" "$@"\n`,
    );
    chmodSync(join(bin, 'ottla'), 0o755);
    await using kafka = await startKafka();
    const env = { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH']}`, OTTLA_BOOTSTRAP: kafka.bootstrapServers };
    for (const { command, expected } of sessions) {
      const printed = await outputOf(command, env);
      const pattern = expected
        .split('…')
        .map((text) => text.replace(/[\^$.*+?()[\]{}|]/g, '\\$&'))
        .join('.+');
      assert.match(printed, new RegExp(`^${pattern}$`), command);
    }
  } finally {
    rmSync(bin, { recursive: true, force: true });
  }
});

/** Both outputs, as a terminal shows them. */
function outputOf(command: string, env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve) => void execFile('sh', ['-c', `${command} 2>&1`], { env }, (_, stdout) => resolve(stdout)));
}
