import { KafkaError } from '@ottla/protocol';
import type { CommitCheck, Committer, Group, GroupType } from '../group.ts';
import type { GroupRecord } from '../group-record.ts';
import type { Journal } from '../journal.ts';
import type { OffsetAndMetadata } from '../offsets/offset-and-metadata.ts';
import { JournaledMap, JournaledValue, type View } from './journaled.ts';

/** A member as the log has it. Never changed once made: a record makes another. */
export interface ModernMember {
  readonly memberId: string;
  readonly memberEpoch: number;
}

/** A group that has neither epoch nor target assignment in the log stands at these. */
const FIRST_EPOCH = { groupEpoch: 1, metadataHash: 0n };
const FIRST_ASSIGNMENT = { assignmentEpoch: 1, assignmentTimestamp: 0 };

/** A group that has slept through more of them looks at all of its topics. */
const UNSEEN_CHANGES = 100;

/**
 * A group whose coordinator decides who gets what (KIP-848, KIP-932, KIP-1071). Members, subscriptions or topics change: the group's
 * epoch grows. A target assignment is computed for that epoch, and the members are led there one by one.
 *
 * Everything here is changed by replay, and can be taken back; what is only in memory says so.
 */
export abstract class ModernGroup<Member extends ModernMember, Target> implements Group {
  abstract readonly type: GroupType;
  readonly groupId: string;
  readonly members: JournaledMap<string, Member>;
  /** What each member is to have, by member id. */
  readonly targets: JournaledMap<string, Target>;
  /** Of the group: its epoch, and the hash of the topics that it was reached with. */
  readonly epoch: JournaledValue<{ readonly groupEpoch: number; readonly metadataHash: bigint }>;
  /** Of the target assignment: the group epoch that it was computed for, and when (0: not known). */
  readonly assignment: JournaledValue<{ readonly assignmentEpoch: number; readonly assignmentTimestamp: number }>;
  /** In memory: the epoch up to which the group knows its topics; null when they have changed since. */
  #refreshedAt: number | null = null;
  /** In memory: topics that have changed since, and whether the group subscribes to one of them was not looked at yet. */
  #unseenChanges: ReadonlySet<string>[] = [];

  constructor(groupId: string, journal: Journal) {
    this.groupId = groupId;
    this.members = new JournaledMap(journal);
    this.targets = new JournaledMap(journal);
    this.epoch = new JournaledValue(journal, FIRST_EPOCH);
    this.assignment = new JournaledValue(journal, FIRST_ASSIGNMENT);
  }

  get protocolType(): string {
    return this.type.toLowerCase();
  }

  get isEmpty(): boolean {
    return this.members.size === 0;
  }

  get groupEpoch(): number {
    return this.epoch.get().groupEpoch;
  }

  get metadataHash(): bigint {
    return this.epoch.get().metadataHash;
  }

  get assignmentEpoch(): number {
    return this.assignment.get().assignmentEpoch;
  }

  get committedState(): string {
    return this.stateAsOf('committed');
  }

  abstract stateAsOf(view: View): string;

  /** All topics that members subscribe to, those that do not exist among them. */
  abstract subscribedTopics(): ReadonlySet<string>;

  isSubscribedTo(topic: string): boolean {
    return this.subscribedTopics().has(topic);
  }

  /** Throws UNKNOWN_MEMBER_ID. */
  member(memberId: string, view: View = 'latest'): Member {
    const member = this.members.get(memberId, view);
    if (member === undefined) {
      throw new KafkaError('UNKNOWN_MEMBER_ID', `Member ${memberId} is not a member of group ${this.groupId}.`);
    }
    return member;
  }

  /**
   * Whether a target assignment may be computed now: at most one in an interval, so that many members that come and go at once cost
   * one assignment and not one each. Times are of the wall clock, as the log has them: one that was set back holds nothing up.
   */
  mayAssign(intervalMs: number, nowMs: number): boolean {
    const { assignmentTimestamp } = this.assignment.get();
    return nowMs < assignmentTimestamp || intervalMs === 0 || nowMs >= assignmentTimestamp + intervalMs;
  }

  /** Whether the hash of the group's topics has to be looked at again: they changed, or what it led to was not written. */
  get needsRefresh(): boolean {
    if (this.#refreshedAt !== null && this.#unseenChanges.length > 0) {
      const changes = this.#unseenChanges;
      this.#unseenChanges = [];
      for (const name of this.subscribedTopics()) if (changes.some((names) => names.has(name))) this.#refreshedAt = null;
    }
    return this.#refreshedAt === null || this.groupEpoch < this.#refreshedAt;
  }

  refreshed(groupEpoch: number): void {
    this.#refreshedAt = groupEpoch;
    this.#unseenChanges = [];
  }

  /** Cheap, as every group hears of every change: its members are asked with the next heartbeat. */
  onTopicsChanged(names: ReadonlySet<string>): void {
    if (this.#refreshedAt === null) return;
    if (this.#unseenChanges.length < UNSEEN_CHANGES) this.#unseenChanges.push(names);
    else this.#refreshedAt = null;
  }

  validateOffsetDelete(): void {}

  offsetRetentionBase(): ((committed: OffsetAndMetadata) => number) | null {
    return ({ commitTimestamp }) => commitTimestamp;
  }

  abstract validateOffsetCommit(committer: Committer): CommitCheck | undefined;
  abstract validateOffsetFetch(memberId: string | null, memberEpoch: number, view: View): void;
  abstract tombstones(): GroupRecord[];
  abstract assertInvariants(): void;
}
