import type { Timer, Timers } from '@ottla/runtime';
import type { Partition, PartitionWatcher } from '../replication/partition.ts';
import type { Partitions } from '../replication/partitions.ts';
import type { FetchPartition, StirListener } from './fetch-session.ts';
import { bytesReady, isAhead, type PartitionData, type ReadRules, replicaOf } from './read-partitions.ts';

export type FetchPatience = { readonly minBytes: number; readonly maxWaitMs: number };

export type FetchSurroundings = {
  readonly partitions: Partitions;
  readonly timers: Timers;
  /** Whoever waits for the answer: when he is gone, nobody waits. */
  readonly connection: { readonly queuedByAll: number; onClosed(callback: () => void): () => void };
};

/**
 * Answers are copies in memory. One may take half of what clients that have yet to take theirs leave of this; beyond it answers stay short, and
 * beyond its double thousands of slow readers hold little more than a batch each.
 */
const queuedBytesBudget = 128 * 1024 * 1024;
const shortAnswerBytes = 256 * 1024;
const shortestAnswerBytes = 32 * 1024;

/** What a fetch asks for: all that a request names, or what is left of a session without the partitions that are quiet. */
export type Asked = {
  /** Of which there may be something to read. */
  partitions(): readonly FetchPartition[];
  read(rules: ReadRules): PartitionData[];
  /** Those that have been quiet, and no longer are, are told to the listener. */
  listen?(listener: StirListener): void;
  unlisten?(listener: StirListener): void;
};

/**
 * Reads now, or waits until `minBytes` are there, something needs the reader's attention, or `maxWaitMs` have passed.
 * A waiting fetch costs nothing until one of its partitions changes, and then a look at positions in that one: nothing is read before
 * the wait is over, and not even then but when the answer's turn has come, for thousands may wait for the same record.
 */
export function readOrWait(
  { partitions, timers, connection }: FetchSurroundings,
  asked: Asked,
  rules: ReadRules,
  { minBytes, maxWaitMs }: FetchPatience,
): PartitionData[] | Promise<() => PartitionData[]> {
  const read = (leavesOutAhead: boolean) => {
    const maxBytes = Math.min(rules.maxBytes, answerBytesWhile(connection.queuedByAll));
    return asked.read({ ...rules, maxBytes, leavesOutAhead });
  };
  if (maxWaitMs <= 0 || minBytes <= 0) return read(false);
  const looking = asked.partitions();
  if (looking.length === 0 && !asked.listen) return read(false);
  let ready = 0;
  for (const partition of looking) {
    ready += bytesReady(partitions, partition, rules, minBytes);
    if (ready >= minBytes) return read(true);
  }
  return new Promise((resolve) => {
    const fetch = new WaitingFetch({ partitions, asked, rules, minBytes }, ({ isLate }) => resolve(() => read(!isLate)));
    fetch.begin(looking, { timers, maxWaitMs, connection, hasSome: ready > 0 });
  });
}

type WaitingFor = {
  readonly partitions: Partitions;
  readonly asked: Asked;
  readonly rules: ReadRules;
  readonly minBytes: number;
};

/** Nothing but a place among the watchers of each partition, until one of them changes. */
class WaitingFetch implements PartitionWatcher {
  readonly #for: WaitingFor;
  /** `isLate`: its time was over. */
  readonly #onEnd: (how: { isLate: boolean }) => void;
  readonly #asked = new Map<Partition, FetchPartition>();
  /** Whose follower was ahead of this broker when it asked, and so was not heard; undefined: none. */
  #ahead: Set<Partition> | undefined;
  /** What partitions that changed had for the reader when they did; the others have nothing. */
  readonly #ready = new Map<Partition, number>();
  #total = 0;
  #timer: Timer | undefined;
  #stopHearing: (() => void) | undefined;

  constructor(waitingFor: WaitingFor, onEnd: (how: { isLate: boolean }) => void) {
    this.#for = waitingFor;
    this.#onEnd = onEnd;
  }

  /** `hasSome`: there is something already, though not enough. */
  begin(
    looking: readonly FetchPartition[],
    { timers, maxWaitMs, connection, hasSome }: Omit<FetchSurroundings, 'partitions'> & { maxWaitMs: number; hasSome: boolean },
  ): void {
    const { partitions, asked, rules } = this.#for;
    for (const one of looking) {
      const partition = replicaOf(partitions, one);
      if (!partition) continue;
      this.#asked.set(partition, one);
      if (isAhead(partition, one, rules)) (this.#ahead ??= new Set()).add(partition);
      if (hasSome) this.#count(partition, one);
      partition.watch(this);
    }
    this.#timer = timers.after(maxWaitMs, () => this.#end({ isLate: true }));
    this.#stopHearing = connection.onClosed(() => this.#end());
    asked.listen?.(this.#onStirred);
  }

  /** A partition that was quiet so far has changed, and is watched from now on. */
  readonly #onStirred: StirListener = (asked, partition) => {
    if (this.#asked.has(partition)) return;
    this.#asked.set(partition, asked);
    partition.watch(this);
    this.partitionChanged(partition);
  };

  partitionChanged(partition: Partition): void {
    this.#count(partition, this.#asked.get(partition)!);
    if (this.#total >= this.#for.minBytes) this.#end();
  }

  #count(partition: Partition, asked: FetchPartition): void {
    const { partitions, rules, minBytes } = this.#for;
    const before = this.#ready.get(partition) ?? 0;
    // What its follower has acknowledged with this fetch could not be noted: it has to ask again, now that it will be heard.
    const isHeardNow = this.#ahead?.has(partition) === true && !isAhead(partition, asked, rules);
    const bytes = isHeardNow ? Number.POSITIVE_INFINITY : bytesReady(partitions, asked, rules, minBytes);
    if (bytes === before) return;
    this.#total += bytes - before;
    this.#ready.set(partition, bytes);
  }

  #end({ isLate } = { isLate: false }): void {
    this.#timer?.cancel();
    this.#stopHearing?.();
    this.#for.asked.unlisten?.(this.#onStirred);
    for (const partition of this.#asked.keys()) partition.unwatch(this);
    this.#onEnd({ isLate });
  }
}

function answerBytesWhile(queuedBytes: number): number {
  if (queuedBytes > 2 * queuedBytesBudget) return shortestAnswerBytes;
  return Math.max(shortAnswerBytes, (queuedBytesBudget - queuedBytes) / 2);
}
