/**
 * One partition as the metadata log tells it, and how a PartitionChange turns it into the next one.
 * The state is a value: whoever holds one may keep it, a later record makes another.
 */

import type { MetadataRecord, Uuid } from '@ottla/protocol';
import { migratingDirectory } from './directory-ids.ts';

export const noLeader = -1;
/** In a PartitionChange: the leader stays, and so does its epoch. */
export const noLeaderChange = -2;

export const recovered = 0;
/** Elected uncleanly: the leader has not yet told that it is done with what it lost. */
export const recovering = 1;

export interface PartitionState {
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  /** Left the isr while it was at its minimum, hold everything committed: may be elected when the isr is empty (KIP-966). */
  readonly elr: readonly number[];
  /** With an empty isr: the last leader, the best guess when the elr is empty too. */
  readonly lastKnownElr: readonly number[];
  readonly addingReplicas: readonly number[];
  readonly removingReplicas: readonly number[];
  /** directories[i] is the log directory of replicas[i] (KIP-858). */
  readonly directories: readonly Uuid[];
  /** -1: none. */
  readonly leader: number;
  readonly leaderRecoveryState: number;
  readonly leaderEpoch: number;
  /** Grows with every change of this partition. */
  readonly partitionEpoch: number;
}

export type PartitionValue = Extract<MetadataRecord, { type: 'PartitionRecord' }>['value'];
export type PartitionChangeValue = Extract<MetadataRecord, { type: 'PartitionChangeRecord' }>['value'];

export function partitionFrom(record: PartitionValue): PartitionState {
  return {
    replicas: record.replicas,
    isr: record.isr,
    elr: record.eligibleLeaderReplicas ?? [],
    lastKnownElr: record.lastKnownElr ?? [],
    addingReplicas: record.addingReplicas,
    removingReplicas: record.removingReplicas,
    directories: directoriesFor(record.replicas, record.directories),
    leader: record.leader,
    leaderRecoveryState: record.leaderRecoveryState,
    leaderEpoch: record.leaderEpoch,
    partitionEpoch: record.partitionEpoch,
  };
}

/** An absent field means no change; naming a leader, even the present one, begins a new leader epoch. */
export function changedPartition(partition: PartitionState, change: PartitionChangeValue): PartitionState {
  const replicas = change.replicas ?? partition.replicas;
  const keepsLeader = change.leader === noLeaderChange;
  return {
    replicas,
    isr: change.isr ?? partition.isr,
    elr: change.eligibleLeaderReplicas ?? partition.elr,
    lastKnownElr: change.lastKnownElr ?? partition.lastKnownElr,
    addingReplicas: change.addingReplicas ?? partition.addingReplicas,
    removingReplicas: change.removingReplicas ?? partition.removingReplicas,
    directories: directoriesFor(replicas, change.directories ?? partition.directories),
    leader: keepsLeader ? partition.leader : change.leader,
    leaderRecoveryState: change.leaderRecoveryState === -1 ? partition.leaderRecoveryState : change.leaderRecoveryState,
    leaderEpoch: keepsLeader ? partition.leaderEpoch : partition.leaderEpoch + 1,
    partitionEpoch: partition.partitionEpoch + 1,
  };
}

export function directoryOf(partition: PartitionState, brokerId: number): Uuid | undefined {
  return partition.directories[partition.replicas.indexOf(brokerId)];
}

export function isReassigning(partition: PartitionState): boolean {
  return partition.addingReplicas.length > 0 || partition.removingReplicas.length > 0;
}

// Records older than KIP-858 name no directories: those partitions have yet to be told where they are.
function directoriesFor(replicas: readonly number[], directories: readonly Uuid[]): readonly Uuid[] {
  return directories.length === replicas.length ? directories : replicas.map(() => migratingDirectory);
}
