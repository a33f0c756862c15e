import { type BatchView, batchesOf } from '@ottla/protocol';
import type { FetchedBatches } from './effects.ts';
import type { RaftLog } from './raft-log.ts';

export type Appended = {
  readonly batches: FetchedBatches | null;
  /** Why what follows the good batches was not taken, if it was not. */
  readonly damage: string | null;
};

/**
 * Takes the leader's batches into the log, up to the first that is not what it should be: its crc, its place right behind the one before, an
 * epoch between the log's last and the leader's. What is left out is fetched again.
 */
export function appendFetched(log: RaftLog, bytes: Uint8Array, leaderEpoch: number): Appended {
  const baseOffset = log.endOffset;
  let length = 0;
  let damage: string | null = null;
  try {
    for (const batch of batchesOf(bytes)) {
      damage = damageOf(batch, log, leaderEpoch);
      if (damage !== null) break;
      log.quorum.addBatch(batch);
      log.append(batch.lastOffset - batch.baseOffset + 1, batch.leaderEpoch);
      length += batch.length;
    }
  } catch (error) {
    damage = (error as Error).message;
  }
  if (length === 0) return { batches: null, damage };
  return { batches: { bytes: bytes.subarray(0, length), baseOffset, endOffset: log.endOffset }, damage };
}

function damageOf(batch: BatchView, log: RaftLog, leaderEpoch: number): string | null {
  if (batch.magic !== 2) return `magic ${batch.magic}`;
  batch.ensureCrc();
  if (batch.baseOffset !== log.endOffset) return `offset ${batch.baseOffset} where ${log.endOffset} is next`;
  if (batch.lastOffset < batch.baseOffset) return `last offset ${batch.lastOffset} of a batch at ${batch.baseOffset}`;
  const isOrdered = batch.leaderEpoch >= log.lastEpoch && batch.leaderEpoch <= leaderEpoch;
  return isOrdered ? null : `epoch ${batch.leaderEpoch} after ${log.lastEpoch}, of a leader in ${leaderEpoch}`;
}
