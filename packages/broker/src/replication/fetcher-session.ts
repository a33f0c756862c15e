import type { FetchRequest, Writable } from '@ottla/protocol';

/** What a follower asks of one partition. */
export type FollowerAsks = {
  readonly topicId: string;
  readonly index: number;
  readonly currentLeaderEpoch: number;
  readonly fetchOffset: number;
  readonly lastFetchedEpoch: number;
  readonly logStartOffset: number;
  readonly maxBytes: number;
};

type RequestPart = Pick<Writable<FetchRequest>, 'sessionId' | 'sessionEpoch' | 'topics' | 'forgottenTopicsData'>;

const NO_SESSION = 0;
const FIRST_EPOCH = 0;
const LAST_EPOCH = 0x7fffffff;
/** In the place of the epoch: the leader is to keep nothing. */
const WITHOUT_SESSION = -1;

/**
 * The fetcher's end of a fetch session (KIP-227): the first request names all partitions, each later one only what has changed since. After
 * a request that failed nobody knows what the leader has heard, and the session begins anew.
 */
export class FetcherSession {
  readonly #wanted = new Map<string, FollowerAsks>();
  /** Keys of what the next request of the session has to tell. */
  readonly #changed = new Set<string>();
  readonly #forgotten = new Map<string, { readonly topicId: string; readonly index: number }>();
  readonly #isKept: boolean;
  #id = NO_SESSION;
  #epoch = FIRST_EPOCH;

  /** Not kept: each request names all partitions, and leaves nothing behind. */
  constructor({ isKept = true } = {}) {
    this.#isKept = isKept;
  }

  /** How many partitions are asked for. */
  get size(): number {
    return this.#wanted.size;
  }

  wanted(key: string): FollowerAsks | undefined {
    return this.#wanted.get(key);
  }

  /** Nothing else is asked of the partition than in the request that was made last: an answer is to this. */
  isTold(key: string): boolean {
    return this.#wanted.has(key) && !this.#changed.has(key);
  }

  /** Keys of partitions of which the leader has yet to hear what is asked of them. */
  get untold(): Iterable<string> {
    return this.#changed;
  }

  /** Adds a partition, or changes what is asked of it. */
  want(key: string, asks: FollowerAsks): void {
    this.#wanted.set(key, asks);
    this.#changed.add(key);
    this.#forgotten.delete(key);
  }

  forget(key: string): void {
    const known = this.#wanted.get(key);
    if (!known) return;
    this.#wanted.delete(key);
    this.#changed.delete(key);
    this.#forgotten.set(key, { topicId: known.topicId, index: known.index });
  }

  /** What the next request says of the session. Its answer, or its failure, must be told before the one after it. */
  next(): RequestPart {
    const isFull = this.#epoch === FIRST_EPOCH;
    const changed = isFull ? this.#wanted.values() : [...this.#changed].map((key) => this.#wanted.get(key)!);
    const part = {
      sessionId: this.#id,
      sessionEpoch: this.#isKept ? this.#epoch : WITHOUT_SESSION,
      topics: byTopic(changed, ({ topicId, ...asks }) => askedPartition(asks)),
      forgottenTopicsData: isFull ? [] : byTopic(this.#forgotten.values(), ({ index }) => index),
    };
    this.#changed.clear();
    this.#forgotten.clear();
    return part;
  }

  /** The request was answered; the id is that of the answer, 0 for no session. */
  answered(sessionId: number): void {
    if (sessionId === NO_SESSION) this.#startOver(NO_SESSION);
    else {
      this.#id = sessionId;
      this.#epoch = this.#epoch === LAST_EPOCH ? FIRST_EPOCH + 1 : this.#epoch + 1;
    }
  }

  /** The request failed. `isGone`: the leader knows no session of this id; else it is told to end it. */
  failed({ isGone }: { isGone: boolean }): void {
    this.#startOver(isGone ? NO_SESSION : this.#id);
  }

  #startOver(id: number): void {
    this.#id = id;
    this.#epoch = FIRST_EPOCH;
  }
}

const askedPartition = ({ index, maxBytes, ...offsets }: Omit<FollowerAsks, 'topicId'>) => ({
  partition: index,
  partitionMaxBytes: maxBytes,
  ...offsets,
});

function byTopic<Item extends { readonly topicId: string }, Result>(
  items: Iterable<Item>,
  of: (item: Item) => Result,
): { topicId: string; partitions: Result[] }[] {
  const topics = new Map<string, { topicId: string; partitions: Result[] }>();
  for (const item of items) {
    let topic = topics.get(item.topicId);
    if (!topic) topics.set(item.topicId, (topic = { topicId: item.topicId, partitions: [] }));
    topic.partitions.push(of(item));
  }
  return [...topics.values()];
}
