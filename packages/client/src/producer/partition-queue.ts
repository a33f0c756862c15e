import { sequenceAfter } from '@ottla/protocol';
import type { ProducerBatch } from './producer-batch.ts';

/** A producer's identity towards one partition. */
export type ProducerIdentity = { readonly producerId: number; readonly producerEpoch: number };

/**
 * The batches of one partition on their way out, and the sequence numbers that let the leader drop what it has already and
 * refuse what would leave a gap. The order of the rules below is what makes idempotence hold:
 *
 *   - a batch gets its sequence when it is first sent, and keeps it when it is sent again
 *   - once one comes back to be sent again, nothing new leaves until all that was in flight has come back too; then they
 *     leave in the order of their sequences, one at a time
 *   - a batch that is given up leaves a gap, so what follows starts over at sequence 0 in a new producerEpoch
 *   - the first batch of an epoch goes alone, for a leader that knows nothing of a producer takes any sequence: it could refuse the first
 *     batch as it is not ready yet, and take the second a moment later
 */
export class PartitionQueue {
  readonly topic: string;
  readonly partition: number;
  /** Not sent yet; the last may still take records. */
  readonly waiting: ProducerBatch[] = [];
  /** Sent, and not yet answered. */
  readonly inFlight = new Set<ProducerBatch>();
  /** To be sent again, by sequence. */
  readonly retries: ProducerBatch[] = [];
  compressionRatio = 1;
  /** An id that has no epoch left for this partition: the next batches need another one. */
  retiredProducerId = -1;
  #identity: ProducerIdentity | undefined;
  #nextSequence = 0;
  #hasGap = false;
  /** The leader has taken a batch of this epoch. */
  #isKnown = false;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0 && this.inFlight.size === 0 && this.retries.length === 0;
  }

  /** The next one to leave, if it may leave now, to the leader of this epoch. One that has not refused it yet need not be waited for. */
  next(
    { nowMs, leaderEpoch }: { nowMs: number; leaderEpoch: number },
    isReady: (batch: ProducerBatch, isFull: boolean) => boolean,
  ): ProducerBatch | undefined {
    const retry = this.retries[0];
    if (retry) {
      const mayLeave = retry.retryAtMs <= nowMs || leaderEpoch > retry.leaderEpoch;
      return this.inFlight.size === 0 && mayLeave ? retry : undefined;
    }
    const isAlone = this.#hasGap || (this.#identity !== undefined && !this.#isKnown);
    if (isAlone && this.inFlight.size > 0) return undefined;
    const batch = this.waiting[0];
    return batch && isReady(batch, this.waiting.length > 1) ? batch : undefined;
  }

  /** Moves the batch `next` gave in flight. */
  sent(batch: ProducerBatch, identity: ProducerIdentity | undefined): void {
    if (this.retries[0] === batch) this.retries.shift();
    else this.waiting.shift();
    if (identity && !batch.isSequenced) this.#stamp(batch, identity);
    this.inFlight.add(batch);
  }

  #stamp(batch: ProducerBatch, identity: ProducerIdentity): void {
    if (this.#hasGap) this.#raiseEpoch();
    this.#identity ??= identity;
    batch.stamp({ ...this.#identity, baseSequence: this.#nextSequence });
    this.#nextSequence = sequenceAfter(this.#nextSequence, batch.count);
  }

  /** Only while nothing is in flight. */
  #raiseEpoch(): void {
    this.#hasGap = false;
    this.#isKnown = false;
    this.#nextSequence = 0;
    if (this.#identity === undefined) return;
    const { producerId, producerEpoch } = this.#identity;
    // Kafka's clients raise the epoch by themselves too, for just the partition that needs it.
    this.#identity = producerEpoch < 0x7fff ? { producerId, producerEpoch: producerEpoch + 1 } : undefined;
    if (this.#identity === undefined) this.retiredProducerId = producerId;
  }

  /** The producer has another id or epoch. Only while the queue is empty. */
  startOver(): void {
    this.#identity = undefined;
    this.#nextSequence = 0;
    this.#hasGap = false;
    this.#isKnown = false;
  }

  succeeded(batch: ProducerBatch): void {
    this.inFlight.delete(batch);
    this.#isKnown = true;
    this.#renumberAfterGap();
  }

  /** Will be sent again. */
  postponed(batch: ProducerBatch): void {
    this.inFlight.delete(batch);
    this.#insertRetry(batch);
    this.#renumberAfterGap();
  }

  /** Will be sent again under a new number, as the leader does not know the old one to be next. */
  outOfSequence(batch: ProducerBatch): void {
    this.#hasGap = true;
    this.postponed(batch);
  }

  /** Will not. */
  gaveUp(batch: ProducerBatch): void {
    this.inFlight.delete(batch);
    removeFrom(this.retries, batch);
    removeFrom(this.waiting, batch);
    if (batch.isSequenced) this.#hasGap = true;
    this.#renumberAfterGap();
  }

  /** The batch was refused as too large, and did not count: its halves take over its place and sequence. */
  replaced(batch: ProducerBatch, [first, second]: readonly [ProducerBatch, ProducerBatch]): void {
    this.inFlight.delete(batch);
    if (batch.isSequenced) {
      first.stamp(batch.sequence);
      second.stamp({ ...batch.sequence, baseSequence: sequenceAfter(batch.sequence.baseSequence, first.count) });
    }
    this.#insertRetry(first);
    this.#insertRetry(second);
    this.#renumberAfterGap();
  }

  /** Whether an out-of-order answer only says that an earlier batch has to be sent again first. */
  isBehindAnother(batch: ProducerBatch): boolean {
    return [...this.inFlight, ...this.retries].some((other) => other !== batch && isBefore(other, batch));
  }

  #insertRetry(batch: ProducerBatch): void {
    const at = this.retries.findIndex((other) => isBefore(batch, other));
    this.retries.splice(at < 0 ? this.retries.length : at, 0, batch);
  }

  /** What comes after a gap was never accepted, and never will be under its old number. */
  #renumberAfterGap(): void {
    if (!this.#hasGap || this.inFlight.size > 0 || this.retries.length === 0) return;
    this.#raiseEpoch();
    for (const batch of this.retries) {
      if (this.#identity === undefined) batch.stamp({ producerId: -1, producerEpoch: -1, baseSequence: -1 });
      else this.#stamp(batch, this.#identity);
    }
  }
}

function isBefore(one: ProducerBatch, other: ProducerBatch): boolean {
  // Sequences wrap after 2^31 - 1; batches in flight are never half of that apart.
  return one.isSequenced && other.isSequenced
    ? (one.sequence.baseSequence - other.sequence.baseSequence) << 1 < 0
    : one.createdMs < other.createdMs;
}

function removeFrom(batches: ProducerBatch[], batch: ProducerBatch): void {
  const index = batches.indexOf(batch);
  if (index >= 0) batches.splice(index, 1);
}

/** The leader expects another sequence, or does not remember the producer. */
export function isSequenceError({ name }: Error): boolean {
  return name === 'OUT_OF_ORDER_SEQUENCE_NUMBER' || name === 'UNKNOWN_PRODUCER_ID' || name === 'INVALID_PRODUCER_EPOCH';
}
