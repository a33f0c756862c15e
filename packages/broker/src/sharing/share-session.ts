import { KafkaError } from '@ottla/protocol';

/** A partition as a member of a share group asks for it. `topic` is undefined while nobody knows the id. */
export type SharedPartitionName = { topic: string | undefined; readonly topicId: string; readonly index: number };

/** `isUntold`: the member has not had an answer for it, or was told of an error last. */
type SessionPartition = SharedPartitionName & { isUntold: boolean };

export const INITIAL_EPOCH = 0;
export const FINAL_EPOCH = -1;

function keyOf({ topicId, index }: { topicId: string; index: number }): string {
  return `${topicId}:${index}`;
}

export function nextSessionEpoch(epoch: number): number {
  return epoch === 0x7fffffff ? 1 : epoch + 1;
}

/** What a member of a share group follows at this broker. When it ends, whatever he holds here is released (KIP-932). */
export class ShareSession {
  readonly groupId: string;
  readonly memberId: string;
  readonly #partitions = new Map<string, SessionPartition>();
  /** The epoch that the next request must carry. */
  epoch = 1;
  isOpen = true;
  stopHearing: (() => void) | undefined;

  constructor(groupId: string, memberId: string) {
    this.groupId = groupId;
    this.memberId = memberId;
  }

  get size(): number {
    return this.#partitions.size;
  }

  has(partition: SharedPartitionName): boolean {
    return this.#partitions.has(keyOf(partition));
  }

  get partitions(): Iterable<SharedPartitionName> {
    return this.#partitions.values();
  }

  update(added: Iterable<SharedPartitionName>, forgotten: Iterable<SharedPartitionName>): void {
    for (const partition of added) {
      const key = keyOf(partition);
      const known = this.#partitions.get(key);
      if (known) known.topic = partition.topic ?? known.topic;
      else this.#partitions.set(key, { ...partition, isUntold: true });
    }
    for (const partition of forgotten) this.#partitions.delete(keyOf(partition));
  }

  /** The partitions in the order in which this request is served: another one is the first each time. */
  inTurn(epoch: number): SharedPartitionName[] {
    const all = [...this.#partitions.values()];
    const first = all.length === 0 ? 0 : Math.max(0, epoch) % all.length;
    return [...all.slice(first), ...all.slice(0, first)];
  }

  /** Notes what the member is told of a partition; true if he has to be. */
  tell(partition: SharedPartitionName, news: { errorCode: number; hasRecords: boolean }): boolean {
    const known = this.#partitions.get(keyOf(partition));
    const isNews = news.hasRecords || news.errorCode !== 0 || (known?.isUntold ?? true);
    if (known) known.isUntold = news.errorCode !== 0;
    return isNews;
  }
}

/** Who may close: a connection. */
type Connection = { onClosed(callback: () => void): () => void };

export type SessionsEnd = {
  /** The session's connection has closed: what the member holds is to be released. */
  onMemberGone(session: ShareSession): void;
  /** No member of the group has a session here. */
  onGroupEmpty(groupId: string): void;
};

/** All sessions together remember no more partitions, */
const maxPartitionsOfAll = 1_000_000;
/** and one of them so many: each of its fetches goes over all of them, in one turn. */
export const maxPartitionsOfSession = 10_000;

/**
 * The share sessions of a broker: one for each member of each group, at most `slots`. None is put out for another; each ends with the
 * connection on which it was opened, if not before.
 */
export class ShareSessions {
  readonly #sessions = new Map<string, ShareSession>();
  readonly #membersOfGroup = new Map<string, number>();
  readonly #slots: () => number;
  readonly #end: SessionsEnd;
  readonly #maxPartitions: number;
  #partitions = 0;

  constructor({ slots, end, maxPartitions }: { slots: () => number; end: SessionsEnd; maxPartitions?: number }) {
    this.#slots = slots;
    this.#end = end;
    this.#maxPartitions = maxPartitions ?? maxPartitionsOfAll;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /**
   * The session that a fetch is served from: a new one for epoch 0, whatever was before. Throws SHARE_SESSION_NOT_FOUND,
   * INVALID_SHARE_SESSION_EPOCH, SHARE_SESSION_LIMIT_REACHED.
   */
  fetch(
    { groupId, memberId, epoch }: { groupId: string; memberId: string; epoch: number },
    added: readonly SharedPartitionName[],
    forgotten: readonly SharedPartitionName[],
    connection: Connection,
  ): ShareSession {
    if (epoch === INITIAL_EPOCH) return this.#open(groupId, memberId, added, connection);
    const session = this.#require(groupId, memberId);
    if (epoch === FINAL_EPOCH) return session;
    requireEpoch(session, epoch);
    if (forgotten.length > maxPartitionsOfSession) throw tooMany();
    this.#requireRoom(added, session);
    const before = session.size;
    session.update(added, forgotten);
    this.#partitions += session.size - before;
    session.epoch = nextSessionEpoch(epoch);
    return session;
  }

  /** As `fetch`, for a request that only acknowledges: it opens no session. */
  acknowledge({ groupId, memberId, epoch }: { groupId: string; memberId: string; epoch: number }): ShareSession {
    if (epoch === INITIAL_EPOCH)
      throw new KafkaError('INVALID_SHARE_SESSION_EPOCH', 'a session is opened by ShareFetch, not by ShareAcknowledge');
    const session = this.#require(groupId, memberId);
    if (epoch === FINAL_EPOCH) return session;
    requireEpoch(session, epoch);
    session.epoch = nextSessionEpoch(epoch);
    return session;
  }

  /** The session is over; what to do about what its member holds is the caller's to see to. */
  close(session: ShareSession): void {
    if (!session.isOpen) return;
    this.#forget(session);
    this.#tellIfEmpty(session.groupId);
  }

  #tellIfEmpty(groupId: string): void {
    if (!this.#membersOfGroup.has(groupId)) this.#end.onGroupEmpty(groupId);
  }

  #open(groupId: string, memberId: string, partitions: readonly SharedPartitionName[], connection: Connection): ShareSession {
    const key = sessionKey(groupId, memberId);
    const before = this.#sessions.get(key);
    if (before) this.#forget(before);
    try {
      if (this.#sessions.size >= this.#slots()) throw tooMany();
      this.#requireRoom(partitions);
    } catch (error) {
      if (before) this.#tellIfEmpty(groupId);
      throw error;
    }
    const session = new ShareSession(groupId, memberId);
    session.update(partitions, []);
    this.#sessions.set(key, session);
    this.#partitions += session.size;
    this.#membersOfGroup.set(groupId, (this.#membersOfGroup.get(groupId) ?? 0) + 1);
    session.stopHearing = connection.onClosed(() => {
      if (!session.isOpen) return;
      this.#end.onMemberGone(session);
      this.close(session);
    });
    return session;
  }

  #requireRoom(added: readonly SharedPartitionName[], session?: ShareSession): void {
    if (this.#partitions + added.length > this.#maxPartitions || added.length > maxPartitionsOfSession) throw tooMany();
    if ((session?.size ?? 0) + added.length <= maxPartitionsOfSession) return;
    // What brings acknowledgements, or was asked for before, is no more than there was.
    const more = added.filter((partition) => !session?.has(partition)).length;
    if ((session?.size ?? 0) + more > maxPartitionsOfSession) throw tooMany();
  }

  #forget(session: ShareSession): void {
    session.isOpen = false;
    session.stopHearing?.();
    this.#sessions.delete(sessionKey(session.groupId, session.memberId));
    this.#partitions -= session.size;
    const left = (this.#membersOfGroup.get(session.groupId) ?? 1) - 1;
    if (left > 0) this.#membersOfGroup.set(session.groupId, left);
    else this.#membersOfGroup.delete(session.groupId);
  }

  #require(groupId: string, memberId: string): ShareSession {
    const session = this.#sessions.get(sessionKey(groupId, memberId));
    if (!session)
      throw new KafkaError('SHARE_SESSION_NOT_FOUND', `member ${memberId} of ${groupId} has no session here: begin at epoch 0`);
    return session;
  }
}

function sessionKey(groupId: string, memberId: string): string {
  return `${memberId.length}:${memberId}${groupId}`;
}

function requireEpoch(session: ShareSession, epoch: number): void {
  if (session.epoch === epoch) return;
  throw new KafkaError(
    'INVALID_SHARE_SESSION_EPOCH',
    `the session is at epoch ${session.epoch}, not ${epoch}: begin again at epoch 0`,
  );
}

function tooMany(): KafkaError {
  return new KafkaError(
    'SHARE_SESSION_LIMIT_REACHED',
    'there are as many share sessions here, or partitions in one, as there may be: try again later or with fewer',
  );
}
