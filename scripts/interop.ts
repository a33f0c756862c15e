/**
 * Runs the interop tests: `npm run interop [-- test/interop/kcat.test.ts ...]`, with `INTEROP_TARGETS=ottla,kafka` to choose
 * against whom, and `--test-name-pattern=...` for the tests of that name. Installs first what they need
 * (test/interop/install.ts), and stops in the end what a crashed test left running.
 */
import { globSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import process from 'node:process';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { bundledCommand } from '../test/interop/bundled-command.ts';
import { installInterop } from '../test/interop/install.ts';
import { stopLeftovers } from '../test/interop/processes.ts';
import { Failures } from './failures.ts';

/** They wait for one another's processes more than they compute, so more of them are at work than there are cores to expect. */
const filesAtOnce = 3;

/** Those of minutes, the longest first: started last, one of them would be at work alone in the end. */
const longest = [
  'mixed',
  'cluster-damage',
  'cluster-tools',
  'cluster-faults',
  'cluster-answers',
  'java-tools',
  'transactions',
  'exactly-once',
  'interchange',
  'streams',
  'same-answers',
  'codecs',
  'groups',
  'histories',
  'rebalance',
  'share',
  'restart',
  'handover',
].map((name) => `${name}.test.ts`);

const asked = process.argv.slice(2);
const nameOption = '--test-name-pattern=';
const named = asked.filter((argument) => !argument.startsWith('--'));
const patterns = asked.filter((argument) => argument.startsWith(nameOption)).map((option) => option.slice(nameOption.length));
const unknown = asked.find((argument) => argument.startsWith('--') && !argument.startsWith(nameOption));
if (unknown) throw new Error(`interop: there is no option ${unknown}; name test files, or ${nameOption}PATTERN`);

const place = (file: string) => (longest.includes(basename(file)) ? longest.indexOf(basename(file)) : longest.length);
const files = (named.length > 0 ? named : globSync('test/interop/*.test.ts')).toSorted((a, b) => place(a) - place(b));

// Each file is a process of its own, and starts more: what one has compiled, the others need not compile again.
process.env['NODE_COMPILE_CACHE'] ??= join(tmpdir(), 'node-compile-cache');
stopLeftovers();
process.env['INTEROP_OTTLA'] ??= await bundledCommand();
await installInterop();
const tests = run({
  files,
  concurrency: filesAtOnce,
  timeout: 900_000, // of a file
  ...(patterns.length > 0 ? { testNamePatterns: patterns } : {}),
});
const failures = new Failures();
tests.on('test:start', (test) => failures.started(test));
tests.on('test:fail', (test) => {
  process.exitCode = 1;
  failures.failed(test);
});
const report = tests.compose(spec);
report.pipe(process.stdout, { end: false });
report.once('end', () => {
  process.stdout.write(failures.summary);
  stopLeftovers();
});
