/**
 * Writes the codecs: every `schemas/X/y.schema` becomes `src/X/y.ts`, and each folder gets its index.
 * `npm run generate` writes them; `generatedFiles()` only says what would be written.
 */
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { emitFile } from './schema/emit-file.ts';
import { emitIndexes } from './schema/emit-indexes.ts';
import { packageRoot, readSchemas } from './schema/files.ts';

/** Contents by path relative to `src/`. */
export function generatedFiles(): Map<string, string> {
  const schemas = readSchemas();
  const files = new Map<string, string>();
  for (const { path, declarations } of schemas) {
    files.set(`${path}.ts`, emitFile(declarations, `schemas/${path}.schema`, path.split('/').length - 1));
  }
  for (const [path, text] of emitIndexes(schemas)) files.set(path, text);
  return files;
}

/** Files that are in the generated folders now. */
export function presentFiles(): string[] {
  return globSync(['messages/**/*.ts', 'records-of/**/*.ts'], { cwd: join(packageRoot, 'src') })
    .map((file) => file.replaceAll('\\', '/'))
    .sort();
}

if (import.meta.main) {
  const files = generatedFiles();
  let written = 0;
  for (const path of presentFiles()) {
    if (!files.has(path)) rmSync(join(packageRoot, 'src', path));
  }
  for (const [path, text] of files) {
    const file = join(packageRoot, 'src', path);
    mkdirSync(dirname(file), { recursive: true });
    if (!isWritten(file, text)) {
      writeFileSync(file, text);
      written++;
    }
  }
  console.log(`${files.size} files, ${written} of them changed`);
}

function isWritten(file: string, text: string): boolean {
  try {
    return readFileSync(file, 'utf8') === text;
  } catch {
    return false;
  }
}
