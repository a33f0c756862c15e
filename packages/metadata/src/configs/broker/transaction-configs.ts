import { boolean, defineConfigs, int, short } from '../define-configs.ts';

/** Broker configs: transactions and their coordinator. */
export const transactionConfigs = defineConfigs({
  'add.partitions.to.txn.retry.backoff.max.ms': int({ default: 100, min: 0, importance: 'high' }),
  'add.partitions.to.txn.retry.backoff.ms': int({ default: 20, min: 1, importance: 'high' }),
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': int({ default: 10_000, min: 1, importance: 'low' }),
  'transaction.max.timeout.ms': int({
    default: 900_000,
    min: 1,
    importance: 'high',
  }),
  'transaction.partition.verification.enable': boolean({ default: true, importance: 'low', dynamic: 'cluster-wide' }),
  'transaction.remove.expired.transaction.cleanup.interval.ms': int({ default: 3_600_000, min: 1, importance: 'low' }),
  'transaction.state.log.load.buffer.size': int({ default: 5_242_880, min: 1, importance: 'high' }),
  'transaction.state.log.min.isr': int({ default: 2, min: 1, importance: 'high' }),
  'transaction.state.log.num.partitions': int({ default: 50, min: 1, importance: 'high' }),
  'transaction.state.log.replication.factor': short({ default: 3, min: 1, importance: 'high' }),
  'transaction.state.log.segment.bytes': int({ default: 104_857_600, min: 1, importance: 'high' }),
  'transaction.two.phase.commit.enable': boolean({ default: false, importance: 'low' }),
  'transactional.id.expiration.ms': int({ default: 604_800_000, min: 1, importance: 'high' }),
});
