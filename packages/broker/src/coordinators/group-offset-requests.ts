/**
 * What OffsetCommit, OffsetFetch and OffsetDelete say in terms of topics, and how that turns into what the coordinator knows: names
 * with ids where the metadata has them. Topics and partitions that do not exist are answered here.
 *
 * OffsetCommit v10 and OffsetFetch v10 name topics by id alone (KIP-848); OffsetFetch v8 asks for several groups at once (KIP-709).
 */

import type { FetchedGroup, GroupTopics, OffsetFetchGroup } from '@ottla/coordinator';
import {
  type ErrorName,
  errors,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse,
  type OffsetFetchRequest,
  type OffsetFetchResponse,
  type Writable,
  ZERO_UUID,
} from '@ottla/protocol';

type CommitTopic = OffsetCommitRequest['topics'][number];
type CommittedTopic = NonNullable<Writable<OffsetCommitResponse>['topics']>[number];
type FetchTopic = NonNullable<OffsetFetchGroup['topics']>[number];
type FetchedTopic = NonNullable<FetchedGroup['topics']>[number];
type DeleteTopic = OffsetDeleteRequest['topics'][number];
type DeletedTopic = NonNullable<Writable<OffsetDeleteResponse>['topics']>[number];

/** Splits a commit into what can be committed and the answer for the rest. */
export function resolveCommit(
  request: Pick<OffsetCommitRequest, 'topics'>,
  topics: GroupTopics,
  apiVersion: number,
): { accepted: CommitTopic[]; refused: CommittedTopic[] } {
  const accepted: CommitTopic[] = [];
  const refused: CommittedTopic[] = [];
  for (const topic of request.topics) {
    const name = apiVersion >= 10 ? topics.byId(topic.topicId)?.name : topic.name;
    const refuse = (partitions: CommitTopic['partitions'], error: ErrorName): void => {
      if (partitions.length === 0) return;
      const errorCode = errors[error].code;
      refused.push({
        name: name ?? '',
        topicId: topic.topicId,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
      });
    };
    const topicId = name === undefined ? undefined : topics.byName(name)?.id;
    if (name === undefined) {
      refuse(topic.partitions, 'UNKNOWN_TOPIC_ID');
    } else if (topicId === undefined) {
      refuse(topic.partitions, 'UNKNOWN_TOPIC_OR_PARTITION');
    } else {
      const known = topic.partitions.filter(({ partitionIndex }) => hasPartition(topics, name, partitionIndex));
      const unknown = topic.partitions.filter(({ partitionIndex }) => !hasPartition(topics, name, partitionIndex));
      refuse(unknown, 'UNKNOWN_TOPIC_OR_PARTITION');
      if (known.length > 0) accepted.push({ ...topic, name, topicId, partitions: known });
    }
  }
  return { accepted, refused };
}

/** The same error for every partition. */
export function failedCommit(accepted: readonly CommitTopic[], errorCode: number): CommittedTopic[] {
  return accepted.map(({ name, topicId, partitions }) => ({
    name,
    topicId,
    partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
  }));
}

/** One answer per topic: its refused partitions and its accepted ones came apart. */
export function mergeTopics(refused: readonly CommittedTopic[], answered: readonly CommittedTopic[]): CommittedTopic[] {
  return merged([...refused, ...answered], ({ name, topicId }) => name || (topicId ?? ''));
}

/** The first topic of each key, with the partitions of all of them. A request may name a topic very often. */
function merged<Partition, Topic extends { partitions?: readonly Partition[] | undefined }>(
  topics: readonly Topic[],
  keyOf: (topic: Topic) => string,
): (Topic & { partitions: Partition[] })[] {
  const byKey = new Map<string, Topic & { partitions: Partition[] }>();
  for (const topic of topics) {
    const key = keyOf(topic);
    const known = byKey.get(key);
    if (known === undefined) byKey.set(key, { ...topic, partitions: [...(topic.partitions ?? [])] });
    else for (const partition of topic.partitions ?? []) known.partitions.push(partition);
  }
  return [...byKey.values()];
}

/** The groups asked for: before v8 there is one, in fields of its own. */
export function groupsOf(request: OffsetFetchRequest, apiVersion: number): OffsetFetchGroup[] {
  if (apiVersion >= 8) return request.groups;
  const topics = request.topics?.map((topic) => ({ ...topic, topicId: ZERO_UUID })) ?? null;
  return [{ groupId: request.groupId, memberId: null, memberEpoch: -1, topics }];
}

/** v10 names topics by id: those that exist get their names, the others their answer. */
export function resolveFetch(
  { topics: asked, ...group }: OffsetFetchGroup,
  topics: GroupTopics,
  apiVersion: number,
): { group: OffsetFetchGroup; refused: FetchedTopic[] } {
  if (asked === null || apiVersion < 10) return { group: { ...group, topics: asked }, refused: [] };
  const known: FetchTopic[] = [];
  const refused: FetchedTopic[] = [];
  for (const topic of asked) {
    const name = topics.byId(topic.topicId)?.name;
    if (name === undefined) refused.push(failedFetchTopic(topic, 'UNKNOWN_TOPIC_ID'));
    else known.push({ ...topic, name });
  }
  return { group: { ...group, topics: known }, refused };
}

/** v10 answers with ids. Offsets of topics that are no more cannot be named, and are left out. */
export function withTopicIds(fetched: FetchedGroup, topics: GroupTopics, apiVersion: number): FetchedGroup {
  if (apiVersion < 10) return fetched;
  const named = (fetched.topics ?? []).flatMap((topic) => {
    const topicId =
      topic.topicId === undefined || topic.topicId === ZERO_UUID ? topics.byName(topic.name ?? '')?.id : topic.topicId;
    return topicId === undefined ? [] : [{ ...topic, topicId }];
  });
  return { ...fetched, topics: named };
}

/** Before v2 an answer has no error but those of its partitions. */
export function failedFetch({ groupId, topics }: OffsetFetchGroup, error: ErrorName, apiVersion: number): FetchedGroup {
  if (apiVersion >= 2) return { groupId, errorCode: errors[error].code };
  return { groupId, topics: (topics ?? []).map((topic) => failedFetchTopic(topic, error)) };
}

export function fetchResponse(groups: readonly FetchedGroup[], apiVersion: number): Writable<OffsetFetchResponse> {
  if (apiVersion >= 8) return { groups };
  const only = groups[0]!;
  const topics = only.topics?.map(({ name, partitions }) => ({ name, partitions }));
  return { topics, errorCode: only.errorCode };
}

export function resolveDelete(
  { topics: asked }: OffsetDeleteRequest,
  topics: GroupTopics,
): { accepted: DeleteTopic[]; refused: DeletedTopic[] } {
  const accepted: DeleteTopic[] = [];
  const refused: DeletedTopic[] = [];
  const errorCode = errors.UNKNOWN_TOPIC_OR_PARTITION.code;
  for (const { name, partitions } of asked) {
    const known = partitions.filter(({ partitionIndex }) => hasPartition(topics, name, partitionIndex));
    const unknown = partitions.filter(({ partitionIndex }) => !hasPartition(topics, name, partitionIndex));
    if (known.length > 0) accepted.push({ name, partitions: known });
    if (unknown.length > 0) {
      refused.push({ name, partitions: unknown.map(({ partitionIndex }) => ({ partitionIndex, errorCode })) });
    }
  }
  return { accepted, refused };
}

export function mergeDeleted(refused: readonly DeletedTopic[], answered: readonly DeletedTopic[]): DeletedTopic[] {
  return merged([...refused, ...answered], ({ name = '' }) => name);
}

function hasPartition(topics: GroupTopics, name: string, partition: number): boolean {
  return partition >= 0 && partition < (topics.byName(name)?.partitionCount ?? 0);
}

function failedFetchTopic({ name, topicId, partitionIndexes }: FetchTopic, error: ErrorName): FetchedTopic {
  const errorCode = errors[error].code;
  return {
    name,
    topicId,
    partitions: partitionIndexes.map((partitionIndex) => ({
      partitionIndex,
      errorCode,
      committedOffset: -1,
      committedLeaderEpoch: -1,
      metadata: '',
    })),
  };
}
