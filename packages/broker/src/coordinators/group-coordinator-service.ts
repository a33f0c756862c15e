import {
  coordinatorErrorOf,
  decodeGroupRecord,
  encodeGroupRecord,
  type FetchedGroup,
  GroupCoordinator,
  type OffsetFetchGroup,
} from '@ottla/coordinator';
import {
  type DeleteGroupsRequest,
  type DeleteGroupsResponse,
  type DescribeGroupsRequest,
  type DescribeGroupsResponse,
  type ErrorName,
  errors,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type JoinGroupRequest,
  type JoinGroupResponse,
  KafkaError,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
  type ListGroupsRequest,
  type ListGroupsResponse,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse,
  type OffsetFetchRequest,
  type OffsetFetchResponse,
  partitionForGroup,
  type SyncGroupRequest,
  type SyncGroupResponse,
  type Uuid,
  type Writable,
} from '@ottla/protocol';
import type { Runtime } from '@ottla/runtime';
import type { CoordinatorLog } from './coordinator-log.ts';
import { CoordinatorRuntime } from './coordinator-runtime.ts';
import {
  failedCommit,
  failedFetch,
  fetchResponse,
  groupsOf,
  mergeDeleted,
  mergeTopics,
  resolveCommit,
  resolveDelete,
  resolveFetch,
  withTopicIds,
} from './group-offset-requests.ts';
import type { GroupServiceConfig } from './group-service-config.ts';
import { javaUuid } from './java-uuid.ts';
import type { TopicLookup } from './topic-lookup.ts';

/** Who sent a group request, and in which version. */
export type GroupRequestContext = {
  readonly apiVersion: number;
  readonly clientId: string | null;
  /** As Kafka prints an address: `/127.0.0.1`. */
  readonly clientHost: string;
};

export type GroupCoordinatorServiceOptions = {
  readonly runtime: Pick<Runtime, 'clock' | 'timers' | 'random' | 'logger'>;
  readonly config: GroupServiceConfig;
  /** Of `__consumer_offsets`; undefined until it exists. */
  readonly partitionCount: () => number | undefined;
  /** The log of a partition of `__consumer_offsets` that this broker leads. */
  readonly log: (partition: number) => CoordinatorLog;
  readonly topics: TopicLookup;
};

const TOPIC = '__consumer_offsets';

const refusedUnseen: ReadonlySet<ErrorName> = new Set([
  'INVALID_GROUP_ID',
  'INVALID_SESSION_TIMEOUT',
  'COORDINATOR_NOT_AVAILABLE',
]);

/**
 * The group APIs of a broker. A method takes a decoded request and answers it whole, errors included, in the shape that the request's
 * version wants: it rejects for nothing that a protocol has a code for.
 */
export class GroupCoordinatorService {
  readonly #options: GroupCoordinatorServiceOptions;
  readonly #runtime: CoordinatorRuntime<GroupCoordinator>;
  #config: GroupServiceConfig;
  #isActive = true;

  constructor(options: GroupCoordinatorServiceOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#runtime = new CoordinatorRuntime<GroupCoordinator>({
      topic: TOPIC,
      createMachine: () => new GroupCoordinator(this.#config.group),
      codec: { encode: encodeGroupRecord, decode: decodeGroupRecord },
      log: options.log,
      config: options.config.partition,
      runtime: options.runtime,
    });
  }

  // ── life ──

  /** This broker leads the partition. Resolves when its groups are loaded; they are refused until then. */
  onPartitionElected(partition: number, leaderEpoch: number): Promise<void> {
    return this.#runtime.elect(partition, leaderEpoch);
  }

  onPartitionResigned(partition: number, leaderEpoch?: number): void {
    this.#runtime.resign(partition, leaderEpoch);
  }

  /** Forgets the offsets of the topics. Resolves when that is durable, or has failed: then retention gets them. */
  async onTopicsDeleted(topics: readonly { readonly name: string; readonly topicId: Uuid }[]): Promise<void> {
    const operations = this.#runtime.writeAll((groups, moment) => groups.onTopicsDeleted(topics, moment));
    for (const result of await Promise.allSettled(operations)) {
      if (result.status === 'fulfilled') continue;
      this.#options.runtime.logger.warn('offsets of deleted topics could not be removed', { error: result.reason });
    }
  }

  /** Timeouts and limits count from now on; how the partitions are written stays as it was at the start. */
  updateConfig(config: GroupServiceConfig): void {
    this.#config = config;
    for (const partition of this.#runtime.partitions.values()) {
      if (partition.state === 'active') partition.read((groups) => groups.updateConfig(config.group));
    }
  }

  /** Everyone who waits is answered NOT_COORDINATOR, and nobody is taken in any more. */
  shutdown(): void {
    this.#isActive = false;
    this.#runtime.shutdown();
  }

  // ── members ──

  async joinGroup(request: JoinGroupRequest, context: GroupRequestContext): Promise<Writable<JoinGroupResponse>> {
    const { apiVersion, clientHost } = context;
    const response = await this.#join(request, { apiVersion, clientHost, clientId: context.clientId ?? '' });
    // There is no protocol in an error; before v7 its name cannot be null.
    return response.protocolName ? response : { ...response, protocolName: apiVersion >= 7 ? null : '' };
  }

  async syncGroup(request: SyncGroupRequest, { apiVersion }: GroupRequestContext): Promise<Writable<SyncGroupResponse>> {
    // v5: the member says what it believes to have agreed on (KIP-559).
    if (apiVersion >= 5 && (request.protocolType === null || request.protocolName === null)) {
      return { errorCode: errors.INCONSISTENT_GROUP_PROTOCOL.code };
    }
    return this.#answer<Writable<SyncGroupResponse>>(
      () =>
        this.#runtime.park(this.#partitionOf(requireGroupId(request.groupId)), (groups, moment, token) =>
          groups.sync(request, token, moment),
        ),
      (error) => ({ errorCode: errors[error].code }),
    );
  }

  heartbeat(request: HeartbeatRequest, _context: GroupRequestContext): Promise<Writable<HeartbeatResponse>> {
    return this.#answer(
      () =>
        this.#runtime.write(this.#partitionOf(requireGroupId(request.groupId)), (groups, moment) =>
          groups.heartbeat(request, moment),
        ),
      // While the group is being loaded its sessions do not run: the member may go on.
      (error) => ({ errorCode: error === 'COORDINATOR_LOAD_IN_PROGRESS' ? 0 : errors[error].code }),
    );
  }

  async leaveGroup(request: LeaveGroupRequest, { apiVersion }: GroupRequestContext): Promise<Writable<LeaveGroupResponse>> {
    const { groupId } = request;
    const members = apiVersion >= 3 ? request.members : [{ memberId: request.memberId, groupInstanceId: null, reason: null }];
    const response = await this.#answer<Writable<LeaveGroupResponse>>(
      () =>
        this.#runtime.write(this.#partitionOf(requireGroupId(groupId)), (groups, moment) =>
          groups.leave(groupId, members, moment),
        ),
      (error) => {
        const errorCode = errors[error].code;
        if (error !== 'UNKNOWN_MEMBER_ID') return { errorCode };
        return { members: members.map(({ memberId, groupInstanceId }) => ({ memberId, groupInstanceId, errorCode })) };
      },
    );
    // Before v3 there is one member, and its error is that of the answer.
    return apiVersion >= 3 ? response : { errorCode: response.errorCode || (response.members?.[0]?.errorCode ?? 0) };
  }

  // ── offsets ──

  async offsetCommit(request: OffsetCommitRequest, { apiVersion }: GroupRequestContext): Promise<Writable<OffsetCommitResponse>> {
    const { accepted, refused } = resolveCommit(request, this.#options.topics, apiVersion);
    if (accepted.length === 0) return { topics: refused };
    const { topics } = await this.#answer<Writable<OffsetCommitResponse>>(
      () =>
        this.#runtime.write(this.#partitionOf(request.groupId), (groups, moment) =>
          groups.commitOffsets({ ...request, topics: accepted }, { apiVersion }, moment),
        ),
      (error) => ({ topics: failedCommit(accepted, errors[error].code) }),
    );
    return { topics: refused.length === 0 ? topics : mergeTopics(refused, topics ?? []) };
  }

  async offsetFetch(request: OffsetFetchRequest, { apiVersion }: GroupRequestContext): Promise<Writable<OffsetFetchResponse>> {
    const groups = groupsOf(request, apiVersion);
    const fetched = await Promise.all(groups.map((group) => this.#fetchGroup(group, request.requireStable, apiVersion)));
    return fetchResponse(fetched, apiVersion);
  }

  async offsetDelete(request: OffsetDeleteRequest, _context: GroupRequestContext): Promise<Writable<OffsetDeleteResponse>> {
    const { accepted, refused } = resolveDelete(request, this.#options.topics);
    const response = await this.#answer<Writable<OffsetDeleteResponse>>(
      () =>
        this.#runtime.write(this.#partitionOf(requireGroupId(request.groupId)), (groups, moment) =>
          groups.deleteOffsets({ ...request, topics: accepted }, moment),
        ),
      (error) => ({ errorCode: errors[error].code }),
    );
    return response.errorCode ? response : { topics: mergeDeleted(refused, response.topics ?? []) };
  }

  // ── groups ──

  /** `authorizedOperations` is left to the caller, who knows what the client may do. */
  async describeGroups(
    request: DescribeGroupsRequest,
    { apiVersion }: GroupRequestContext,
  ): Promise<Writable<DescribeGroupsResponse>> {
    const groups = request.groups.map((groupId) =>
      this.#answer(
        () => this.#runtime.read(this.#partitionOf(groupId), (coordinator) => coordinator.describe(groupId, { apiVersion })),
        (error) => ({ groupId, errorCode: errors[error].code }),
      ),
    );
    return { groups: await Promise.all(groups) };
  }

  /** The groups of the partitions led here: a client asks every broker. Unknown states and types match nothing. */
  listGroups(request: ListGroupsRequest, _context: GroupRequestContext): Promise<Writable<ListGroupsResponse>> {
    const states = new Set(request.statesFilter.map((state) => state.toLowerCase().trim()));
    const types = new Set(request.typesFilter.map((type) => type.toLowerCase().trim()));
    return this.#answer<Writable<ListGroupsResponse>>(
      () => ({ groups: this.#runtime.readAll((coordinator) => coordinator.list({ states, types })).flat() }),
      (error) => ({ errorCode: errors[error].code }),
    );
  }

  async deleteGroups(request: DeleteGroupsRequest, _context: GroupRequestContext): Promise<Writable<DeleteGroupsResponse>> {
    const byPartition = new Map<number, string[]>();
    for (const groupId of new Set(request.groupsNames)) {
      const partition = this.#partitionCount === undefined ? 0 : this.#partitionOf(groupId);
      byPartition.set(partition, [...(byPartition.get(partition) ?? []), groupId]);
    }
    const results = [...byPartition].map(([partition, groupIds]) =>
      this.#answer<NonNullable<Writable<DeleteGroupsResponse>['results']>>(
        () => this.#runtime.write(partition, (coordinator, moment) => coordinator.deleteGroups(groupIds, moment)),
        (error) => groupIds.map((groupId) => ({ groupId, errorCode: errors[error].code })),
      ),
    );
    return { results: (await Promise.all(results)).flat() };
  }

  #join(
    request: JoinGroupRequest,
    { apiVersion, clientId, clientHost }: { apiVersion: number; clientId: string; clientHost: string },
  ): Promise<Writable<JoinGroupResponse>> {
    const { groupId, memberId, sessionTimeoutMs } = request;
    const { minSessionTimeoutMs, maxSessionTimeoutMs } = this.#config.group;
    return this.#answer<Writable<JoinGroupResponse>>(
      () => {
        requireGroupId(groupId);
        if (sessionTimeoutMs < minSessionTimeoutMs || sessionTimeoutMs > maxSessionTimeoutMs) {
          throw new KafkaError(
            'INVALID_SESSION_TIMEOUT',
            `a session timeout of ${sessionTimeoutMs} ms is outside ${minSessionTimeoutMs} to ${maxSessionTimeoutMs}`,
          );
        }
        const uuid = javaUuid(this.#options.runtime.random);
        // v0 has one timeout for both.
        const joining = apiVersion === 0 ? { ...request, rebalanceTimeoutMs: sessionTimeoutMs } : request;
        return this.#runtime.park(this.#partitionOf(groupId), (groups, moment, token) =>
          groups.join({ request: joining, token, clientId, clientHost, apiVersion, uuid }, moment),
        );
      },
      // Only what is refused before the group is asked comes with the member's id, as in Kafka.
      (error) => ({ memberId: refusedUnseen.has(error) ? memberId : '', errorCode: errors[error].code }),
    );
  }

  async #fetchGroup(asked: OffsetFetchGroup, requireStable: boolean, apiVersion: number): Promise<FetchedGroup> {
    const { topics } = this.#options;
    const { group, refused } = resolveFetch(asked, topics, apiVersion);
    const fetched = await this.#answer<FetchedGroup>(
      () => {
        const partition = this.#partitionOf(group.groupId);
        if (!requireStable) return this.#runtime.read(partition, (coordinator) => coordinator.fetchOffsets(group, 'committed'));
        return this.#runtime.write(partition, (coordinator) => ({
          records: [],
          answers: [],
          response: coordinator.fetchOffsets(group, 'stable'),
          atomic: true,
        }));
      },
      // A consumer that does not know of timeouts here looks the coordinator up again instead.
      (error, cause) => failedFetch(group, isOutOfReach(cause) ? 'NOT_COORDINATOR' : error, apiVersion),
    );
    if (fetched.errorCode) return fetched;
    const answered = withTopicIds(fetched, topics, apiVersion);
    return refused.length === 0 ? answered : { ...answered, topics: [...refused, ...(answered.topics ?? [])] };
  }

  /** An error that the protocol knows becomes the answer that carries it, in the coordinator's terms. */
  async #answer<Response>(
    operation: () => Response | Promise<Response>,
    failed: (error: ErrorName, cause: ErrorName) => Response,
  ): Promise<Response> {
    try {
      if (!this.#isActive) throw new KafkaError('COORDINATOR_NOT_AVAILABLE', 'this broker is shutting down');
      return await operation();
    } catch (error) {
      if (error instanceof KafkaError) return failed(coordinatorErrorOf(error.name), error.name);
      this.#options.runtime.logger.error('a group request failed', { error });
      return failed('UNKNOWN_SERVER_ERROR', 'UNKNOWN_SERVER_ERROR');
    }
  }

  get #partitionCount(): number | undefined {
    return this.#options.partitionCount();
  }

  /** Throws NOT_COORDINATOR. */
  #partitionOf(groupId: string): number {
    const count = this.#partitionCount;
    if (count === undefined)
      throw new KafkaError('NOT_COORDINATOR', `${TOPIC} does not exist yet: look the coordinator up to have it created`);
    return partitionForGroup(groupId, count);
  }
}

/** Throws INVALID_GROUP_ID. Offsets may be kept under the empty id, for the sake of old clients; members may not. */
function requireGroupId(groupId: string): string {
  if (groupId === '') throw new KafkaError('INVALID_GROUP_ID', 'the group id must not be empty');
  return groupId;
}

function isOutOfReach(error: ErrorName): boolean {
  return error === 'UNKNOWN_TOPIC_OR_PARTITION' || error === 'NOT_ENOUGH_REPLICAS' || error === 'REQUEST_TIMED_OUT';
}
