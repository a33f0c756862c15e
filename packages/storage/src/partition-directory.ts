/**
 * Names of the directories below a log directory:
 *
 *   <topic>-<partition>                     a replica; the partition follows the last `-`
 *   <topic>-<partition>.<32 hex>-delete     waits for its removal
 *   <topic>-<partition>.<32 hex>-future     a copy on its way to this log directory
 *   <topic>-<partition>.<32 hex>-stray      found at start, and not this node's to have
 */
import type { Random } from '@ottla/runtime';

export type DirectoryFate = 'delete' | 'future' | 'stray';

export type PartitionDirectoryName = {
  readonly topic: string;
  readonly partition: number;
  /** Absent for a replica in use. */
  readonly fate?: DirectoryFate;
};

const maxNameLength = 255;

export function partitionDirectoryName(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}

/** The topic part is cut so that file systems take the name. */
export function fatedDirectoryName(topic: string, partition: number, fate: DirectoryFate, random: Random): string {
  const unique = Array.from(random.bytes(16), (byte) => byte.toString(16).padStart(2, '0')).join('');
  const suffix = `-${partition}.${unique}-${fate}`;
  return topic.slice(0, maxNameLength - suffix.length) + suffix;
}

/** Undefined for what is no partition's directory. */
export function parsePartitionDirectoryName(name: string): PartitionDirectoryName | undefined {
  const fated = /^(.+)-(\d+)\.[0-9a-f]{32}-(delete|future|stray)$/.exec(name);
  if (fated) return { topic: fated[1]!, partition: Number(fated[2]), fate: fated[3] as DirectoryFate };
  const plain = /^([a-zA-Z0-9._-]+)-(\d{1,10})$/.exec(name);
  if (!plain) return undefined;
  const partition = Number(plain[2]);
  return partition <= 0x7fff_ffff && plain[2] === String(partition) ? { topic: plain[1]!, partition } : undefined;
}
