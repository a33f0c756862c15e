import { checkStreamsHeartbeat, type InternalTopic } from '@ottla/coordinator';
import {
  errors,
  KafkaError,
  type StreamsGroupDescribeRequest,
  type StreamsGroupDescribeResponse,
  type StreamsGroupHeartbeatRequest,
  type StreamsGroupHeartbeatResponse,
  type Writable,
} from '@ottla/protocol';
import { isInternalTopic } from '../internal-topics.ts';
import { type GroupPartitions, type GroupRequestContext, requireGroupId } from './group-partitions.ts';
import type { StreamsInternalTopics } from './streams-internal-topics.ts';

type HeartbeatResponse = Writable<StreamsGroupHeartbeatResponse>;
type DescribedGroup = NonNullable<Writable<StreamsGroupDescribeResponse>['groups']>[number];

const MISSING_INTERNAL_TOPICS = 3;
const FAILURES_NAMED = 3;

/** The APIs of the streams group protocol (KIP-1071). */
export class StreamsGroupService {
  readonly #partitions: GroupPartitions;
  readonly #isEnabled: () => boolean;
  readonly #internalTopics: StreamsInternalTopics;

  constructor(
    partitions: GroupPartitions,
    { isEnabled, internalTopics }: { readonly isEnabled: () => boolean; readonly internalTopics: StreamsInternalTopics },
  ) {
    this.#partitions = partitions;
    this.#isEnabled = isEnabled;
    this.#internalTopics = internalTopics;
  }

  heartbeat(request: StreamsGroupHeartbeatRequest, context: GroupRequestContext): Promise<HeartbeatResponse> {
    const client = { clientId: context.clientId ?? '', clientHost: context.clientHost };
    return this.#partitions.answer<HeartbeatResponse>(
      async () => {
        this.#requireEnabled();
        checkStreamsHeartbeat(request, isInternalTopic);
        const partition = this.#partitions.of(request.groupId);
        const { response, internalTopics } = await this.#partitions.coordinators.write(partition, (groups, moment) =>
          groups.streams.heartbeat(request, client, moment),
        );
        return internalTopics.length === 0 ? response : this.#withInternalTopics(response, internalTopics);
      },
      (error, cause) => ({ errorCode: errors[error].code, errorMessage: error === cause.name ? cause.message : null }),
    );
  }

  /** `authorizedOperations` is left to the caller, who knows what the client may do. */
  async describe({ groupIds }: StreamsGroupDescribeRequest): Promise<Writable<StreamsGroupDescribeResponse>> {
    const { coordinators } = this.#partitions;
    const groups = await this.#partitions.describeEach<DescribedGroup>(groupIds, (groupId) => {
      this.#requireEnabled();
      return coordinators.read(this.#partitions.of(requireGroupId(groupId)), ({ streams }) => streams.describe(groupId));
    });
    return { groups };
  }

  /** Has the topics created, and tells the member of those that could not be. */
  #withInternalTopics(response: HeartbeatResponse, topics: readonly InternalTopic[]): HeartbeatResponse {
    this.#internalTopics.create(topics, (response.heartbeatIntervalMs ?? 0) * 2);
    const failures = topics.flatMap(({ name }) => {
      const reason = this.#internalTopics.failureOf(name);
      return reason === undefined ? [] : `${name} (${reason})`;
    });
    if (failures.length === 0) return response;
    const more = failures.length - FAILURES_NAMED;
    const told = `; Creation failed: ${failures.slice(0, FAILURES_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}.`;
    const status = response.status?.map(({ statusCode, statusDetail = '' }) => ({
      statusCode,
      statusDetail: statusCode === MISSING_INTERNAL_TOPICS ? statusDetail + told : statusDetail,
    }));
    return { ...response, status };
  }

  #requireEnabled(): void {
    if (this.#isEnabled()) return;
    throw new KafkaError(
      'UNSUPPORTED_VERSION',
      'streams groups are switched off: by streams.version 0, or by group.coordinator.rebalance.protocols',
    );
  }
}
