/**
 * Snapshots of the metadata log, beside its segments:
 *
 *   <20-digit end offset>-<10-digit epoch>.checkpoint     the state up to (excluding) the end offset; epoch: of the last record in it
 *   <same>-<random>.checkpoint.part                       being written
 *   <same>.checkpoint.deleted                             waits for its removal
 *
 * 00000000000000000000-0000000000.checkpoint is made by `format` for a dynamic quorum. It holds the first voters and no metadata.
 */
import type { Files, Logger } from '@ottla/runtime';

export type SnapshotId = { readonly endOffset: number; readonly epoch: number };

const snapshotSuffix = '.checkpoint';
export const partSuffix = '.checkpoint.part';
const deletedSuffix = '.checkpoint.deleted';

export const snapshotName = (id: SnapshotId): string => `${snapshotStem(id)}${snapshotSuffix}`;
export const snapshotStem = ({ endOffset, epoch }: SnapshotId): string => `${digits(endOffset, 20)}-${digits(epoch, 10)}`;
export const isBootstrap = ({ endOffset, epoch }: SnapshotId): boolean => endOffset === 0 && epoch === 0;

const digits = (value: number, width: number): string => String(value).padStart(width, '0');

/** Undefined for any other file. */
export function parseSnapshotName(name: string): SnapshotId | undefined {
  const match = /^(\d{20})-(\d{10})\.checkpoint$/.exec(name);
  return match ? { endOffset: Number(match[1]), epoch: Number(match[2]) } : undefined;
}

/** Oldest first, the bootstrap snapshot included. */
export function listSnapshots(files: Files, directory: string): SnapshotId[] {
  return files
    .list(directory)
    .map(parseSnapshotName)
    .filter((id) => id !== undefined)
    .sort((a, b) => a.endOffset - b.endOffset || a.epoch - b.epoch);
}

/** Removes what an earlier process left half done. */
export function removeLeftovers(files: Files, directory: string, logger: Logger): void {
  for (const name of files.list(directory)) {
    if (!name.endsWith(partSuffix) && !name.endsWith(deletedSuffix)) continue;
    logger.info('removing what is left of a snapshot', { name });
    files.remove(`${directory}/${name}`);
  }
}

/** Takes a snapshot out of use. Returns the path of the file, which a reader may still have open; it is to be removed some time later. */
export function retireSnapshot(files: Files, directory: string, id: SnapshotId): string {
  const retired = `${directory}/${snapshotStem(id)}${deletedSuffix}`;
  files.rename(`${directory}/${snapshotName(id)}`, retired);
  return retired;
}
