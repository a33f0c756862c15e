import type { BrokerConfig } from '@ottla/metadata';
import { defaultLogConfig, type LogConfig } from '@ottla/storage';

/** What the metadata log takes from server.properties. */
export type MetadataLogConfig = {
  readonly segmentBytes: number;
  readonly segmentMs: number;
  /** An operation's records go into one batch, which must not be larger. */
  readonly maxBatchBytes: number;
  /** Those that need not be atomic go into several, of at most so many, as in Kafka: what waits behind one does not wait for all. */
  readonly maxDividedRecords: number;
  /** Write a snapshot after so many committed bytes. */
  readonly snapshotBytes: number;
  /** Or when the last is so old; 0: never for its age. */
  readonly snapshotIntervalMs: number;
  /** Of log and snapshots together; -1: without limit. */
  readonly retentionBytes: number;
  readonly retentionMs: number;
  /** How long a removed file stays under another name. */
  readonly deleteDelayMs: number;
};

export const defaultMetadataLogConfig: MetadataLogConfig = {
  segmentBytes: 1024 * 1024 * 1024,
  segmentMs: 7 * 24 * 60 * 60 * 1000,
  maxBatchBytes: 8 * 1024 * 1024,
  maxDividedRecords: 10_000,
  snapshotBytes: 20 * 1024 * 1024,
  snapshotIntervalMs: 60 * 60 * 1000,
  retentionBytes: 100 * 1024 * 1024,
  retentionMs: 7 * 24 * 60 * 60 * 1000,
  deleteDelayMs: 60_000,
};

export function metadataLogConfig(config: BrokerConfig): MetadataLogConfig {
  return {
    segmentBytes: config['internal.metadata.log.segment.bytes'] ?? config['metadata.log.segment.bytes'],
    segmentMs: config['metadata.log.segment.ms'],
    maxBatchBytes: config['internal.metadata.max.batch.size.in.bytes'],
    maxDividedRecords: defaultMetadataLogConfig.maxDividedRecords,
    snapshotBytes: config['metadata.log.max.record.bytes.between.snapshots'],
    snapshotIntervalMs: config['metadata.log.max.snapshot.interval.ms'],
    retentionBytes: config['metadata.max.retention.bytes'],
    retentionMs: config['metadata.max.retention.ms'],
    deleteDelayMs: config['internal.metadata.delete.delay.millis'],
  };
}

/** The log as `@ottla/storage` sees it. Retention is the quorum's: only it knows what the snapshots hold. */
export const asLogConfig = (config: MetadataLogConfig): LogConfig => ({
  ...defaultLogConfig,
  segmentBytes: config.segmentBytes,
  segmentMs: config.segmentMs,
  maxMessageBytes: config.maxBatchBytes,
  retentionBytes: -1,
  retentionMs: -1,
  fileDeleteDelayMs: config.deleteDelayMs,
});
