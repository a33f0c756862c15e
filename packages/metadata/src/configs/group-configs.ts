import { checkDeadLetterTopic, checkShareAutoOffsetReset } from './config-checks.ts';
import { boolean, type ConfigValues, defineConfigs, int, string } from './define-configs.ts';

/** A group's configs. `broker` names where a value comes from when the group has none. */
export const groupConfigs = defineConfigs({
  // Of Kafka 4.4 (KIP-1191): internal, so that nobody who looks for the configs of 4.3 finds more.
  'errors.deadletterqueue.copy.record.enable': boolean({
    default: false,
    internal: true,
    honoured: true,
    doc: 'Dead letters of a share group have the key and the value of their record. See docs/queues.md.',
  }),
  'errors.deadletterqueue.topic.name': string({
    default: '',
    check: checkDeadLetterTopic,
    internal: true,
    honoured: true,
    doc: 'Where records go that a share group rejects, or has failed too often; empty for nowhere. See docs/queues.md.',
  }),
  'ottla.share.redelivery.delay.ms': int({
    default: 0,
    min: 0,
    max: 86_400_000,
    internal: true,
    honoured: true,
    doc: 'How long a record that was released, or whose lock has ended, waits before a share group gets it again. See docs/queues.md.',
  }),
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
  'share.assignment.interval.ms': int({
    default: 1000,
    min: 0,
    broker: 'group.share.assignment.interval.ms',
    honoured: true,
    doc: 'At most one target assignment is computed in this time.',
  }),
  'share.auto.offset.reset': string({
    default: 'latest',
    check: checkShareAutoOffsetReset,
    honoured: true,
    doc: 'Where a share group begins in a partition that it has never consumed.',
  }),
  'share.delivery.count.limit': int({
    default: 5,
    min: 2,
    broker: 'group.share.delivery.count.limit',
    honoured: true,
    doc: 'A record that was delivered so often without being accepted is not delivered again.',
  }),
  'share.heartbeat.interval.ms': int({
    default: 5000,
    min: 1,
    broker: 'group.share.heartbeat.interval.ms',
    honoured: true,
    doc: 'How often members are told to heartbeat.',
  }),
  'share.isolation.level': string({
    default: 'read_uncommitted',
    oneOf: ['read_committed', 'read_uncommitted'],
    honoured: true,
    doc: 'read_committed keeps records of aborted transactions, and of those under way, from the group.',
  }),
  'share.partition.max.record.locks': int({
    default: 2000,
    min: 100,
    broker: 'group.share.partition.max.record.locks',
    honoured: true,
    doc: 'How many records of a partition, from the first one that is not done with, are in flight at most.',
  }),
  'share.record.lock.duration.ms': int({
    default: 30_000,
    min: 1000,
    broker: 'group.share.record.lock.duration.ms',
    honoured: true,
    doc: 'How long a member has a record before it is available to others again.',
  }),
  'share.renew.acknowledge.enable': boolean({
    default: true,
    honoured: true,
    doc: 'Members may begin the lock of a record anew while they work on it.',
  }),
  'share.session.timeout.ms': int({
    default: 45_000,
    min: 1,
    broker: 'group.share.session.timeout.ms',
    honoured: true,
    doc: 'A member that is silent for this long is out.',
  }),
  'streams.assignment.interval.ms': int({
    default: 1000,
    min: 0,
    broker: 'group.streams.assignment.interval.ms',
    honoured: true,
    doc: 'A target assignment is made at most once in this time; many changes at once cost one.',
  }),
  'streams.heartbeat.interval.ms': int({
    default: 5000,
    min: 1,
    broker: 'group.streams.heartbeat.interval.ms',
    honoured: true,
    doc: 'How often members send a heartbeat.',
  }),
  'streams.initial.rebalance.delay.ms': int({
    default: 3000,
    min: 0,
    broker: 'group.streams.initial.rebalance.delay.ms',
    honoured: true,
    doc: 'How long the first members wait for others before tasks are assigned.',
  }),
  'streams.num.standby.replicas': int({
    default: 0,
    min: 0,
    broker: 'group.streams.num.standby.replicas',
    honoured: true,
    doc: 'Copies of the state of each task that other processes keep.',
  }),
  'streams.session.timeout.ms': int({
    default: 45_000,
    min: 1,
    broker: 'group.streams.session.timeout.ms',
    honoured: true,
    doc: 'A member that is not heard of for so long is removed.',
  }),
});

export type GroupConfig = ConfigValues<typeof groupConfigs>;
