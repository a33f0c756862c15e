import { type BatchView, KafkaError } from '@ottla/protocol';
import type { AppendOrigin } from './append-origin.ts';
import { readEndTransactionMarker } from './end-transaction-marker.ts';
import {
  addProducedBatch,
  duplicateOf,
  enterProducerEpoch,
  isNextSequence,
  lastSequenceOf,
  maxCachedBatches,
  type ProducedBatch,
  type ProducerEntry,
} from './producer-entry.ts';
import { NO_GUARD, type TransactionVerification, type VerificationGuard } from './transaction-verifications.ts';

/** A transaction that a marker ended. */
export type CompletedTransaction = {
  readonly producerId: number;
  readonly firstOffset: number;
  /** The marker's offset. */
  readonly lastOffset: number;
  readonly isAborted: boolean;
};

export type ProducerAppendOptions = {
  readonly origin: AppendOrigin;
  /** transaction.version 2: a marker must carry a higher epoch than the data (KIP-890). */
  readonly transactionVersion2?: boolean;
  /** Transactions v2: a producer nothing is known of must begin at sequence 0. */
  readonly expectSequenceZero?: boolean;
  /** Of a client or coordinator whose transactions are verified: what lets the first batch of one in (KIP-890). Absent: no verification is asked for. */
  readonly verificationGuard?: VerificationGuard | undefined;
};

/** What batches that are not written yet will change of one producer. Nothing is changed before `ProducerStates.update` takes it over. */
export class ProducerAppend {
  readonly current: ProducerEntry;
  /** As `current` will be, but for the batches: here are only the new ones. */
  readonly updated: ProducerEntry;
  readonly startedTransactions: number[] = [];
  /** Of the batches that were part of a transaction, or ended one: what `TransactionVerifications` asks of them. */
  readonly transactional: { readonly producerId: number; readonly producerEpoch: number; readonly isControl: boolean }[] = [];

  /** For messages: `topic-partition`. */
  readonly #partitionName: string;

  readonly #verification: TransactionVerification | undefined;

  constructor(current: ProducerEntry, partitionName: string, verification?: TransactionVerification) {
    const { producerId, producerEpoch, coordinatorEpoch, lastTimestamp, transactionFirstOffset } = current;
    this.current = current;
    this.updated = { producerId, producerEpoch, coordinatorEpoch, lastTimestamp, transactionFirstOffset, batches: [] };
    this.#partitionName = partitionName;
    this.#verification = verification;
  }

  /** The batch that a client repeats with `batch`, written or not. */
  duplicateOf(batch: BatchView): ProducedBatch | undefined {
    const { current, updated } = this;
    const repeated = duplicateOf(updated, batch);
    if (repeated || current.producerEpoch !== updated.producerEpoch) return repeated;
    return duplicateOf(current, batch, maxCachedBatches - updated.batches.length);
  }

  /**
   * Returns the transaction that the batch ends. Throws INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER,
   * INVALID_TXN_STATE and TRANSACTION_COORDINATOR_FENCED; on a follower only INVALID_TXN_STATE. Then the batch has left no trace.
   */
  add(batch: BatchView, options: ProducerAppendOptions): CompletedTransaction | undefined {
    const { isControl, isTransactional } = batch;
    const completed = isControl ? this.#addMarker(batch, options) : undefined;
    if (!isControl) this.#addData(batch, options);
    if (isTransactional) {
      const { producerId, producerEpoch } = batch;
      this.transactional.push({ producerId, producerEpoch, isControl });
    }
    return completed;
  }

  #addData(batch: BatchView, options: ProducerAppendOptions): void {
    const { updated } = this;
    const { producerEpoch, baseOffset, lastOffset, isTransactional } = batch;
    this.#checkEpoch(producerEpoch, baseOffset, options, false);
    if (isTransactional) this.#checkVerified(batch, options);
    if (options.origin === 'client') this.#checkSequence(batch, options);
    if (updated.transactionFirstOffset >= 0 && !isTransactional) {
      throw new KafkaError(
        'INVALID_TXN_STATE',
        `Expected transactional write from producer ${updated.producerId} at offset ${baseOffset} in partition ${this.#partitionName}`,
      );
    }

    enterProducerEpoch(updated, producerEpoch);
    updated.lastTimestamp = batch.maxTimestamp;
    addProducedBatch(updated, {
      lastSequence: batch.lastSequence,
      lastOffset,
      offsetDelta: lastOffset - baseOffset,
      timestamp: updated.lastTimestamp,
    });
    if (updated.transactionFirstOffset < 0 && isTransactional) {
      updated.transactionFirstOffset = baseOffset;
      this.startedTransactions.push(baseOffset);
    }
  }

  #addMarker(batch: BatchView, options: ProducerAppendOptions): CompletedTransaction | undefined {
    const marker = readEndTransactionMarker(batch);
    if (!marker) return undefined;
    const { updated } = this;
    const offset = batch.baseOffset;
    this.#checkEpoch(batch.producerEpoch, offset, options, true);
    this.#checkCoordinatorEpoch(marker.coordinatorEpoch, options);

    const firstOffset = updated.transactionFirstOffset;
    enterProducerEpoch(updated, batch.producerEpoch);
    updated.coordinatorEpoch = marker.coordinatorEpoch;
    updated.lastTimestamp = marker.timestamp;
    updated.transactionFirstOffset = -1;
    // A marker without data moves no reader's position, so it completes nothing.
    if (firstOffset < 0) return undefined;
    return { producerId: updated.producerId, firstOffset, lastOffset: offset, isAborted: marker.type === 'abort' };
  }

  #checkEpoch(producerEpoch: number, offset: number, options: ProducerAppendOptions, isMarker: boolean): void {
    const { updated } = this;
    if (options.origin === 'replication') return;
    const isStale =
      isMarker && options.transactionVersion2
        ? producerEpoch < updated.producerEpoch ||
          (producerEpoch === updated.producerEpoch && updated.transactionFirstOffset >= 0)
        : producerEpoch < updated.producerEpoch;
    if (!isStale) return;
    throw new KafkaError(
      'INVALID_PRODUCER_EPOCH',
      `Epoch of producer ${updated.producerId} at offset ${offset} in ${this.#partitionName} is ${producerEpoch}, which is smaller than the last seen epoch ${updated.producerEpoch}`,
    );
  }

  /** The first batch of a transaction comes with the guard of its verification, unless that was taken away by a marker. */
  #checkVerified({ producerEpoch }: BatchView, { verificationGuard }: ProducerAppendOptions): void {
    if (verificationGuard === undefined) return;
    const { updated } = this;
    if (updated.transactionFirstOffset >= 0 && updated.producerEpoch === producerEpoch) return;
    if (verificationGuard !== NO_GUARD && verificationGuard === this.#verification?.guard) return;
    throw new KafkaError('INVALID_TXN_STATE', 'Record was not part of an ongoing transaction');
  }

  #checkSequence(batch: BatchView, options: ProducerAppendOptions): void {
    const { current, updated } = this;
    const { producerEpoch, baseSequence: firstSequence } = batch;
    const verification = this.#verification;
    const expectSequenceZero = options.expectSequenceZero || verification?.supportsEpochBump;
    const who = () => `producer ${updated.producerId} at offset ${batch.baseOffset} in partition ${this.#partitionName}`;
    if (expectSequenceZero && firstSequence !== 0 && current.batches.length === 0 && updated.batches.length === 0) {
      throw outOfOrder(
        `Invalid sequence number for ${who()}: ${firstSequence} (incoming seq. number), expected 0: nothing is known of the producer`,
      );
    }
    if (verification !== undefined && firstSequence > verification.lowestSequence) {
      throw outOfOrder(
        `Out of order sequence number for ${who()}: ${firstSequence} (incoming seq. number), ${verification.lowestSequence} (earliest seen sequence)`,
      );
    }
    if (producerEpoch !== updated.producerEpoch) {
      if (firstSequence === 0 || updated.producerEpoch < 0) return;
      throw outOfOrder(
        `Invalid sequence number for new epoch of ${who()}: ${producerEpoch} (request epoch), ${firstSequence} (seq. number), ${updated.producerEpoch} (current producer epoch)`,
      );
    }
    // The producer's records may all have been deleted: then any sequence has to be taken.
    if (updated.producerEpoch < 0) return;
    const lastSequence =
      updated.batches.length > 0
        ? lastSequenceOf(updated)
        : producerEpoch === current.producerEpoch
          ? lastSequenceOf(current)
          : -1;
    if (isNextSequence(lastSequence, firstSequence)) return;
    throw outOfOrder(
      `Out of order sequence number for ${who()}: ${firstSequence} (incoming seq. number), ${lastSequence} (current end sequence number)`,
    );
  }

  #checkCoordinatorEpoch(coordinatorEpoch: number, { origin }: ProducerAppendOptions): void {
    const { updated } = this;
    if (coordinatorEpoch >= updated.coordinatorEpoch || origin === 'replication') return;
    throw new KafkaError(
      'TRANSACTION_COORDINATOR_FENCED',
      `Invalid coordinator epoch for producer ${updated.producerId} in ${this.#partitionName}: ${coordinatorEpoch} (zombie), ${updated.coordinatorEpoch} (current)`,
    );
  }
}

function outOfOrder(message: string): KafkaError {
  return new KafkaError('OUT_OF_ORDER_SEQUENCE_NUMBER', message);
}
