// ── one partition's log ──
export type { ActiveProducer } from './active-producers.ts';
export type { AppendOrigin } from './append-origin.ts';
export type { AppendOptions } from './append-plan.ts';
// ── the log directories of a node ──
export {
  type CleanShutdown,
  cleanShutdownName,
  readCleanShutdown,
  removeCleanShutdown,
  writeCleanShutdown,
} from './clean-shutdown.ts';
export { CorruptFileError } from './corrupt-file-error.ts';
export { type DecompressionBudget, decompressionBudget } from './decompression-budget.ts';
export type { DirectoryFailure } from './disk-errors.ts';
export { type DiskFault, diskFaultOf } from './disk-fault.ts';
export { copyStep, dropWhatParted, isAhead } from './future-log.ts';
export type { EpochEndOffset, EpochEntry } from './leader-epoch-cache.ts';
export { Log, type SegmentInfo } from './log.ts';
export type { AppendResult } from './log-appender.ts';
export { defaultLogCleanerConfig, LogCleaner, type LogCleanerConfig, type LogCleanerOptions } from './log-cleaner.ts';
export { defaultLogConfig, type LogConfig } from './log-config.ts';
export { type DirectoryLock, directoryLockName, LogDirectoryError, lockDirectory } from './log-directory.ts';
export { type CreateOptions, type DirectoryDescription, LogManager, type LogManagerOptions } from './log-manager.ts';
export type { LogOptions } from './log-opening.ts';
export type { LogRead, ReadRequest, TimestampAndOffset } from './log-reader.ts';
export { defaultLogManagerIntervals, type LogManagerIntervals } from './log-tasks.ts';
export { type RecordError, RecordValidationError } from './log-validator.ts';
export { type MetaProperties, metaPropertiesName, readMetaProperties, writeMetaProperties } from './meta-properties.ts';
export {
  type CheckpointedOffset,
  offsetCheckpointNames,
  readOffsetCheckpoint,
  writeOffsetCheckpoint,
} from './offset-checkpoint.ts';
export { type PartitionDirectoryName, parsePartitionDirectoryName, partitionDirectoryName } from './partition-directory.ts';
export { partitionMetadataName, readPartitionMetadata, writePartitionMetadata } from './partition-metadata.ts';
export { ReadBuffers, type Release } from './read-buffers.ts';
export { TailCache } from './tail-cache.ts';
export type { AbortedTransaction } from './transaction-index.ts';
export { NO_GUARD, type VerificationGuard, type VerificationRequest } from './transaction-verifications.ts';
export { UnexpectedOffsetError } from './unexpected-offset-error.ts';
