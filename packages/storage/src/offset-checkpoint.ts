/** One offset per partition of a log directory: lines `topic partition offset`. */
import type { Files } from '@ottla/runtime';
import { checkpointNumber, readCheckpoint, writeCheckpoint } from './checkpoint-file.ts';
import { partitionDirectoryName } from './partition-directory.ts';

export const offsetCheckpointNames = {
  /** Everything below is flushed. */
  recoveryPoint: 'recovery-point-offset-checkpoint',
  /** High watermarks. */
  replication: 'replication-offset-checkpoint',
  /** Log start offsets that lie inside a segment. */
  logStart: 'log-start-offset-checkpoint',
  /** First dirty offsets of compacted partitions. */
  cleaner: 'cleaner-offset-checkpoint',
} as const;

export type CheckpointedOffset = { readonly topic: string; readonly partition: number; readonly offset: number };

/** Offsets by partition directory name (`topic-partition`). Throws CorruptFileError. */
export function readOffsetCheckpoint(files: Files, path: string): Map<string, number> {
  const offsets = new Map<string, number>();
  for (const [topic, partition, offset] of readCheckpoint(files, path, 3)) {
    offsets.set(partitionDirectoryName(topic!, checkpointNumber(path, partition!)), checkpointNumber(path, offset!));
  }
  return offsets;
}

export function writeOffsetCheckpoint(files: Files, path: string, offsets: readonly CheckpointedOffset[]): void {
  const entries = offsets.map(({ topic, partition, offset }) => [topic, partition, offset]);
  writeCheckpoint(files, path, entries);
}
