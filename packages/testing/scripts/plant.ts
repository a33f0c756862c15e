/** Puts a planted bug into the sources of this process: to be called before they are imported. */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Plant, plantNamed } from '../src/simulation/plants.ts';

const root = join(import.meta.dirname, '../../..');

/** The sources that the plant changes, by path. Throws when one is not as the plant expects it: then it would be no bug, or another one. */
export function plantedSources({ name, edits }: Plant): Map<string, string> {
  const sources = new Map<string, string>();
  for (const { file, find, replace } of edits) {
    const source = sources.get(file) ?? readFileSync(join(root, file), 'utf8');
    const places = source.split(find).length - 1;
    if (places !== 1)
      throw new Error(`the plant ${name} looks for a text that stands ${places} times in ${file}: adapt it in plants.ts`);
    sources.set(
      file,
      source.replace(find, () => replace),
    );
  }
  return sources;
}

/** Throws for a name that is none. */
export function installPlant(name: string): void {
  const planted = new Map(
    [...plantedSources(plantNamed(name))].map(([file, source]) => [pathToFileURL(join(root, file)).href, source]),
  );
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const source = planted.get(url);
      return source === undefined ? loaded : { ...loaded, source };
    },
  });
}
