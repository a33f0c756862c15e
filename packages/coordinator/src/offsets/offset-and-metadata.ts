import { type Uuid, ZERO_UUID } from '@ottla/protocol';
import type { OffsetCommitValue } from '../group-record.ts';

/** A committed offset. Never changed once made. */
export type OffsetAndMetadata = {
  readonly offset: number;
  /** -1 when the committer did not say. */
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly commitTimestamp: number;
  /** -1 unless an OffsetCommit of v2 to v4 gave a retention of its own. */
  readonly expireTimestamp: number;
  /** Zero in records of Kafka before 4.1. */
  readonly topicId: Uuid;
  /** Where the record stands in the log: of a transactional and a plain commit, the later one counts. -1 before it is written. */
  readonly recordOffset: number;
};

export function offsetFromRecord(recordOffset: number, value: OffsetCommitValue): OffsetAndMetadata {
  return {
    offset: value.offset,
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    commitTimestamp: value.commitTimestamp,
    expireTimestamp: value.expireTimestamp,
    topicId: value.topicId ?? ZERO_UUID,
    recordOffset,
  };
}
