import type { PartitionNumbers } from '@ottla/coordinator';
import {
  type AlterShareGroupOffsetsRequest,
  type AlterShareGroupOffsetsResponse,
  type DeleteShareGroupOffsetsRequest,
  type DeleteShareGroupOffsetsResponse,
  type DeleteShareGroupStateRequest,
  type DescribeShareGroupOffsetsRequest,
  type DescribeShareGroupOffsetsResponse,
  errorCodeOf,
  errors,
  type InitializeShareGroupStateRequest,
  type InitializeShareGroupStateResponse,
  KafkaError,
  type ShareGroupDescribeRequest,
  type ShareGroupDescribeResponse,
  type ShareGroupHeartbeatRequest,
  type ShareGroupHeartbeatResponse,
  type Uuid,
  type Writable,
  ZERO_UUID,
} from '@ottla/protocol';
import type { Logger } from '@ottla/runtime';
import type { SharePersister } from '../sharing/share-persister.ts';
import { type GroupPartitions, type GroupRequestContext, requireGroupId } from './group-partitions.ts';

export type ShareGroupSurroundings = {
  readonly persister: SharePersister;
  /** The end of a partition for its readers, wherever it is led. Rejects with KafkaError when nobody says. */
  readonly latestOffset: (topic: string, partition: number) => Promise<number>;
  readonly logger: Logger;
};

type DescribedGroup = NonNullable<Writable<ShareGroupDescribeResponse>['groups']>[number];
type OffsetsOfGroup = NonNullable<Writable<DescribeShareGroupOffsetsResponse>['groups']>[number];
type OffsetsOfTopic = NonNullable<OffsetsOfGroup['topics']>[number];
type OffsetOfPartition = NonNullable<OffsetsOfTopic['partitions']>[number];
type AskedGroup = DescribeShareGroupOffsetsRequest['groups'][number];
type AskedPartitions = { readonly topicId: Uuid; readonly topicName: string; readonly partitions: readonly number[] };

const MAX_MEMBER_ID_LENGTH = 36;

/** The APIs of share groups (KIP-932), save those by which members fetch and acknowledge records. */
export class ShareGroupService {
  readonly #partitions: GroupPartitions;
  readonly #surroundings: ShareGroupSurroundings;

  constructor(partitions: GroupPartitions, surroundings: ShareGroupSurroundings) {
    this.#partitions = partitions;
    this.#surroundings = surroundings;
  }

  heartbeat(
    request: ShareGroupHeartbeatRequest,
    { clientId, clientHost }: GroupRequestContext,
  ): Promise<Writable<ShareGroupHeartbeatResponse>> {
    return this.#partitions.answer<Writable<ShareGroupHeartbeatResponse>>(
      async () => {
        requireValid(request);
        const { response, initialize } = await this.#partitions.coordinators.write(
          this.#partitions.of(request.groupId),
          (groups, moment) => groups.share.heartbeat(request, { clientId: clientId ?? '', clientHost }, moment),
        );
        // The member is not kept waiting: it gets the partitions with a later heartbeat.
        if (initialize !== null) void this.#initialize(initialize);
        return response;
      },
      (error, cause) => ({ errorCode: errors[error].code, errorMessage: cause.message }),
    );
  }

  /** `authorizedOperations` is left to the caller, who knows what the client may do. */
  async describe({ groupIds }: ShareGroupDescribeRequest): Promise<Writable<ShareGroupDescribeResponse>> {
    const { coordinators } = this.#partitions;
    const groups = await this.#partitions.describeEach<DescribedGroup>(groupIds, (groupId) =>
      coordinators.read(this.#partitions.of(requireGroupId(groupId)), ({ share }) => share.describe(groupId)),
    );
    return { groups };
  }

  // ── offsets ──

  async describeOffsets({ groups }: DescribeShareGroupOffsetsRequest): Promise<Writable<DescribeShareGroupOffsetsResponse>> {
    const described = await this.#partitions.inSteps(groups, (group) =>
      this.#partitions.answer<OffsetsOfGroup>(
        () => this.#offsetsOf(group),
        (error, cause) => ({ groupId: group.groupId, errorCode: errors[error].code, errorMessage: cause.message }),
      ),
    );
    return { groups: described };
  }

  alterOffsets(request: AlterShareGroupOffsetsRequest): Promise<Writable<AlterShareGroupOffsetsResponse>> {
    return this.#partitions.answer<Writable<AlterShareGroupOffsetsResponse>>(
      async () => {
        const { responses, initialize } = await this.#partitions.coordinators.write(
          this.#partitions.of(requireGroupId(request.groupId)),
          (groups, moment) => groups.share.offsets.alter(request, moment),
        );
        if (initialize === null) return { responses };
        const failures = failuresOf(await this.#initialize(initialize));
        return {
          responses: responses.map(({ topicId = ZERO_UUID, partitions = [], ...topic }) => ({
            ...topic,
            topicId,
            partitions: partitions.map((partition) => ({
              ...partition,
              ...failures.get(topicId)?.get(partition.partitionIndex ?? 0),
            })),
          })),
        };
      },
      (error, cause) => ({ errorCode: errors[error].code, errorMessage: cause.message }),
    );
  }

  deleteOffsets(request: DeleteShareGroupOffsetsRequest): Promise<Writable<DeleteShareGroupOffsetsResponse>> {
    const { groupId } = request;
    return this.#partitions.answer<Writable<DeleteShareGroupOffsetsResponse>>(
      async () => {
        const partition = this.#partitions.of(requireGroupId(groupId));
        const { responses, deleteState } = await this.#partitions.coordinators.write(partition, (groups, moment) =>
          groups.share.offsets.beginDelete(request, moment),
        );
        if (deleteState === null) return { responses };
        const failures = await this.#deleteState(deleteState);
        const failed = deleteState.topics.flatMap(({ topicId }) => {
          const errorCode = failures.get(topicId);
          const topicName = this.#partitions.topics.byId(topicId)?.name ?? '';
          return errorCode === undefined
            ? []
            : [{ topicName, topicId, errorCode, errorMessage: 'the share coordinator could not delete it' }];
        });
        const gone = deleteState.topics.map(({ topicId }) => topicId).filter((topicId) => !failures.has(topicId));
        if (gone.length === 0) return { responses: [...responses, ...failed] };
        const deleted = await this.#partitions.coordinators.write(partition, (groups, moment) =>
          groups.share.offsets.deleted(groupId, gone, moment),
        );
        return { responses: [...responses, ...failed, ...deleted] };
      },
      (error, cause) => ({ errorCode: errors[error].code, errorMessage: cause.message }),
    );
  }

  /**
   * Before groups of a partition are deleted: their state goes first, or would be found by a group of the same name. Returns the error
   * codes of those that must stay.
   */
  async deleteStateOf(partition: number, groupIds: readonly string[]): Promise<Map<string, number>> {
    const doomed = await this.#partitions.coordinators.write(partition, (groups, moment) =>
      groups.share.offsets.beginGroupDeletion(groupIds, moment),
    );
    const failures = new Map<string, number>();
    for (const group of doomed) {
      if ('errorCode' in group) {
        failures.set(group.groupId, group.errorCode);
        continue;
      }
      const [errorCode] = (await this.#deleteState(group.deleteState)).values();
      if (errorCode !== undefined) failures.set(group.groupId, errorCode);
    }
    return failures;
  }

  // ── state of share partitions ──

  /** Has state made for share partitions, and tells the group what came of it. Never rejects. */
  async #initialize(request: InitializeShareGroupStateRequest): Promise<InitializeShareGroupStateResponse> {
    const { groupId, topics } = request;
    const response = await this.#surroundings.persister.initialize(request);
    const failures = failuresOf(response);
    const numbers: PartitionNumbers = new Map(
      topics.map(({ topicId, partitions }) => [topicId, partitions.map(({ partition }) => partition)]),
    );
    if (failures.size > 0) {
      const errorCode = [...[...failures.values()][0]!.values()][0]!.errorCode;
      this.#surroundings.logger.warn('share partitions could not be initialized', { group: groupId, errorCode });
    }
    try {
      await this.#partitions.coordinators.write(this.#partitions.of(groupId), (groups, moment) =>
        failures.size === 0
          ? groups.share.offsets.initialized(groupId, numbers, moment)
          : groups.share.offsets.notInitialized(groupId, numbers, moment),
      );
    } catch (error) {
      // Whoever coordinates the group next finds it in the log, and tries again.
      this.#surroundings.logger.warn('initialized share partitions could not be written down', { group: groupId, error });
    }
    return response;
  }

  /** Error codes of the topics of which the state could not be deleted. */
  async #deleteState(request: DeleteShareGroupStateRequest): Promise<Map<Uuid, number>> {
    const { results } = await this.#surroundings.persister.delete(request);
    const failures = new Map<Uuid, number>();
    for (const { topicId, partitions } of results) {
      const failure = partitions.find(({ errorCode }) => errorCode !== 0);
      if (failure !== undefined) failures.set(topicId, failure.errorCode);
    }
    return failures;
  }

  async #offsetsOf({ groupId, topics }: AskedGroup): Promise<OffsetsOfGroup> {
    const known: AskedPartitions[] = [];
    const unknown: OffsetsOfTopic[] = [];
    if (topics === null) {
      const initialized = this.#partitions.coordinators.read(this.#partitions.of(groupId), (groups) =>
        groups.share.offsets.initializedPartitions(groupId),
      );
      for (const [topicId, { partitions }] of initialized) {
        const topic = this.#partitions.topics.byId(topicId);
        if (topic !== undefined) known.push({ topicId, topicName: topic.name, partitions });
      }
    } else {
      for (const [topicName, partitions] of partitionsByName(topics)) {
        const topic = this.#partitions.topics.byName(topicName);
        if (topic === undefined) {
          unknown.push({ topicName, partitions: partitions.map((partitionIndex) => ({ partitionIndex, startOffset: -1 })) });
          continue;
        }
        // Only what exists is asked of its coordinator: numbers cost nothing.
        const isThere = (index: number): boolean => index >= 0 && index < topic.partitionCount;
        known.push({ topicId: topic.id, topicName, partitions: partitions.filter(isThere) });
        const others = partitions.filter((index) => !isThere(index)).map(notThere);
        if (others.length > 0) unknown.push({ topicId: topic.id, topicName, partitions: others });
      }
    }
    const asked = known.filter(({ partitions }) => partitions.length > 0);
    if (asked.length === 0) return { groupId, topics: unknown };
    return { groupId, topics: joined([...(await this.#summaries(groupId, asked)), ...unknown]) };
  }

  async #summaries(groupId: string, asked: readonly AskedPartitions[]): Promise<OffsetsOfTopic[]> {
    const { results } = await this.#surroundings.persister.readSummary({
      groupId,
      topics: asked.map(({ topicId, partitions }) => ({
        topicId,
        partitions: partitions.map((partition) => ({ partition, leaderEpoch: 0 })),
      })),
    });
    const names = new Map(asked.map(({ topicId, topicName }) => [topicId, topicName]));
    const summaries = results.flatMap(({ topicId, partitions }) => partitions.map((summary) => ({ topicId, summary })));
    const offsets = await this.#partitions.inSteps(summaries, ({ topicId, summary }) =>
      this.#offsetOf(names.get(topicId) ?? '', summary),
    );
    let start = 0;
    return results.map(({ topicId, partitions }) => ({
      topicId,
      topicName: names.get(topicId) ?? '',
      partitions: offsets.slice(start, (start += partitions.length)),
    }));
  }

  async #offsetOf(topic: string, summary: Summary): Promise<OffsetOfPartition> {
    const { partition: partitionIndex, errorCode, startOffset, leaderEpoch, deliveryCompleteCount } = summary;
    if (errorCode !== 0)
      return { partitionIndex, startOffset: -1, leaderEpoch: 0, lag: -1, errorCode, errorMessage: summary.errorMessage };
    // What is not known cannot be counted.
    if (startOffset === -1 || deliveryCompleteCount === -1) return { partitionIndex, startOffset, leaderEpoch, lag: -1 };
    try {
      const latestOffset = await this.#surroundings.latestOffset(topic, partitionIndex);
      return { partitionIndex, startOffset, leaderEpoch, lag: latestOffset - startOffset - deliveryCompleteCount };
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      return { partitionIndex, errorCode: errorCodeOf(error), errorMessage: error.message };
    }
  }
}

type Summary = Awaited<ReturnType<SharePersister['readSummary']>>['results'][number]['partitions'][number];
type Failure = { readonly errorCode: number; readonly errorMessage: string | null };

/** Each topic and each of its partitions once, however often they are named. */
function partitionsByName(topics: NonNullable<AskedGroup['topics']>): Map<string, number[]> {
  const byName = new Map<string, Set<number>>();
  for (const { topicName, partitions } of topics) {
    let known = byName.get(topicName);
    if (known === undefined) byName.set(topicName, (known = new Set()));
    for (const partition of partitions) known.add(partition);
  }
  return new Map([...byName].map(([topicName, partitions]) => [topicName, [...partitions]]));
}

function notThere(partitionIndex: number): OffsetOfPartition {
  const { code: errorCode, text: errorMessage } = errors.UNKNOWN_TOPIC_OR_PARTITION;
  return { partitionIndex, startOffset: -1, leaderEpoch: 0, lag: -1, errorCode, errorMessage };
}

/** What there is of a topic and what there is not, together. */
function joined(topics: readonly OffsetsOfTopic[]): OffsetsOfTopic[] {
  const byName = new Map<string | undefined, OffsetsOfTopic>();
  for (const topic of topics) {
    const known = byName.get(topic.topicName);
    byName.set(topic.topicName, known ? { ...known, partitions: [...known.partitions!, ...topic.partitions!] } : topic);
  }
  return [...byName.values()];
}

/** By topic and partition. */
function failuresOf({ results }: InitializeShareGroupStateResponse): Map<Uuid, Map<number, Failure>> {
  const failures = new Map<Uuid, Map<number, Failure>>();
  for (const { topicId, partitions } of results) {
    for (const { partition, errorCode, errorMessage } of partitions) {
      if (errorCode === 0) continue;
      const ofTopic = failures.get(topicId) ?? new Map<number, Failure>();
      failures.set(topicId, ofTopic.set(partition, { errorCode, errorMessage }));
    }
  }
  return failures;
}

/** Throws INVALID_REQUEST. */
function requireValid({ memberId, groupId, rackId, memberEpoch, subscribedTopicNames }: ShareGroupHeartbeatRequest): void {
  if (memberId === '' || memberId.length > MAX_MEMBER_ID_LENGTH) throw invalid('Invalid member id in the request.');
  if (memberId.trim() === '') throw invalid("MemberId can't be empty.");
  if (groupId.trim() === '') throw invalid("GroupId can't be empty.");
  if (rackId?.trim() === '') throw invalid("RackId can't be empty.");
  if (memberEpoch === 0 && !subscribedTopicNames?.length) throw invalid('SubscribedTopicNames must be set in first request.');
  if (memberEpoch < -1) throw invalid('MemberEpoch is invalid.');
}

function invalid(message: string): KafkaError {
  return new KafkaError('INVALID_REQUEST', message);
}
