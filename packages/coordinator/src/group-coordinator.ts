import { type DeleteGroupsResponse, errorCodeOf, KafkaError, type ListGroupsResponse, type Writable } from '@ottla/protocol';
import { ClassicGroups } from './classic/classic-groups.ts';
import { ConsumerGroups } from './consumer/consumer-groups.ts';
import type { Group } from './group.ts';
import type { GroupCoordinatorConfig } from './group-coordinator-config.ts';
import { type MemberDeadline, memberDeadlineKey } from './group-deadline.ts';
import type { GroupProtocol } from './group-protocol.ts';
import type { GroupRecord } from './group-record.ts';
import { GroupState, type GroupSurroundings } from './group-state.ts';
import { GroupOffsets } from './offsets/group-offsets.ts';
import type { OffsetStore } from './offsets/offset-store.ts';
import { type Continuation, type Moment, type Outcome, Turn } from './outcome.ts';
import { ShareGroups } from './share/share-groups.ts';
import { StreamsGroups } from './streams/streams-groups.ts';

type ListedGroup = NonNullable<Writable<ListGroupsResponse>['groups']>[number];
type DeletedGroup = NonNullable<Writable<DeleteGroupsResponse>['results']>[number];

const EXPIRY_RETRY_MS = 500;

/** Where a record stands in the log, and who wrote it. */
export type RecordPosition = { readonly offset: number; readonly producerId: number };

/**
 * The groups of one partition of `__consumer_offsets`: who is in them, and what they have committed. It puts together a part for each
 * group protocol and one for offsets, all on the same state, and has itself what concerns groups of every protocol.
 *
 * Deterministic: time, random numbers and tokens are passed in. What must outlive a restart (offsets, which groups there are, what the
 * log has of them) comes from `replay` alone. The rest, who waits and whose session ends when, is in memory, and rebuilt by
 * `activate`. Every request method returns what it wants to become true as an Outcome, or throws the KafkaError that forbids it.
 */
export class GroupCoordinator {
  readonly classic: ClassicGroups;
  readonly consumer: ConsumerGroups;
  readonly share: ShareGroups;
  readonly streams: StreamsGroups;
  readonly offsets: GroupOffsets;
  readonly #state: GroupState;

  constructor(surroundings: GroupSurroundings) {
    this.#state = new GroupState(surroundings);
    this.consumer = new ConsumerGroups(this.#state);
    this.classic = new ClassicGroups(this.#state, this.consumer.classicMembers);
    this.share = new ShareGroups(this.#state);
    this.streams = new StreamsGroups(this.#state);
    this.offsets = new GroupOffsets(this.#state, this.classic);
  }

  // ── groups as a whole ──

  /** Filters are lower case; an empty one lets everything through. */
  list({ states, types }: { readonly states: ReadonlySet<string>; readonly types: ReadonlySet<string> }): ListedGroup[] {
    const { journal, groups } = this.#state;
    const listed: ListedGroup[] = [];
    for (const [groupId, group] of journal.committedEntries(groups)) {
      if (types.size > 0 && !types.has(group.type.toLowerCase())) continue;
      const groupState = group.committedState;
      if (states.size > 0 && !states.has(groupState.toLowerCase())) continue;
      listed.push({ groupId, protocolType: group.protocolType ?? '', groupState, groupType: group.type.toLowerCase() });
    }
    return listed;
  }

  deleteGroups(groupIds: readonly string[], moment: Moment): Outcome<DeletedGroup[]> {
    const turn = new Turn(moment);
    const results = groupIds.map((groupId) => {
      try {
        const group = this.#state.existing(groupId);
        if (!group.isEmpty) throw new KafkaError('NON_EMPTY_GROUP', `group ${groupId} has members`);
        turn.records.push(...this.#state.offsets.deleteAll(groupId), ...group.tombstones());
        return { groupId, errorCode: 0 };
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error;
        return { groupId, errorCode: errorCodeOf(error) };
      }
    });
    return turn.outcome(results);
  }

  // ── what happens around it ──

  /** Timeouts and limits count from now on. */
  updateConfig(config: GroupCoordinatorConfig): void {
    this.#state.config = config;
  }

  /** Topics were created, changed (partitions, replicas) or deleted. */
  onTopicsChanged(names: ReadonlySet<string>, { hasNew }: { readonly hasNew: boolean }): void {
    if (hasNew) this.#state.newTopicsVersion = this.#state.topics.version;
    this.#state.topicHashes.forget(names);
    for (const protocol of this.#protocols) protocol.onTopicsChanged?.(names);
  }

  /** When `wake` wants to be called, by the monotonic clock. */
  nextWakeMs(): number | undefined {
    return this.#state.deadlines.nextMs();
  }

  /** Does one thing that is due, if any: call until there is none. */
  wake(moment: Moment): Outcome | undefined {
    const due = this.#state.deadlines.takeDue(moment.monotonicMs);
    if (due === undefined) return undefined;
    const turn = new Turn(moment);
    if (due.type === 'RetentionDue') {
      this.offsets.expire(turn);
      return { ...turn.outcome(), atomic: false };
    }
    const group = this.#state.groups.get(due.groupId);
    if (group === undefined) return turn.outcome();
    this.#protocolOf(group).onDeadline(due, turn);
    // What a classic group does at a deadline is done in memory, and needs no record to be true.
    if (group.type !== 'Classic' && 'memberId' in due && turn.records.length > 0) {
      turn.continuation ??= { type: 'MemberExpired', groupId: due.groupId, deadline: due };
    }
    return turn.outcome();
  }

  // ── durability ──

  /** The records of an operation are committed, or failed to be written and have been rolled back. */
  continueWith(continuation: Continuation, error: KafkaError | null, moment: Moment): Outcome {
    const turn = new Turn(moment);
    switch (continuation.type) {
      case 'MemberExpired':
        if (error !== null) this.#expireAgain(continuation.deadline, moment);
        break;
      case 'ClassicMemberJoined':
      case 'ClassicMemberSynced':
        this.consumer.continueWith(continuation, error, turn);
        break;
      default:
        this.classic.continueWith(continuation, error, turn);
    }
    return turn.outcome();
  }

  /** The offset of the next record, by what was replayed. */
  get nextOffset(): number {
    return this.#state.journal.nextOffset;
  }

  /** The only place where offsets, and groups of the log, change. The caller replays in the order of the log. */
  replay(record: GroupRecord, { offset, producerId }: RecordPosition): void {
    const { journal } = this.#state;
    journal.advance(offset);
    switch (record.type) {
      case 'OffsetCommit':
      case 'LegacyOffsetCommit':
        this.offsets.replay(record, offset, producerId);
        break;
      case 'GroupMetadata':
        this.classic.replay(record);
        break;
      case 'ConsumerGroupMetadata':
      case 'ConsumerGroupPartitionMetadata':
      case 'ConsumerGroupMemberMetadata':
      case 'ConsumerGroupTargetAssignmentMetadata':
      case 'ConsumerGroupTargetAssignmentMember':
      case 'ConsumerGroupCurrentMemberAssignment':
      case 'ConsumerGroupRegularExpression':
        this.consumer.replay(record);
        break;
      case 'StreamsGroupMetadata':
      case 'StreamsGroupMemberMetadata':
      case 'StreamsGroupTargetAssignmentMetadata':
      case 'StreamsGroupTargetAssignmentMember':
      case 'StreamsGroupCurrentMemberAssignment':
      case 'StreamsGroupTopology':
        this.streams.replay(record);
        break;
      case 'ShareGroupMetadata':
      case 'ShareGroupMemberMetadata':
      case 'ShareGroupTargetAssignmentMetadata':
      case 'ShareGroupTargetAssignmentMember':
      case 'ShareGroupCurrentMemberAssignment':
      case 'ShareGroupStatePartitionMetadata':
        this.share.replay(record);
        break;
    }
    journal.advance(offset + 1);
  }

  replayTransactionEnd(producerId: number, isCommit: boolean, offset: number): void {
    const { journal, offsets } = this.#state;
    journal.advance(offset);
    offsets.replayTransactionEnd(producerId, isCommit);
    journal.advance(offset + 1);
  }

  /** Offsets that hold nothing for this machine: records of unknown types, and what the log no longer has. */
  skipTo(nextOffset: number): void {
    this.#state.journal.advance(nextOffset);
  }

  commitTo(endOffset: number): void {
    this.#state.journal.commit(endOffset);
  }

  rollbackTo(offset: number): void {
    this.#state.journal.rollback(offset);
  }

  // ── life of the partition ──

  /** The log has been read. */
  activate(moment: Moment): Outcome {
    const turn = new Turn(moment);
    this.#state.newTopicsVersion = this.#state.topics.version;
    for (const protocol of this.#protocols) protocol.activate(turn);
    this.offsets.scheduleExpiry(turn);
    this.#state.isActive = true;
    return turn.outcome();
  }

  /** The partition is led by another broker now. */
  unload(moment: Moment): Outcome {
    const turn = new Turn(moment);
    for (const protocol of this.#protocols) protocol.unload(turn);
    return turn.outcome();
  }

  get groups(): ReadonlyMap<string, Group> {
    return this.#state.groups;
  }

  get storedOffsets(): OffsetStore {
    return this.#state.offsets;
  }

  assertInvariants(): void {
    for (const group of this.#state.groups.values()) group.assertInvariants();
    this.#state.offsets.assertInvariants();
  }

  #expireAgain(deadline: MemberDeadline, { monotonicMs }: Moment): void {
    const { deadlines } = this.#state;
    const key = memberDeadlineKey(deadline);
    // Unless it was heard of meanwhile.
    if (!deadlines.has(key)) deadlines.set(key, monotonicMs + EXPIRY_RETRY_MS, deadline);
  }

  get #protocols(): readonly GroupProtocol<never, never>[] {
    return [this.classic, this.consumer, this.share, this.streams];
  }

  #protocolOf(group: Group): GroupProtocol<never, never> {
    switch (group.type) {
      case 'Classic':
        return this.classic;
      case 'Consumer':
        return this.consumer;
      case 'Share':
        return this.share;
      case 'Streams':
        return this.streams;
    }
  }
}
