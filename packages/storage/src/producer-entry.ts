import type { BatchView } from '@ottla/protocol';

/** One batch a producer wrote. */
export type ProducedBatch = {
  readonly lastSequence: number;
  readonly lastOffset: number;
  /** Last offset - first offset. */
  readonly offsetDelta: number;
  readonly timestamp: number;
};

/** A client may have five batches in flight, so a retry can be of any of the last five. */
export const maxCachedBatches = 5;

const maxSequence = 0x7fff_ffff;

/** What a partition knows of one producer id. */
export type ProducerEntry = {
  readonly producerId: number;
  /** -1 before the first batch or marker. */
  producerEpoch: number;
  /** -1 before the first marker. */
  coordinatorEpoch: number;
  lastTimestamp: number;
  /** First offset of the open transaction; -1 when there is none. */
  transactionFirstOffset: number;
  /** The last five of this epoch, oldest first. */
  batches: ProducedBatch[];
};

export function emptyProducerEntry(producerId: number): ProducerEntry {
  return { producerId, producerEpoch: -1, coordinatorEpoch: -1, lastTimestamp: -1, transactionFirstOffset: -1, batches: [] };
}

/** -1 when no batch of the current epoch is known. */
export function lastSequenceOf(entry: ProducerEntry): number {
  return entry.batches.at(-1)?.lastSequence ?? -1;
}

export function lastOffsetOf(entry: ProducerEntry): number {
  return entry.batches.at(-1)?.lastOffset ?? -1;
}

export function firstOffsetOf(batch: ProducedBatch): number {
  return batch.lastOffset - batch.offsetDelta;
}

function firstSequenceOf({ lastSequence, offsetDelta }: ProducedBatch): number {
  const sequence = lastSequence - offsetDelta;
  return sequence < 0 && lastSequence >= 0 ? sequence + maxSequence + 1 : sequence;
}

/** Which of the last `newest` cached batches this one repeats. */
export function duplicateOf(entry: ProducerEntry, batch: BatchView, newest = maxCachedBatches): ProducedBatch | undefined {
  if (batch.producerEpoch !== entry.producerEpoch) return undefined;
  const { baseSequence, lastSequence } = batch;
  const { batches } = entry;
  for (let index = Math.max(0, batches.length - newest); index < batches.length; index++) {
    const known = batches[index]!;
    if (known.lastSequence === lastSequence && firstSequenceOf(known) === baseSequence) return known;
  }
  return undefined;
}

/** A higher epoch starts from nothing: its sequences begin at 0 again. */
export function enterProducerEpoch(entry: ProducerEntry, producerEpoch: number): void {
  if (entry.producerEpoch === producerEpoch) return;
  entry.producerEpoch = producerEpoch;
  entry.batches = [];
}

export function addProducedBatch(entry: ProducerEntry, batch: ProducedBatch): void {
  if (entry.batches.length === maxCachedBatches) entry.batches.shift();
  entry.batches.push(batch);
}

/** Whether `sequence` continues after `lastSequence`, which wraps from 2147483647 to 0. */
export function isNextSequence(lastSequence: number, sequence: number): boolean {
  return sequence === lastSequence + 1 || (sequence === 0 && lastSequence === maxSequence);
}
