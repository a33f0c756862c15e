import { errors, KafkaError, type OffsetCommitRequest, type OffsetCommitResponse, type Writable } from '@ottla/protocol';
import { ClassicGroup, unknownMember } from '../classic/classic-group.ts';
import type { GroupConfig } from '../group-config.ts';
import { offsetCommitRecord } from '../group-record.ts';
import type { ModernGroup } from '../modern-group.ts';
import type { Turn } from '../outcome.ts';

export type Committer = {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly generationIdOrMemberEpoch: number;
  readonly apiVersion: number;
  readonly isTransactional: boolean;
};

/**
 * Throws what forbids the commit. A group that does not exist is made by a commit that claims no membership: a consumer that assigns
 * itself, or a tool.
 */
export function validateCommit(groupId: string, group: ClassicGroup | ModernGroup | undefined, committer: Committer): void {
  const { memberId, groupInstanceId, generationIdOrMemberEpoch: generationId, apiVersion, isTransactional } = committer;
  if (group === undefined) {
    if (generationId < 0) return;
    if (isTransactional || apiVersion < 9) throw new KafkaError('ILLEGAL_GENERATION', `group ${groupId} does not exist`);
    throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${groupId} not found.`);
  }
  if (!(group instanceof ClassicGroup)) {
    group.validateOffsetCommit(memberId, generationId, apiVersion);
    return;
  }
  if (group.state === 'Dead') throw new KafkaError('COORDINATOR_NOT_AVAILABLE');
  if (generationId < 0 && group.isEmpty) return;
  if (generationId >= 0 || memberId !== '' || groupInstanceId !== null) {
    group.validateMember(memberId, groupInstanceId);
    if (generationId !== group.generationId) {
      throw new KafkaError('ILLEGAL_GENERATION', `group ${groupId} is at generation ${group.generationId}`);
    }
  } else if (!isTransactional) {
    // Without membership only an empty group takes commits, else one would overwrite what its members do.
    throw unknownMember(groupId, memberId);
  }
  // The member knows the new generation and not yet its part of it: what it commits may be another's by now.
  if (!isTransactional && group.state === 'CompletingRebalance') throw new KafkaError('REBALANCE_IN_PROGRESS');
}

/** Every partition is committed or refused for itself: only its metadata can be at fault. */
export function commitOffsets(turn: Turn, request: OffsetCommitRequest, config: GroupConfig): Writable<OffsetCommitResponse> {
  const nowMs = turn.moment.wallMs;
  const expireTimestamp = request.retentionTimeMs === -1 ? -1 : nowMs + request.retentionTimeMs;
  return {
    topics: request.topics.map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map((partition) => {
        const metadata = partition.committedMetadata ?? '';
        if (metadata.length > config.offsetMetadataMaxBytes) {
          return { partitionIndex: partition.partitionIndex, errorCode: errors.OFFSET_METADATA_TOO_LARGE.code };
        }
        const at = { groupId: request.groupId, topic: name, partition: partition.partitionIndex };
        const { committedOffset: offset, committedLeaderEpoch: leaderEpoch } = partition;
        turn.records.push(
          offsetCommitRecord(at, {
            offset,
            leaderEpoch,
            metadata,
            commitTimestamp: nowMs,
            expireTimestamp,
            topicId,
            recordOffset: -1,
          }),
        );
        return { partitionIndex: partition.partitionIndex, errorCode: 0 };
      }),
    })),
  };
}
