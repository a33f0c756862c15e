import type { BrokerConfig } from '@ottla/metadata';
import { KafkaError } from '@ottla/protocol';
import type { NewTopic } from './topic-creation.ts';

/** Topics that the platform keeps its own state in: only its own parts write to them. */
const internalTopics: ReadonlySet<string> = new Set(['__consumer_offsets', '__transaction_state', '__share_group_state']);

export function isInternalTopic(topic: string): boolean {
  return internalTopics.has(topic);
}

type ConfigOf = <Name extends keyof BrokerConfig>(name: Name) => BrokerConfig[Name];

/** How the topic is made when its coordinator is first used; undefined for a topic of anybody else. */
export function newInternalTopic(name: string, configOf: ConfigOf): NewTopic | undefined {
  if (name === '__consumer_offsets') {
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
  if (name === '__share_group_state') {
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
  if (isInternalTopic(name))
    throw new KafkaError('INVALID_TOPIC_EXCEPTION', `${name} belongs to a coordinator that this release does not have`);
  return undefined;
}
