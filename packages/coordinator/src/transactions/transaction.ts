/** Where a transactional id stands. `Dead` and `PrepareEpochFence`, which Kafka has besides, are never written and need no name here. */
export type TransactionStatus = 'Empty' | 'Ongoing' | 'PrepareCommit' | 'PrepareAbort' | 'CompleteCommit' | 'CompleteAbort';

/** Topic -> partitions. */
export type TransactionPartitions = ReadonlyMap<string, ReadonlySet<number>>;

/** What is known of a transactional id. Values, never changed: each record makes a new one. */
export type Transaction = {
  readonly transactionalId: string;
  readonly producerId: number;
  /** The id before the last transition; -1 in logs that Kafka wrote before transaction.version 1. */
  readonly previousProducerId: number;
  /** The id that the producer goes on with once the transaction is complete, because its epochs are used up; -1 otherwise. */
  readonly nextProducerId: number;
  readonly producerEpoch: number;
  /**
   * The epoch before the last bump, by which a repeated InitProducerId is known; -1 when there is none. It is in no record: a coordinator that
   * has loaded its partition anew does not know it, as in Kafka.
   */
  readonly lastProducerEpoch: number;
  readonly timeoutMs: number;
  readonly status: TransactionStatus;
  readonly partitions: TransactionPartitions;
  readonly lastUpdateMs: number;
  /** -1 when no transaction was begun. */
  readonly startMs: number;
  /** 2 when the transaction was begun or ended under transactions v2 (KIP-890). */
  readonly clientTransactionVersion: number;
};

export type ProducerIdAndEpoch = { readonly producerId: number; readonly producerEpoch: number };

export const NO_PRODUCER_ID = -1;
export const NO_PRODUCER_EPOCH = -1;
const MAX_EPOCH = 0x7fff;
/** A transaction of this timeout belongs to a two-phase commit of somebody else's (KIP-939): it is never timed out. */
export const TWO_PHASE_COMMIT_TIMEOUT_MS = 0x7fff_ffff;

export const NO_PARTITIONS: TransactionPartitions = new Map();

/** The last epoch that data is written with: one more is left for whoever fences. */
export const LAST_EPOCH = MAX_EPOCH - 1;

export function isEpochExhausted(producerEpoch: number): boolean {
  return producerEpoch >= LAST_EPOCH;
}

/** One more, yet never more than an epoch can be. */
export function bumpedEpoch(producerEpoch: number): number {
  return Math.min(producerEpoch + 1, MAX_EPOCH);
}

export function isPrepared({ status }: Transaction): boolean {
  return status === 'PrepareCommit' || status === 'PrepareAbort';
}

/** Nothing is under way: the id may begin a transaction, or be forgotten. */
export function isAtRest({ status }: Transaction): boolean {
  return status === 'Empty' || status === 'CompleteCommit' || status === 'CompleteAbort';
}

export function containsAll(known: TransactionPartitions, asked: TransactionPartitions): boolean {
  for (const [topic, partitions] of asked) {
    const ofTopic = known.get(topic);
    for (const partition of partitions) if (ofTopic === undefined || !ofTopic.has(partition)) return false;
  }
  return true;
}

export function union(known: TransactionPartitions, added: TransactionPartitions): TransactionPartitions {
  const all = new Map(known);
  for (const [topic, partitions] of added) all.set(topic, new Set([...(known.get(topic) ?? []), ...partitions]));
  return all;
}
