import { type BrokerConfig, isReservedDirectory, logDirectories, metadataLogDirectory } from '@ottla/metadata';
import { type Uuid, uuidFromBytes } from '@ottla/protocol';
import type { Files, Random } from '@ottla/runtime';
import { type MetaProperties, readMetaProperties } from '@ottla/storage';

/** A fresh id as Kafka makes them: a random uuid that is not reserved and does not look like an option on a command line. */
export function randomUuid(random: Random): Uuid {
  for (;;) {
    const bytes = Uint8Array.from(random.bytes(16));
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const uuid = uuidFromBytes(bytes);
    if (!uuid.startsWith('-') && !isReservedDirectory(uuid)) return uuid;
  }
}

/** log.dirs and metadata.log.dir, each once, by name. */
export const allDirectories = (config: BrokerConfig): string[] =>
  [...new Set([...logDirectories(config), metadataLogDirectory(config)])].sort();

/** Whether each directory has a meta.properties. */
export const isFormatted = (files: Files, directories: readonly string[]): boolean =>
  directories.every((directory) => readMetaProperties(files, directory) !== undefined);

export type StorageInfo = { readonly lines: readonly string[]; readonly hasProblems: boolean };

/** What `storage info` says about the directories. */
export function storageInfo(files: Files, config: BrokerConfig): StorageInfo {
  const found: string[] = [];
  const problems: string[] = [];
  let metadata: string | undefined;
  let first: string | undefined;
  for (const directory of allDirectories(config)) {
    const stat = files.stat(directory);
    if (!stat) {
      problems.push(`${directory} does not exist`);
      continue;
    }
    if (!stat.isDirectory) {
      problems.push(`${directory} is not a directory`);
      continue;
    }
    found.push(directory);
    const meta = readMetaProperties(files, directory);
    if (!meta) {
      problems.push(`${directory} is not formatted.`);
      continue;
    }
    const common = `${meta.clusterId} ${meta.nodeId}`;
    metadata ??= describe(meta);
    first ??= common;
    if (common !== first)
      problems.push(
        `Metadata for ${directory}/meta.properties was ${describe(meta)}, but other directories featured ${metadata}`,
      );
  }
  const lines = [
    ...section('Found log director', found),
    ...(metadata ? [`Found metadata: ${metadata}`, ''] : []),
    ...section('Found problem', problems),
  ];
  return { lines, hasProblems: problems.length > 0 };
}

function section(title: string, entries: readonly string[]): string[] {
  if (entries.length === 0) return [];
  const plural = title.endsWith('director') ? (entries.length === 1 ? 'y' : 'ies') : entries.length === 1 ? '' : 's';
  return [`${title}${plural}:`, ...entries.map((entry) => `  ${entry}`), ''];
}

function describe({ clusterId, nodeId, directoryId }: MetaProperties): string {
  const directory = directoryId === undefined ? '' : `directory.id=${directoryId}, `;
  return `{cluster.id=${clusterId}, ${directory}node.id=${nodeId}, version=1}`;
}
