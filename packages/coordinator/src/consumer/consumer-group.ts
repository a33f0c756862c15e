import { type ConsumerGroupDescribeResponse, inJavaHashOrder, KafkaError, type Uuid, type Writable } from '@ottla/protocol';
import type { Assignment } from '../assignors/group-assignor.ts';
import type { CommitCheck, Committer } from '../group.ts';
import type { GroupTopics } from '../group-topics.ts';
import type { Journal } from '../journal.ts';
import { JournaledMap, JournaledValue, type View } from '../modern/journaled.ts';
import { ModernGroup } from '../modern/modern-group.ts';
import {
  type ConsumerMember,
  isReconciledTo,
  LEAVING_EPOCH,
  memberStates,
  metadataFromRecord,
  newMember,
  progressFromRecord,
} from './consumer-member.ts';
import { type ConsumerRecord, groupTombstone, memberTombstone, regexTombstone } from './consumer-records.ts';
import { heldBy, NO_PARTITIONS, type PartitionEpochs, partitionsIn } from './partition-epochs.ts';
import type { ResolvedRegex } from './subscription-regexes.ts';

export type DescribedConsumerGroup = NonNullable<Writable<ConsumerGroupDescribeResponse>['groups']>[number];
type DescribedMember = NonNullable<DescribedConsumerGroup['members']>[number];
type DescribedAssignment = NonNullable<DescribedMember['assignment']>;

/** A group of the consumer protocol (KIP-848), which may have members that speak the classic one. Changed by `replay` alone. */
export class ConsumerGroup extends ModernGroup<ConsumerMember, Assignment> {
  readonly type = 'Consumer';
  /** Instance id to member id. */
  readonly staticMembers: JournaledMap<string, string>;
  /** What the regular expressions of members stood for when they were last resolved. */
  readonly regexes: JournaledMap<string, ResolvedRegex>;
  /** How many members subscribe with each regular expression. */
  readonly regexSubscribers: JournaledMap<string, number>;
  /** The partitions that a member has or has yet to give up, and who. */
  readonly #owners: JournaledMap<string, string>;
  /** Kafka before 4.1 kept what the group knew of its topics in a record, which is deleted when seen. */
  readonly #hasOldTopicsRecord: JournaledValue<boolean>;

  constructor(groupId: string, journal: Journal) {
    super(groupId, journal);
    this.staticMembers = new JournaledMap(journal);
    this.regexes = new JournaledMap(journal);
    this.regexSubscribers = new JournaledMap(journal);
    this.#owners = new JournaledMap(journal);
    this.#hasOldTopicsRecord = new JournaledValue(journal, false);
  }

  get hasOldTopicsRecord(): boolean {
    return this.#hasOldTopicsRecord.get();
  }

  stateAsOf(view: View): string {
    if (this.members.isEmpty(view)) return 'Empty';
    const { assignmentEpoch } = this.assignment.get(view);
    if (this.epoch.get(view).groupEpoch > assignmentEpoch) return 'Assigning';
    for (const [, member] of this.members.entries(view)) if (!isReconciledTo(member, assignmentEpoch)) return 'Reconciling';
    return 'Stable';
  }

  // ── members ──

  staticMember(instanceId: string): ConsumerMember | undefined {
    const memberId = this.staticMembers.get(instanceId);
    return memberId === undefined ? undefined : this.members.get(memberId);
  }

  isOwned(topicId: Uuid, partition: number): boolean {
    return this.#owners.has(ownedKey(topicId, partition));
  }

  /** Whether the member still waits for a partition that another has. */
  isWaitingForOthers(member: ConsumerMember): boolean {
    if (member.state !== memberStates.unreleased) return false;
    for (const [topicId, partitions] of this.targets.get(member.memberId) ?? []) {
      for (const partition of partitions) {
        if (!member.assigned.get(topicId)?.has(partition) && this.isOwned(topicId, partition)) return true;
      }
    }
    return false;
  }

  /** What the members would be with `changed` among them: in the place of its former self, or of the static member it replaces. */
  membersWith(changed: ConsumerMember): ConsumerMember[] {
    const replacedId = changed.instanceId === null ? undefined : this.staticMembers.get(changed.instanceId);
    const others = [...this.members.values()].filter(({ memberId }) => memberId !== changed.memberId && memberId !== replacedId);
    return [...others, changed];
  }

  /** The assignor that most members ask for; null when none does. */
  preferredAssignor(members: Iterable<ConsumerMember>): string | null {
    const votes = new Map<string, number>();
    for (const { serverAssignor } of members) {
      if (serverAssignor !== null) votes.set(serverAssignor, (votes.get(serverAssignor) ?? 0) + 1);
    }
    let winner: string | null = null;
    for (const name of inJavaHashOrder([...votes.keys()])) {
      if (winner === null || votes.get(name)! > votes.get(winner)!) winner = name;
    }
    return winner;
  }

  // ── subscriptions ──

  /** The names that a member subscribes to: those it says, and those its regular expression stands for. */
  subscriptionOf({ subscribedTopicNames, subscribedTopicRegex }: ConsumerMember): Iterable<string> {
    const resolved = subscribedTopicRegex === '' ? undefined : this.regexes.get(subscribedTopicRegex);
    if (resolved === undefined || resolved.topics.size === 0) return subscribedTopicNames;
    return new Set([...subscribedTopicNames, ...resolved.topics]);
  }

  subscribedTopics(): ReadonlySet<string> {
    return this.subscribedTopicsOf(this.members.values(), this.regexes.keys());
  }

  /** If the group had these members, and of its resolved expressions only these. */
  subscribedTopicsOf(members: Iterable<ConsumerMember>, regexes: Iterable<string>): Set<string> {
    const names = new Set<string>();
    for (const { subscribedTopicNames } of members) for (const name of subscribedTopicNames) names.add(name);
    for (const regex of regexes) for (const name of this.regexes.get(regex)?.topics ?? []) names.add(name);
    return names;
  }

  // ── offsets ──

  /** Throws UNKNOWN_MEMBER_ID, UNSUPPORTED_VERSION, STALE_MEMBER_EPOCH, and for members of the classic protocol ILLEGAL_GENERATION. */
  validateOffsetCommit(committer: Committer): CommitCheck | undefined {
    const { memberId, groupInstanceId, generationIdOrMemberEpoch: memberEpoch, apiVersion, isTransactional } = committer;
    // An administrator, or a consumer that assigns itself.
    if (memberEpoch < 0 && this.isEmpty) return undefined;
    // A transactional producer of before KIP-447, which does not speak for a member.
    if (isTransactional && memberEpoch === -1 && memberId === '' && groupInstanceId === null) return undefined;
    const member = this.member(memberId);
    if (!isTransactional && member.classic === null && apiVersion < 9) {
      throw new KafkaError('UNSUPPORTED_VERSION', 'a member of the consumer protocol commits with OffsetCommit v9 or later');
    }
    if (memberEpoch === member.memberEpoch) return undefined;
    if (memberEpoch > member.memberEpoch) {
      throw staleEpoch(member, `member ${memberId} is at epoch ${member.memberEpoch}, the request at ${memberEpoch}`);
    }
    // It knew of an older epoch when it read what it commits: that counts where the partition was its own all the time (KIP-1251).
    return (topic, topicId, partition) => {
      const since = member.assigned.get(topicId)?.get(partition) ?? member.revoking.get(topicId)?.get(partition);
      if (since === undefined) throw staleEpoch(member, `${topic}-${partition} is not with member ${memberId}`);
      if (memberEpoch < since) {
        throw staleEpoch(
          member,
          `${topic}-${partition} came to member ${memberId} at epoch ${since}, the request is of ${memberEpoch}`,
        );
      }
    };
  }

  /** Throws UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH, ILLEGAL_GENERATION. */
  validateOffsetFetch(memberId: string | null, memberEpoch: number, view: View): void {
    if (memberId === null && memberEpoch < 0) return;
    const member = this.member(memberId ?? '', view);
    if (memberEpoch === member.memberEpoch) return;
    throw staleEpoch(member, `member ${memberId} is at epoch ${member.memberEpoch}, the request at ${memberEpoch}`);
  }

  // ── the log ──

  replay(record: ConsumerRecord): void {
    switch (record.type) {
      case 'ConsumerGroupMetadata':
        // Its tombstone ends the group, which is up to whoever keeps it.
        if (record.value !== null) this.epoch.set({ groupEpoch: record.value.epoch, metadataHash: record.value.metadataHash });
        break;
      case 'ConsumerGroupPartitionMetadata':
        this.#hasOldTopicsRecord.set(record.value !== null);
        break;
      case 'ConsumerGroupMemberMetadata':
        this.#replayMember(record);
        break;
      case 'ConsumerGroupCurrentMemberAssignment':
        this.#replayProgress(record);
        break;
      case 'ConsumerGroupTargetAssignmentMember': {
        const { memberId } = record.key;
        if (record.value === null) this.targets.delete(memberId);
        else this.targets.set(memberId, assignmentOf(record.value.topicPartitions));
        break;
      }
      case 'ConsumerGroupTargetAssignmentMetadata':
        this.assignment.set(record.value ?? { assignmentEpoch: -1, assignmentTimestamp: 0 });
        break;
      case 'ConsumerGroupRegularExpression': {
        const { regularExpression } = record.key;
        if (record.value === null) this.regexes.delete(regularExpression);
        else this.regexes.set(regularExpression, { ...record.value, topics: new Set(record.value.topics) });
      }
    }
  }

  /** In Kafka's order, which may not leave anything of a member behind it, nor of the group behind its last record. */
  tombstones(): ConsumerRecord[] {
    const memberIds = [...this.members.keys()];
    return this.#tombstonesOf(memberIds);
  }

  /** For a group in which one member has just been written under another id. */
  tombstonesWith({ replacedId, memberId }: { readonly replacedId: string; readonly memberId: string }): ConsumerRecord[] {
    return this.#tombstonesOf([...this.members.keys()].map((id) => (id === replacedId ? memberId : id)));
  }

  #tombstonesOf(memberIds: readonly string[]): ConsumerRecord[] {
    const { groupId } = this;
    return [
      ...memberIds.map((memberId) => memberTombstone('ConsumerGroupCurrentMemberAssignment', groupId, memberId)),
      ...memberIds.map((memberId) => memberTombstone('ConsumerGroupTargetAssignmentMember', groupId, memberId)),
      groupTombstone('ConsumerGroupTargetAssignmentMetadata', groupId),
      ...memberIds.map((memberId) => memberTombstone('ConsumerGroupMemberMetadata', groupId, memberId)),
      ...[...this.regexes.keys()].map((regex) => regexTombstone(groupId, regex)),
      groupTombstone('ConsumerGroupPartitionMetadata', groupId),
      groupTombstone('ConsumerGroupMetadata', groupId),
    ];
  }

  // ── describing ──

  /** As of the last committed record. */
  describe(topics: GroupTopics, defaultAssignor: string): DescribedConsumerGroup {
    const members = [...this.members.entries('committed')].map(([, member]) => member);
    return {
      groupId: this.groupId,
      groupState: this.stateAsOf('committed'),
      groupEpoch: this.epoch.get('committed').groupEpoch,
      assignmentEpoch: this.assignment.get('committed').assignmentEpoch,
      assignorName: this.preferredAssignor(members) ?? defaultAssignor,
      members: members.map((member) => this.#describeMember(member, topics)),
    };
  }

  #describeMember(member: ConsumerMember, topics: GroupTopics): DescribedMember {
    return {
      memberId: member.memberId,
      instanceId: member.instanceId,
      rackId: member.rackId,
      memberEpoch: member.memberEpoch,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: [...member.subscribedTopicNames],
      subscribedTopicRegex: member.subscribedTopicRegex,
      assignment: describeAssignment(heldBy(member), topics),
      targetAssignment: describeAssignment(this.targets.get(member.memberId, 'committed') ?? new Map(), topics),
      memberType: member.classic === null ? 1 : 0,
    };
  }

  assertInvariants(): void {
    const fail = (what: string): never => {
      throw new Error(`consumer group ${this.groupId}: ${what}`);
    };
    const owners = new Map<string, string>();
    for (const member of this.members.values()) {
      for (const { topicId, partition } of [...partitionsIn(member.assigned), ...partitionsIn(member.revoking)]) {
        const key = ownedKey(topicId, partition);
        if (owners.has(key)) fail(`${key} is with ${owners.get(key)} and with ${member.memberId}`);
        owners.set(key, member.memberId);
        if (this.#owners.get(key) !== member.memberId)
          fail(`${key} is with ${member.memberId}, and noted as ${this.#owners.get(key)}’s`);
      }
      if (member.memberEpoch > this.groupEpoch) fail(`${member.memberId} is ahead of it, at ${member.memberEpoch}`);
      if (member.instanceId !== null && this.staticMembers.get(member.instanceId) !== member.memberId) {
        fail(`${member.instanceId} is not ${member.memberId}`);
      }
    }
    if (owners.size !== this.#owners.size) fail(`${this.#owners.size} partitions are noted as owned, ${owners.size} are`);
    for (const memberId of this.staticMembers.values()) if (!this.members.has(memberId)) fail(`there is no static ${memberId}`);
    for (const memberId of this.targets.keys()) if (!this.members.has(memberId)) fail(`there is a target for ${memberId}`);
    const regexes = [...this.members.values()].map(({ subscribedTopicRegex: regex }) => regex).filter((regex) => regex !== '');
    for (const [regex, count] of this.regexSubscribers.entries()) {
      if (regexes.filter((each) => each === regex).length !== count) fail(`${regex} is not subscribed to by ${count}`);
    }
    if (new Set(regexes).size !== this.regexSubscribers.size) fail('not all its regular expressions are counted');
    if (this.assignmentEpoch > this.groupEpoch) fail('its assignment is ahead of it');
  }

  #replayMember({ key: { memberId }, value }: Extract<ConsumerRecord, { type: 'ConsumerGroupMemberMetadata' }>): void {
    const before = this.members.get(memberId);
    if (value === null) {
      if (before === undefined) return;
      this.#release(before, NO_PARTITIONS, NO_PARTITIONS);
      this.#countRegex(before.subscribedTopicRegex, -1);
      this.members.delete(memberId);
      const { instanceId } = before;
      if (instanceId !== null && this.staticMembers.get(instanceId) === memberId) this.staticMembers.delete(instanceId);
      return;
    }
    const member = { ...(before ?? newMember(memberId)), ...metadataFromRecord(value) };
    this.members.set(memberId, member);
    if (member.subscribedTopicRegex !== before?.subscribedTopicRegex) {
      if (before !== undefined) this.#countRegex(before.subscribedTopicRegex, -1);
      this.#countRegex(member.subscribedTopicRegex, 1);
    }
    if (member.instanceId !== null) this.staticMembers.set(member.instanceId, memberId);
  }

  #replayProgress({ key: { memberId }, value }: Extract<ConsumerRecord, { type: 'ConsumerGroupCurrentMemberAssignment' }>): void {
    const before = this.members.get(memberId);
    if (value === null) {
      if (before === undefined) return;
      this.#release(before, NO_PARTITIONS, NO_PARTITIONS);
      const left = {
        memberEpoch: LEAVING_EPOCH,
        previousMemberEpoch: LEAVING_EPOCH,
        assigned: NO_PARTITIONS,
        revoking: NO_PARTITIONS,
      };
      this.members.set(memberId, { ...before, ...left });
      return;
    }
    const progress = progressFromRecord(value);
    if (before !== undefined) this.#release(before, progress.assigned, progress.revoking);
    for (const held of [progress.assigned, progress.revoking]) {
      for (const { topicId, partition } of partitionsIn(held)) {
        const key = ownedKey(topicId, partition);
        if (this.#owners.get(key) !== memberId) this.#owners.set(key, memberId);
      }
    }
    this.members.set(memberId, { ...(before ?? newMember(memberId)), ...progress });
  }

  #countRegex(regex: string, difference: 1 | -1): void {
    if (regex === '') return;
    const count = (this.regexSubscribers.get(regex) ?? 0) + difference;
    if (count === 0) this.regexSubscribers.delete(regex);
    else this.regexSubscribers.set(regex, count);
  }

  /** The member has only these any more. */
  #release({ memberId, assigned, revoking }: ConsumerMember, ...kept: readonly PartitionEpochs[]): void {
    for (const held of [assigned, revoking]) {
      for (const { topicId, partition } of partitionsIn(held)) {
        if (kept.some((partitions) => partitions.get(topicId)?.has(partition))) continue;
        const key = ownedKey(topicId, partition);
        if (this.#owners.get(key) === memberId) this.#owners.delete(key);
      }
    }
  }
}

function ownedKey(topicId: Uuid, partition: number): string {
  return `${topicId}:${partition}`;
}

function assignmentOf(
  topicPartitions: readonly { readonly topicId: Uuid; readonly partitions: readonly number[] }[],
): Assignment {
  return new Map(topicPartitions.map(({ topicId, partitions }) => [topicId, [...partitions]]));
}

/** Topics that are no more have no name to show. */
function describeAssignment(assignment: Assignment, topics: GroupTopics): DescribedAssignment {
  return {
    topicPartitions: [...assignment].flatMap(([topicId, partitions]) => {
      const topic = topics.byId(topicId);
      return topic ? [{ topicId, topicName: topic.name, partitions: [...partitions].sort((left, right) => left - right) }] : [];
    }),
  };
}

function staleEpoch({ classic }: ConsumerMember, message: string): KafkaError {
  return new KafkaError(classic === null ? 'STALE_MEMBER_EPOCH' : 'ILLEGAL_GENERATION', message);
}
