/**
 * `bootstrap.checkpoint` at the top of each log directory: the records that the first controller of the cluster writes. The container is a
 * snapshot's (quorum/snapshot-content.ts), without KRaft control records.
 */
import type { MetadataRecord } from '@ottla/protocol';
import type { Files } from '@ottla/runtime';
import { readSnapshotContent, snapshotBatches } from '../quorum/snapshot-content.ts';
import { asCorruptFile } from '../quorum/snapshot-reader.ts';

export const bootstrapCheckpointName = 'bootstrap.checkpoint';

/** Undefined when the directory has none: it was formatted before Kafka 3.3, or not at all. Throws CorruptFileError. */
export function readBootstrapCheckpoint(files: Files, directory: string): readonly MetadataRecord[] | undefined {
  const path = `${directory}/${bootstrapCheckpointName}`;
  try {
    return files.stat(path) && readSnapshotContent(files.readFile(path)).records;
  } catch (error) {
    throw asCorruptFile(error, path, 'bring back a whole one; where the cluster has served already, remove it');
  }
}

/** Durable when it returns. */
export function writeBootstrapCheckpoint(
  files: Files,
  directory: string,
  records: readonly MetadataRecord[],
  nowMs: number,
): void {
  const batches = [...snapshotBatches(records, { lastContainedLogTimestampMs: 0, epoch: 0, nowMs })];
  files.writeFileDurably(`${directory}/${bootstrapCheckpointName}`, Buffer.concat(batches));
}
