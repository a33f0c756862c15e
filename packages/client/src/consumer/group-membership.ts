import {
  ConsumerProtocolAssignment,
  ConsumerProtocolSubscription,
  errorOfCode,
  Heartbeat,
  JoinGroup,
  type JoinGroupResponse,
  KafkaError,
  LeaveGroup,
  readAssignment,
  readSubscription,
  SyncGroup,
  writeAssignment,
  writeSubscription,
} from '@ottla/protocol';
import type { Timer } from '@ottla/runtime';
import type { Membership } from '../admin/group-offsets.ts';
import { type Assignor, flatPartitions, memberSubscriptionOf, nestedByTopic } from '../assignors/assignor.ts';
import { ClientClosedError } from '../client-closed-error.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { TopicPartition } from '../topic-partition.ts';
import type { CompleteConsumerConfig } from './consumer-config.ts';

const protocolType = 'consumer';

export type MembershipEvents = {
  /** The group wants all members to join again; or this one is not a member any more (`isLost`), whatever it was assigned. */
  readonly onRejoinNeeded: (reason: { readonly isLost: boolean }) => void;
  /** The group will not have this member. */
  readonly onFailure: (error: Error) => void;
};

/** The assignment, and for the leader what it was based on: how many partitions each topic of the group had, 0 for one not there yet. */
export type Joined = { readonly assigned: TopicPartition[]; readonly basis: ReadonlyMap<string, number> | undefined };

/** One member's life in a group of the classic protocol: join, sync, heartbeat, leave. All members give up all partitions to join. */
export class GroupMembership {
  readonly #cluster: Cluster;
  readonly #config: CompleteConsumerConfig;
  readonly #events: MembershipEvents;
  readonly #groupInstanceId: string | null;
  #memberId = '';
  #generationId = -1;
  #joined: Membership;
  /** What sticky assignors try to give it again. */
  #lastAssigned: readonly TopicPartition[] = [];
  #isJoining = false;
  #hasLeft = false;
  #heartbeatTimer: Timer | undefined;
  #lastPollMs = 0;

  constructor(cluster: Cluster, config: CompleteConsumerConfig, events: MembershipEvents) {
    this.#cluster = cluster;
    this.#config = config;
    this.#events = events;
    this.#groupInstanceId = config.groupInstanceId === '' ? null : config.groupInstanceId;
    this.#joined = this.#current;
  }

  /**
   * What commits are sent under: as the last completed join left it, '' and -1 before the first. Who has lost its group since keeps it, so
   * that its coordinator refuses what was read then; as nobody, it would take it.
   */
  get membership(): Membership {
    return this.#joined;
  }

  get #current(): Membership {
    return { memberId: this.#memberId, generationId: this.#generationId, groupInstanceId: this.#groupInstanceId };
  }

  #isStill({ memberId, generationId }: Pick<Membership, 'memberId' | 'generationId'>): boolean {
    return !this.#isJoining && this.#memberId === memberId && this.#generationId === generationId;
  }

  /** The application is alive. */
  polled(): void {
    this.#lastPollMs = this.#cluster.runtime.clock.monotonicMs();
  }

  /** Until this member has a part in a generation. Rejects with errors that do not pass: FENCED_INSTANCE_ID, INCONSISTENT_GROUP_PROTOCOL … */
  async join(topics: readonly string[]): Promise<Joined> {
    this.#stopHeartbeat();
    this.#isJoining = true;
    try {
      for (let failures = 0; ; ) {
        this.#cluster.assertOpen();
        this.#assertHasNotLeft();
        try {
          const joined = await this.#joinOnce(topics);
          this.#scheduleHeartbeat();
          return joined;
        } catch (error) {
          this.#cluster.assertOpen();
          if (!(error instanceof KafkaError) || !this.#mayPass(error)) throw error;
          const isExpected = error.name === 'MEMBER_ID_REQUIRED' || error.name === 'REBALANCE_IN_PROGRESS';
          if (!isExpected) await this.#cluster.pause(this.#cluster.backoff.delayMs(++failures));
        }
      }
    } finally {
      this.#isJoining = false;
    }
  }

  #assertHasNotLeft(): void {
    if (this.#hasLeft) throw new ClientClosedError('consumer');
  }

  /** Takes note of what the error says about this member. False: trying again is useless. */
  #mayPass(error: KafkaError): boolean {
    if (endsMembership(error)) this.#forget(error);
    else if (error.retriable) this.#cluster.forgetCoordinator(this.#config.groupId);
    else return error.name === 'MEMBER_ID_REQUIRED' || error.name === 'REBALANCE_IN_PROGRESS';
    return true;
  }

  /** Who has missed a generation may be a member still: under another name it would have the group wait for this one's session to end. */
  #forget(error: KafkaError): void {
    if (error.name === 'ILLEGAL_GENERATION') this.#generationId = -1;
    else this.#forgetMember();
  }

  #forgetMember(): void {
    this.#memberId = '';
    this.#generationId = -1;
  }

  async #joinOnce(topics: readonly string[]): Promise<Joined> {
    const { groupId, sessionTimeoutMs, maxPollIntervalMs, partitionAssignors, requestTimeoutMs } = this.#config;
    const connection = await this.#cluster.coordinatorOf(groupId, 'group');
    const answer = await connection.send(
      JoinGroup,
      {
        groupId,
        sessionTimeoutMs,
        rebalanceTimeoutMs: maxPollIntervalMs,
        memberId: this.#memberId,
        ...this.#instance,
        protocolType,
        protocols: partitionAssignors.map((assignor) => ({
          name: assignor.name,
          metadata: this.#subscriptionFor(assignor, topics),
        })),
      },
      // The answer waits for the other members.
      { timeoutMs: Math.max(requestTimeoutMs, maxPollIntervalMs + 5000) },
    );
    if (answer.errorCode !== 0) {
      const error = errorOfCode(answer.errorCode)!;
      if (error.name === 'MEMBER_ID_REQUIRED') this.#memberId = answer.memberId;
      throw error;
    }
    this.#assertHasNotLeft();
    this.#memberId = answer.memberId;
    this.#generationId = answer.generationId;

    const isLeader = answer.leader === answer.memberId && !answer.skipAssignment;
    const plan = isLeader ? await this.#assign(answer) : undefined;
    const sync = await connection.send(SyncGroup, {
      groupId,
      generationId: answer.generationId,
      memberId: answer.memberId,
      ...this.#instance,
      ...(connection.versionFor(SyncGroup) >= 5 ? { protocolType, protocolName: answer.protocolName } : {}),
      assignments: plan?.assignments ?? [],
    });
    const error = errorOfCode(sync.errorCode);
    if (error) throw error;
    this.#assertHasNotLeft();
    const assigned = sync.assignment.length === 0 ? [] : flatPartitions(readAssignment(sync.assignment).assignedPartitions);
    this.#lastAssigned = assigned;
    this.#joined = this.#current;
    return { assigned, basis: plan?.basis };
  }

  async #assign({ members, protocolName }: JoinGroupResponse) {
    const assignor = this.#config.partitionAssignors.find(({ name }) => name === protocolName);
    if (!assignor)
      throw new KafkaError('INCONSISTENT_GROUP_PROTOCOL', `the group chose ${protocolName}, which this member does not know`);
    const subscriptions = members.map((member) => memberSubscriptionOf(member, readSubscription(member.metadata)));
    const topics = new Set(subscriptions.flatMap((subscription) => subscription.topics));
    this.#cluster.watch(topics);
    await this.#cluster.refreshMetadata();
    const partitionCounts = new Map<string, number>();
    for (const topic of topics) {
      const known = this.#cluster.metadata.topic(topic);
      if (known) partitionCounts.set(topic, known.partitions.length);
    }
    const assignments = [...assignor.assign(subscriptions, partitionCounts)].map(([memberId, partitions]) => ({
      memberId,
      assignment: writeAssignment({ assignedPartitions: nestedByTopic(partitions) }, ConsumerProtocolAssignment.maxVersion),
    }));
    const basis = new Map([...topics].map((topic) => [topic, partitionCounts.get(topic) ?? 0]));
    return { assignments, basis };
  }

  #subscriptionFor(assignor: Assignor, topics: readonly string[]): Uint8Array {
    const userData = assignor.userDataOf({ partitions: this.#lastAssigned, generationId: this.#generationId });
    // Whoever joins has given up everything, so nothing is owned.
    const subscription = { topics: [...topics].sort(), generationId: this.#generationId, userData };
    return writeSubscription(subscription, ConsumerProtocolSubscription.maxVersion);
  }

  get #instance(): { groupInstanceId?: string } {
    return this.#groupInstanceId === null ? {} : { groupInstanceId: this.#groupInstanceId };
  }

  #scheduleHeartbeat(delayMs = this.#config.heartbeatIntervalMs): void {
    this.#stopHeartbeat();
    this.#heartbeatTimer = this.#cluster.runtime.timers.after(delayMs, () => {
      this.#heartbeatTimer = undefined;
      // It reports its own failures.
      void this.#heartbeat();
    });
  }

  #stopHeartbeat(): void {
    this.#heartbeatTimer?.cancel();
    this.#heartbeatTimer = undefined;
  }

  async #heartbeat(): Promise<void> {
    const { groupId, maxPollIntervalMs, retryBackoffMs, heartbeatIntervalMs } = this.#config;
    if (this.#cluster.runtime.clock.monotonicMs() - this.#lastPollMs > maxPollIntervalMs) {
      // First: this is so whether or not the coordinator hears of it.
      this.#events.onRejoinNeeded({ isLost: true });
      await this.#leaveIfPossible(`the application did not poll for maxPollIntervalMs = ${maxPollIntervalMs}`);
      return;
    }
    const { generationId, memberId } = this.#current;
    let delayMs = heartbeatIntervalMs;
    try {
      const connection = await this.#cluster.coordinatorOf(groupId, 'group');
      const response = await connection.send(Heartbeat, { groupId, generationId, memberId, ...this.#instance });
      const error = errorOfCode(response.errorCode);
      if (error) throw error;
    } catch (error) {
      // The answer is about a generation that is over.
      if (this.#cluster.closed || !this.#isStill({ memberId, generationId })) return;
      if (!(error instanceof KafkaError)) return this.#events.onFailure(error as Error);
      const isMember = error.retriable || error.name === 'REBALANCE_IN_PROGRESS';
      if (!this.#mayPass(error)) return this.#events.onFailure(error);
      if (!error.retriable) this.#events.onRejoinNeeded({ isLost: !isMember });
      if (!isMember) return;
      if (error.retriable) delayMs = retryBackoffMs;
    }
    if (!this.#cluster.closed && !this.#isJoining) this.#scheduleHeartbeat(delayMs);
  }

  /** What the error of a commit that was sent under this membership says about the member: whether it has to join again. */
  commitFailed(error: KafkaError, sent: Membership): void {
    // The answer is about a generation that is over.
    if (!this.#isStill(sent)) return;
    if (error.name === 'REBALANCE_IN_PROGRESS') this.#events.onRejoinNeeded({ isLost: false });
    else if (endsMembership(error)) {
      this.#forget(error);
      this.#events.onRejoinNeeded({ isLost: true });
    }
  }

  /** Whom the coordinator does not hear leave, it gives up when the session is over. */
  async #leaveIfPossible(reason: string): Promise<void> {
    const { logger } = this.#cluster.runtime;
    const { groupId } = this.#config;
    logger.warn('leaving the group: its partitions are lost', { groupId, reason });
    try {
      await this.leave(reason);
    } catch (error) {
      if (!this.#cluster.closed) logger.warn('the coordinator was not told', { groupId, error: (error as Error).message });
    }
  }

  /** Static members stay: their session runs on for whoever comes back under the same instance id. */
  async leave(reason: string): Promise<void> {
    this.#stopHeartbeat();
    const memberId = this.#memberId;
    this.#forgetMember();
    // A join under way shall not bring it back.
    this.#hasLeft = this.#isJoining;
    if (memberId === '' || this.#groupInstanceId !== null) return;
    const { groupId } = this.#config;
    // The group's own connection may be waiting for an answer to JoinGroup.
    const connection = await this.#cluster.coordinatorOf(groupId, this.#isJoining ? 'default' : 'group');
    await connection.send(
      LeaveGroup,
      connection.versionFor(LeaveGroup) >= 3 ? { groupId, members: [{ memberId, reason }] } : { groupId, memberId },
      { timeoutMs: 5000 },
    );
  }
}

/** The group goes on without this member: others may have its partitions. */
function endsMembership({ name }: KafkaError): boolean {
  return name === 'UNKNOWN_MEMBER_ID' || name === 'ILLEGAL_GENERATION';
}
