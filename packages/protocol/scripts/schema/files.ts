/** The schema files, where they lie and what is made of them: `schemas/X/y.schema` becomes `src/X/y.ts`. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Declaration } from './model.ts';
import { parseSchema } from './parse.ts';

export const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '../..');

export interface SchemaFile {
  /** Relative to `schemas/`, without its extension: `messages/produce`. */
  readonly path: string;
  readonly declarations: readonly Declaration[];
}

export function readSchemas(): SchemaFile[] {
  const root = join(packageRoot, 'schemas');
  return globSync('**/*.schema', { cwd: root })
    .map((file) => file.replaceAll('\\', '/'))
    .sort()
    .map((file) => ({
      path: file.replace(/\.schema$/, ''),
      declarations: parseSchema(readFileSync(join(root, file), 'utf8'), `schemas/${file}`),
    }));
}
