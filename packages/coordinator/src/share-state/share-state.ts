import type { SharePartitionKey, ShareSnapshotValue, ShareUpdateValue } from './share-state-record.ts';
import { combineBatches, type StateBatch } from './state-batches.ts';

/** What is known of a share partition: a snapshot, and the updates upon it. Never changed, only replaced. */
export type ShareState = {
  readonly key: SharePartitionKey;
  /** Counts the snapshots. */
  readonly snapshotEpoch: number;
  /** Moves up when the state is made anew. */
  readonly stateEpoch: number;
  /** Of the last leader of the partition that read the state; 0 again when it is made anew. */
  readonly leaderEpoch: number;
  /** Before it every record is done with. -1: not known yet, the leader finds it out. */
  readonly startOffset: number;
  /** Records at and after `startOffset` that are done with; -1: not told. */
  readonly deliveryCompleteCount: number;
  /** When the state was last written whole on somebody's behalf. */
  readonly createTimestamp: number;
  /** When it was last written whole: later than `createTimestamp` if that was for the sake of the log alone. */
  readonly writeTimestamp: number;
  readonly stateBatches: readonly StateBatch[];
  /** Who comes with a lower one speaks of what is over. */
  readonly highestStateEpoch: number;
  /** Who comes with a lower one no longer leads the partition. */
  readonly highestLeaderEpoch: number;
  /** How many updates the log has since the snapshot. */
  readonly updates: number;
  /** Where the snapshot is in the log: what the log has before says nothing of this share partition any more. */
  readonly snapshotOffset: number;
};

type Replayed = { readonly key: SharePartitionKey; readonly offset: number };

export function stateOfSnapshot(
  before: ShareState | undefined,
  value: ShareSnapshotValue,
  { key, offset }: Replayed,
): ShareState {
  const { snapshotEpoch, stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount } = value;
  const { createTimestamp, writeTimestamp, stateBatches } = value;
  return {
    key,
    snapshotEpoch,
    stateEpoch,
    leaderEpoch,
    startOffset,
    deliveryCompleteCount,
    createTimestamp,
    writeTimestamp,
    stateBatches: combineBatches([], stateBatches, -1),
    highestStateEpoch: Math.max(before?.highestStateEpoch ?? stateEpoch, stateEpoch),
    highestLeaderEpoch: Math.max(before?.highestLeaderEpoch ?? leaderEpoch, leaderEpoch),
    updates: 0,
    snapshotOffset: offset,
  };
}

/** Where an update has -1, that has not changed. */
export function stateAfterUpdate(before: ShareState | undefined, value: ShareUpdateValue, replayed: Replayed): ShareState {
  if (before === undefined) return stateOfUpdate(value, replayed);
  const startOffset = value.startOffset === -1 ? before.startOffset : value.startOffset;
  return {
    ...before,
    startOffset,
    leaderEpoch: value.leaderEpoch === -1 ? before.leaderEpoch : value.leaderEpoch,
    highestLeaderEpoch: Math.max(before.highestLeaderEpoch, value.leaderEpoch),
    deliveryCompleteCount: value.deliveryCompleteCount,
    stateBatches: combineBatches(before.stateBatches, value.stateBatches, startOffset),
    updates: before.updates + 1,
  };
}

/** Of an update whose snapshot the log does not have: no more is known than it says itself. */
function stateOfUpdate(value: ShareUpdateValue, { key, offset }: Replayed): ShareState {
  const { snapshotEpoch, leaderEpoch, startOffset, deliveryCompleteCount, stateBatches } = value;
  return {
    key,
    snapshotEpoch,
    stateEpoch: 0,
    leaderEpoch,
    startOffset,
    deliveryCompleteCount,
    createTimestamp: 0,
    writeTimestamp: 0,
    stateBatches: combineBatches([], stateBatches, startOffset),
    highestStateEpoch: 0,
    highestLeaderEpoch: leaderEpoch,
    updates: 1,
    snapshotOffset: offset,
  };
}
