import type { GroupCoordinatorConfig } from '@ottla/coordinator';
import type { BrokerConfig, BrokerConfigName } from '@ottla/metadata';
import type { CompressionCodec } from '@ottla/protocol';
import type { CoordinatorPartitionConfig } from './coordinator-partition.ts';

export type GroupServiceConfig = { readonly group: GroupCoordinatorConfig; readonly partition: CoordinatorPartitionConfig };

/** A partition is replayed in pieces of at most this much, so that loading a large one does not hold up the broker. */
export const LARGEST_LOAD_STEP_BYTES = 1024 * 1024;

/** offsets.topic.compression.codec is a number. */
const codecs: readonly CompressionCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

/** Picks what the group coordinator heeds from the broker's configuration, by Kafka's names. */
export function groupServiceConfig(
  configOf: <Name extends BrokerConfigName>(name: Name) => BrokerConfig[Name],
): GroupServiceConfig {
  const migration = configOf('group.consumer.migration.policy').toLowerCase();
  return {
    group: {
      minSessionTimeoutMs: configOf('group.min.session.timeout.ms'),
      maxSessionTimeoutMs: configOf('group.max.session.timeout.ms'),
      initialRebalanceDelayMs: configOf('group.initial.rebalance.delay.ms'),
      maxSize: configOf('group.max.size'),
      consumer: {
        assignors: configOf('group.consumer.assignors').map(assignorName),
        maxSize: configOf('group.consumer.max.size'),
        mayUpgrade: migration === 'bidirectional' || migration === 'upgrade',
        mayDowngrade: migration === 'bidirectional' || migration === 'downgrade',
        regexRefreshIntervalMs: configOf('group.consumer.regex.refresh.interval.ms'),
      },
      streamsMaxSize: configOf('group.streams.max.size'),
      offsetMetadataMaxBytes: configOf('offset.metadata.max.bytes'),
      offsetsRetentionMs: configOf('offsets.retention.minutes') * 60_000,
      offsetsRetentionCheckIntervalMs: configOf('offsets.retention.check.interval.ms'),
      share: {
        maxSize: configOf('group.share.max.size'),
        initializeRetryMs: configOf('group.share.initialize.retry.interval.ms'),
      },
    },
    partition: {
      appendLingerMs: configOf('group.coordinator.append.linger.ms'),
      commitTimeoutMs: configOf('offsets.commit.timeout.ms'),
      compression: codecs[configOf('offsets.topic.compression.codec')] ?? 'none',
      loadStepBytes: Math.min(configOf('offsets.load.buffer.size'), LARGEST_LOAD_STEP_BYTES),
    },
  };
}

/** Kafka names its assignors by their classes, too. */
function assignorName(name: string): string {
  const builtIn = /^org\.apache\.kafka\.coordinator\.group\.assignor\.(Uniform|Range)Assignor$/.exec(name)?.[1];
  return builtIn?.toLowerCase() ?? name;
}

export function isConsumerAssignor(name: string): boolean {
  return ['uniform', 'range'].includes(assignorName(name));
}
