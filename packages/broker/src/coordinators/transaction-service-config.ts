import type { TransactionConfig } from '@ottla/coordinator';
import type { CoordinatorPartitionConfig } from './coordinator-partition.ts';

export type TransactionServiceConfig = {
  readonly transactions: TransactionConfig;
  readonly partition: CoordinatorPartitionConfig;
};

/** A partition is replayed in pieces of at most this much, so that loading a large one does not hold up the broker. */
const LARGEST_LOAD_STEP_BYTES = 1024 * 1024;

/** Picks what the transaction coordinator heeds from the broker's configuration, by Kafka's names. */
export function transactionServiceConfig(
  configOf: (name: TransactionConfigName) => number,
  transactionVersion: number,
): TransactionServiceConfig {
  return {
    transactions: {
      maxTimeoutMs: configOf('transaction.max.timeout.ms'),
      transactionalIdExpirationMs: configOf('transactional.id.expiration.ms'),
      timeoutCheckIntervalMs: configOf('transaction.abort.timed.out.transaction.cleanup.interval.ms'),
      expirationCheckIntervalMs: configOf('transaction.remove.expired.transaction.cleanup.interval.ms'),
      transactionVersion,
    },
    partition: {
      // What came in one turn of the event loop is written together.
      appendLingerMs: -1,
      commitTimeoutMs: configOf('request.timeout.ms'),
      compression: 'none',
      loadStepBytes: Math.min(configOf('transaction.state.log.load.buffer.size'), LARGEST_LOAD_STEP_BYTES),
    },
  };
}

export type TransactionConfigName =
  | 'transaction.max.timeout.ms'
  | 'transactional.id.expiration.ms'
  | 'transaction.abort.timed.out.transaction.cleanup.interval.ms'
  | 'transaction.remove.expired.transaction.cleanup.interval.ms'
  | 'transaction.state.log.load.buffer.size'
  | 'request.timeout.ms';
