/**
 * Runs the test files that are named, or all of them: `npm test [-- packages/storage]`.
 * Interop tests need Java, kcat or Python and have their own command: `npm run interop`.
 */
import { spawnSync } from 'node:child_process';
import { globSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

const asked = process.argv.slice(2);
const options = asked.filter((argument) => argument.startsWith('--'));
const places = asked.filter((argument) => !argument.startsWith('--'));
const patterns = (places.length > 0 ? places : ['packages', 'test', 'bench']).map((place) =>
  statSync(place, { throwIfNoEntry: false })?.isDirectory() ? `${place}/**/*.test.ts` : place,
);
const files = globSync(patterns, {
  exclude: (name) => name.includes('node_modules') || (places.length === 0 && name.includes('interop')),
}).sort();
if (files.length === 0) {
  console.error(`no test files under ${patterns.join(', ')}`);
  process.exit(1);
}
// What it prints by itself, and what failed once more at the very end.
const reporters = ['spec', new URL('failures.ts', import.meta.url).href].flatMap((reporter) => [
  `--test-reporter=${reporter}`,
  '--test-reporter-destination=stdout',
]);
const run = spawnSync(
  process.execPath,
  [
    '--import',
    new URL('../test/property-seed.ts', import.meta.url).href,
    '--test',
    '--test-concurrency=2',
    '--test-timeout=120000',
    ...(options.some((option) => option.startsWith('--test-reporter')) ? [] : reporters),
    ...options,
    ...files,
  ],
  {
    stdio: 'inherit',
    // Each file is a process of its own: what one has compiled, hundreds need not compile again.
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'), ...process.env },
  },
);
process.exit(run.status ?? 1);
