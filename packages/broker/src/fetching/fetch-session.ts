import type { Clock, Random } from '@ottla/runtime';

/** What a fetcher asks of one partition. Without topic ids (before v13) `topicId` is the zero id, with them `topic` is resolved late. */
export type FetchPartition = {
  topic: string | undefined;
  readonly topicId: string;
  readonly index: number;
  fetchOffset: number;
  maxBytes: number;
  currentLeaderEpoch: number;
  lastFetchedEpoch: number;
  logStartOffset: number;
};

/** A partition remembered by a session, with what the fetcher was last told about it. */
export type SessionPartition = FetchPartition & { sentHighWatermark: number; sentLogStartOffset: number };

export const NO_SESSION = 0;
const INITIAL_EPOCH = 0;
const FINAL_EPOCH = -1;

export function partitionKey(
  usesTopicIds: boolean,
  partition: { topic: string | undefined; topicId: string; index: number },
): string {
  return `${usesTopicIds ? partition.topicId : partition.topic}:${partition.index}`;
}

/** The partitions that a fetcher follows, kept between its requests so that each names only what changed (KIP-227). */
export class FetchSession {
  readonly id: number;
  readonly usesTopicIds: boolean;
  readonly isFollower: boolean;
  /** In the order of service: a partition that gave data goes to the end. */
  readonly partitions = new Map<string, SessionPartition>();
  /** The epoch that the next request must carry. */
  nextEpoch = 1;
  lastUsedMs: number;

  constructor(identity: { id: number; usesTopicIds: boolean; isFollower: boolean; nowMs: number }) {
    this.id = identity.id;
    this.usesTopicIds = identity.usesTopicIds;
    this.isFollower = identity.isFollower;
    this.lastUsedMs = identity.nowMs;
  }

  /** Takes in what a request changes: new positions, partitions added, partitions forgotten. */
  update(
    changed: Iterable<FetchPartition>,
    forgotten: Iterable<{ topic: string | undefined; topicId: string; index: number }>,
  ): void {
    for (const asked of changed) {
      const key = partitionKey(this.usesTopicIds, asked);
      const known = this.partitions.get(key);
      if (known) Object.assign(known, asked, { topic: asked.topic ?? known.topic });
      else this.partitions.set(key, { ...asked, sentHighWatermark: -1, sentLogStartOffset: -1 });
    }
    for (const partition of forgotten) this.partitions.delete(partitionKey(this.usesTopicIds, partition));
    this.nextEpoch = this.nextEpoch === 0x7fffffff ? 1 : this.nextEpoch + 1;
  }

  /** Whoever gave data is asked last next time, so that one busy partition cannot starve the others. */
  moveToEnd(key: string): void {
    const partition = this.partitions.get(key);
    if (!partition) return;
    this.partitions.delete(key);
    this.partitions.set(key, partition);
  }
}

/** How a request stands to the sessions: `session` to be served from it, `create` if the fetcher would like one, or an error. */
export type SessionStart =
  | { readonly kind: 'full'; readonly create: boolean }
  | { readonly kind: 'incremental'; readonly session: FetchSession }
  | { readonly kind: 'sessionless' }
  | {
      readonly kind: 'error';
      readonly error: 'FETCH_SESSION_ID_NOT_FOUND' | 'INVALID_FETCH_SESSION_EPOCH' | 'FETCH_SESSION_TOPIC_ID_ERROR';
    };

/** All sessions together remember no more partitions: a fetcher without a session names all its partitions each time, and is served as well. */
const maxPartitionsOfAll = 1_000_000;

/** All fetch sessions of a broker: at most `slots`; idle ones give way, then smaller ones, and followers are never put out by consumers. */
export class FetchSessionCache {
  readonly #sessions = new Map<number, FetchSession>();
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #slots: number;
  readonly #evictionMs: number;
  readonly #maxPartitions: number;
  /** Of all sessions. */
  #partitions = 0;

  constructor(options: { clock: Clock; random: Random; slots: number; evictionMs?: number; maxPartitions?: number }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#slots = options.slots;
    this.#evictionMs = options.evictionMs ?? 120_000;
    this.#maxPartitions = options.maxPartitions ?? maxPartitionsOfAll;
  }

  get size(): number {
    return this.#sessions.size;
  }

  start(
    request: { sessionId: number; sessionEpoch: number; usesTopicIds: boolean },
    changed: readonly FetchPartition[],
    forgotten: Iterable<{ topic: string | undefined; topicId: string; index: number }>,
  ): SessionStart {
    const { sessionId, sessionEpoch } = request;
    if (sessionEpoch === INITIAL_EPOCH || sessionEpoch === FINAL_EPOCH) {
      this.#remove(sessionId);
      return { kind: 'full', create: sessionEpoch === INITIAL_EPOCH };
    }
    const session = this.#sessions.get(sessionId);
    if (!session) return { kind: 'error', error: 'FETCH_SESSION_ID_NOT_FOUND' };
    if (session.usesTopicIds !== request.usesTopicIds) return { kind: 'error', error: 'FETCH_SESSION_TOPIC_ID_ERROR' };
    if (session.nextEpoch !== sessionEpoch) return { kind: 'error', error: 'INVALID_FETCH_SESSION_EPOCH' };
    const before = session.partitions.size;
    session.update(changed, forgotten);
    this.#partitions += session.partitions.size - before;
    if (session.partitions.size === 0) {
      this.#remove(sessionId);
      return { kind: 'sessionless' };
    }
    if (this.#partitions > this.#maxPartitions && session.partitions.size > before) {
      this.#remove(sessionId);
      return { kind: 'error', error: 'FETCH_SESSION_ID_NOT_FOUND' };
    }
    session.lastUsedMs = this.#clock.monotonicMs();
    return { kind: 'incremental', session };
  }

  /** A session with these partitions, or undefined when the cache is full of better ones. */
  create(
    partitions: readonly FetchPartition[],
    traits: { usesTopicIds: boolean; isFollower: boolean },
  ): FetchSession | undefined {
    const nowMs = this.#clock.monotonicMs();
    if (this.#sessions.size >= this.#slots && !this.#evictFor(partitions.length, traits.isFollower, nowMs)) return undefined;
    if (this.#partitions + partitions.length > this.#maxPartitions) return undefined;
    let id: number;
    do id = this.#random.below(0x7fffffff) + 1;
    while (this.#sessions.has(id));
    const session = new FetchSession({ id, ...traits, nowMs });
    session.update(partitions, []);
    session.nextEpoch = 1;
    this.#sessions.set(id, session);
    this.#partitions += session.partitions.size;
    return session;
  }

  #remove(id: number): void {
    this.#partitions -= this.#sessions.get(id)?.partitions.size ?? 0;
    this.#sessions.delete(id);
  }

  #evictFor(size: number, isFollower: boolean, nowMs: number): boolean {
    let victim: FetchSession | undefined;
    for (const session of this.#sessions.values()) {
      if (nowMs - session.lastUsedMs > this.#evictionMs) {
        victim = session;
        break;
      }
      const weaker = (isFollower && !session.isFollower) || (isFollower === session.isFollower && session.partitions.size < size);
      if (weaker && (!victim || session.partitions.size < victim.partitions.size)) victim = session;
    }
    if (victim) this.#remove(victim.id);
    return victim !== undefined;
  }
}
