import { BatchView } from '@ottla/protocol';
import type { CompletedTransaction, ProducerAppend, ProducerAppendOptions } from './producer-append.ts';
import type { ProducedBatch } from './producer-entry.ts';
import type { ProducerStates } from './producer-states.ts';
import type { Segment } from './segment.ts';

/** What an append does to the producers; most appends change none or one. */
export type ProducerChanges = {
  readonly appends: ReadonlyMap<number, ProducerAppend> | undefined;
  readonly completed: readonly CompletedTransaction[] | undefined;
  /** The batch is a repetition of this one: nothing is to be written. */
  readonly duplicate: ProducedBatch | undefined;
};

/** Checks the batches one after the other, each against what those before it change. Throws what `ProducerAppend.add` throws. */
export function prepareProducers(producers: ProducerStates, bytes: Uint8Array, options: ProducerAppendOptions): ProducerChanges {
  let appends: Map<number, ProducerAppend> | undefined;
  let completed: CompletedTransaction[] | undefined;
  const batch = new BatchView(bytes);
  for (let start = 0; start < bytes.length; start += batch.length) {
    const { producerId } = batch.moveTo(start);
    if (producerId < 0) continue;
    const duplicate = options.origin === 'client' ? producers.duplicateOf(batch) : undefined;
    if (duplicate) return { appends: undefined, completed: undefined, duplicate };
    appends ??= new Map();
    let append = appends.get(producerId);
    if (!append) appends.set(producerId, (append = producers.prepare(producerId, options)));
    const ended = append.add(batch);
    if (ended) (completed ??= []).push(ended);
  }
  return { appends, completed, duplicate: undefined };
}

/** Takes the changes over once their batches are in `segment`. */
export function applyProducers(
  producers: ProducerStates,
  { appends, completed }: ProducerChanges,
  { segment, endOffset }: { segment: Segment; endOffset: number },
): void {
  if (appends) for (const append of appends.values()) producers.update(append);
  for (const transaction of completed ?? []) {
    if (transaction.isAborted) segment.appendAborted(transaction, producers.lastStableOffsetAfter(transaction));
    producers.complete(transaction);
  }
  producers.advanceTo(endOffset);
}
