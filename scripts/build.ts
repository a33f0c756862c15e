/**
 * `npm run build`: JavaScript and declarations of every package, ready to publish, under `dist/<package>`. In a clone `exports` point at the
 * sources, which Node.js runs as they are; here they point at what was emitted. The `ottla` command is bundled.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';
import { bundleCommand } from './bundle.ts';

type PackageJson = {
  name: string;
  version: string;
  bin?: Record<string, string>;
  dependencies?: Record<string, string>;
  [key: string]: unknown;
};

const root = dirname(import.meta.dirname);
const output = join(root, 'dist');
rmSync(output, { recursive: true, force: true });

const sources = globSync('packages/*', { cwd: root })
  .map((path) => join(root, path))
  .sort();
const manifests = new Map(
  sources.map((source) => [source, JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as PackageJson]),
);
for (const [source, manifest] of manifests) {
  const target = join(output, basename(source));
  emit(source, join(target, 'src'), manifest.bin ? ['src/index.ts'] : ['src/**/*.ts']);
  writeFileSync(join(target, 'package.json'), `${JSON.stringify(published(manifest), undefined, 2)}\n`);
  if (manifest.bin) await bundleCommand(target);
  for (const name of ['README.md']) if (existsSync(join(source, name))) copyFileSync(join(source, name), join(target, name));
  copyFileSync(join(root, 'LICENSE'), join(target, 'LICENSE'));
  console.log(`${manifest.name} ${manifest.version}  dist/${basename(source)}`);
}

function emit(source: string, outDir: string, include: readonly string[]): void {
  const config = join(source, 'tsconfig.build.json');
  const settings = {
    extends: '../../tsconfig.json',
    compilerOptions: { noEmit: false, declaration: true, rootDir: 'src', outDir },
    include,
    exclude: ['src/**/*.test.ts', 'src/**/testing/**', 'src/**/testing-*.ts'],
  };
  writeFileSync(config, JSON.stringify(settings));
  try {
    const outcome = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', config], { cwd: root, stdio: 'inherit' });
    if (outcome.status !== 0) process.exit(outcome.status ?? 1);
  } finally {
    rmSync(config);
  }
}

function published({ ...manifest }: PackageJson): PackageJson {
  // A clone brings its own Node.js, so only who installs the packages has to be told.
  manifest['engines'] = { node: '>=22.19' };
  manifest['exports'] = { '.': { types: './src/index.d.ts', default: './src/index.js' } };
  if (manifest.bin) manifest.dependencies = { ...clientOf(manifest), ...libraries() };
  return manifest;
}

/** What `import … from 'ottla'` needs of our packages; the command has all of them in its bundle. */
function clientOf({ dependencies = {} }: PackageJson): Record<string, string> {
  return { '@ottla/client': dependencies['@ottla/client']! };
}

/** What our packages, and so the bundle, take from npm. */
function libraries(): Record<string, string> {
  const all = [...manifests.values()].flatMap(({ dependencies = {} }) => Object.entries(dependencies));
  return Object.fromEntries(all.filter(([name]) => !name.startsWith('@ottla/')).sort());
}
