import { KafkaError } from '@ottla/protocol';
import type { Committer, Group } from './group.ts';
import type { GroupProtocol } from './group-protocol.ts';
import type { GroupRecord } from './group-record.ts';
import type { GroupState } from './group-state.ts';
import type { Journal } from './journal.ts';
import type { OffsetAndMetadata } from './offsets/offset-and-metadata.ts';

/** The types that hold a group together; the others of a family belong to a member, or are details of it. */
export type KeptRecord = Exclude<
  GroupRecord,
  { type: 'OffsetCommit' | 'LegacyOffsetCommit' | 'GroupMetadata' | `ConsumerGroup${string}` | `StreamsGroup${string}` }
>;

/**
 * A group of the share protocol, as its records tell of it. This version does not serve that protocol: it keeps
 * what it finds in the log, lists it under its own type, guards its offsets, and refuses the classic requests as Kafka would.
 */
export class KeptGroup implements Group {
  readonly groupId: string;
  readonly type = 'Share';
  readonly #journal: Journal;
  readonly #records = new Map<string, KeptRecord>();

  constructor(groupId: string, journal: Journal) {
    this.groupId = groupId;
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

  get committedState(): string {
    return this.isEmpty ? 'Empty' : 'Stable';
  }

  replay(record: KeptRecord): void {
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
      if (record.type === 'ShareGroupMemberMetadata' && record.value!.subscribedTopicNames.includes(topic)) return true;
    }
    return false;
  }

  /** Throws STALE_MEMBER_EPOCH, UNKNOWN_MEMBER_ID, GROUP_ID_NOT_FOUND, UNSUPPORTED_VERSION. */
  validateOffsetCommit({ memberId, generationIdOrMemberEpoch: memberEpoch, apiVersion }: Committer): undefined {
    this.#requireOffsets();
    // An administrator, or a consumer that assigns itself.
    if (memberEpoch < 0 && this.isEmpty) return;
    const known = this.#knownEpoch(memberId);
    if (apiVersion < 9)
      throw new KafkaError('UNSUPPORTED_VERSION', 'a member of this protocol commits with OffsetCommit v9 or later');
    this.#requireEpoch(memberId, memberEpoch, known);
  }

  /** Throws STALE_MEMBER_EPOCH, UNKNOWN_MEMBER_ID. */
  validateOffsetFetch(memberId: string | null, memberEpoch: number): void {
    // Share groups keep their place elsewhere: nothing is found of them.
    if (this.type === 'Share' || (memberId === null && memberEpoch < 0)) return;
    this.#requireEpoch(memberId ?? '', memberEpoch, this.#knownEpoch(memberId ?? ''));
  }

  validateOffsetDelete(): void {
    this.#requireOffsets();
  }

  offsetRetentionBase(): ((committed: OffsetAndMetadata) => number) | null {
    return this.type === 'Share' ? null : ({ commitTimestamp }) => commitTimestamp;
  }

  assertInvariants(): void {}

  #requireOffsets(): void {
    if (this.type === 'Share') throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${this.groupId} is not a consumer group.`);
  }

  #knownEpoch(memberId: string): number {
    const known = this.memberEpoch(memberId);
    if (known === undefined) throw new KafkaError('UNKNOWN_MEMBER_ID', `group ${this.groupId} has no member ${memberId}`);
    return known;
  }

  #requireEpoch(memberId: string, memberEpoch: number, known: number): void {
    if (memberEpoch !== known) {
      throw new KafkaError('STALE_MEMBER_EPOCH', `member ${memberId} is at epoch ${known}, the request at ${memberEpoch}`);
    }
  }
}

/** The groups of the protocols that are not served. */
export class KeptGroups implements GroupProtocol<KeptRecord> {
  readonly #state: GroupState;

  constructor(state: GroupState) {
    this.#state = state;
  }

  replay(record: KeptRecord): void {
    const { journal, groups } = this.#state;
    const { groupId } = record.key;
    const known = groups.get(groupId);
    // A tombstone of what the group was before it changed its type says nothing about what it is now.
    if (!(known instanceof KeptGroup) && record.value === null) return;
    const group = known instanceof KeptGroup ? known : new KeptGroup(groupId, journal);
    if (group !== known) journal.set(groups, groupId, group);
    group.replay(record);
    if (record.value === null && (isGroup(record.type) || !group.hasRecords)) journal.delete(groups, groupId);
  }

  activate(): void {}

  unload(): void {}

  onDeadline(): void {}
}

export function isKeptRecord(record: GroupRecord): record is KeptRecord {
  return record.type !== 'OffsetCommit' && record.type !== 'LegacyOffsetCommit' && record.type !== 'GroupMetadata';
}

/** The record whose tombstone ends the group. */
function isGroup(type: KeptRecord['type']): boolean {
  return type === 'ShareGroupMetadata';
}

function isMember(type: KeptRecord['type']): boolean {
  return type === 'ShareGroupMemberMetadata';
}

function keyOf({ type, key }: KeptRecord): string {
  if ('memberId' in key) return `${type} ${key.memberId}`;
  return type;
}
