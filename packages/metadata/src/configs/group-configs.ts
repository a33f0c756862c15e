import { checkShareAutoOffsetReset } from './config-checks.ts';
import { boolean, type ConfigValues, defineConfigs, int, string } from './define-configs.ts';

/** A group's configs. `broker` names where a value comes from when the group has none. */
export const groupConfigs = defineConfigs({
  'consumer.assignment.interval.ms': int({
    default: 1000,
    min: 0,
    broker: 'group.consumer.assignment.interval.ms',
    honoured: true,
    doc: 'The group gets a new target assignment at most this often.',
  }),
  'consumer.heartbeat.interval.ms': int({
    default: 5000,
    min: 1,
    broker: 'group.consumer.heartbeat.interval.ms',
    honoured: true,
    doc: 'How often its members send heartbeats.',
  }),
  'consumer.session.timeout.ms': int({
    default: 45_000,
    min: 1,
    broker: 'group.consumer.session.timeout.ms',
    honoured: true,
    doc: 'A member that is not heard of for this long is out.',
  }),
  'share.assignment.interval.ms': int({ default: 1000, min: 0, broker: 'group.share.assignment.interval.ms' }),
  'share.auto.offset.reset': string({ default: 'latest', check: checkShareAutoOffsetReset }),
  'share.delivery.count.limit': int({ default: 5, min: 2, broker: 'group.share.delivery.count.limit' }),
  'share.heartbeat.interval.ms': int({ default: 5000, min: 1, broker: 'group.share.heartbeat.interval.ms' }),
  'share.isolation.level': string({ default: 'read_uncommitted', oneOf: ['read_committed', 'read_uncommitted'] }),
  'share.partition.max.record.locks': int({ default: 2000, min: 100, broker: 'group.share.partition.max.record.locks' }),
  'share.record.lock.duration.ms': int({ default: 30_000, min: 1000, broker: 'group.share.record.lock.duration.ms' }),
  'share.renew.acknowledge.enable': boolean({ default: true }),
  'share.session.timeout.ms': int({ default: 45_000, min: 1, broker: 'group.share.session.timeout.ms' }),
  'streams.assignment.interval.ms': int({ default: 1000, min: 0, broker: 'group.streams.assignment.interval.ms' }),
  'streams.heartbeat.interval.ms': int({ default: 5000, min: 1, broker: 'group.streams.heartbeat.interval.ms' }),
  'streams.initial.rebalance.delay.ms': int({ default: 3000, min: 0, broker: 'group.streams.initial.rebalance.delay.ms' }),
  'streams.num.standby.replicas': int({ default: 0, min: 0, broker: 'group.streams.num.standby.replicas' }),
  'streams.session.timeout.ms': int({ default: 45_000, min: 1, broker: 'group.streams.session.timeout.ms' }),
});

export type GroupConfig = ConfigValues<typeof groupConfigs>;
