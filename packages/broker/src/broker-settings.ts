import {
  type BrokerConfig,
  type BrokerConfigName,
  type BrokerConfigState,
  configResource,
  effectiveBrokerConfig,
  effectiveTopicConfig,
  type GroupConfig,
  groupConfigInForce,
  type ParsedBrokerConfig,
  type TopicConfig,
} from '@ottla/metadata';
import type { LogConfig } from '@ottla/storage';
import type { ClusterMetadata } from './cluster-metadata.ts';

/**
 * The configs in force on this broker, for itself, its topics and its groups: server.properties with what was set dynamically on top.
 * Values are kept until the metadata log changes something they depend on, so that asking costs a lookup.
 */
export class BrokerSettings {
  readonly #parsed: ParsedBrokerConfig;
  readonly #nodeId: number;
  readonly #metadata: ClusterMetadata;
  readonly #listeners: (() => void)[] = [];
  readonly #topics = new Map<string, TopicConfig>();
  readonly #logs = new Map<string, LogConfig>();
  /** Of those that have configs of their own. */
  readonly #groups = new Map<string, GroupConfig>();
  #groupDefaults: GroupConfig | undefined;
  #effective: BrokerConfig | undefined;

  constructor(parsed: ParsedBrokerConfig, nodeId: number, metadata: ClusterMetadata) {
    this.#parsed = parsed;
    this.#nodeId = nodeId;
    this.#metadata = metadata;
    metadata.onChange(({ configs, topics }) => {
      for (const { name, deleted } of topics.values()) if (deleted) this.#forgetTopic(name);
      let brokerChanged = false;
      for (const { type, name } of configs.values()) {
        if (type === configResource.topic) this.#forgetTopic(name);
        else if (type === configResource.group) this.#groups.delete(name);
        else if (type === configResource.broker && (name === '' || name === String(nodeId))) brokerChanged = true;
      }
      if (brokerChanged) this.#brokerChanged();
    });
  }

  get<Name extends BrokerConfigName>(name: Name): BrokerConfig[Name] {
    return this.effective[name];
  }

  get effective(): BrokerConfig {
    this.#effective ??= effectiveBrokerConfig(this.#parsed.config, this.layers);
    return this.#effective;
  }

  /** What was set at start and since, for describing and validating. */
  get state(): BrokerConfigState {
    return { config: this.#parsed.config, layers: this.layers };
  }

  get layers(): BrokerConfigState['layers'] {
    const { configs } = this.#metadata.image;
    return {
      static: this.#parsed.properties,
      dynamicDefault: configs.of(configResource.broker, ''),
      dynamicBroker: configs.of(configResource.broker, String(this.#nodeId)),
    };
  }

  /** What `listener.name.<listener>.<config>` says; undefined where nothing does, or nothing that can be read. */
  limitOfListener(listenerName: string, config: 'max.connections' | 'max.connection.creation.rate'): number | undefined {
    const name = `listener.name.${listenerName.toLowerCase()}.${config}`;
    const { static: fromFile, dynamicDefault, dynamicBroker } = this.layers;
    const text = (dynamicBroker.get(name) ?? dynamicDefault.get(name) ?? fromFile.get(name))?.trim();
    return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
  }

  get moveBytesPerSecond(): number {
    return this.replicationRate('replica.alter.log.dirs.io.max.bytes.per.second');
  }

  /** Bytes a second, by a config that only exists as a dynamic one; Infinity when it is not set. */
  replicationRate(
    name:
      | 'replica.alter.log.dirs.io.max.bytes.per.second'
      | 'leader.replication.throttled.rate'
      | 'follower.replication.throttled.rate',
  ): number {
    const { dynamicDefault, dynamicBroker } = this.layers;
    const text = (dynamicBroker.get(name) ?? dynamicDefault.get(name))?.trim();
    return text !== undefined && /^\d+$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
  }

  topic(topic: string): TopicConfig {
    let config = this.#topics.get(topic);
    if (!config)
      this.#topics.set(
        topic,
        (config = effectiveTopicConfig(this.#metadata.image.configs.of(configResource.topic, topic), this.effective)),
      );
    return config;
  }

  /** Within the broker's bounds. */
  group(groupId: string): GroupConfig {
    let config = this.#groups.get(groupId);
    if (config) return config;
    const own = this.#metadata.image.configs.of(configResource.group, groupId);
    if (own.size === 0) return (this.#groupDefaults ??= groupConfigInForce(own, this.effective));
    this.#groups.set(groupId, (config = groupConfigInForce(own, this.effective)));
    return config;
  }

  /** What the log of a topic's partition needs to know. */
  log(topic: string): LogConfig {
    let config = this.#logs.get(topic);
    if (!config) this.#logs.set(topic, (config = logConfigOf(this.topic(topic))));
    return config;
  }

  /** Calls back after the broker's own configs changed: those of topics without configs of their own may have, too. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  #forgetTopic(topic: string): void {
    this.#topics.delete(topic);
    this.#logs.delete(topic);
  }

  #brokerChanged(): void {
    this.#effective = undefined;
    this.#topics.clear();
    this.#logs.clear();
    this.#groups.clear();
    this.#groupDefaults = undefined;
    for (const listener of this.#listeners) listener();
  }
}

export function logConfigOf(topic: TopicConfig): LogConfig {
  return {
    segmentBytes: topic['internal.segment.bytes'] ?? topic['segment.bytes'],
    segmentMs: segmentMs(topic),
    segmentJitterMs: topic['segment.jitter.ms'],
    segmentIndexBytes: topic['segment.index.bytes'],
    indexIntervalBytes: topic['index.interval.bytes'],
    retentionBytes: topic['retention.bytes'],
    retentionMs: topic['retention.ms'],
    cleanupPolicy: topic['cleanup.policy'],
    minCleanableDirtyRatio: topic['min.cleanable.dirty.ratio'],
    minCompactionLagMs: topic['min.compaction.lag.ms'],
    maxCompactionLagMs: topic['max.compaction.lag.ms'],
    deleteRetentionMs: topic['delete.retention.ms'],
    maxMessageBytes: topic['max.message.bytes'],
    messageTimestampType: topic['message.timestamp.type'] as LogConfig['messageTimestampType'],
    messageTimestampBeforeMaxMs: topic['message.timestamp.before.max.ms'],
    messageTimestampAfterMaxMs: topic['message.timestamp.after.max.ms'],
    compressionType: topic['compression.type'] as LogConfig['compressionType'],
    compressionGzipLevel: topic['compression.gzip.level'],
    compressionLz4Level: topic['compression.lz4.level'],
    compressionZstdLevel: topic['compression.zstd.level'],
    flushMessages: topic['flush.messages'],
    flushMs: topic['flush.ms'],
    fileDeleteDelayMs: topic['file.delete.delay.ms'],
    preallocate: topic['preallocate'],
  };
}

/** The active segment is never compacted, so it has to end in time for max.compaction.lag.ms (KIP-354). */
function segmentMs(topic: TopicConfig): number {
  return topic['cleanup.policy'].includes('compact')
    ? Math.min(topic['segment.ms'], topic['max.compaction.lag.ms'])
    : topic['segment.ms'];
}
