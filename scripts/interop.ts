/**
 * Runs the interop tests: `npm run interop [-- test/interop/kcat.test.ts ...]`, with `INTEROP_TARGETS=ottla,kafka` to choose
 * against whom. Installs first what they need (test/interop/install.ts), and stops in the end what a crashed test left running.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { pidsDirectory } from '../test/interop/home.ts';
import { installInterop } from '../test/interop/install.ts';

const asked = process.argv.slice(2);
const options = asked.filter((argument) => argument.startsWith('--'));
const named = asked.filter((argument) => !argument.startsWith('--'));
const files = named.length > 0 ? named : globSync('test/interop/*.test.ts').sort();

stopLeftovers();
await installInterop();
const run = spawnSync(process.execPath, ['--test', '--test-concurrency=2', '--test-timeout=240000', ...options, ...files], {
  stdio: 'inherit',
});
stopLeftovers();
process.exit(run.status ?? 1);

function stopLeftovers(): void {
  if (!existsSync(pidsDirectory)) return;
  for (const pid of readdirSync(pidsDirectory)) {
    const note = join(pidsDirectory, pid);
    if (isStill(pid, readFileSync(note, 'utf8'))) process.kill(Number(pid), 'SIGKILL');
    rmSync(note, { force: true });
  }
}

/** Whether the process of that id is the one that was noted, and not a later one that was given the same id. */
function isStill(pid: string, noted: string): boolean {
  const shown = spawnSync('ps', ['-ww', '-o', 'args=', '-p', pid], { encoding: 'utf8' }).stdout ?? '';
  return shown.trim() !== '' && shown.includes(noted.slice(noted.indexOf(' ') + 1));
}
