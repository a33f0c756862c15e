import type { GroupConfig } from '@ottla/metadata';

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

export function groupSharing(config: GroupConfig): GroupSharing {
  return {
    lockDurationMs: config['share.record.lock.duration.ms'],
    deliveryCountLimit: config['share.delivery.count.limit'],
    maxRecordLocks: config['share.partition.max.record.locks'],
    isRenewEnabled: config['share.renew.acknowledge.enable'],
    isReadCommitted: config['share.isolation.level'] === 'read_committed',
    autoOffsetReset: config['share.auto.offset.reset'],
    redeliveryDelayMs: config['ottla.share.redelivery.delay.ms'],
    deadLetterTopic: config['errors.deadletterqueue.topic.name'],
    copiesDeadLetters: config['errors.deadletterqueue.copy.record.enable'],
  };
}
