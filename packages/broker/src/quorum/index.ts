export type { CommittedBatch, MetadataListener, SnapshotListener, SnapshotToHear } from './metadata-listener.ts';
export { defaultMetadataLogConfig, type MetadataLogConfig, metadataLogConfig } from './metadata-log-config.ts';
export { MetadataQuorum, type MetadataQuorumOptions, type ReceivedBy } from './metadata-quorum.ts';
export type { AppendedRecords } from './pending-appends.ts';
export { quorumConfig } from './quorum-config.ts';
export { metadataTopic, metadataTopicId } from './quorum-opening.ts';
export type { SnapshotId } from './snapshot-files.ts';
