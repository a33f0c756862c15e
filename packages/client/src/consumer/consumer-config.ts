import { KafkaError } from '@ottla/protocol';
import type { IsolationLevel } from '../admin/offsets.ts';
import type { Assignor } from '../assignors/assignor.ts';
import { rangeAssignor } from '../assignors/range-assignor.ts';
import { type ClientConfig, clientRules, withDefaults } from '../client-config.ts';
import { checkOptions, fromOne, fromZero, type OptionRules } from '../option-rules.ts';
import { parseOffsetReset } from './offset-reset.ts';

/** From bytes to what the application works with. Null keys and values stay null. */
export type Deserializer<T> = (bytes: Uint8Array, topic: string) => T;

export type ConsumerConfig<Key = Uint8Array, Value = Uint8Array> = ClientConfig & {
  /** Needed to subscribe, and to commit offsets. */
  readonly groupId?: string;
  /** A member that keeps its partitions over a restart (KIP-345). */
  readonly groupInstanceId?: string;
  /** Where to begin without a committed offset: 'latest', 'earliest', 'none' (an error), or 'by_duration:PT1H'. */
  readonly autoOffsetReset?: string;
  readonly enableAutoCommit?: boolean;
  readonly autoCommitIntervalMs?: number;
  /** At most so many records from one `poll`. */
  readonly maxPollRecords?: number;
  /** Who does not ask for records for longer leaves the group. */
  readonly maxPollIntervalMs?: number;
  readonly sessionTimeoutMs?: number;
  readonly heartbeatIntervalMs?: number;
  /** In order of preference; the group takes one that all members have. */
  readonly partitionAssignors?: readonly Assignor[];
  readonly isolationLevel?: IsolationLevel;
  readonly fetchMinBytes?: number;
  readonly fetchMaxWaitMs?: number;
  readonly fetchMaxBytes?: number;
  readonly maxPartitionFetchBytes?: number;
  readonly checkCrcs?: boolean;
  readonly allowAutoCreateTopics?: boolean;
  readonly keyDeserializer?: Deserializer<Key>;
  readonly valueDeserializer?: Deserializer<Value>;
};

const defaults = {
  groupId: '',
  groupInstanceId: '',
  autoOffsetReset: 'latest',
  enableAutoCommit: true,
  autoCommitIntervalMs: 5000,
  maxPollRecords: 500,
  maxPollIntervalMs: 300_000,
  sessionTimeoutMs: 45_000,
  heartbeatIntervalMs: 3000,
  partitionAssignors: [rangeAssignor],
  isolationLevel: 'read_uncommitted',
  fetchMinBytes: 1,
  fetchMaxWaitMs: 500,
  fetchMaxBytes: 52_428_800,
  maxPartitionFetchBytes: 1_048_576,
  checkCrcs: true,
  allowAutoCreateTopics: true,
} as const;

const rules: OptionRules<ConsumerConfig<unknown, unknown>> = {
  ...clientRules,
  groupId: 'text',
  groupInstanceId: 'text',
  autoOffsetReset: 'text',
  enableAutoCommit: 'flag',
  autoCommitIntervalMs: fromZero,
  maxPollRecords: fromOne,
  maxPollIntervalMs: fromOne,
  sessionTimeoutMs: fromZero,
  heartbeatIntervalMs: fromZero,
  partitionAssignors: 'list',
  isolationLevel: ['read_uncommitted', 'read_committed'],
  fetchMinBytes: fromZero,
  fetchMaxWaitMs: fromZero,
  fetchMaxBytes: fromZero,
  maxPartitionFetchBytes: fromZero,
  checkCrcs: 'flag',
  allowAutoCreateTopics: 'flag',
  keyDeserializer: 'function',
  valueDeserializer: 'function',
};

export type CompleteConsumerConfig = Required<Omit<ConsumerConfig, 'keyDeserializer' | 'valueDeserializer'>>;

/** Throws INVALID_CONFIG. */
export function completeConsumerConfig(config: ConsumerConfig<unknown, unknown>): CompleteConsumerConfig {
  checkOptions('Consumer', config, rules);
  const complete = withDefaults(config as ConsumerConfig, defaults) as CompleteConsumerConfig;
  parseOffsetReset(complete.autoOffsetReset);
  if (complete.heartbeatIntervalMs >= complete.sessionTimeoutMs) {
    throw new KafkaError('INVALID_CONFIG', 'heartbeatIntervalMs must be below sessionTimeoutMs, a third of it at most');
  }
  const cooperative = complete.partitionAssignors.find(({ rebalanceProtocol }) => rebalanceProtocol !== 'eager');
  if (cooperative) {
    throw new KafkaError('INVALID_CONFIG', `partitionAssignors: this consumer rebalances eagerly, ${cooperative.name} does not`);
  }
  return complete;
}

/** A mark of the byte order at the beginning is a part of the text that was sent. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export const stringDeserializer: Deserializer<string> = (bytes) => decoder.decode(bytes);

export const jsonDeserializer: Deserializer<unknown> = (bytes) => JSON.parse(decoder.decode(bytes));
