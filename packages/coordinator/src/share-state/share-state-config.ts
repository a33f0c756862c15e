/** What the share coordinator reads of the broker's configuration. */
export type ShareStateConfig = {
  /** share.coordinator.snapshot.update.records.per.snapshot; 0: every change is a snapshot. */
  readonly updatesPerSnapshot: number;
  /** share.coordinator.cold.partition.snapshot.interval.ms */
  readonly coldPartitionSnapshotIntervalMs: number;
};

export const defaultShareStateConfig: ShareStateConfig = { updatesPerSnapshot: 500, coldPartitionSnapshotIntervalMs: 300_000 };
