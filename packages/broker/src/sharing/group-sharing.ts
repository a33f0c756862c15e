/** How a group shares records: its configs, as they act. */
export type GroupSharing = {
  /** share.record.lock.duration.ms */
  readonly lockDurationMs: number;
  /** share.delivery.count.limit */
  readonly deliveryCountLimit: number;
  /** share.partition.max.record.locks */
  readonly maxRecordLocks: number;
  /** share.renew.acknowledge.enable */
  readonly isRenewEnabled: boolean;
  /** share.isolation.level */
  readonly isReadCommitted: boolean;
  /** share.auto.offset.reset */
  readonly autoOffsetReset: string;
  /** ottla.share.redelivery.delay.ms: 0 makes what is released available at once. */
  readonly redeliveryDelayMs: number;
  /** errors.deadletterqueue.topic.name; '' for none. */
  readonly deadLetterTopic: string;
  /** errors.deadletterqueue.copy.record.enable */
  readonly copiesDeadLetters: boolean;
};
