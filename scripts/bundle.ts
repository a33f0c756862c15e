/**
 * The `ottla` command as it is published: a file for each package instead of hundreds, because loading modules one by one is most of a cold
 * start from the sources.
 */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { rolldown } from 'rolldown';

const root = dirname(import.meta.dirname);
const frontDoor = join(root, 'packages/ottla');

/** Writes `bin/ottla.js` and, under `command/`, all that it loads; the libraries of npm stay outside. The directory needs the package.json. */
export async function bundleCommand(directory: string): Promise<void> {
  const bundle = await rolldown({
    input: join(frontDoor, 'src/main.ts'),
    platform: 'node',
    external: (id) => !id.startsWith('.') && !id.startsWith('@ottla/') && !id.startsWith(root),
    // No module works when it is imported, so what nobody uses of one is left out.
    treeshake: { moduleSideEffects: false },
    preserveEntrySignatures: false,
  });
  await bundle.write({
    dir: join(directory, 'command'),
    format: 'esm',
    chunkFileNames: '[name].js',
    codeSplitting: {
      groups: [{ debugName: 'packages', name: packageOf, test: (id) => packageOf(id) !== 'ottla' }],
      includeDependenciesRecursively: false,
    },
  });
  await bundle.close();
  mkdirSync(join(directory, 'bin'), { recursive: true });
  const command = join(directory, 'bin/ottla.js');
  writeFileSync(command, readFileSync(join(frontDoor, 'bin/ottla.js'), 'utf8').replace('../src/main.ts', '../command/main.js'));
  chmodSync(command, 0o755);
}

/** Lays the command out as an installation would, with the clone's libraries; returns the path of `bin/ottla.js`. */
export async function installCommand(directory: string): Promise<string> {
  await bundleCommand(directory);
  copyFileSync(join(frontDoor, 'package.json'), join(directory, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'), 'junction');
  return join(directory, 'bin/ottla.js');
}

/** `broker` for everything in packages/broker. */
function packageOf(id: string): string {
  return relative(join(root, 'packages'), id).split(sep)[0]!;
}
