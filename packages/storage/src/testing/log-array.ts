/** The model of a log: an array of batches, and what follows from it for producers, transactions and epochs. */
import type { AbortedTransaction } from '../transaction-index.ts';

export type ModelRecord = {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string;
};

export type ModelBatch = {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly leaderEpoch: number;
  readonly producerId: number;
  readonly baseSequence: number;
  readonly isTransactional: boolean;
  /** Of a marker. */
  readonly ends: 'commit' | 'abort' | undefined;
  readonly records: readonly ModelRecord[];
};

/** A value, never changed: what may have been lost can be told by comparing two of them. */
export type LogArray = {
  readonly startOffset: number;
  readonly endOffset: number;
  /** Also those below the start, which may come back as long as their removal is not durable. */
  readonly batches: readonly ModelBatch[];
};

export const emptyArray: LogArray = { startOffset: 0, endOffset: 0, batches: [] };

export function appended(array: LogArray, batch: ModelBatch): LogArray {
  return { ...array, endOffset: batch.lastOffset + 1, batches: [...array.batches, batch] };
}

/** The batch that holds `offset` goes whole. */
export function truncated(array: LogArray, offset: number): LogArray {
  if (offset >= array.endOffset) return array;
  return {
    startOffset: Math.min(array.startOffset, offset),
    endOffset: offset,
    batches: array.batches.filter((batch) => batch.lastOffset < offset),
  };
}

/** As a crash left it: nothing from `endOffset` on. */
export function cutAt(array: LogArray, endOffset: number, startOffset: number): LogArray {
  return { startOffset, endOffset, batches: array.batches.filter((batch) => batch.lastOffset < endOffset) };
}

export type ModelProducer = { lastSequence: number; openSince: number };

/** What batches from `startOffset` on say of producers: the state a log has to have at its end. */
export function producersOf(array: LogArray, startOffset = 0): Map<number, ModelProducer> {
  const producers = new Map<number, ModelProducer>();
  for (const batch of array.batches) {
    if (batch.producerId < 0 || batch.lastOffset < startOffset) continue;
    const producer = producers.get(batch.producerId) ?? { lastSequence: -1, openSince: -1 };
    producers.set(batch.producerId, producer);
    if (batch.ends) {
      producer.openSince = -1;
      continue;
    }
    producer.lastSequence = batch.baseSequence + (batch.lastOffset - batch.baseOffset);
    if (batch.isTransactional && producer.openSince < 0) producer.openSince = batch.baseOffset;
  }
  return producers;
}

/** Offset of each transactional data batch -> the offset of the marker that aborted it. */
export function abortedBatches(array: LogArray): Map<ModelBatch, number> {
  const aborted = new Map<ModelBatch, number>();
  const open = new Map<number, ModelBatch[]>();
  for (const batch of array.batches) {
    if (!batch.isTransactional) continue;
    const batches = open.get(batch.producerId) ?? [];
    open.set(batch.producerId, batches);
    if (!batch.ends) {
      batches.push(batch);
      continue;
    }
    if (batch.ends === 'abort') for (const each of batches) aborted.set(each, batch.baseOffset);
    open.delete(batch.producerId);
  }
  return aborted;
}

export const covers = (transaction: AbortedTransaction, batch: ModelBatch, marker: number): boolean =>
  transaction.producerId === batch.producerId && transaction.firstOffset <= batch.baseOffset && transaction.lastOffset === marker;
