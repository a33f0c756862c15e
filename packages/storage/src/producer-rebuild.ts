import type { BatchView } from '@ottla/protocol';
import { wholeBatches } from './batch-headers.ts';
import type { CompletedTransaction } from './producer-append.ts';
import type { ProducerStates } from './producer-states.ts';
import type { Segments } from './segments.ts';

export type RebuildOptions = {
  /** For messages: `topic-partition`. */
  readonly partitionName: string;
  readonly logStartOffset: number;
  /** The state wanted is that before this offset. */
  readonly endOffset: number;
  readonly nowMs: number;
  /** After a clean stop a log without any snapshot had no producers. */
  readonly trustMissingSnapshots: boolean;
};

/** Brings the producers to `endOffset`: newest snapshot first, then what the log holds behind it. */
export function rebuildProducerStates(producers: ProducerStates, segments: Segments, options: RebuildOptions): void {
  const { partitionName, logStartOffset, endOffset, nowMs } = options;
  const snapshotsWanted = segments.baseOffsets.slice(-2);
  if (options.trustMissingSnapshots && producers.latestSnapshotOffset === undefined) {
    for (const offset of [...snapshotsWanted, endOffset]) {
      producers.advanceTo(offset);
      producers.takeSnapshot();
    }
    return;
  }
  producers.reload({ logStartOffset, logEndOffset: endOffset, nowMs });
  if (endOffset > producers.mapEndOffset) {
    for (const segment of segments.from(producers.mapEndOffset)) {
      if (segment.baseOffset >= endOffset) break;
      const startOffset = Math.max(segment.baseOffset, producers.mapEndOffset, logStartOffset);
      producers.advanceTo(startOffset);
      if (snapshotsWanted.includes(segment.baseOffset)) producers.takeSnapshot();
      const start = segment.find(startOffset);
      if (!start) continue;
      for (const { batch } of wholeBatches(segment.log, start.position)) {
        if (batch.lastOffset >= endOffset) break;
        replayProducer(producers, batch, partitionName);
      }
    }
  }
  producers.advanceTo(endOffset);
  producers.takeSnapshot();
}

/** Takes over what a stored batch says of its producer; returns the transaction that it ended. */
export function replayProducer(
  producers: ProducerStates,
  batch: BatchView,
  partitionName: string,
): CompletedTransaction | undefined {
  let completed: CompletedTransaction | undefined;
  const { producerId } = batch;
  if (producerId >= 0) {
    const append = producers.prepare(producerId, partitionName);
    completed = append.add(batch, { origin: 'replication' });
    producers.update(append);
    if (completed) producers.complete(completed);
  }
  producers.advanceTo(batch.nextOffset);
  return completed;
}
