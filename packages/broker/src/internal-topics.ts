import type { BrokerConfig } from '@ottla/metadata';
import type { NewTopic } from './topic-creation.ts';

export const OFFSETS_TOPIC = '__consumer_offsets';
export const TRANSACTIONS_TOPIC = '__transaction_state';
export const SHARE_STATE_TOPIC = '__share_group_state';

/** Topics that the platform keeps its own state in: only its own parts write to them. */
const internalTopics: ReadonlySet<string> = new Set([OFFSETS_TOPIC, TRANSACTIONS_TOPIC, SHARE_STATE_TOPIC]);

export function isInternalTopic(topic: string): boolean {
  return internalTopics.has(topic);
}

type ConfigOf = <Name extends keyof BrokerConfig>(name: Name) => BrokerConfig[Name];

/** How the topic is made when its coordinator is first used; undefined for a topic of anybody else. */
export function newInternalTopic(name: string, configOf: ConfigOf): NewTopic | undefined {
  if (name === OFFSETS_TOPIC) {
    return {
      name,
      numPartitions: configOf('offsets.topic.num.partitions'),
      replicationFactor: configOf('offsets.topic.replication.factor'),
      configs: [
        { name: 'compression.type', value: 'producer' },
        { name: 'cleanup.policy', value: 'compact' },
        { name: 'segment.bytes', value: String(configOf('offsets.topic.segment.bytes')) },
      ],
    };
  }
  if (name === SHARE_STATE_TOPIC) {
    return {
      name,
      numPartitions: configOf('share.coordinator.state.topic.num.partitions'),
      replicationFactor: configOf('share.coordinator.state.topic.replication.factor'),
      configs: [
        { name: 'compression.type', value: 'producer' },
        { name: 'cleanup.policy', value: 'delete' },
        // The coordinator says itself up to where the log can go.
        { name: 'retention.ms', value: '-1' },
        { name: 'min.insync.replicas', value: String(configOf('share.coordinator.state.topic.min.isr')) },
        { name: 'segment.bytes', value: String(configOf('share.coordinator.state.topic.segment.bytes')) },
      ],
    };
  }
  if (name === TRANSACTIONS_TOPIC) {
    return {
      name,
      numPartitions: configOf('transaction.state.log.num.partitions'),
      replicationFactor: configOf('transaction.state.log.replication.factor'),
      configs: [
        { name: 'unclean.leader.election.enable', value: 'false' },
        { name: 'compression.type', value: 'uncompressed' },
        { name: 'cleanup.policy', value: 'compact' },
        { name: 'min.insync.replicas', value: String(configOf('transaction.state.log.min.isr')) },
        { name: 'segment.bytes', value: String(configOf('transaction.state.log.segment.bytes')) },
      ],
    };
  }
  return undefined;
}
