import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { installCommand } from '../../scripts/bundle.ts';
import { interopHome } from './home.ts';

const home = join(interopHome, 'ottla');

/**
 * The command as it is published, made of these sources: it starts in a third of the processor time, and hundreds of starts are half
 * of what Ottla's side of the tests takes. In a directory of its content, as another run may be using the one before.
 */
export async function bundledCommand(): Promise<string> {
  mkdirSync(home, { recursive: true });
  const fresh = join(home, `fresh-${process.pid}`);
  rmSync(fresh, { recursive: true, force: true });
  await installCommand(fresh);
  const hash = createHash('sha256');
  for (const name of readdirSync(join(fresh, 'command')).sort())
    hash.update(name).update(readFileSync(join(fresh, 'command', name)));
  const directory = join(home, hash.digest('hex').slice(0, 16));
  if (existsSync(directory)) rmSync(fresh, { recursive: true });
  else renameSync(fresh, directory);
  return join(directory, 'bin/ottla.js');
}
