import {
  errors,
  KafkaError,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse,
  type TxnOffsetCommitRequest,
  type TxnOffsetCommitResponse,
  type Writable,
  ZERO_UUID,
} from '@ottla/protocol';
import { ClassicGroup } from '../classic/classic-group.ts';
import type { ClassicGroups } from '../classic/classic-groups.ts';
import { type GroupRecordOf, offsetTombstone } from '../group-record.ts';
import type { GroupState } from '../group-state.ts';
import { type Moment, type Outcome, Turn } from '../outcome.ts';
import { commitOffsets, validateCommit } from './commit-offsets.ts';
import { expireOffsets } from './expire-offsets.ts';
import { type FetchedGroup, type FetchMode, fetchOffsets, noOffsets, type OffsetFetchGroup } from './fetch-offsets.ts';

type OffsetRecord = GroupRecordOf<'OffsetCommit'> | GroupRecordOf<'LegacyOffsetCommit'>;

/** What groups of every protocol have committed, and how long it is kept. Changed by `replay` alone. */
export class GroupOffsets {
  readonly #state: GroupState;
  readonly #classic: ClassicGroups;

  constructor(state: GroupState, classic: ClassicGroups) {
    this.#state = state;
    this.#classic = classic;
  }

  commit(
    request: OffsetCommitRequest,
    { apiVersion }: { readonly apiVersion: number },
    moment: Moment,
  ): Outcome<Writable<OffsetCommitResponse>> {
    const turn = new Turn(moment);
    const group = this.#state.groups.get(request.groupId);
    const check = validateCommit(request.groupId, group, { ...request, apiVersion, isTransactional: false });
    if (group instanceof ClassicGroup) this.#classic.onCommit(group, request.memberId, turn);
    return turn.outcome(commitOffsets(turn, request, this.#state.config, check));
  }

  /** To be written in the producer's transaction: its marker makes the offsets count (KIP-98). A zombie is fenced by its group as well (KIP-447). */
  commitInTransaction(
    request: TxnOffsetCommitRequest,
    { apiVersion }: { readonly apiVersion: number },
    moment: Moment,
  ): Outcome<Writable<TxnOffsetCommitResponse>> {
    const { groupId, memberId, groupInstanceId, generationId } = request;
    const turn = new Turn(moment);
    const committer = { memberId, groupInstanceId, generationIdOrMemberEpoch: generationId, apiVersion, isTransactional: true };
    try {
      const check = validateCommit(groupId, this.#state.groups.get(groupId), committer);
      // Kafka keeps no topic id with what a transaction commits.
      const topics = request.topics.map(({ name, partitions }) => ({ name, topicId: ZERO_UUID, partitions }));
      const commit = { groupId, topics, retentionTimeMs: -1 };
      return turn.outcome(commitOffsets(turn, commit, this.#state.config, check));
    } catch (error) {
      // Producers know of generations only.
      if (!(error instanceof KafkaError) || error.name !== 'STALE_MEMBER_EPOCH') throw error;
      throw new KafkaError('ILLEGAL_GENERATION', error.message);
    }
  }

  /** The topics asked for carry names, and ids where known. An error of the group is thrown. */
  fetch(request: OffsetFetchGroup, mode: FetchMode): FetchedGroup {
    const { journal, groups, offsets } = this.#state;
    const { groupId, memberId, memberEpoch } = request;
    const group = mode === 'stable' ? groups.get(groupId) : journal.committed(groups, groupId);
    if (group === undefined || (group instanceof ClassicGroup && group.state === 'Dead')) return noOffsets(request);
    group.validateOffsetFetch(memberId, memberEpoch, mode === 'stable' ? 'latest' : 'committed');
    // Share groups keep their place elsewhere.
    return group.type === 'Share' ? noOffsets(request) : fetchOffsets(offsets, request, mode);
  }

  delete({ groupId, topics }: OffsetDeleteRequest, moment: Moment): Outcome<Writable<OffsetDeleteResponse>> {
    const { offsets } = this.#state;
    const turn = new Turn(moment);
    const group = this.#state.existing(groupId);
    group.validateOffsetDelete();
    return turn.outcome({
      topics: topics.map(({ name, partitions }) => {
        const errorCode = group.isSubscribedTo(name) ? errors.GROUP_SUBSCRIBED_TO_TOPIC.code : 0;
        for (const { partitionIndex } of errorCode === 0 ? partitions : []) {
          const at = { groupId, topic: name, partition: partitionIndex };
          if (offsets.get(at) !== undefined || offsets.isOpen(at)) turn.records.push(offsetTombstone(at));
        }
        return { name, partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })) };
      }),
    });
  }

  /** Forgets the offsets of deleted topics. */
  deleteTopics(topics: readonly { readonly name: string; readonly topicId: string }[], moment: Moment): Outcome {
    const turn = new Turn(moment);
    const deleted = topics.map(({ name, topicId }) => ({
      name,
      isDeleted: (stored: string): boolean => stored === ZERO_UUID || stored === topicId,
    }));
    turn.records.push(...this.#state.offsets.deleteTopics(deleted));
    return { ...turn.outcome(), atomic: false };
  }

  /** Tombstones for what nobody has needed for the retention time, and for groups of which nothing is left. */
  expire(turn: Turn): void {
    const { groups, offsets, config, topics } = this.#state;
    const retention = { nowMs: turn.moment.wallMs, retentionMs: config.offsetsRetentionMs, topics };
    for (const group of groups.values()) {
      // Share groups keep their place elsewhere.
      if (group.type === 'Share') continue;
      const nothingLeft = expireOffsets(offsets, group, retention, turn.records);
      if (nothingLeft && group.isEmpty) turn.records.push(...group.tombstones());
    }
    this.scheduleExpiry(turn);
  }

  scheduleExpiry({ moment }: Turn): void {
    const { deadlines, config } = this.#state;
    deadlines.set('retention', moment.monotonicMs + config.offsetsRetentionCheckIntervalMs, { type: 'RetentionDue' });
  }

  replay(record: OffsetRecord, offset: number, producerId: number): void {
    const { journal, groups, offsets } = this.#state;
    const { group: groupId } = record.key;
    // A consumer that manages itself has no other record: its group is a classic one, empty and without a protocol type.
    if (record.value !== null && !groups.has(groupId)) {
      journal.set(groups, groupId, new ClassicGroup(groupId, record.value.commitTimestamp));
    }
    offsets.replay(record.type === 'LegacyOffsetCommit' ? modernised(record) : record, offset, producerId);
  }
}

function modernised({ key, value }: GroupRecordOf<'LegacyOffsetCommit'>): Pick<GroupRecordOf<'OffsetCommit'>, 'key' | 'value'> {
  return { key, value: value && { ...value, leaderEpoch: -1, expireTimestamp: -1, topicId: ZERO_UUID } };
}
