import { type GroupCoordinator, type RegexResolution, type ResolvedRegex, resolveRegexes } from '@ottla/coordinator';
import {
  type ConsumerGroupDescribeRequest,
  type ConsumerGroupDescribeResponse,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  errors,
  KafkaError,
  type Writable,
} from '@ottla/protocol';
import { nextTurn, type Runtime } from '@ottla/runtime';
import { randomUuid } from '../format/directories.ts';
import { type GroupPartitions, type GroupRequestContext, requireGroupId } from './group-partitions.ts';

type DescribedGroup = NonNullable<Writable<ConsumerGroupDescribeResponse>['groups']>[number];

const JOINING_EPOCH = 0;
const LEAVING_EPOCH = -1;
const AWAY_EPOCH = -2;

/** A turn of the event loop spends about this much on regular expressions. */
const RESOLUTION_STEP_MS = 5;
/** The clock is asked after so many matches. */
const MATCHES_PER_LOOK = 64;

/** The APIs of the consumer group protocol (KIP-848). */
export class ConsumerGroupService {
  readonly #partitions: GroupPartitions;
  readonly #runtime: Pick<Runtime, 'clock' | 'timers' | 'random' | 'logger'>;

  /** Regular expressions are resolved a group after the other: together they would take a step each in every turn of the event loop. */
  #line: Promise<unknown> = Promise.resolve();

  constructor(partitions: GroupPartitions, runtime: Pick<Runtime, 'clock' | 'timers' | 'random' | 'logger'>) {
    this.#partitions = partitions;
    this.#runtime = runtime;
  }

  heartbeat(
    request: ConsumerGroupHeartbeatRequest,
    { apiVersion, clientId, clientHost }: GroupRequestContext,
  ): Promise<Writable<ConsumerGroupHeartbeatResponse>> {
    return this.#partitions.answer<Writable<ConsumerGroupHeartbeatResponse>>(
      () => {
        requireValid(request, apiVersion, this.#partitions.config.group.consumer.assignors);
        const partition = this.#partitions.of(request.groupId);
        const newMemberId = request.memberId === '' ? randomUuid(this.#runtime.random) : '';
        return this.#partitions.coordinators.write(partition, (groups, moment) => {
          const sender = { clientId: clientId ?? '', clientHost, newMemberId };
          const outcome = groups.consumer.heartbeat(request, sender, moment);
          this.resolveRegexes(partition, groups);
          return outcome;
        });
      },
      (error, cause) => ({ errorCode: errors[error].code, errorMessage: cause.message }),
    );
  }

  /** `authorizedOperations` is left to the caller, who knows what the client may do. */
  async describe({ groupIds }: ConsumerGroupDescribeRequest): Promise<Writable<ConsumerGroupDescribeResponse>> {
    const { coordinators } = this.#partitions;
    const groups = await this.#partitions.describeEach<DescribedGroup>(groupIds, (groupId) =>
      coordinators.read(this.#partitions.of(requireGroupId(groupId)), ({ consumer }) => consumer.describe(groupId)),
    );
    return { groups };
  }

  /** Does what the coordinator of a partition left to be done about regular expressions, out of the way of its requests. */
  resolveRegexes(partition: number, groups: GroupCoordinator): void {
    for (let wanted = groups.consumer.regexes.take(); wanted !== undefined; wanted = groups.consumer.regexes.take()) {
      const { groupId, regexes } = wanted;
      const found = this.#line.then(() => this.#match(regexes));
      // What is written then is committed while the next group's are looked at.
      this.#line = found.catch(() => undefined);
      const written = found.then((resolved) =>
        this.#partitions.coordinators.write(partition, (coordinator, moment) =>
          coordinator.consumer.regexes.resolved(groupId, resolved, moment),
        ),
      );
      written.catch((error: unknown) => {
        groups.consumer.regexes.failed(groupId);
        // The partition went to another broker, which does it itself.
        if (error instanceof KafkaError && error.name === 'NOT_COORDINATOR') return;
        this.#runtime.logger.warn('the regular expressions of a group could not be resolved', { group: groupId, error });
      });
    }
  }

  async #match(regexes: RegexResolution['regexes']): Promise<ReadonlyMap<string, ResolvedRegex>> {
    const { clock, timers } = this.#runtime;
    await nextTurn(timers);
    const steps = resolveRegexes(regexes, this.#partitions.topics, clock.nowMs());
    for (;;) {
      const untilMs = clock.monotonicMs() + RESOLUTION_STEP_MS;
      do {
        for (let matches = 0; matches < MATCHES_PER_LOOK; matches++) {
          const step = steps.next();
          if (step.done === true) return step.value;
        }
      } while (clock.monotonicMs() < untilMs);
      await nextTurn(timers);
    }
  }
}

/** Throws INVALID_REQUEST, UNSUPPORTED_ASSIGNOR. */
function requireValid(request: ConsumerGroupHeartbeatRequest, apiVersion: number, assignors: readonly string[]): void {
  const { memberId, memberEpoch, groupId, instanceId, rackId, serverAssignor } = request;
  // v1: a member makes its own id (KIP-1082).
  if (apiVersion >= 1 || memberEpoch > 0 || memberEpoch === LEAVING_EPOCH) requireText(memberId, 'MemberId');
  requireText(groupId, 'GroupId');
  requireText(instanceId, 'InstanceId');
  requireText(rackId, 'RackId');
  if (memberEpoch === JOINING_EPOCH) requireWhole(request);
  if (memberEpoch === AWAY_EPOCH && instanceId === null) throw invalid("InstanceId can't be null.");
  if (memberEpoch < AWAY_EPOCH) throw invalid('MemberEpoch is invalid.');
  if (serverAssignor !== null && !assignors.includes(serverAssignor)) {
    throw new KafkaError(
      'UNSUPPORTED_ASSIGNOR',
      `ServerAssignor ${serverAssignor} is not supported. Supported assignors: ${assignors.join(', ')}.`,
    );
  }
}

/** Who joins says everything, and has nothing. */
function requireWhole(request: ConsumerGroupHeartbeatRequest): void {
  const { rebalanceTimeoutMs, topicPartitions, subscribedTopicNames, subscribedTopicRegex } = request;
  if (rebalanceTimeoutMs === -1) throw invalid('RebalanceTimeoutMs must be provided in first request.');
  if (topicPartitions === null || topicPartitions.length > 0) throw invalid('TopicPartitions must be empty when (re-)joining.');
  if (subscribedTopicNames === null && subscribedTopicRegex === null) {
    throw invalid('Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.');
  }
}

function requireText(text: string | null, name: string): void {
  if (text?.trim() === '') throw invalid(`${name} can't be empty.`);
}

function invalid(message: string): KafkaError {
  return new KafkaError('INVALID_REQUEST', message);
}
