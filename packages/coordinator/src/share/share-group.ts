import { KafkaError, type ShareGroupDescribeResponse, type Uuid, type Writable } from '@ottla/protocol';
import type { Assignment } from '../assignors/group-assignor.ts';
import type { GroupRecord } from '../group-record.ts';
import type { GroupTopics } from '../group-topics.ts';
import type { Journal } from '../journal.ts';
import { JournaledValue, type View } from '../modern/journaled.ts';
import { ModernGroup } from '../modern/modern-group.ts';
import { assignmentOf, LEAVING_EPOCH, NO_ASSIGNMENT, newShareMember, type ShareMember } from './share-member.ts';
import { NO_SHARE_PARTITIONS, type SharePartitions, sorted } from './share-partitions.ts';
import { groupTombstones, memberTombstones, type ShareRecord } from './share-records.ts';

export type DescribedShareGroup = NonNullable<Writable<ShareGroupDescribeResponse>['groups']>[number];

/** A group whose members share the records of partitions (KIP-932). How far it is with them is the share coordinator's. */
export class ShareGroup extends ModernGroup<ShareMember, Assignment> {
  readonly type = 'Share';
  readonly sharePartitions: JournaledValue<SharePartitions>;
  /** In memory: since when partitions of a topic are being initialized, so that what came to nothing is tried again. */
  readonly initializingSinceMs = new Map<Uuid, number>();

  constructor(groupId: string, journal: Journal) {
    super(groupId, journal);
    this.sharePartitions = new JournaledValue(journal, NO_SHARE_PARTITIONS);
  }

  stateAsOf(view: View): string {
    return this.members.entries(view).next().done ? 'Empty' : 'Stable';
  }

  subscribedTopics(): ReadonlySet<string> {
    const names = new Set<string>();
    for (const { subscribedTopicNames } of this.members.values()) for (const name of subscribedTopicNames) names.add(name);
    return names;
  }

  /** Once `member` is what its record will make of it. */
  subscribedTopicsWith(member: ShareMember): ReadonlySet<string> {
    const names = new Set(member.subscribedTopicNames);
    for (const other of this.members.values()) {
      if (other.memberId !== member.memberId) for (const name of other.subscribedTopicNames) names.add(name);
    }
    return names;
  }

  replay(record: ShareRecord): void {
    switch (record.type) {
      case 'ShareGroupMemberMetadata':
        this.#replayMember(record.key.memberId, record.value);
        break;
      case 'ShareGroupMetadata':
        if (record.value === null) break;
        this.epoch.set({ groupEpoch: record.value.epoch, metadataHash: record.value.metadataHash });
        break;
      case 'ShareGroupTargetAssignmentMetadata':
        this.assignment.set(
          record.value ?? {
            // Deleted with the group.
            assignmentEpoch: -1,
            assignmentTimestamp: 0,
          },
        );
        break;
      case 'ShareGroupTargetAssignmentMember':
        if (record.value === null) this.targets.delete(record.key.memberId);
        else this.targets.set(record.key.memberId, assignmentOf(record.value.topicPartitions));
        break;
      case 'ShareGroupCurrentMemberAssignment':
        this.#replayProgress(record.key.memberId, record.value);
        break;
      case 'ShareGroupStatePartitionMetadata':
        this.sharePartitions.set(record.value === null ? NO_SHARE_PARTITIONS : sharePartitionsOf(record.value));
        break;
    }
  }

  /** As of the last committed record. */
  describe(topics: GroupTopics): DescribedShareGroup {
    return {
      groupId: this.groupId,
      groupState: this.stateAsOf('committed'),
      groupEpoch: this.epoch.get('committed').groupEpoch,
      assignmentEpoch: this.assignment.get('committed').assignmentEpoch,
      assignorName: 'simple',
      members: [...this.members.entries('committed')].map(([memberId, member]) => ({
        memberId,
        rackId: member.rackId,
        memberEpoch: member.memberEpoch,
        clientId: member.clientId,
        clientHost: member.clientHost,
        subscribedTopicNames: [...member.subscribedTopicNames],
        assignment: {
          topicPartitions: [...member.assigned].flatMap(([topicId, partitions]) => {
            const topic = topics.byId(topicId);
            return topic === undefined ? [] : [{ topicId, topicName: topic.name, partitions: [...partitions] }];
          }),
        },
      })),
    };
  }

  /** Where a share group is with its partitions is kept elsewhere: it commits no offsets. */
  validateOffsetCommit(): never {
    throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${this.groupId} is not a consumer group.`);
  }

  /** It has none, which is no error. */
  validateOffsetFetch(): void {}

  override validateOffsetDelete(): void {
    throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${this.groupId} is not a consumer group.`);
  }

  override offsetRetentionBase(): null {
    return null;
  }

  tombstones(): GroupRecord[] {
    const members = [...this.members.keys()].flatMap((memberId) => memberTombstones(this.groupId, memberId));
    return [...members, ...groupTombstones(this.groupId)];
  }

  assertInvariants(): void {
    const { initialized } = this.sharePartitions.get();
    for (const { partitions } of initialized.values()) {
      if (partitions.length === 0 || sorted(partitions).join() !== partitions.join()) {
        throw new Error(`${this.groupId} has partitions out of order`);
      }
    }
    for (const memberId of this.targets.keys()) {
      if (!this.members.has(memberId)) throw new Error(`${this.groupId} has a target for ${memberId}, which is no member`);
    }
  }

  #replayMember(memberId: string, value: Extract<ShareRecord, { type: 'ShareGroupMemberMetadata' }>['value']): void {
    if (value === null) {
      this.members.delete(memberId);
      return;
    }
    const { rackId, clientId, clientHost, subscribedTopicNames } = value;
    const known = this.members.get(memberId) ?? newShareMember(memberId);
    this.members.set(memberId, { ...known, rackId, clientId, clientHost, subscribedTopicNames });
  }

  #replayProgress(memberId: string, value: Extract<ShareRecord, { type: 'ShareGroupCurrentMemberAssignment' }>['value']): void {
    const known = this.members.get(memberId);
    if (value === null) {
      if (known === undefined) return;
      const gone = { memberEpoch: LEAVING_EPOCH, previousMemberEpoch: LEAVING_EPOCH, assigned: NO_ASSIGNMENT };
      this.members.set(memberId, { ...known, ...gone });
      return;
    }
    const { memberEpoch, previousMemberEpoch, assignedPartitions } = value;
    const assigned = assignmentOf(assignedPartitions);
    this.members.set(memberId, { ...(known ?? newShareMember(memberId)), memberEpoch, previousMemberEpoch, assigned });
  }
}

function sharePartitionsOf(
  value: NonNullable<Extract<ShareRecord, { type: 'ShareGroupStatePartitionMetadata' }>['value']>,
): SharePartitions {
  type Topics = (typeof value)['initializedTopics'];
  const byTopic = (topics: Topics) =>
    new Map(
      topics
        .filter(({ partitions }) => partitions.length > 0)
        .map(({ topicId, topicName, partitions }) => [topicId, { name: topicName, partitions: sorted(partitions) }]),
    );
  return {
    initializing: byTopic(value.initializingTopics),
    initialized: byTopic(value.initializedTopics),
    deleting: new Map(value.deletingTopics.map(({ topicId, topicName }) => [topicId, topicName])),
  };
}
