/** Emits the files that gather generated files: the list of APIs, and the union of each family of records. */
import { posix } from 'node:path';
import { header } from './emit-file.ts';
import type { SchemaFile } from './files.ts';
import type { Declaration } from './model.ts';

/** Generated files by path relative to `src/`. */
export function emitIndexes(files: readonly SchemaFile[]): Map<string, string> {
  const made = new Map<string, string>();
  const inFolder = (folder: string): SchemaFile[] => files.filter(({ path }) => posix.dirname(path) === folder);
  made.set('messages/index.ts', emitApis(inFolder('messages')));
  const families = [...new Set(files.map(({ path }) => posix.dirname(path)))].filter((folder) =>
    folder.startsWith('records-of/'),
  );
  for (const folder of families) {
    const members = inFolder(folder);
    const isCoordinator = members.every(({ declarations }) => declarations[0]!.kind === 'coordinator');
    made.set(`${folder}/index.ts`, isCoordinator ? emitCoordinatorFamily(folder, members) : emitRecordFamily(folder, members));
  }
  made.set('records-of/index.ts', emitRecordsDoor(inFolder('records-of'), families));
  return made;
}

function emitApis(files: readonly SchemaFile[]): string {
  const apis = files
    .flatMap((file) => file.declarations.map((declaration) => ({ file, declaration })))
    .filter(({ declaration }) => declaration.kind === 'api')
    .sort((a, b) => a.declaration.number! - b.declaration.number!);
  const others = files.filter(({ declarations }) => declarations[0]!.kind !== 'api');
  return [
    header('schemas/messages/*.schema').trimEnd(),
    "import type { Api } from '../codec.ts';",
    ...apis.map(({ file, declaration }) => `import { ${declaration.name} } from './${posix.basename(file.path)}.ts';`),
    '',
    ...apis.map(
      ({ file, declaration: { name } }) =>
        `export { ${name}, type ${name}Request, type ${name}Response } from './${posix.basename(file.path)}.ts';`,
    ),
    ...others.map((file) => `export { ${namesOf(file).join(', ')} } from './${posix.basename(file.path)}.ts';`),
    '',
    '/** Every API, by ascending key. */',
    'export const apis: readonly Api[] = [',
    ...apis.map(({ declaration }) => `  ${declaration.name},`),
    '];',
    '',
  ].join('\n');
}

function exportOf(names: readonly string[], from = ''): string {
  const line = `export { ${names.join(', ')} }${from};`;
  return line.length <= 130 ? line : `export {\n${names.map((name) => `  ${name},\n`).join('')}}${from};`;
}

function namesOf(file: SchemaFile): string[] {
  return file.declarations.flatMap((declaration) => declaration.messages.map(({ name }) => name));
}

/** `records-of/group-coordinator` to `GroupRecord`: the union's name. */
function familyName(folder: string): string {
  return posix
    .basename(folder)
    .replace(/-coordinator$/, '')
    .replace(/(^|-)(\w)/g, (_, __, letter: string) => letter.toUpperCase());
}

function byNumber(files: readonly SchemaFile[]): { file: SchemaFile; declaration: Declaration }[] {
  return files
    .flatMap((file) => file.declarations.map((declaration) => ({ file, declaration })))
    .sort((a, b) => a.declaration.number! - b.declaration.number!);
}

function emitRecordFamily(folder: string, files: readonly SchemaFile[]): string {
  const family = familyName(folder);
  const records = byNumber(files);
  const union = (of: (name: string) => string): string[] =>
    records.map(
      ({ declaration: { name } }) => `  | { readonly type: '${name}'; readonly version: number; readonly value: ${of(name)} }`,
    );
  return [
    header(`schemas/${folder}/*.schema`).trimEnd(),
    "import type { Writable } from '../../codec.ts';",
    "import type { RecordTable } from '../../record-frame.ts';",
    ...records.map(({ file, declaration }) => `import { ${declaration.name} } from './${posix.basename(file.path)}.ts';`),
    '',
    exportOf(records.map(({ declaration }) => declaration.name)),
    '',
    `export type ${family}Record =`,
    `${union((name) => name).join('\n')};`,
    '',
    '/** The same, with what is left out written as its default. */',
    `export type Writable${family}Record =`,
    `${union((name) => `Writable<${name}>`).join('\n')};`,
    '',
    '/** By record type. */',
    `export const ${family.charAt(0).toLowerCase()}${family.slice(1)}Records: RecordTable = new Map([`,
    ...records.map(
      ({ declaration: { name, number } }) => `  [${number}, { type: '${name}', recordType: ${number}, codec: ${name} }],`,
    ),
    ']);',
    '',
  ].join('\n');
}

function emitCoordinatorFamily(folder: string, files: readonly SchemaFile[]): string {
  const family = familyName(folder);
  const records = byNumber(files);
  const union = (of: (name: string) => string): string[] =>
    records.map(
      ({ declaration: { name } }) =>
        `  | { readonly type: '${name}'; readonly version: number; readonly key: ${of(`${name}Key`)}; readonly value: ${of(`${name}Value`)} | null }`,
    );
  const names = records.flatMap(({ declaration }) => declaration.messages.map(({ name }) => name));
  return [
    header(`schemas/${folder}/*.schema`).trimEnd(),
    "import type { Writable } from '../../codec.ts';",
    "import type { CoordinatorRecordTable } from '../../record-frame.ts';",
    ...records.map(
      ({ file, declaration: { name } }) => `import { ${name}Key, ${name}Value } from './${posix.basename(file.path)}.ts';`,
    ),
    '',
    exportOf(names),
    '',
    '/** `version` is that of the value, which is null for a tombstone (then the version means nothing). */',
    `export type ${family}Record =`,
    `${union((name) => name).join('\n')};`,
    '',
    '/** The same, with what is left out written as its default. */',
    `export type Writable${family}Record =`,
    `${union((name) => `Writable<${name}>`).join('\n')};`,
    '',
    '/** By record type, which is the version that opens the key. */',
    `export const ${family.charAt(0).toLowerCase()}${family.slice(1)}Records: CoordinatorRecordTable = new Map([`,
    ...records.map(
      ({ declaration: { name, number } }) =>
        `  [${number}, { type: '${name}', recordType: ${number}, key: ${name}Key, value: ${name}Value }],`,
    ),
    ']);',
    '',
  ].join('\n');
}

function emitRecordsDoor(files: readonly SchemaFile[], families: readonly string[]): string {
  return [
    header('schemas/records-of').trimEnd(),
    ...files.map((file) => exportOf(namesOf(file), ` from './${posix.basename(file.path)}.ts'`)),
    ...families.map((folder) => `export * from './${posix.basename(folder)}/index.ts';`),
    '',
  ].join('\n');
}
