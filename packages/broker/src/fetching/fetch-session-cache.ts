import type { Clock, Random } from '@ottla/runtime';
import { type FetchPartition, FetchSession } from './fetch-session.ts';

export const NO_SESSION = 0;
const INITIAL_EPOCH = 0;
const FINAL_EPOCH = -1;

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
    const before = session.size;
    session.update(changed, forgotten);
    this.#partitions += session.size - before;
    if (session.size === 0) {
      this.#remove(sessionId);
      return { kind: 'sessionless' };
    }
    if (this.#partitions > this.#maxPartitions && session.size > before) {
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
    this.#partitions += session.size;
    return session;
  }

  #remove(id: number): void {
    const session = this.#sessions.get(id);
    if (!session) return;
    this.#partitions -= session.size;
    session.close();
    this.#sessions.delete(id);
  }

  #evictFor(size: number, isFollower: boolean, nowMs: number): boolean {
    let victim: FetchSession | undefined;
    for (const session of this.#sessions.values()) {
      if (nowMs - session.lastUsedMs > this.#evictionMs) {
        victim = session;
        break;
      }
      const weaker = (isFollower && !session.isFollower) || (isFollower === session.isFollower && session.size < size);
      if (weaker && (!victim || session.size < victim.size)) victim = session;
    }
    if (victim) this.#remove(victim.id);
    return victim !== undefined;
  }
}
