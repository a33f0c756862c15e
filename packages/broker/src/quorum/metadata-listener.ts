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

export type LoadedSnapshot = {
  /** The state up to (excluding) this offset. */
  readonly endOffset: number;
  readonly leaderEpoch: number;
  readonly lastContainedLogTimestampMs: number;
  readonly records: readonly MetadataRecord[];
};

/** Hears what is committed, in order: at most one snapshot first, then every batch behind it. Must not throw. */
export type MetadataListener = {
  snapshot(snapshot: LoadedSnapshot): void;
  batch(batch: CommittedBatch): void;
  leaderChanged?(leader: LeaderAndEpoch): void;
  /**
   * Everything heard so far as records, for a snapshot. Called right after a `batch`, and read to its end at once. One of the listeners
   * should have it; without, the log grows for ever.
   */
  toSnapshot?(): Iterable<MetadataRecord>;
};
