import type { VerificationGuard } from '@ottla/storage';

/** What is to be known of a batch of a transaction, or of the marker that ends one. */
export type CoordinatorAppend = {
  /** transaction.version 2 is in force for this marker (KIP-890). */
  readonly transactionVersion2?: boolean;
  readonly verificationGuard?: VerificationGuard | undefined;
};

/**
 * A partition as its coordinator sees it: a log that only the coordinator writes to, while this broker leads it.
 */
export interface CoordinatorLog {
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly highWatermark: number;
  /** The largest batch the log takes: the topic's max.message.bytes, and no more than a segment. */
  readonly maxBatchBytes: number;
  /** Whole batches from the one that holds `startOffset`, at least one; empty at the log's end. */
  read(startOffset: number, maxBytes: number): Uint8Array | Promise<Uint8Array>;
  /** Appends one batch with acks=all and returns the log's new end offset. Throws KafkaError; then nothing was written. */
  append(batch: Uint8Array, options?: CoordinatorAppend): number;
  /** Resolves once the high watermark is at `endOffset` or above. Rejects when this broker no longer leads the partition. */
  whenCommitted(endOffset: number): Promise<void>;
}
