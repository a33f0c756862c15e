import type { ControlRecordToWrite } from '@ottla/protocol';
import type { ElectionState } from './election-state.ts';

/** What happened outside. */
export type RaftEvent =
  /** The time asked for has come, or the node has just started. */
  | { readonly type: 'wake' }
  /** The leader's owner wants these records in the log, all of them or none: each value one record's. */
  | { readonly type: 'append'; readonly values: readonly Uint8Array[] }
  /** Everything before `endOffset` is on this node's disk. */
  | { readonly type: 'flushed'; readonly endOffset: number }
  /** The disk did not take the batches from `endOffset` on, and nobody else has seen them: they were never appended. Of an only voter's leader. */
  | { readonly type: 'withdraw'; readonly endOffset: number }
  /** The node is about to stop: leave the leadership. */
  | { readonly type: 'resign' };

/** A batch for the log, at `baseOffset`, which is where the log ends. Its records take consecutive offsets. */
export type RaftBatch = { readonly baseOffset: number; readonly leaderEpoch: number; readonly timestampMs: number } & (
  | { readonly kind: 'control'; readonly records: readonly ControlRecordToWrite[] }
  | { readonly kind: 'data'; readonly values: readonly Uint8Array[] }
);

export type LeaderAndEpoch = { readonly leaderId: number | null; readonly leaderEpoch: number };

/**
 * What the node's shell must do, in this order. Nothing has happened yet: the election state is durable before the batches are appended,
 * the batches are appended before anybody hears of the leadership, and what is committed is told last.
 */
export type RaftEffects = {
  /** To be made durable; null: unchanged. */
  readonly electionState: ElectionState | null;
  readonly batches: readonly RaftBatch[];
  /** Who leads from now on; null: unchanged. */
  readonly leadership: LeaderAndEpoch | null;
  /** The new high watermark; null: unchanged. Everything before it is committed for good. */
  readonly highWatermark: number | null;
  /** Send a `wake` at this time at the latest; null: never. */
  readonly nextWakeMs: number | null;
};
