import { sequenceAfter } from '@ottla/protocol';
import type { ProducerBatch } from './producer-batch.ts';

const maxEpoch = 0x7fff;

/** A producer's identity towards one partition. */
export type ProducerIdentity = { readonly producerId: number; readonly producerEpoch: number };

/**
 * The batches of one partition on their way out, and the sequence numbers that let the leader drop what it has already and
 * refuse what would leave a gap. The order of the rules below is what makes idempotence hold:
 *
 *   - a batch gets its sequence when it is first sent, and keeps it when it is sent again
 *   - once one comes back to be sent again, nothing new leaves until all that was in flight has come back too; then they
 *     leave in the order of their sequences, one at a time
 *   - where the order is promised, nothing new leaves for another leader before all that left for the last one has come back: the new one may have those batches already,
 *     go on from there, and know nothing of them any more by the time they are sent again
 *   - a batch that is given up leaves a gap, so what follows starts over at sequence 0 in a new producerEpoch, once what is before the gap
 *     is done: that may have been accepted already, though its answer told to try again
 *   - a batch with a sequence below one that was accepted keeps it: a leader that had the later one had this one, and in a new epoch it would be
 *     written again, behind what was sent after it. Only a leader that has lost the producer, or knows a later epoch, makes it start over too:
 *     there the old number has no future
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
  #identity: ProducerIdentity | undefined;
  /** An id that has no epoch left for this partition. */
  #retiredProducerId = -1;
  #nextSequence = 0;
  /** The base of the first batch that was given up in this epoch; -1 while none was. */
  #gapSequence = -1;
  /** The base of the last batch that the leader has taken in this epoch; -1 while it has taken none. */
  #acceptedSequence = -1;
  /** To which leader the batches in flight left. */
  #leaderId = -1;

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
    const isAlone = this.#hasGap || (this.#identity !== undefined && this.#acceptedSequence < 0);
    if (isAlone && this.inFlight.size > 0) return undefined;
    const batch = this.waiting[0];
    return batch && isReady(batch, this.waiting.length > 1) ? batch : undefined;
  }

  get #hasGap(): boolean {
    return this.#gapSequence >= 0;
  }

  /** Whether its next batch needs another id than this one. */
  hasWornOut({ producerId }: ProducerIdentity): boolean {
    const { producerId: own, producerEpoch } = this.#identity ?? {};
    const isLastEpoch = this.#hasGap && own === producerId && producerEpoch === maxEpoch;
    return isLastEpoch || producerId === this.#retiredProducerId;
  }

  mayLeaveFor(leaderId: number): boolean {
    return this.inFlight.size === 0 || this.#leaderId === leaderId;
  }

  /** Moves the batch `next` gave in flight. */
  sent(batch: ProducerBatch, identity: ProducerIdentity | undefined, leaderId: number): void {
    if (this.retries[0] === batch) this.retries.shift();
    else this.waiting.shift();
    if (identity && !batch.isSequenced) this.#stamp(batch, identity);
    this.inFlight.add(batch);
    this.#leaderId = leaderId;
  }

  #stamp(batch: ProducerBatch, identity: ProducerIdentity): void {
    if (this.#hasGap) this.#raiseEpoch();
    this.#identity ??= identity;
    batch.stamp({ ...this.#identity, baseSequence: this.#nextSequence });
    this.#nextSequence = sequenceAfter(this.#nextSequence, batch.count);
  }

  /** Only while nothing is in flight. */
  #raiseEpoch(): void {
    this.#gapSequence = -1;
    this.#acceptedSequence = -1;
    this.#nextSequence = 0;
    if (this.#identity === undefined) return;
    const { producerId, producerEpoch } = this.#identity;
    // Kafka's clients raise the epoch by themselves too, for just the partition that needs it.
    this.#identity = producerEpoch < maxEpoch ? { producerId, producerEpoch: producerEpoch + 1 } : undefined;
    if (this.#identity === undefined) this.#retiredProducerId = producerId;
  }

  /** The producer has another id or epoch. Only while the queue is empty. */
  startOver(): void {
    this.#identity = undefined;
    this.#nextSequence = 0;
    this.#gapSequence = -1;
    this.#acceptedSequence = -1;
  }

  succeeded(batch: ProducerBatch): void {
    this.inFlight.delete(batch);
    if (this.#isOfThisEpoch(batch) && !this.isOvertaken(batch)) this.#acceptedSequence = batch.sequence.baseSequence;
    this.#renumberAfterGap();
  }

  /** Will be sent again. */
  postponed(batch: ProducerBatch): void {
    this.inFlight.delete(batch);
    this.#insertRetry(batch);
    this.#renumberAfterGap();
  }

  /** Will be sent again under a new number, as the leader does not know the old one to be next. What it took before does not count any more. */
  outOfSequence(batch: ProducerBatch): void {
    this.#leaveGap(batch);
    this.#acceptedSequence = -1;
    this.postponed(batch);
  }

  /** Will not. */
  gaveUp(batch: ProducerBatch): void {
    this.inFlight.delete(batch);
    removeFrom(this.retries, batch);
    removeFrom(this.waiting, batch);
    if (batch.isSequenced) this.#leaveGap(batch);
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

  /** The leader has taken a later one. */
  isOvertaken(batch: ProducerBatch): boolean {
    if (this.#acceptedSequence < 0 || !this.#isOfThisEpoch(batch)) return false;
    return precedes(batch.sequence.baseSequence, this.#acceptedSequence);
  }

  /** No leader takes it under its number. */
  isBehindGap({ isSequenced, sequence }: ProducerBatch): boolean {
    return isSequenced && this.#hasGap && !precedes(sequence.baseSequence, this.#gapSequence);
  }

  /** What would start over if the batch were given up. */
  retriesBehind(batch: ProducerBatch): ProducerBatch[] {
    return batch.isSequenced ? this.retries.filter((other) => isBefore(batch, other)) : [];
  }

  #leaveGap(batch: ProducerBatch): void {
    const base = this.#isOfThisEpoch(batch) ? batch.sequence.baseSequence : 0;
    if (!this.#hasGap || precedes(base, this.#gapSequence)) this.#gapSequence = base;
  }

  #isOfThisEpoch({ isSequenced, sequence }: ProducerBatch): boolean {
    const { producerId, producerEpoch } = this.#identity ?? {};
    return isSequenced && sequence.producerId === producerId && sequence.producerEpoch === producerEpoch;
  }

  #insertRetry(batch: ProducerBatch): void {
    const at = this.retries.findIndex((other) => isBefore(batch, other));
    this.retries.splice(at < 0 ? this.retries.length : at, 0, batch);
  }

  /**
   * What comes after a gap was never accepted, and never will be under its old number. Those before it and those that were overtaken are first,
   * and keep theirs.
   */
  #renumberAfterGap(): void {
    const [first] = this.retries;
    if (!this.#hasGap || this.inFlight.size > 0 || !first || this.isOvertaken(first)) return;
    if (first.isSequenced && !this.isBehindGap(first)) return;
    this.#raiseEpoch();
    for (const batch of this.retries) {
      if (this.#identity === undefined) batch.stamp({ producerId: -1, producerEpoch: -1, baseSequence: -1 });
      else this.#stamp(batch, this.#identity);
    }
  }
}

function isBefore(one: ProducerBatch, other: ProducerBatch): boolean {
  return one.isSequenced && other.isSequenced
    ? precedes(one.sequence.baseSequence, other.sequence.baseSequence)
    : one.createdMs < other.createdMs;
}

/** Sequences wrap after 2^31 - 1; batches in flight are never half of that apart. */
function precedes(sequence: number, other: number): boolean {
  return (sequence - other) << 1 < 0;
}

function removeFrom(batches: ProducerBatch[], batch: ProducerBatch): void {
  const index = batches.indexOf(batch);
  if (index >= 0) batches.splice(index, 1);
}

/** The leader expects another sequence, or does not remember the producer. */
export function isSequenceError({ name }: Error): boolean {
  return name === 'OUT_OF_ORDER_SEQUENCE_NUMBER' || name === 'UNKNOWN_PRODUCER_ID' || name === 'INVALID_PRODUCER_EPOCH';
}
