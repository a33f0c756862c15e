export type { CommittedBatch, LoadedSnapshot, MetadataListener } from './metadata-listener.ts';
export { defaultMetadataLogConfig, type MetadataLogConfig, metadataLogConfig } from './metadata-log-config.ts';
export {
  type AppendedRecords,
  MetadataQuorum,
  type MetadataQuorumOptions,
  metadataTopic,
  metadataTopicId,
} from './metadata-quorum.ts';
export type { SnapshotId } from './snapshot-files.ts';
