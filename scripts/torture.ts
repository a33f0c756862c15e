/** `npm run torture NAME [-- options]`: runs test/torture/NAME.ts. Without a name, lists what there is. */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import process from 'node:process';

const directory = join(import.meta.dirname, '../test/torture');
const [name, ...options] = process.argv.slice(2);
const program = join(directory, `${name}.ts`);
if (name === undefined || !existsSync(program)) {
  const programs = globSync(join(directory, '*.ts')).filter((file) => readFileSync(file, 'utf8').includes('npm run torture'));
  console.error(`npm run torture NAME, where NAME is one of: ${programs.map((file) => basename(file, '.ts')).join(', ')}`);
  process.exit(1);
}
process.exit(
  spawnSync(process.execPath, [program, ...options.filter((option) => option !== '--')], { stdio: 'inherit' }).status ?? 1,
);
