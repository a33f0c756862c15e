import { batchesOf, KafkaError } from '@ottla/protocol';
import type { CoordinatorLog } from './coordinator-log.ts';

/** For tests: a partition in memory, whose commits can be held back, whose appends can fail, and which can be lost to another leader. */
export class MemoryCoordinatorLog implements CoordinatorLog {
  readonly logStartOffset = 0;
  logEndOffset = 0;
  highWatermark = 0;
  maxBatchBytes = 1_000_000;
  /** Appended batches wait for `commit()`. */
  holdsCommits = false;
  appendError: unknown = null;
  readonly batches: Uint8Array[] = [];
  #waiting: { endOffset: number; resolve: () => void; reject: (error: KafkaError) => void }[] = [];

  read(startOffset: number, maxBytes: number): Uint8Array {
    const found: Uint8Array[] = [];
    let size = 0;
    for (const bytes of this.batches) {
      for (const batch of batchesOf(bytes)) {
        if (batch.nextOffset <= startOffset || (size > 0 && size + batch.length > maxBytes)) continue;
        found.push(batch.bytes);
        size += batch.length;
      }
    }
    return Buffer.concat(found);
  }

  append(batch: Uint8Array): number {
    if (this.appendError !== null) throw this.appendError;
    this.batches.push(batch);
    for (const { recordsCount } of batchesOf(batch)) this.logEndOffset += recordsCount;
    if (!this.holdsCommits) this.commit();
    return this.logEndOffset;
  }

  commit(endOffset = this.logEndOffset): void {
    this.highWatermark = Math.max(this.highWatermark, endOffset);
    const reached = this.#waiting.filter((waiter) => waiter.endOffset <= this.highWatermark);
    this.#waiting = this.#waiting.filter((waiter) => waiter.endOffset > this.highWatermark);
    for (const { resolve } of reached) resolve();
  }

  whenCommitted(endOffset: number): Promise<void> {
    if (endOffset <= this.highWatermark) return Promise.resolve();
    return new Promise((resolve, reject) => void this.#waiting.push({ endOffset, resolve, reject }));
  }

  loseLeadership(): void {
    for (const { reject } of this.#waiting.splice(0)) reject(new KafkaError('NOT_LEADER_OR_FOLLOWER'));
    this.appendError = new KafkaError('NOT_LEADER_OR_FOLLOWER');
  }
}
