/** Puts a planted bug into the sources of this process: to be called before they are imported. */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { endWith } from '../../../scripts/command-line.ts';
import type { Plant } from '../src/simulation/plants.ts';

const root = join(import.meta.dirname, '../../..');

export type PlantedBug = Pick<Plant, 'name' | 'edits'>;

/** The sources that the plant changes, by path. Throws when one is not as the plant expects it: then it would be no bug, or another one. */
export function plantedSources({ name, edits }: PlantedBug): Map<string, string> {
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

export function installPlant(plant: PlantedBug): void {
  const planted = new Map([...plantedSources(plant)].map(([file, source]) => [pathToFileURL(join(root, file)).href, source]));
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const source = planted.get(url);
      return source === undefined ? loaded : { ...loaded, source };
    },
  });
}

/** Throws for a name that is none. */
export function plantNamed<Bug extends PlantedBug>(name: string, plants: readonly Bug[]): Bug {
  const found = plants.find((plant) => plant.name === name);
  if (!found) throw new Error(`there is no plant ${name}; there are ${plants.map((plant) => plant.name).join(', ')}`);
  return found;
}

/** Those of `name,name`, or all. Ends the process for a name that is none. */
export function chosenPlants<Bug extends PlantedBug>(names: string | undefined, plants: readonly Bug[]): readonly Bug[] {
  try {
    return names?.split(',').map((name) => plantNamed(name, plants)) ?? plants;
  } catch (error) {
    endWith((error as Error).message);
  }
}
