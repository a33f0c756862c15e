import type { EpochEndOffset } from '@ottla/storage';

/** A follower's log, as far as this decision looks at it. */
export type DivergedLog = {
  readonly logEndOffset: number;
  readonly highWatermark: number;
  /** (-1, -1) when no epoch up to that one is known. */
  endOffsetForEpoch(epoch: number): EpochEndOffset;
};

/**
 * Where a follower cuts its log when its leader's parts from it: `diverging` is the leader's largest epoch up to the follower's last one, and
 * where that ends there. When the follower does not know that epoch either, its own largest one below decides, and the next fetch asks again
 * (KIP-101, KIP-279, KIP-595).
 */
export function truncationOffset(log: DivergedLog, diverging: { readonly epoch: number; readonly endOffset: number }): number {
  const { logEndOffset } = log;
  // The leader does not know: only what is committed is certainly the same.
  if (diverging.endOffset < 0) return Math.min(log.highWatermark, logEndOffset);
  if (diverging.epoch < 0) return Math.min(diverging.endOffset, logEndOffset);
  const own = log.endOffsetForEpoch(diverging.epoch);
  if (own.endOffset < 0) return Math.min(diverging.endOffset, logEndOffset);
  if (own.leaderEpoch !== diverging.epoch) return Math.min(own.endOffset, logEndOffset);
  return Math.min(own.endOffset, diverging.endOffset, logEndOffset);
}
