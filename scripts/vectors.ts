/**
 * `npm run vectors [-- DIR]`: checks that what Apache Kafka made of known inputs is what we make of them: bytes, hashes, logins,
 * assignments. DIR holds other files of the same form; without it the files in the packages that own the code.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { family as clientAssignors } from '../packages/client/scripts/assignor-vectors.ts';
import { family as serverAssignors } from '../packages/coordinator/scripts/assignor-vectors.ts';
import { family as streamsTopologies } from '../packages/coordinator/scripts/streams-topology-vectors.ts';
import { family as taskAssignor } from '../packages/coordinator/scripts/task-assignor-vectors.ts';
import { families as protocol } from '../packages/protocol/scripts/vectors/families.ts';
import { runVectors } from '../packages/protocol/scripts/vectors/run.ts';

const SHOWN_PROBLEMS = 5;

const root = resolve(import.meta.dirname, '..');
const folders =
  process.argv[2] === undefined
    ? ['protocol', 'client', 'coordinator'].map((name) => resolve(root, 'packages', name, 'vectors'))
    : [resolve(process.env['INIT_CWD'] ?? '.', process.argv[2])];
for (const folder of folders) {
  if (existsSync(folder)) continue;
  console.error(`no such folder: ${folder}`);
  process.exit(2);
}

let total = 0;
let identical = 0;
let unchecked = 0;
for (const folder of folders) {
  const { outcomes, unknown } = runVectors(folder, [
    ...protocol,
    clientAssignors,
    serverAssignors,
    streamsTopologies,
    taskAssignor,
  ]);
  for (const { name, count, problems } of outcomes) {
    console.log(`${name.padEnd(22)}${count - problems.length} of ${count} identical`);
    for (const problem of problems.slice(0, SHOWN_PROBLEMS)) console.log(`  ${problem.slice(0, 500)}`);
    if (problems.length > SHOWN_PROBLEMS) console.log(`  and ${problems.length - SHOWN_PROBLEMS} more`);
    total += count;
    identical += count - problems.length;
  }
  for (const file of unknown) console.log(`${file}: not checked, nothing here knows this family`);
  unchecked += unknown.length;
}
console.log(`total: ${identical} of ${total} identical${unchecked > 0 ? `, ${unchecked} files not checked` : ''}`);
process.exitCode = identical === total && total > 0 && unchecked === 0 ? 0 : 1;
