/**
 * Runs the interop tests: `npm run interop [-- test/interop/kcat.test.ts ...]`, with `INTEROP_TARGETS=ottla,kafka` to choose
 * against whom. Installs first what they need (test/interop/install.ts), and stops in the end what a crashed test left running.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import process from 'node:process';
import { installInterop } from '../test/interop/install.ts';
import { stopLeftovers } from '../test/interop/processes.ts';

const asked = process.argv.slice(2);
const options = asked.filter((argument) => argument.startsWith('--'));
const named = asked.filter((argument) => !argument.startsWith('--'));
const files = named.length > 0 ? named : globSync('test/interop/*.test.ts').sort();

stopLeftovers();
await installInterop();
const run = spawnSync(process.execPath, ['--test', '--test-concurrency=2', '--test-timeout=600000', ...options, ...files], {
  stdio: 'inherit',
});
stopLeftovers();
process.exit(run.status ?? 1);
