/** What ends a producer's transaction in a partition. */
export type TransactionMarker = {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly isCommit: boolean;
  /** The leader epoch of the coordinator's partition: a coordinator that was deposed is known by it. */
  readonly coordinatorEpoch: number;
  /** 2: the epoch is above that of all of the transaction's batches (KIP-890). */
  readonly transactionVersion: number;
};
