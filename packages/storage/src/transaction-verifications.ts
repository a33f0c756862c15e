import type { BatchView } from '@ottla/protocol';

/** Stands for one verification. */
export type VerificationGuard = symbol;

/** Of no verification: a batch with it may go on with a transaction, and not begin one. */
export const NO_GUARD: VerificationGuard = Symbol('no verification');

/** What was seen of the batches that wait to be verified, and the guard that lets the first of them in. */
export type TransactionVerification = {
  readonly guard: VerificationGuard;
  producerEpoch: number;
  /** Of the batches that came: nothing may begin the transaction but the first. */
  lowestSequence: number;
  /** The producer uses transactions v2. */
  readonly supportsEpochBump: boolean;
  readonly startedMs: number;
};

export type VerificationRequest = {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly supportsEpochBump: boolean;
};

/**
 * Transactions whose first batch in this partition waits until the coordinator has said that the partition is part of them (KIP-890). A marker
 * that comes meanwhile takes the verification away, so that the batch cannot open again what was ended.
 */
export class TransactionVerifications {
  readonly #byProducer = new Map<number, TransactionVerification>();

  get size(): number {
    return this.#byProducer.size;
  }

  get(producerId: number): TransactionVerification | undefined {
    return this.#byProducer.get(producerId);
  }

  start({ producerId, producerEpoch, baseSequence, supportsEpochBump }: VerificationRequest, nowMs: number): VerificationGuard {
    const known = this.#byProducer.get(producerId);
    if (known === undefined) {
      const guard: VerificationGuard = Symbol('verification');
      const lowestSequence = baseSequence;
      this.#byProducer.set(producerId, { guard, producerEpoch, lowestSequence, supportsEpochBump, startedMs: nowMs });
      return guard;
    }
    if (producerEpoch > known.producerEpoch) {
      known.producerEpoch = producerEpoch;
      known.lowestSequence = baseSequence;
    } else if (producerEpoch === known.producerEpoch) known.lowestSequence = Math.min(known.lowestSequence, baseSequence);
    return known.guard;
  }

  takeOver(from: TransactionVerifications): void {
    for (const [producerId, verification] of from.#byProducer) this.#byProducer.set(producerId, verification);
  }

  /** The batch was written: data that the guard let in, or a marker that ends what was there before. */
  onWritten(batch: Pick<BatchView, 'producerId' | 'producerEpoch' | 'isControl'>): void {
    const known = this.#byProducer.get(batch.producerId);
    if (known === undefined) return;
    // Under transactions v2 a marker carries the epoch of what comes after it: it ended the transaction before the one that is being verified.
    if (known.supportsEpochBump && batch.isControl && batch.producerEpoch === known.producerEpoch) return;
    this.#byProducer.delete(batch.producerId);
  }

  removeExpired(nowMs: number, expirationMs: number): void {
    for (const [producerId, { startedMs }] of this.#byProducer) {
      if (nowMs - startedMs >= expirationMs) this.#byProducer.delete(producerId);
    }
  }
}
