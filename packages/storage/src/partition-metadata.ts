/**
 * `partition.metadata`, which ties a directory to a topic id:
 *
 *   version: 0
 *   topic_id: <22 characters of base64url>
 */
import { isUuid, type Uuid, ZERO_UUID } from '@ottla/protocol';
import type { File, Files } from '@ottla/runtime';
import { CorruptFileError } from './corrupt-file-error.ts';

export const partitionMetadataName = 'partition.metadata';

/** Undefined when the directory has no such file, or an empty one. Throws CorruptFileError. */
export function readPartitionMetadata(files: Files, directory: string): { topicId: Uuid } | undefined {
  const path = `${directory}/${partitionMetadataName}`;
  if (!files.stat(path)) return undefined;
  const text = new TextDecoder().decode(files.readFile(path)).trim();
  if (text === '') return undefined;
  const match = /^version: 0\s+topic_id: (\S+)$/.exec(text);
  if (!match || !isUuid(match[1]!) || match[1] === ZERO_UUID)
    throw new CorruptFileError(path, 'it does not hold a version 0 and a topic id');
  return { topicId: match[1] as Uuid };
}

/** Durable after `syncPartitionMetadata`: a topic's creation does not wait for the disk once for each of its partitions. */
export function writePartitionMetadata(files: Files, directory: string, { topicId }: { topicId: Uuid }): void {
  const file = files.open(`${directory}/${partitionMetadataName}`, 'truncate');
  try {
    file.write(Buffer.from(`version: 0\ntopic_id: ${topicId}`), 0);
  } finally {
    file.close();
  }
}

/** The directory's own sync is the caller's. */
export function syncPartitionMetadata(files: Files, directory: string): void {
  const file = openExisting(files, directory);
  try {
    file?.sync();
  } finally {
    file?.close();
  }
}

/** The same without holding up the event loop. */
export async function syncPartitionMetadataLater(files: Files, directory: string): Promise<void> {
  const file = openExisting(files, directory);
  try {
    await file?.syncLater();
  } finally {
    file?.close();
  }
}

function openExisting(files: Files, directory: string): File | undefined {
  const path = `${directory}/${partitionMetadataName}`;
  return files.stat(path) && files.open(path, 'update');
}
