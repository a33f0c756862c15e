import type { MetadataRecord } from '@ottla/protocol';
import type { LeaderAndEpoch } from '@ottla/raft';

/** Records that were appended together and are committed. Control batches come without records, so that offsets have no gaps. */
export type CommittedBatch = {
  readonly baseOffset: number;
  /** Inclusive. */
  readonly lastOffset: number;
  readonly leaderEpoch: number;
  readonly appendTimestampMs: number;
  readonly records: readonly MetadataRecord[];
};

export type SnapshotToHear = {
  /** The state up to (excluding) this offset. */
  readonly endOffset: number;
  readonly leaderEpoch: number;
  readonly lastContainedLogTimestampMs: number;
};

/** Hears the records of a snapshot, slice by slice. They count from its `end` on; where that does not come they are to be forgotten. */
export type SnapshotListener = {
  records(slice: readonly MetadataRecord[]): void;
  end(): void;
};

/** Hears what is committed, in order: at most one snapshot first, then every batch behind it. Must not throw. */
export type MetadataListener = {
  /** It takes the place of all that was heard before. Nothing else is told until it has ended, but who leads. */
  snapshot(snapshot: SnapshotToHear): SnapshotListener;
  batch(batch: CommittedBatch): void;
  leaderChanged?(leader: LeaderAndEpoch): void;
  /**
   * Everything heard so far as records, for a snapshot. Called right after a `batch`, and read little by little while more is heard, which must
   * not show in it. One of the listeners should have it; without, the log grows for ever.
   */
  toSnapshot?(): Iterable<MetadataRecord>;
};
