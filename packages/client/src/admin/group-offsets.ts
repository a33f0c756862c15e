import type { BrokerConnection } from '@ottla/network';
import { errorOfCode, KafkaError, OffsetCommit, OffsetDelete, OffsetFetch } from '@ottla/protocol';
import { groupByTopic, partitionName, type TopicPartition } from '../topic-partition.ts';
import type { AdminContext } from './admin.ts';
import { ItemsError, missingAnswer } from './each-item.ts';
import { atCoordinators } from './groups.ts';

export type CommittedOffset = TopicPartition & {
  /** The next record the group wants. */
  readonly offset: number;
  /** -1 where unknown. */
  readonly leaderEpoch: number;
  readonly metadata: string;
};

export type OffsetToCommit = TopicPartition & {
  readonly offset: number;
  readonly leaderEpoch?: number;
  readonly metadata?: string;
};

/** Names, not ids, in the versions below: an offset may be kept for a topic that is gone. */
const newestWithNames = 9;

/** What the group has committed: for these partitions, or all. Partitions without a commit are left out. */
export async function listGroupOffsets(
  context: AdminContext,
  groupId: string,
  partitions?: readonly TopicPartition[],
): Promise<CommittedOffset[]> {
  const [offsets] = await atCoordinators(context, [groupId], (_, connection) =>
    fetchCommitted(connection, { groupId, partitions: partitions ?? null, requireStable: false }),
  );
  return offsets!;
}

/** One OffsetFetch. Throws the group's or the first partition's KafkaError. */
export async function fetchCommitted(
  connection: BrokerConnection,
  options: {
    readonly groupId: string;
    readonly partitions: readonly TopicPartition[] | null;
    /** UNSTABLE_OFFSET_COMMIT while a transaction that commits offsets is open. */
    readonly requireStable: boolean;
  },
): Promise<CommittedOffset[]> {
  const { groupId, partitions, requireStable } = options;
  const version = connection.versionFor(OffsetFetch, { max: newestWithNames });
  const topics =
    partitions &&
    [...groupByTopic(partitions)].map(([name, all]) => ({ name, partitionIndexes: all.map(({ partition }) => partition) }));
  const stable = version >= 7 ? { requireStable } : {};
  const response = await connection.send(
    OffsetFetch,
    version >= 8 ? { ...stable, groups: [{ groupId, topics }] } : { ...stable, groupId, topics },
    { version },
  );
  const group = version >= 8 ? response.groups[0] : response;
  if (!group) throw missingAnswer(`group ${groupId}`);
  const error = errorOfCode(group.errorCode);
  if (error) throw error;
  const committed: CommittedOffset[] = [];
  for (const { name: topic, partitions: results } of group.topics) {
    for (const {
      partitionIndex: partition,
      committedOffset: offset,
      committedLeaderEpoch: leaderEpoch,
      metadata,
      errorCode,
    } of results) {
      const problem = errorOfCode(errorCode);
      if (problem) throw new KafkaError(problem.name, `${topic}-${partition}: ${problem.message}`);
      if (offset >= 0) committed.push({ topic, partition, offset, leaderEpoch, metadata: metadata ?? '' });
    }
  }
  return committed;
}

/** Sets offsets of a group without members. With members in it: UNKNOWN_MEMBER_ID. */
export async function alterGroupOffsets(
  context: AdminContext,
  groupId: string,
  offsets: readonly OffsetToCommit[],
): Promise<void> {
  for (const { offset } of offsets) requireOffset(offset);
  await atCoordinators(context, [groupId], async (_, connection) => {
    await sendCommit(connection, { groupId, offsets });
    return undefined;
  });
}

/** Throws INVALID_REQUEST. */
export function requireOffset(offset: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0)
    throw new KafkaError('INVALID_REQUEST', `an offset is a whole number, 0 or more, not ${offset}`);
}

export type Membership = { readonly memberId: string; readonly generationId: number; readonly groupInstanceId: string | null };

/** One OffsetCommit. Throws ItemsError by partition, whose name is the first problem's. */
export async function sendCommit(
  connection: BrokerConnection,
  commit: { readonly groupId: string; readonly offsets: readonly OffsetToCommit[]; readonly membership?: Membership },
): Promise<void> {
  const { groupId, offsets, membership = { memberId: '', generationId: -1, groupInstanceId: null } } = commit;
  const version = connection.versionFor(OffsetCommit, { max: newestWithNames });
  const response = await connection.send(
    OffsetCommit,
    {
      groupId,
      generationIdOrMemberEpoch: membership.generationId,
      memberId: membership.memberId,
      ...(membership.groupInstanceId === null ? {} : { groupInstanceId: membership.groupInstanceId }),
      topics: [...groupByTopic(offsets)].map(([name, all]) => ({
        name,
        partitions: all.map(({ partition, offset, leaderEpoch = -1, metadata = '' }) => ({
          partitionIndex: partition,
          committedOffset: offset,
          committedLeaderEpoch: leaderEpoch,
          committedMetadata: metadata,
        })),
      })),
    },
    { version },
  );
  const failures = new Map<string, KafkaError>();
  for (const { name: topic, partitions } of response.topics) {
    for (const { partitionIndex: partition, errorCode } of partitions) {
      const error = errorOfCode(errorCode);
      if (error) failures.set(partitionName({ topic, partition }), error);
    }
  }
  if (failures.size > 0) throw new ItemsError(failures);
}

export async function deleteGroupOffsets(
  context: AdminContext,
  groupId: string,
  partitions: readonly TopicPartition[],
): Promise<void> {
  await atCoordinators(context, [groupId], async (_, connection) => {
    const response = await connection.send(OffsetDelete, {
      groupId,
      topics: [...groupByTopic(partitions)].map(([name, all]) => ({
        name,
        partitions: all.map(({ partition }) => ({ partitionIndex: partition })),
      })),
    });
    const error = errorOfCode(response.errorCode);
    if (error) return error;
    const failures = new Map<string, KafkaError>();
    for (const { name: topic, partitions: results } of response.topics) {
      for (const { partitionIndex: partition, errorCode } of results) {
        const problem = errorOfCode(errorCode);
        if (problem) failures.set(partitionName({ topic, partition }), problem);
      }
    }
    return failures.size > 0 ? new ItemsError(failures) : undefined;
  });
}
