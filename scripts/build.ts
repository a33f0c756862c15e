/**
 * `npm run build`: JavaScript and declarations of every package, ready to publish, under `dist/<package>`. In a clone `exports` point at the
 * sources, which Node.js runs as they are; here they point at what was emitted.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';

type PackageJson = { name: string; version: string; bin?: Record<string, string>; [key: string]: unknown };

const root = dirname(import.meta.dirname);
const output = join(root, 'dist');
rmSync(output, { recursive: true, force: true });

for (const file of globSync('packages/*/package.json', { cwd: root }).sort()) {
  const source = join(root, dirname(file));
  const target = join(output, basename(source));
  emit(source, join(target, 'src'));
  const manifest = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as PackageJson;
  writeFileSync(join(target, 'package.json'), `${JSON.stringify(published(manifest), undefined, 2)}\n`);
  for (const [, path] of Object.entries(manifest.bin ?? {})) copyCommand(join(source, path), join(target, path));
  for (const name of ['README.md']) if (existsSync(join(source, name))) copyFileSync(join(source, name), join(target, name));
  copyFileSync(join(root, 'LICENSE'), join(target, 'LICENSE'));
  console.log(`${manifest.name} ${manifest.version}  dist/${basename(source)}`);
}

function emit(source: string, outDir: string): void {
  const config = join(source, 'tsconfig.build.json');
  const settings = {
    extends: '../../tsconfig.json',
    compilerOptions: { noEmit: false, declaration: true, rootDir: 'src', outDir },
    include: ['src/**/*.ts'],
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
  return manifest;
}

/** The command in the clone imports the TypeScript source; published, its neighbour is JavaScript. */
function copyCommand(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  writeFileSync(to, readFileSync(from, 'utf8').replaceAll('../src/main.ts', '../src/main.js'), { mode: 0o755 });
}
