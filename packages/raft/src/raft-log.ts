import type { EpochHistory } from './epoch-history.ts';
import { assertHolds } from './invariant.ts';
import type { QuorumHistory } from './quorum-history.ts';
import type { SnapshotId } from './snapshot-id.ts';

/** Where a log ends: two logs that agree on it hold the same records (KIP-101). */
export type LogPosition = { readonly offset: number; readonly epoch: number };

export type FetchPositionCheck =
  | { readonly kind: 'valid' }
  | { readonly kind: 'diverging'; readonly epoch: number; readonly endOffset: number }
  | { readonly kind: 'snapshot'; readonly snapshotId: SnapshotId };

/** What the node knows of its log: its ends and epochs, who votes by it, and its snapshots. The bytes are the shell's. */
export class RaftLog {
  #startOffset: number;
  #endOffset: number;
  #writtenEndOffset: number;
  #flushedEndOffset: number;
  #highWatermark = -1;
  #snapshots: readonly SnapshotId[];
  readonly epochs: EpochHistory;
  readonly quorum: QuorumHistory;

  constructor(given: {
    readonly startOffset: number;
    readonly endOffset: number;
    readonly epochs: EpochHistory;
    readonly quorum: QuorumHistory;
    readonly snapshots: readonly SnapshotId[];
  }) {
    this.#startOffset = given.startOffset;
    this.#endOffset = given.endOffset;
    this.#writtenEndOffset = given.endOffset;
    this.#flushedEndOffset = given.endOffset;
    this.epochs = given.epochs;
    this.quorum = given.quorum;
    this.#snapshots = given.snapshots;
    const { newestSnapshot } = this;
    if (!newestSnapshot) return;
    if (this.epochs.lastEpoch < 0) this.epochs.startFromSnapshot(newestSnapshot.epoch, this.#startOffset);
    // Only what is committed goes into a snapshot.
    this.raiseHighWatermark(newestSnapshot.endOffset);
  }

  get startOffset(): number {
    return this.#startOffset;
  }

  /** Includes batches that were handed out and may not be on disk yet. */
  get endOffset(): number {
    return this.#endOffset;
  }

  /** Everything before it can be read. */
  get writtenEndOffset(): number {
    return this.#writtenEndOffset;
  }

  /** Everything before it is on this node's disk. */
  get flushedEndOffset(): number {
    return this.#flushedEndOffset;
  }

  get isFlushed(): boolean {
    return this.#flushedEndOffset === this.#endOffset;
  }

  /** -1 until this node knows one. Never goes down. */
  get highWatermark(): number {
    return this.#highWatermark;
  }

  get newestSnapshot(): SnapshotId | undefined {
    return this.#snapshots.at(-1);
  }

  hasSnapshot({ endOffset, epoch }: SnapshotId): boolean {
    return this.#snapshots.some((each) => each.endOffset === endOffset && each.epoch === epoch);
  }

  get end(): LogPosition {
    return { offset: this.#endOffset, epoch: this.lastEpoch };
  }

  /** 0 for a log that never held a record. */
  get lastEpoch(): number {
    return Math.max(this.epochs.lastEpoch, this.newestSnapshot?.epoch ?? 0, 0);
  }

  /** Who has a log that ends there lacks nothing that this one has and that may be committed. */
  isUpToDate(other: LogPosition): boolean {
    return other.epoch !== this.lastEpoch ? other.epoch > this.lastEpoch : other.offset >= this.#endOffset;
  }

  append(count: number, epoch: number): void {
    this.epochs.add(epoch, this.#endOffset);
    this.#endOffset += count;
  }

  written(endOffset: number): void {
    assertHolds(endOffset <= this.#endOffset, `written to ${endOffset}, beyond the log end ${this.#endOffset}`);
    this.#writtenEndOffset = Math.max(this.#writtenEndOffset, endOffset);
  }

  flushed(endOffset: number): void {
    this.written(endOffset);
    this.#flushedEndOffset = Math.max(this.#flushedEndOffset, endOffset);
  }

  /** False: it is not higher than the one known. */
  raiseHighWatermark(offset: number): boolean {
    if (offset <= Math.max(this.#highWatermark, 0)) return false;
    this.#highWatermark = offset;
    this.quorum.forgetBefore(offset);
    return true;
  }

  /** Where the logs of leader and follower part, if the leader's ends there in that epoch. */
  truncationFor(leader: { readonly epoch: number; readonly endOffset: number }): number {
    const own = this.epochs.endOf(leader.epoch, this.#endOffset);
    if (!own) return this.#startOffset;
    return own.epoch === leader.epoch ? Math.min(own.endOffset, leader.endOffset) : own.endOffset;
  }

  truncateTo(endOffset: number): void {
    assertHolds(endOffset >= this.#highWatermark, `a truncation to ${endOffset} would undo what is committed`);
    this.#endOffset = Math.min(this.#endOffset, endOffset);
    this.#writtenEndOffset = Math.min(this.#writtenEndOffset, endOffset);
    this.#flushedEndOffset = Math.min(this.#flushedEndOffset, endOffset);
    this.epochs.truncateTo(endOffset);
    this.quorum.truncateTo(endOffset);
  }

  /** Whether a log that ends at `offset` in `epoch` is a beginning of this one. */
  check({ offset, epoch }: LogPosition): FetchPositionCheck {
    const [oldest] = this.#snapshots;
    const newest = this.newestSnapshot;
    // Records below the snapshot may still be there, but the snapshot is the shorter way.
    if (newest && offset === 0) return { kind: 'snapshot', snapshotId: newest };
    if (this.#startOffset === 0 && offset === 0 && epoch === 0) return { kind: 'valid' };
    if (oldest && newest) {
      const isBelow = offset < this.#startOffset || epoch < oldest.epoch;
      if (isBelow || (offset === this.#startOffset && epoch !== oldest.epoch)) return { kind: 'snapshot', snapshotId: newest };
    }
    // Of an epoch before all that the log still knows: it ended where they begin.
    const own = this.epochs.endOf(epoch, this.#endOffset) ?? { epoch, endOffset: this.epochs.startOffset ?? this.#startOffset };
    if (own.epoch === epoch && own.endOffset >= offset) return { kind: 'valid' };
    return { kind: 'diverging', ...own };
  }

  /** Snapshots were written or removed, the latter with the log before them. */
  keep(snapshots: readonly SnapshotId[], startOffset: number): void {
    this.#snapshots = snapshots;
    this.#startOffset = startOffset;
    this.epochs.forgetBefore(startOffset);
  }

  /** The log is empty and begins behind a fetched snapshot. */
  restartAt(snapshotId: SnapshotId): void {
    const { endOffset, epoch } = snapshotId;
    this.#snapshots = [snapshotId];
    this.#startOffset = endOffset;
    this.#endOffset = endOffset;
    this.#writtenEndOffset = endOffset;
    this.#flushedEndOffset = endOffset;
    this.epochs.startFromSnapshot(epoch, endOffset);
  }

  assertInvariants(): void {
    assertHolds(this.#highWatermark <= this.#flushedEndOffset, 'nothing is committed for this node that it has not on disk');
    assertHolds(this.#flushedEndOffset <= this.#writtenEndOffset, 'nothing is on disk that was not written');
    assertHolds(this.#writtenEndOffset <= this.#endOffset, 'nothing is written that was not appended');
    assertHolds(this.#startOffset <= this.#endOffset, 'a log starts before it ends');
  }
}
