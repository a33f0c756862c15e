import {
  errors,
  KafkaError,
  type StreamsGroupDescribeResponse,
  type StreamsGroupHeartbeatRequest,
  type Writable,
} from '@ottla/protocol';
import { ClassicGroup } from '../classic/classic-group.ts';
import { type DeadlineOfGroup, revocationKey, sessionKey, streamsDelayKey } from '../group-deadline.ts';
import type { GroupProtocol } from '../group-protocol.ts';
import type { GroupState } from '../group-state.ts';
import { type Moment, type Outcome, Turn } from '../outcome.ts';
import { LEAVING, LEAVING_STATIC } from './check-streams-heartbeat.ts';
import { StreamsGroup, type StreamsRecord } from './streams-group.ts';
import { heartbeatOfMember, type StreamsClient, type StreamsHeartbeat } from './streams-heartbeat.ts';
import type { StreamsMember } from './streams-member.ts';
import { assignmentRecords, fence } from './streams-turn.ts';

type DescribedGroup = NonNullable<Writable<StreamsGroupDescribeResponse>['groups']>[number];

/** How long a member whose session is over stays if its end could not be written, until that is tried again. */
const FENCE_RETRY_MS = 500;

/** The groups of the streams protocol (KIP-1071). What is wrong with a request by itself has been looked at by checkStreamsHeartbeat. */
export class StreamsGroups implements GroupProtocol<StreamsRecord> {
  readonly #state: GroupState;

  constructor(state: GroupState) {
    this.#state = state;
  }

  /**
   * Throws GROUP_ID_NOT_FOUND, GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, INVALID_REQUEST,
   * STREAMS_INVALID_TOPOLOGY.
   */
  heartbeat(request: StreamsGroupHeartbeatRequest, client: StreamsClient, moment: Moment): Outcome<StreamsHeartbeat> {
    const turn = new Turn(moment);
    const { memberEpoch } = request;
    if (memberEpoch === LEAVING || memberEpoch === LEAVING_STATIC) return turn.outcome(this.#leave(request, turn));
    const group = memberEpoch === 0 ? this.#groupToJoin(request.groupId, turn) : this.#group(request.groupId);
    const config = this.#state.configOf(request.groupId);
    return turn.outcome(heartbeatOfMember({ state: this.#state, group, config, turn }, request, client));
  }

  describe(groupId: string): DescribedGroup {
    const { journal, groups } = this.#state;
    const group = journal.committed(groups, groupId);
    if (group instanceof StreamsGroup) return group.describe();
    const errorMessage = group === undefined ? `Group ${groupId} not found.` : `Group ${groupId} is not a streams group.`;
    return { groupId, errorCode: errors.GROUP_ID_NOT_FOUND.code, errorMessage };
  }

  replay(record: StreamsRecord): void {
    const { journal, groups, deadlines } = this.#state;
    const { groupId } = record.key;
    let group = groups.get(groupId);
    if (!(group instanceof StreamsGroup)) {
      // A tombstone of what the group was before it changed its type says nothing about what it is now.
      if (record.value === null) return;
      group = new StreamsGroup(groupId, journal);
      journal.set(groups, groupId, group);
    }
    (group as StreamsGroup).replay(record);
    if (record.type === 'StreamsGroupMetadata' && record.value === null) {
      journal.delete(groups, groupId);
      deadlines.cancel(streamsDelayKey(groupId));
    }
  }

  /** None of the members could be heard meanwhile: each gets a fresh session, and whoever gives up tasks its time for that. */
  activate(turn: Turn): void {
    for (const group of this.#groups()) {
      for (const member of group.members.values()) this.#onLoaded(group, member, turn);
    }
  }

  unload(): void {}

  onTopicsChanged(names: ReadonlySet<string>): void {
    for (const group of this.#groups()) group.onTopicsChanged(names);
  }

  onDeadline(due: DeadlineOfGroup, turn: Turn): void {
    const group = this.#state.groups.get(due.groupId) as StreamsGroup;
    switch (due.type) {
      case 'SessionExpired':
        this.#fenceWhoIs(group, due.memberId, turn, due);
        break;
      case 'RevocationExpired':
        if (group.members.get(due.memberId)?.memberEpoch === due.memberEpoch) this.#fenceWhoIs(group, due.memberId, turn, due);
        break;
      case 'StreamsRebalanceDelayed':
        this.#assignAfterDelay(group, turn);
        break;
      default: // Left over from the protocol that the group had before.
    }
  }

  #leave({ groupId, memberId, memberEpoch, shutdownApplication }: StreamsGroupHeartbeatRequest, turn: Turn): StreamsHeartbeat {
    const group = this.#group(groupId, 'Group');
    if (shutdownApplication) group.shutdownRequestedBy ??= memberId;
    turn.records.push(...fence(group, group.member(memberId)));
    return { response: { memberId, memberEpoch, status: [] }, internalTopics: [] };
  }

  #fenceWhoIs(group: StreamsGroup, memberId: string, turn: Turn, due: DeadlineOfGroup & { readonly memberId: string }): void {
    const member = group.members.get(memberId);
    if (member === undefined) return;
    turn.records.push(...fence(group, member));
    const key = due.type === 'SessionExpired' ? sessionKey(group.groupId, memberId) : revocationKey(group.groupId, memberId);
    this.#state.deadlines.set(key, turn.moment.monotonicMs + FENCE_RETRY_MS, due);
  }

  #assignAfterDelay(group: StreamsGroup, turn: Turn): void {
    const configured = group.topology && group.configured(group.topology);
    // The next heartbeat configures the topology, and assigns.
    if (group.isEmpty || configured === null || group.groupEpoch <= group.assignmentEpoch) return;
    const interval = this.#state.configOf(group.groupId)['streams.assignment.interval.ms'];
    if (!group.mayAssign(interval, turn.moment.wallMs)) return;
    const members = [...group.members.values()];
    const assigned = assignmentRecords(group, members, configured, group.lastAssignmentConfigs, group.groupEpoch, turn.moment);
    turn.records.push(...assigned.records);
  }

  #onLoaded(group: StreamsGroup, member: StreamsMember, { moment }: Turn): void {
    const { deadlines, configOf } = this.#state;
    const { groupId } = group;
    const { memberId, memberEpoch, rebalanceTimeoutMs } = member;
    const sessionEndMs = moment.monotonicMs + configOf(groupId)['streams.session.timeout.ms'];
    deadlines.set(sessionKey(groupId, memberId), sessionEndMs, { type: 'SessionExpired', groupId, memberId });
    if (member.state !== 'UnrevokedTasks') return;
    deadlines.set(revocationKey(groupId, memberId), moment.monotonicMs + rebalanceTimeoutMs, {
      type: 'RevocationExpired',
      groupId,
      memberId,
      memberEpoch,
    });
  }

  /** Not among the groups yet if it is a new one: its records make it. */
  #groupToJoin(groupId: string, turn: Turn): StreamsGroup {
    const { journal, groups, config } = this.#state;
    const existing = groups.get(groupId);
    if (existing instanceof ClassicGroup && existing.isEmpty) turn.records.push(...existing.tombstones());
    else if (existing !== undefined) {
      const group = this.#group(groupId);
      if (group.members.size < config.streamsMaxSize) return group;
      throw new KafkaError(
        'GROUP_MAX_SIZE_REACHED',
        `The streams group has reached its maximum capacity of ${config.streamsMaxSize} members.`,
      );
    }
    return new StreamsGroup(groupId, journal);
  }

  /** Throws GROUP_ID_NOT_FOUND, in Kafka's words, which has two for what is missing. */
  #group(groupId: string, what = 'Streams group'): StreamsGroup {
    const group = this.#state.groups.get(groupId);
    if (group instanceof StreamsGroup) return group;
    const message = group === undefined ? `${what} ${groupId} not found.` : `Group ${groupId} is not a streams group.`;
    throw new KafkaError('GROUP_ID_NOT_FOUND', message);
  }

  *#groups(): Iterable<StreamsGroup> {
    for (const group of this.#state.groups.values()) if (group instanceof StreamsGroup) yield group;
  }
}
