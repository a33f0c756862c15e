import type { ShareStateConfig } from '@ottla/coordinator';
import { codecOfId } from '@ottla/protocol';
import type { CoordinatorPartitionConfig } from './coordinator-partition.ts';
import { LARGEST_LOAD_STEP_BYTES } from './group-service-config.ts';

export type ShareCoordinatorConfig = {
  readonly state: ShareStateConfig;
  readonly partition: CoordinatorPartitionConfig;
  /** How often the log lets go of what no restart needs. */
  readonly pruneIntervalMs: number;
};

/** Picks what the share coordinator heeds from the broker's configuration, by Kafka's names. */
export function shareCoordinatorConfig(configOf: (name: ShareCoordinatorConfigName) => number): ShareCoordinatorConfig {
  return {
    state: {
      updatesPerSnapshot: configOf('share.coordinator.snapshot.update.records.per.snapshot'),
      coldPartitionSnapshotIntervalMs: configOf('share.coordinator.cold.partition.snapshot.interval.ms'),
    },
    partition: {
      appendLingerMs: configOf('share.coordinator.append.linger.ms'),
      commitTimeoutMs: configOf('share.coordinator.write.timeout.ms'),
      compression: codecOfId(configOf('share.coordinator.state.topic.compression.codec')),
      loadStepBytes: Math.min(configOf('share.coordinator.load.buffer.size'), LARGEST_LOAD_STEP_BYTES),
    },
    pruneIntervalMs: configOf('share.coordinator.state.topic.prune.interval.ms'),
  };
}

type ShareCoordinatorConfigName =
  | 'share.coordinator.append.linger.ms'
  | 'share.coordinator.cold.partition.snapshot.interval.ms'
  | 'share.coordinator.load.buffer.size'
  | 'share.coordinator.snapshot.update.records.per.snapshot'
  | 'share.coordinator.state.topic.compression.codec'
  | 'share.coordinator.state.topic.prune.interval.ms'
  | 'share.coordinator.write.timeout.ms';
