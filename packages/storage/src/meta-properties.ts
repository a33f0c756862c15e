/**
 * `meta.properties` at the top of each log directory, in the syntax of Java properties:
 *
 *   #
 *   #Sat Nov 21 10:47:12 UTC 2026
 *   node.id=1
 *   directory.id=AQAAAAAAAAAAAAAAAAAAAQ
 *   version=1
 *   cluster.id=MkU3OEVBNTcwNTJENDM2Qg
 */
import { isUuid, type Uuid } from '@ottla/protocol';
import type { Files } from '@ottla/runtime';
import { CorruptFileError } from './corrupt-file-error.ts';

export const metaPropertiesName = 'meta.properties';

export type MetaProperties = {
  readonly clusterId: string;
  readonly nodeId: number;
  /** Undefined in directories that were formatted before Kafka 3.7. */
  readonly directoryId: Uuid | undefined;
};

/** Undefined when the directory is not formatted. Throws CorruptFileError. */
export function readMetaProperties(files: Files, directory: string): MetaProperties | undefined {
  const path = `${directory}/${metaPropertiesName}`;
  if (!files.stat(path)) return undefined;
  const properties = parseProperties(new TextDecoder().decode(files.readFile(path)));
  const version = properties.get('version');
  if (version === undefined) throw new CorruptFileError(path, 'version is missing');
  if (version !== '1')
    throw new CorruptFileError(path, `version ${version} is not 1; directories of ZooKeeper times cannot be used`);
  const clusterId = properties.get('cluster.id');
  if (!clusterId) throw new CorruptFileError(path, 'cluster.id is missing');
  const nodeId = properties.get('node.id') ?? '';
  if (!/^\d+$/.test(nodeId)) throw new CorruptFileError(path, `node.id "${nodeId}" is no node id`);
  const directoryId = properties.get('directory.id');
  if (directoryId !== undefined && !isUuid(directoryId))
    throw new CorruptFileError(path, `directory.id "${directoryId}" is no uuid`);
  return { clusterId, nodeId: Number(nodeId), directoryId: directoryId as Uuid | undefined };
}

export function writeMetaProperties(files: Files, directory: string, meta: MetaProperties, nowMs: number): void {
  const lines = ['#', `#${javaDate(nowMs)}`, `node.id=${meta.nodeId}`];
  if (meta.directoryId !== undefined) lines.push(`directory.id=${escapeValue(meta.directoryId)}`);
  lines.push('version=1', `cluster.id=${escapeValue(meta.clusterId)}`);
  files.writeFileDurably(`${directory}/${metaPropertiesName}`, `${lines.join('\n')}\n`);
}

/** The subset that such files use: comments, `key=value` or `key:value`, backslash escapes. */
function parseProperties(text: string): Map<string, string> {
  const properties = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*([^#!\s=:][^\s=:]*)\s*[=:\s]\s*(.*)$/.exec(line);
    if (match) properties.set(match[1]!, match[2]!.replaceAll(/\\(.)/g, '$1'));
  }
  return properties;
}

function escapeValue(value: string): string {
  return value.replaceAll(/[\\=:#!]/g, (character) => `\\${character}`);
}

/** As Java's Date prints itself. */
function javaDate(nowMs: number): string {
  const [weekday, day, month, year, time] = new Date(nowMs).toUTCString().replace(',', '').split(' ');
  return `${weekday} ${month} ${day} ${time} UTC ${year}`;
}
