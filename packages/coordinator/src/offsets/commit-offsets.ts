import { errors, KafkaError, type OffsetCommitRequest, type OffsetCommitResponse, type Writable } from '@ottla/protocol';
import type { CommitCheck, Committer, Group } from '../group.ts';
import type { GroupCoordinatorConfig } from '../group-coordinator-config.ts';
import { offsetCommitRecord } from '../group-record.ts';
import type { Turn } from '../outcome.ts';

/**
 * Throws what forbids the commit. A group that does not exist is made by a commit that claims no membership: a consumer that assigns
 * itself, or a tool.
 */
export function validateCommit(groupId: string, group: Group | undefined, committer: Committer): CommitCheck | undefined {
  if (group !== undefined) return group.validateOffsetCommit(committer);
  const { generationIdOrMemberEpoch: generationId, apiVersion, isTransactional } = committer;
  if (generationId < 0) return undefined;
  if (isTransactional || apiVersion < 9) throw new KafkaError('ILLEGAL_GENERATION', `group ${groupId} does not exist`);
  throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${groupId} not found.`);
}

/** Every partition is committed or refused for its metadata by itself; what `check` throws forbids the whole. */
export function commitOffsets(
  turn: Turn,
  request: Pick<OffsetCommitRequest, 'groupId' | 'topics' | 'retentionTimeMs'>,
  config: GroupCoordinatorConfig,
  check: CommitCheck | undefined,
): Writable<OffsetCommitResponse> {
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
        check?.(name, topicId, partition.partitionIndex);
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
