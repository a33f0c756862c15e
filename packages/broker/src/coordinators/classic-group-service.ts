import {
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
  type SyncGroupRequest,
  type SyncGroupResponse,
  type Writable,
} from '@ottla/protocol';
import { randomUuid } from '../format/directories.ts';
import type { ConsumerGroupService } from './consumer-group-service.ts';
import { type GroupPartitions, type GroupRequestContext, requireGroupId } from './group-partitions.ts';
import { javaUuid } from './java-uuid.ts';

const refusedUnseen: ReadonlySet<ErrorName> = new Set([
  'INVALID_GROUP_ID',
  'INVALID_SESSION_TIMEOUT',
  'COORDINATOR_NOT_AVAILABLE',
]);

type DescribedGroup = NonNullable<Writable<DescribeGroupsResponse>['groups']>[number];

/** The APIs of the classic group protocol. */
export class ClassicGroupService {
  readonly #partitions: GroupPartitions;
  readonly #consumer: ConsumerGroupService;

  constructor(partitions: GroupPartitions, consumer: ConsumerGroupService) {
    this.#partitions = partitions;
    this.#consumer = consumer;
  }

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
    return this.#partitions.answer<Writable<SyncGroupResponse>>(
      () =>
        this.#partitions.coordinators.park(this.#partitions.of(requireGroupId(request.groupId)), (groups, moment, token) =>
          groups.classic.sync(request, token, moment),
        ),
      (error) => ({ errorCode: errors[error].code }),
    );
  }

  heartbeat(request: HeartbeatRequest, _context: GroupRequestContext): Promise<Writable<HeartbeatResponse>> {
    return this.#partitions.answer(
      () =>
        this.#partitions.coordinators.write(this.#partitions.of(requireGroupId(request.groupId)), (groups, moment) =>
          groups.classic.heartbeat(request, moment),
        ),
      // While the group is being loaded its sessions do not run: the member may go on.
      (error) => ({ errorCode: error === 'COORDINATOR_LOAD_IN_PROGRESS' ? 0 : errors[error].code }),
    );
  }

  async leaveGroup(request: LeaveGroupRequest, { apiVersion }: GroupRequestContext): Promise<Writable<LeaveGroupResponse>> {
    const { groupId } = request;
    const members = apiVersion >= 3 ? request.members : [{ memberId: request.memberId, groupInstanceId: null, reason: null }];
    const response = await this.#partitions.answer<Writable<LeaveGroupResponse>>(
      () =>
        this.#partitions.coordinators.write(this.#partitions.of(requireGroupId(groupId)), (groups, moment) =>
          groups.classic.leave(groupId, members, moment),
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

  /** `authorizedOperations` is left to the caller, who knows what the client may do. */
  async describeGroups(
    request: DescribeGroupsRequest,
    { apiVersion }: GroupRequestContext,
  ): Promise<Writable<DescribeGroupsResponse>> {
    const { coordinators } = this.#partitions;
    const groups = await this.#partitions.describeEach<DescribedGroup>(request.groups, (groupId) =>
      coordinators.read(this.#partitions.of(groupId), ({ classic }) => classic.describe(groupId, { apiVersion })),
    );
    return { groups };
  }

  #join(
    request: JoinGroupRequest,
    { apiVersion, clientId, clientHost }: { apiVersion: number; clientId: string; clientHost: string },
  ): Promise<Writable<JoinGroupResponse>> {
    const { groupId, memberId, sessionTimeoutMs } = request;
    const { minSessionTimeoutMs, maxSessionTimeoutMs } = this.#partitions.config.group;
    return this.#partitions.answer<Writable<JoinGroupResponse>>(
      () => {
        requireGroupId(groupId);
        if (sessionTimeoutMs < minSessionTimeoutMs || sessionTimeoutMs > maxSessionTimeoutMs) {
          throw new KafkaError(
            'INVALID_SESSION_TIMEOUT',
            `a session timeout of ${sessionTimeoutMs} ms is outside ${minSessionTimeoutMs} to ${maxSessionTimeoutMs}`,
          );
        }
        requireRoomFor(clientId, request.groupInstanceId);
        const uuid = javaUuid(this.#partitions.random);
        const newMemberId = memberId === '' ? randomUuid(this.#partitions.random) : '';
        // v0 has one timeout for both.
        const joining = apiVersion === 0 ? { ...request, rebalanceTimeoutMs: sessionTimeoutMs } : request;
        const partition = this.#partitions.of(groupId);
        return this.#partitions.coordinators.park(partition, (groups, moment, token) => {
          const outcome = groups.classic.join(
            { request: joining, token, clientId, clientHost, apiVersion, uuid, newMemberId },
            moment,
          );
          this.#consumer.resolveRegexes(partition, groups);
          return outcome;
        });
      },
      // Only what is refused before the group is asked comes with the member's id, as in Kafka.
      (error) => ({ memberId: refusedUnseen.has(error) ? memberId : '', errorCode: errors[error].code }),
    );
  }
}

/** What a record of the group has room for. */
const MAX_MEMBER_ID_BYTES = 32_767;

/** Member ids are made of these. Throws INVALID_REQUEST. */
function requireRoomFor(clientId: string, groupInstanceId: string | null): void {
  const bytes = Buffer.byteLength(groupInstanceId ?? clientId) + 1 + UUID_LENGTH;
  if (bytes <= MAX_MEMBER_ID_BYTES) return;
  const what = groupInstanceId === null ? 'client id' : 'group.instance.id';
  throw new KafkaError('INVALID_REQUEST', `the ${what} is too long to be part of a member's id: shorten it`);
}

const UUID_LENGTH = 36;
