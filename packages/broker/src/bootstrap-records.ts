import { defaultFeatureLevels, featureLevelRecord } from '@ottla/metadata';
import type { MetadataRecord } from '@ottla/protocol';
import type { Files } from '@ottla/runtime';
import { readSnapshotContent } from './quorum/snapshot-content.ts';

const bootstrapName = 'bootstrap.checkpoint';

/** What `format` prepared for the first controller of an empty metadata log: feature levels, SCRAM users. Without the file, this release's defaults. */
export function readBootstrapRecords(files: Files, directory: string): readonly MetadataRecord[] {
  const path = `${directory}/${bootstrapName}`;
  if (!files.stat(path)) return [...defaultFeatureLevels()].map(([name, level]) => featureLevelRecord(name, level));
  return readSnapshotContent(files.readFile(path)).records;
}
