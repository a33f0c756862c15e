/** What the transaction coordinator reads of the broker's configuration and of the cluster's features. */
export type TransactionConfig = {
  /** transaction.max.timeout.ms */
  readonly maxTimeoutMs: number;
  /** transactional.id.expiration.ms */
  readonly transactionalIdExpirationMs: number;
  /** transaction.abort.timed.out.transaction.cleanup.interval.ms */
  readonly timeoutCheckIntervalMs: number;
  /** transaction.remove.expired.transaction.cleanup.interval.ms */
  readonly expirationCheckIntervalMs: number;
  /** The finalized level of the feature transaction.version: 0 to 2. */
  readonly transactionVersion: number;
};

export const defaultTransactionConfig: TransactionConfig = {
  maxTimeoutMs: 900_000,
  transactionalIdExpirationMs: 604_800_000,
  timeoutCheckIntervalMs: 10_000,
  expirationCheckIntervalMs: 3_600_000,
  transactionVersion: 2,
};
