import { KafkaError } from '@ottla/protocol';
import type { GroupRecord } from './group-record.ts';
import type { Journal } from './journal.ts';

export type ModernType = 'Consumer' | 'Share' | 'Streams';

/** The types that hold a group together; the others of a family belong to a member, or are details of it. */
type ModernRecord = Exclude<GroupRecord, { type: 'OffsetCommit' | 'LegacyOffsetCommit' | 'GroupMetadata' }>;

/**
 * A group of the consumer, share or streams protocol, as its records tell of it. This version does not serve those protocols: it keeps
 * what it finds in the log, lists it under its own type, guards its offsets, and refuses the classic requests as Kafka would.
 */
export class ModernGroup {
  readonly groupId: string;
  readonly type: ModernType;
  readonly #journal: Journal;
  readonly #records = new Map<string, ModernRecord>();

  constructor(groupId: string, type: ModernType, journal: Journal) {
    this.groupId = groupId;
    this.type = type;
    this.#journal = journal;
  }

  get protocolType(): string {
    return this.type.toLowerCase();
  }

  get isEmpty(): boolean {
    for (const { type } of this.#records.values()) if (isMember(type)) return false;
    return true;
  }

  get hasRecords(): boolean {
    return this.#records.size > 0;
  }

  /** As Kafka derives it from the epochs of the group, of its target assignment and of its members. */
  get state(): string {
    if (this.isEmpty) return 'Empty';
    if (this.type === 'Share') return 'Stable';
    let groupEpoch = 0;
    let assignmentEpoch = 0;
    for (const record of this.#records.values()) {
      if (record.type === 'ConsumerGroupMetadata' || record.type === 'StreamsGroupMetadata') groupEpoch = record.value!.epoch;
      if (record.type === 'ConsumerGroupTargetAssignmentMetadata') assignmentEpoch = record.value!.assignmentEpoch;
      if (record.type === 'StreamsGroupTargetAssignmentMetadata') assignmentEpoch = record.value!.assignmentEpoch;
    }
    if (groupEpoch > assignmentEpoch) return 'Assigning';
    for (const record of this.#records.values()) {
      if (record.type !== 'ConsumerGroupCurrentMemberAssignment' && record.type !== 'StreamsGroupCurrentMemberAssignment')
        continue;
      if (record.value!.state !== 0 || record.value!.memberEpoch !== assignmentEpoch) return 'Reconciling';
    }
    return 'Stable';
  }

  replay(record: ModernRecord): void {
    const key = keyOf(record);
    if (record.value === null) this.#journal.delete(this.#records, key);
    else this.#journal.set(this.#records, key, record);
  }

  /** Deletes all that the log has of the group: what belongs to its members first, the group itself last. */
  tombstones(): GroupRecord[] {
    const records = [...this.#records.values()];
    const ordered = [...records.filter(({ type }) => !isGroup(type)).reverse(), ...records.filter(({ type }) => isGroup(type))];
    return ordered.map((record) => ({ ...record, version: -1, value: null }) as GroupRecord);
  }

  hasMember(memberId: string): boolean {
    return this.#records.has(`${this.type}GroupMemberMetadata ${memberId}`);
  }

  memberEpoch(memberId: string): number | undefined {
    if (!this.hasMember(memberId)) return undefined;
    const record = this.#records.get(`${this.type}GroupCurrentMemberAssignment ${memberId}`);
    return record !== undefined && 'value' in record && record.value !== null && 'memberEpoch' in record.value
      ? record.value.memberEpoch
      : 0;
  }

  isSubscribedTo(topic: string): boolean {
    for (const record of this.#records.values()) {
      if (record.type === 'ConsumerGroupMemberMetadata' && record.value!.subscribedTopicNames.includes(topic)) return true;
      if (record.type === 'ShareGroupMemberMetadata' && record.value!.subscribedTopicNames.includes(topic)) return true;
      if (record.type === 'ConsumerGroupRegularExpression' && record.value!.topics.includes(topic)) return true;
      if (record.type === 'StreamsGroupTopology' && readsTopic(record.value!.subtopologies, topic)) return true;
    }
    return false;
  }

  /** Throws STALE_MEMBER_EPOCH, UNKNOWN_MEMBER_ID, GROUP_ID_NOT_FOUND, UNSUPPORTED_VERSION. */
  validateOffsetCommit(memberId: string, memberEpoch: number, apiVersion: number): void {
    if (this.type === 'Share') throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${this.groupId} is not a consumer group.`);
    // An administrator, or a consumer that assigns itself.
    if (memberEpoch < 0 && this.isEmpty) return;
    const known = this.memberEpoch(memberId);
    if (known === undefined) throw new KafkaError('UNKNOWN_MEMBER_ID', `group ${this.groupId} has no member ${memberId}`);
    if (apiVersion < 9)
      throw new KafkaError('UNSUPPORTED_VERSION', 'a member of this protocol commits with OffsetCommit v9 or later');
    if (memberEpoch !== known) {
      throw new KafkaError('STALE_MEMBER_EPOCH', `member ${memberId} is at epoch ${known}, the request at ${memberEpoch}`);
    }
  }

  /** Throws STALE_MEMBER_EPOCH, UNKNOWN_MEMBER_ID, GROUP_ID_NOT_FOUND. */
  validateOffsetFetch(memberId: string | null, memberEpoch: number): void {
    if (this.type === 'Share') throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${this.groupId} is not a consumer group.`);
    if (memberId === null && memberEpoch < 0) return;
    const known = this.memberEpoch(memberId ?? '');
    if (known === undefined) throw new KafkaError('UNKNOWN_MEMBER_ID', `group ${this.groupId} has no member ${memberId}`);
    if (memberEpoch !== known) {
      throw new KafkaError('STALE_MEMBER_EPOCH', `member ${memberId} is at epoch ${known}, the request at ${memberEpoch}`);
    }
  }
}

/** The type of group that a record belongs to. */
export function modernTypeOf(type: ModernRecord['type']): ModernType {
  if (type.startsWith('Consumer')) return 'Consumer';
  return type.startsWith('Share') ? 'Share' : 'Streams';
}

export function isModernRecord(record: GroupRecord): record is ModernRecord {
  return record.type !== 'OffsetCommit' && record.type !== 'LegacyOffsetCommit' && record.type !== 'GroupMetadata';
}

/** The record whose tombstone ends the group. */
export function isGroup(type: ModernRecord['type']): boolean {
  return type === 'ConsumerGroupMetadata' || type === 'ShareGroupMetadata' || type === 'StreamsGroupMetadata';
}

function isMember(type: ModernRecord['type']): boolean {
  return type === 'ConsumerGroupMemberMetadata' || type === 'ShareGroupMemberMetadata' || type === 'StreamsGroupMemberMetadata';
}

function keyOf({ type, key }: ModernRecord): string {
  if ('memberId' in key) return `${type} ${key.memberId}`;
  return 'regularExpression' in key ? `${type} ${key.regularExpression}` : type;
}

function readsTopic(
  subtopologies: readonly {
    readonly sourceTopics: readonly string[];
    readonly repartitionSourceTopics: readonly { name: string }[];
  }[],
  topic: string,
): boolean {
  return subtopologies.some(
    ({ sourceTopics, repartitionSourceTopics }) =>
      sourceTopics.includes(topic) || repartitionSourceTopics.some(({ name }) => name === topic),
  );
}
