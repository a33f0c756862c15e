/**
 * `partition.metadata`, which ties a directory to a topic id:
 *
 *   version: 0
 *   topic_id: <22 characters of base64url>
 */
import { isUuid, type Uuid, ZERO_UUID } from '@ottla/protocol';
import type { Files } from '@ottla/runtime';
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

export function writePartitionMetadata(files: Files, directory: string, { topicId }: { topicId: Uuid }): void {
  files.writeFileDurably(`${directory}/${partitionMetadataName}`, `version: 0\ntopic_id: ${topicId}`);
}
