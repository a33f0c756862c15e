/** What the group coordinator reads of the broker's configuration, in the units of the config names. */
export type GroupCoordinatorConfig = {
  /** group.min.session.timeout.ms */
  readonly minSessionTimeoutMs: number;
  /** group.max.session.timeout.ms */
  readonly maxSessionTimeoutMs: number;
  /** group.initial.rebalance.delay.ms */
  readonly initialRebalanceDelayMs: number;
  /** group.max.size */
  readonly maxSize: number;
  readonly consumer: ConsumerGroupsConfig;
  /** group.streams.max.size */
  readonly streamsMaxSize: number;
  /** offset.metadata.max.bytes; compared with UTF-16 units, as Kafka does. */
  readonly offsetMetadataMaxBytes: number;
  /** offsets.retention.minutes, in milliseconds. */
  readonly offsetsRetentionMs: number;
  /** offsets.retention.check.interval.ms */
  readonly offsetsRetentionCheckIntervalMs: number;
  readonly share: ShareGroupsConfig;
};

export type ShareGroupsConfig = {
  /** group.share.max.size */
  readonly maxSize: number;
  /** group.share.initialize.retry.interval.ms: what the share coordinator has not confirmed by then is asked of it again. */
  readonly initializeRetryMs: number;
};

export type ConsumerGroupsConfig = {
  /** group.consumer.assignors, by their short names; the first is the one of groups that do not ask for any. */
  readonly assignors: readonly string[];
  /** group.consumer.max.size */
  readonly maxSize: number;
  /** group.consumer.migration.policy: classic groups become consumer groups when a consumer of that protocol joins. */
  readonly mayUpgrade: boolean;
  /** … and back, when the last of those leaves. */
  readonly mayDowngrade: boolean;
  /** group.consumer.regex.refresh.interval.ms */
  readonly regexRefreshIntervalMs: number;
};

export const defaultGroupCoordinatorConfig: GroupCoordinatorConfig = {
  minSessionTimeoutMs: 6_000,
  maxSessionTimeoutMs: 1_800_000,
  initialRebalanceDelayMs: 3_000,
  maxSize: 0x7fff_ffff,
  consumer: {
    assignors: ['uniform', 'range'],
    maxSize: 0x7fff_ffff,
    mayUpgrade: true,
    mayDowngrade: true,
    regexRefreshIntervalMs: 600_000,
  },
  streamsMaxSize: 0x7fff_ffff,
  offsetMetadataMaxBytes: 4096,
  offsetsRetentionMs: 10_080 * 60_000,
  offsetsRetentionCheckIntervalMs: 600_000,
  share: { maxSize: 200, initializeRetryMs: 30_000 },
};
