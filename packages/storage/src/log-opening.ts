import { KafkaError, type Uuid } from '@ottla/protocol';
import type { Runtime } from '@ottla/runtime';
import { CorruptFileError } from './corrupt-file-error.ts';
import { defaultLogConfig, type LogConfig } from './log-config.ts';
import { createLog, type LoadedLog, loadLog } from './log-loader.ts';
import { partitionDirectoryName } from './partition-directory.ts';
import { readPartitionMetadata, writePartitionMetadata } from './partition-metadata.ts';
import type { ReadBuffers } from './read-buffers.ts';
import type { TailCache } from './tail-cache.ts';

export type LogOptions = {
  /** The partition's own directory; created if absent. */
  readonly directory: string;
  readonly topic: string;
  readonly partition: number;
  /** Written to partition.metadata when that has none. */
  readonly topicId?: Uuid;
  readonly runtime: Pick<Runtime, 'files' | 'clock' | 'random' | 'logger'>;
  readonly config?: LogConfig;
  /** False: the log is read again from the recovery point on. */
  readonly cleanShutdown?: boolean;
  /** The stop was not clean, but the log was recovered since, on another thread: its files are believed, and not taken for durable. */
  readonly isRecovered?: boolean;
  readonly recoveryPoint?: number;
  /** As it was written down: everything below was cleaned. */
  readonly firstDirtyOffset?: number | undefined;
  readonly logStartOffset?: number;
  /** producer.id.expiration.ms. Default one day. */
  readonly producerIdExpirationMs?: number;
  /** Shared with other logs. Default: its own, and no tail in memory. */
  readonly buffers?: ReadBuffers;
  readonly tails?: TailCache;
  /**
   * Writes the recovery points of the log's directory down, and how far its logs are clean. Before a truncation, for what is written behind its offset must not pass for
   * flushed after a crash; and before a cleaning, so that a crash does not bring up what only the batches cleaned away know of producers.
   */
  readonly checkpointRecoveryPoint?: () => void;
};

export type OpenedFiles = LoadedLog &
  Owner & {
    readonly config: LogConfig;
  };

type Owner = {
  readonly topicId: Uuid | undefined;
  /** It was written down just now. */
  readonly hasNewOwner: boolean;
};

const defaultProducerIdExpirationMs = 24 * 60 * 60 * 1000;

/** The directory's files, which are made if there is none. Throws what `Log.open` throws. */
export function openLogFiles(options: LogOptions): OpenedFiles {
  const { directory, topic, partition, runtime, config = defaultLogConfig } = options;
  const isNew = !runtime.files.stat(directory);
  if (isNew) runtime.files.makeDirectory(directory);
  const owner = settleOwner(options, isNew);
  const load = isNew ? createLog : loadLog;
  const loaded = load({
    files: runtime.files,
    clock: runtime.clock,
    random: runtime.random,
    logger: runtime.logger,
    directory,
    partitionName: partitionDirectoryName(topic, partition),
    config,
    cleanShutdown: options.cleanShutdown ?? false,
    isRecovered: options.isRecovered ?? false,
    recoveryPoint: options.recoveryPoint ?? 0,
    firstDirtyOffset: options.firstDirtyOffset,
    logStartOffset: options.logStartOffset ?? 0,
    producerIdExpirationMs: options.producerIdExpirationMs ?? defaultProducerIdExpirationMs,
  });
  return { config, ...owner, ...loaded };
}

/** The directory's topic id, which must be the expected one if both are known. */
function settleOwner(options: LogOptions, isNew: boolean): Owner {
  const { directory, topic, partition, topicId, runtime } = options;
  const stored = isNew ? undefined : storedTopicId(options);
  if (stored !== undefined && topicId !== undefined && stored !== topicId) {
    throw new KafkaError(
      'INCONSISTENT_TOPIC_ID',
      `${directory} belongs to topic id ${stored}, but ${topic}-${partition} has ${topicId}`,
    );
  }
  const hasNewOwner = stored === undefined && topicId !== undefined;
  if (hasNewOwner) writePartitionMetadata(runtime.files, directory, { topicId });
  return { topicId: stored ?? topicId, hasNewOwner };
}

/** A loss of power may leave what was never flushed as anything. */
function storedTopicId({ directory, runtime, cleanShutdown }: LogOptions): Uuid | undefined {
  try {
    return readPartitionMetadata(runtime.files, directory)?.topicId;
  } catch (error) {
    if (!(error instanceof CorruptFileError) || cleanShutdown) throw error;
    runtime.logger.warn('a log does not say to which topic it belongs', { file: error.path, problem: error.message });
    return undefined;
  }
}
