/**
 * `npm run vectors [-- DIR]`: checks that bytes which Apache Kafka made decode to what it made them of, and that we make
 * the same bytes of it. DIR holds other files of the same form; without it the files in packages/protocol/vectors.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { packageRoot } from './schema/files.ts';
import { runVectors } from './vectors/run.ts';

const SHOWN_PROBLEMS = 5;

const folder =
  process.argv[2] === undefined ? join(packageRoot, 'vectors') : resolve(process.env['INIT_CWD'] ?? '.', process.argv[2]);
if (!existsSync(folder)) {
  console.error(`no such folder: ${folder}`);
  process.exit(2);
}

const { outcomes, unknown } = runVectors(folder);
let total = 0;
let identical = 0;
for (const { name, count, problems } of outcomes) {
  console.log(`${name.padEnd(22)}${count - problems.length} of ${count} identical`);
  for (const problem of problems.slice(0, SHOWN_PROBLEMS)) console.log(`  ${problem.slice(0, 500)}`);
  if (problems.length > SHOWN_PROBLEMS) console.log(`  and ${problems.length - SHOWN_PROBLEMS} more`);
  total += count;
  identical += count - problems.length;
}
for (const file of unknown) console.log(`${file}: not checked, nothing here knows this family yet`);
console.log(`total: ${identical} of ${total} identical`);
process.exitCode = identical === total && total > 0 ? 0 : 1;
