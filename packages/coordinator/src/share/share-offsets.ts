import {
  type AlterShareGroupOffsetsRequest,
  type AlterShareGroupOffsetsResponse,
  type DeleteShareGroupOffsetsRequest,
  type DeleteShareGroupOffsetsResponse,
  type DeleteShareGroupStateRequest,
  errorCodeOf,
  errors,
  type InitializeShareGroupStateRequest,
  KafkaError,
  type Uuid,
  type Writable,
} from '@ottla/protocol';
import type { GroupState } from '../group-state.ts';
import { type Moment, type Outcome, Turn } from '../outcome.ts';
import { ShareGroup } from './share-group.ts';
import type { ShareGroups } from './share-groups.ts';
import {
  NO_SHARE_PARTITIONS,
  type PartitionsByTopic,
  sorted,
  type TopicPartitions,
  union,
  without,
  withoutTopics,
} from './share-partitions.ts';
import { sharePartitionsRecord } from './share-records.ts';

type AlteredTopic = NonNullable<Writable<AlterShareGroupOffsetsResponse>['responses']>[number];
type DeletedTopic = NonNullable<Writable<DeleteShareGroupOffsetsResponse>['responses']>[number];

/** What is answered for each topic, and what the share coordinator has to be asked first. */
export type OffsetsToAlter = { readonly responses: AlteredTopic[]; readonly initialize: InitializeShareGroupStateRequest | null };
export type OffsetsToDelete = { readonly responses: DeletedTopic[]; readonly deleteState: DeleteShareGroupStateRequest | null };
/** A group that is to be deleted: the state that goes first, or why it cannot be. */
export type GroupToDelete =
  | { readonly groupId: string; readonly deleteState: DeleteShareGroupStateRequest }
  | { readonly groupId: string; readonly errorCode: number };

/** A topic, and which of its partitions. */
export type PartitionNumbers = ReadonlyMap<Uuid, readonly number[]>;

/**
 * The offsets of share groups, as far as they concern the group: the share coordinator has them, and is asked in between. First the log
 * says what is about to be done, then the share coordinator does it, then the log says that it is done.
 */
export class ShareOffsets {
  readonly #state: GroupState;
  readonly #shareGroups: ShareGroups;

  constructor(state: GroupState, shareGroups: ShareGroups) {
    this.#state = state;
    this.#shareGroups = shareGroups;
  }

  /** The partitions that the share coordinator has state of, as of the last committed record. */
  initializedPartitions(groupId: string): PartitionsByTopic {
    const { journal, groups } = this.#state;
    const group = journal.committed(groups, groupId);
    return group instanceof ShareGroup ? group.sharePartitions.get('committed').initialized : new Map();
  }

  // ── beginning ──

  /** The share coordinator has made state for these partitions: they can be given out. */
  initialized(groupId: string, partitions: PartitionNumbers, moment: Moment): Outcome {
    const turn = new Turn(moment);
    const group = this.#state.groups.get(groupId);
    if (!(group instanceof ShareGroup)) return turn.outcome();
    const known = group.sharePartitions.get();
    const done = this.#named(partitions);
    const initializing = without(known.initializing, done);
    turn.records.push(sharePartitionsRecord(groupId, { ...known, initializing, initialized: union(known.initialized, done) }));
    for (const topicId of done.keys()) if (!initializing.has(topicId)) group.initializingSinceMs.delete(topicId);
    return turn.outcome();
  }

  /** The share coordinator could not: the next heartbeat tries again. */
  notInitialized(groupId: string, partitions: PartitionNumbers, moment: Moment): Outcome {
    const turn = new Turn(moment);
    const group = this.#state.groups.get(groupId);
    if (!(group instanceof ShareGroup)) return turn.outcome();
    const known = group.sharePartitions.get();
    if (known.initializing.size === 0) return turn.outcome();
    const initializing = without(known.initializing, this.#named(partitions));
    turn.records.push(sharePartitionsRecord(groupId, { ...known, initializing }));
    return turn.outcome();
  }

  // ── altering and deleting ──

  /** Throws GROUP_ID_NOT_FOUND for a group of another protocol, NON_EMPTY_GROUP. A group that does not exist begins this way. */
  alter({ groupId, topics }: AlterShareGroupOffsetsRequest, moment: Moment): Outcome<OffsetsToAlter> {
    const turn = new Turn(moment);
    const group = this.#shareGroups.groupOrNew(groupId);
    requireEmpty(group);
    const altered = new Map<Uuid, TopicPartitions>();
    const toInitialize: InitializeShareGroupStateRequest['topics'] = [];
    const responses = topics.map(({ topicName, partitions }): AlteredTopic => {
      const topic = this.#state.topics.byName(topicName);
      const exists = (partition: number): boolean => topic !== undefined && partition >= 0 && partition < topic.partitionCount;
      const found = partitions.filter(({ partitionIndex }) => exists(partitionIndex));
      if (topic !== undefined && found.length > 0) {
        altered.set(topic.id, { name: topicName, partitions: sorted(found.map(({ partitionIndex }) => partitionIndex)) });
        const wishes = new Map(found.map(({ partitionIndex, startOffset }) => [partitionIndex, startOffset]));
        toInitialize.push({
          topicId: topic.id,
          partitions: [...wishes].map(([partition, startOffset]) => ({ partition, stateEpoch: group.groupEpoch, startOffset })),
        });
      }
      return {
        topicName,
        ...(topic !== undefined && { topicId: topic.id }),
        partitions: partitions.map(({ partitionIndex }) => ({
          partitionIndex,
          ...(exists(partitionIndex) ? { errorCode: 0, errorMessage: null } : UNKNOWN),
        })),
      };
    });
    if (altered.size === 0) return turn.outcome({ responses, initialize: null });
    this.#shareGroups.markInitializing(group, altered, turn);
    return turn.outcome({ responses, initialize: { groupId, topics: toInitialize } });
  }

  /** Throws GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP. */
  beginDelete({ groupId, topics }: DeleteShareGroupOffsetsRequest, moment: Moment): Outcome<OffsetsToDelete> {
    const turn = new Turn(moment);
    const group = this.#shareGroups.group(groupId);
    requireEmpty(group);
    const known = group.sharePartitions.get();
    // Of a group that has never shared anything there is nothing to tell; of one whose offsets were deleted there is.
    if (known === NO_SHARE_PARTITIONS) {
      return turn.outcome({ responses: [], deleteState: null });
    }
    const doomed = new Map<Uuid, TopicPartitions>();
    const responses: DeletedTopic[] = [];
    for (const { topicName } of topics) {
      const topic = this.#state.topics.byName(topicName);
      if (topic === undefined) {
        responses.push({ topicName, ...UNKNOWN });
        continue;
      }
      const initialized = known.initialized.get(topic.id);
      if (initialized !== undefined) doomed.set(topic.id, initialized);
      // Begun before, and not known to have come to its end.
      else if (known.deleting.has(topic.id))
        doomed.set(topic.id, { name: topicName, partitions: partitionsUpTo(topic.partitionCount) });
      else responses.push({ topicName, ...UNKNOWN, errorMessage: 'There is no offset information to delete.' });
    }
    if (doomed.size === 0) return turn.outcome({ responses, deleteState: null });
    turn.records.push(
      sharePartitionsRecord(groupId, {
        initializing: known.initializing,
        initialized: withoutTopics(known.initialized, new Set(doomed.keys())),
        deleting: new Map([...known.deleting, ...namesOf(doomed)]),
      }),
    );
    return turn.outcome({ responses, deleteState: deletionOf(groupId, doomed) });
  }

  /** The share coordinator has forgotten these topics. */
  deleted(groupId: string, topicIds: readonly Uuid[], moment: Moment): Outcome<DeletedTopic[]> {
    const turn = new Turn(moment);
    const group = this.#state.groups.get(groupId);
    const responses = topicIds.map((topicId): DeletedTopic => {
      const topicName = this.#state.topics.byId(topicId)?.name ?? '';
      return { topicName, topicId, errorCode: 0, errorMessage: null };
    });
    if (!(group instanceof ShareGroup)) return turn.outcome(responses);
    const known = group.sharePartitions.get();
    const deleting = withoutTopics(known.deleting, new Set(topicIds));
    turn.records.push(sharePartitionsRecord(groupId, { ...known, deleting }));
    return turn.outcome(responses);
  }

  /** Those of the groups that are share groups and have state, which has to go before they can; and those that cannot be deleted. */
  beginGroupDeletion(groupIds: readonly string[], moment: Moment): Outcome<GroupToDelete[]> {
    const turn = new Turn(moment);
    const doomed: GroupToDelete[] = [];
    for (const groupId of groupIds) {
      const group = this.#state.groups.get(groupId);
      if (!(group instanceof ShareGroup)) continue;
      try {
        requireEmpty(group);
      } catch (error) {
        doomed.push({ groupId, errorCode: errorCodeOf(error) });
        continue;
      }
      const partitions = this.#allOf(group);
      if (partitions.size === 0) continue;
      const deleting = namesOf(partitions);
      turn.records.push(sharePartitionsRecord(groupId, { initializing: new Map(), initialized: new Map(), deleting }));
      doomed.push({ groupId, deleteState: deletionOf(groupId, partitions) });
    }
    return turn.outcome(doomed);
  }

  /** The share coordinator forgets the state of deleted topics by itself. */
  onTopicsDeleted(topicIds: ReadonlySet<Uuid>, moment: Moment): Outcome {
    const turn = new Turn(moment);
    for (const [groupId, group] of this.#state.groups) {
      if (!(group instanceof ShareGroup)) continue;
      const { initializing, initialized, deleting } = group.sharePartitions.get();
      for (const topicId of topicIds) group.initializingSinceMs.delete(topicId);
      if (![initializing, initialized, deleting].some((topics) => [...topics.keys()].some((topicId) => topicIds.has(topicId))))
        continue;
      turn.records.push(
        sharePartitionsRecord(groupId, {
          initializing: withoutTopics(initializing, topicIds),
          initialized: withoutTopics(initialized, topicIds),
          deleting: withoutTopics(deleting, topicIds),
        }),
      );
    }
    return { ...turn.outcome(), atomic: false };
  }

  /** Whatever there may be state of: that of topics which are gone, the share coordinator has forgotten by itself. */
  #allOf(group: ShareGroup): Map<Uuid, TopicPartitions> {
    const { initializing, initialized, deleting } = group.sharePartitions.get();
    const asked = union(initialized, initializing);
    const begun = new Map<Uuid, TopicPartitions>();
    for (const topicId of deleting.keys()) {
      const topic = this.#state.topics.byId(topicId);
      if (topic !== undefined) begun.set(topicId, { name: topic.name, partitions: partitionsUpTo(topic.partitionCount) });
    }
    return union(new Map([...asked].filter(([topicId]) => this.#state.topics.byId(topicId) !== undefined)), begun);
  }

  #named(partitions: PartitionNumbers): Map<Uuid, TopicPartitions> {
    return new Map(
      [...partitions].map(([topicId, numbers]) => [
        topicId,
        { name: this.#state.topics.byId(topicId)?.name ?? '<UNKNOWN>', partitions: sorted(numbers) },
      ]),
    );
  }
}

const UNKNOWN = {
  errorCode: errors.UNKNOWN_TOPIC_OR_PARTITION.code,
  errorMessage: 'This server does not host this topic-partition.',
};

function requireEmpty(group: ShareGroup): void {
  if (!group.isEmpty) throw new KafkaError('NON_EMPTY_GROUP', 'The group is not empty.');
}

function partitionsUpTo(count: number): number[] {
  return Array.from({ length: count }, (_, partition) => partition);
}

function namesOf(byTopic: PartitionsByTopic): Map<Uuid, string> {
  return new Map([...byTopic].map(([topicId, { name }]) => [topicId, name]));
}

function deletionOf(groupId: string, byTopic: PartitionsByTopic): DeleteShareGroupStateRequest {
  const topics = [...byTopic].map(([topicId, { partitions }]) => ({
    topicId,
    partitions: partitions.map((partition) => ({ partition })),
  }));
  return { groupId, topics };
}
