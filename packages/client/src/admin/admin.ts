import { type ClientConfig, type CompleteClientConfig, clientDefaults, clientRules, withDefaults } from '../client-config.ts';
import { Cluster } from '../cluster/cluster.ts';
import { checkOptions } from '../option-rules.ts';
import type { TopicPartition } from '../topic-partition.ts';
import { type ClusterDescription, describeCluster, describeLogDirs, type LogDir } from './cluster-description.ts';
import {
  type ConfigChange,
  type ConfigResource,
  type DescribeConfigsOptions,
  type DescribedConfigs,
  describeConfigs,
  incrementalAlterConfigs,
} from './configs.ts';
import {
  alterGroupOffsets,
  type CommittedOffset,
  deleteGroupOffsets,
  listGroupOffsets,
  type OffsetToCommit,
} from './group-offsets.ts';
import { deleteGroups, describeGroups, type GroupDescription, type ListedGroup, listGroups } from './groups.ts';
import { type IsolationLevel, type ListedOffset, listOffsets, type OffsetSpec } from './offsets.ts';
import {
  type CreatedTopic,
  createPartitions,
  createTopics,
  deleteRecords,
  deleteTopics,
  describeTopics,
  type ListedTopic,
  listTopics,
  type NewTopic,
  type RecordsToDelete,
  type TopicDescription,
} from './topics.ts';

export type AdminContext = { readonly cluster: Cluster; readonly timeoutMs: number };

/**
 * Looks at a cluster and changes it. Calls with several items do all they can: when some fail they reject with ItemsError,
 * a KafkaError that has each failure by name. Errors that may pass are retried for `defaultApiTimeoutMs` first.
 */
export class Admin {
  readonly #cluster: Cluster;
  readonly #context: AdminContext;

  /** Throws INVALID_CONFIG. */
  constructor(config: ClientConfig) {
    checkOptions('Admin', config, clientRules);
    const complete: CompleteClientConfig = withDefaults(config, clientDefaults);
    this.#cluster = new Cluster(complete, { client: 'admin', createsTopics: false });
    this.#context = { cluster: this.#cluster, timeoutMs: complete.defaultApiTimeoutMs };
  }

  /** Optional: finds out at once whether there is a broker. Rejects with NETWORK_EXCEPTION. */
  connect(): Promise<void> {
    return this.#cluster.connect();
  }

  createTopics(topics: readonly NewTopic[], options: { validateOnly?: boolean } = {}): Promise<CreatedTopic[]> {
    return createTopics(this.#context, topics, options);
  }

  deleteTopics(topics: readonly string[]): Promise<void> {
    return deleteTopics(this.#context, topics);
  }

  listTopics(options: { internal?: boolean } = {}): Promise<ListedTopic[]> {
    return listTopics(this.#context, options);
  }

  describeTopics(topics: readonly string[]): Promise<TopicDescription[]> {
    return describeTopics(this.#context, topics);
  }

  /** Grows topics to these total numbers of partitions. */
  createPartitions(totals: Readonly<Record<string, number>>, options: { validateOnly?: boolean } = {}): Promise<void> {
    return createPartitions(this.#context, totals, options);
  }

  deleteRecords(partitions: readonly RecordsToDelete[]): Promise<(TopicPartition & { readonly logStartOffset: number })[]> {
    return deleteRecords(this.#context, partitions);
  }

  listOffsets(
    partitions: readonly (TopicPartition & { readonly at: OffsetSpec })[],
    options: { isolationLevel?: IsolationLevel } = {},
  ): Promise<ListedOffset[]> {
    return listOffsets(this.#cluster, partitions, { timeoutMs: this.#context.timeoutMs, ...options });
  }

  describeConfigs(resources: readonly ConfigResource[], options: DescribeConfigsOptions = {}): Promise<DescribedConfigs[]> {
    return describeConfigs(this.#context, resources, options);
  }

  /** Changes what is named and leaves the rest as it is (KIP-339). */
  incrementalAlterConfigs(changes: readonly ConfigChange[], options: { validateOnly?: boolean } = {}): Promise<void> {
    return incrementalAlterConfigs(this.#context, changes, options);
  }

  /** All groups, or those in these states and of these types. */
  listConsumerGroups(options: { states?: readonly string[]; types?: readonly string[] } = {}): Promise<ListedGroup[]> {
    return listGroups(this.#context, options);
  }

  /** GROUP_ID_NOT_FOUND for what nobody has heard of. */
  describeConsumerGroups(groupIds: readonly string[]): Promise<GroupDescription[]> {
    return describeGroups(this.#context, groupIds);
  }

  /** NON_EMPTY_GROUP while it has members. */
  deleteConsumerGroups(groupIds: readonly string[]): Promise<void> {
    return deleteGroups(this.#context, groupIds);
  }

  listConsumerGroupOffsets(groupId: string, partitions?: readonly TopicPartition[]): Promise<CommittedOffset[]> {
    return listGroupOffsets(this.#context, groupId, partitions);
  }

  /** UNKNOWN_MEMBER_ID while the group has members. */
  alterConsumerGroupOffsets(groupId: string, offsets: readonly OffsetToCommit[]): Promise<void> {
    return alterGroupOffsets(this.#context, groupId, offsets);
  }

  deleteConsumerGroupOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<void> {
    return deleteGroupOffsets(this.#context, groupId, partitions);
  }

  describeCluster(): Promise<ClusterDescription> {
    return describeCluster(this.#context);
  }

  describeLogDirs(options: { brokerIds?: readonly number[]; partitions?: readonly TopicPartition[] } = {}): Promise<LogDir[]> {
    return describeLogDirs(this.#context, options);
  }

  /** Calls under way reject with ClientClosedError. */
  async close(): Promise<void> {
    await this.#cluster.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
