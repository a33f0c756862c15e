import type { GroupRecord } from './group-record.ts';
import type { View } from './modern/journaled.ts';
import type { OffsetAndMetadata } from './offsets/offset-and-metadata.ts';

export type GroupType = 'Classic' | 'Consumer' | 'Share' | 'Streams';

/** Who wants to commit offsets, in the words of OffsetCommit and TxnOffsetCommit. */
export type Committer = {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly generationIdOrMemberEpoch: number;
  readonly apiVersion: number;
  readonly isTransactional: boolean;
};

/** Looks at each partition of a commit. Throws what forbids it. */
export type CommitCheck = (topic: string, topicId: string, partition: number) => void;

/** What is the same for groups of every protocol: how they are listed, and what they have to say about their offsets. */
export interface Group {
  readonly groupId: string;
  readonly type: GroupType;
  /** Null: a classic group that has never had members. */
  readonly protocolType: string | null;
  /** Has no members. */
  readonly isEmpty: boolean;
  /** As ListGroups names it, as of the last committed record. */
  readonly committedState: string;
  isSubscribedTo(topic: string): boolean;
  /** Throws what forbids the commit as a whole; what comes back, if anything, looks at each partition. */
  validateOffsetCommit(committer: Committer): CommitCheck | undefined;
  /** Throws what forbids the fetch. A member id of null with an epoch below 0 claims no membership. */
  validateOffsetFetch(memberId: string | null, memberEpoch: number, view: View): void;
  /** Throws what forbids deleting any of its offsets. */
  validateOffsetDelete(): void;
  /** From when on an offset's retention counts (KIP-211). Null while none of the group may expire. */
  offsetRetentionBase(): ((committed: OffsetAndMetadata) => number) | null;
  /** Deletes all that the log has of the group, its offsets left out: what belongs to its members first, the group itself last. */
  tombstones(): GroupRecord[];
  assertInvariants(): void;
}
