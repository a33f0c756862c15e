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

/** How long what there is to tell of other partitions waits for this broker to hear of those whose follower is ahead. */
const aheadPatienceMs = 100;

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
  const mayLeaveOutAhead = asked.listen !== undefined;
  const awaitsAhead = !mayLeaveOutAhead && looking.some((one) => isAhead(replicaOf(partitions, one), one, rules));
  let ready = 0;
  for (const partition of looking) {
    ready += bytesReady(partitions, partition, rules, minBytes);
    if (ready >= minBytes && !awaitsAhead) return read(true);
  }
  return new Promise((resolve) => {
    const waitingFor = { partitions, timers, asked, rules, minBytes, mayLeaveOutAhead };
    const fetch = new WaitingFetch(waitingFor, ({ isLate }) => resolve(() => read(!isLate)));
    fetch.begin(looking, { maxWaitMs, connection, ready });
  });
}

type WaitingFor = {
  readonly partitions: Partitions;
  readonly timers: Timers;
  readonly asked: Asked;
  readonly rules: ReadRules;
  readonly minBytes: number;
  /** Only an answer within a session need not tell of each partition: without, those whose follower is ahead would be refused. */
  readonly mayLeaveOutAhead: boolean;
};

/** Nothing but a place among the watchers of each partition, until one of them changes. */
class WaitingFetch implements PartitionWatcher {
  readonly #for: WaitingFor;
  /** `isLate`: its time was over. */
  readonly #onEnd: (how: { isLate: boolean }) => void;
  readonly #asked = new Map<Partition, FetchPartition>();
  /** Whose follower is ahead of this broker since it asked, and so was not heard; undefined: none ever was. */
  #ahead: Set<Partition> | undefined;
  /** What partitions that changed had for the reader when they did; the others have nothing. */
  readonly #ready = new Map<Partition, number>();
  #total = 0;
  #timer: Timer | undefined;
  #aheadTimer: Timer | undefined;
  #stopHearing: (() => void) | undefined;

  constructor(waitingFor: WaitingFor, onEnd: (how: { isLate: boolean }) => void) {
    this.#for = waitingFor;
    this.#onEnd = onEnd;
  }

  /** `ready`: so many bytes are there already; what there is to tell of partitions that this broker does not have counts as well. */
  begin(
    looking: readonly FetchPartition[],
    { maxWaitMs, connection, ready }: Pick<FetchSurroundings, 'connection'> & { maxWaitMs: number; ready: number },
  ): void {
    const { partitions, timers, asked, rules } = this.#for;
    for (const one of looking) {
      const partition = replicaOf(partitions, one);
      if (!partition) continue;
      this.#asked.set(partition, one);
      if (isAhead(partition, one, rules)) (this.#ahead ??= new Set()).add(partition);
      if (ready > 0) this.#count(partition, one);
      partition.watch(this);
    }
    this.#timer = timers.after(maxWaitMs, () => this.#end({ isLate: true }));
    this.#stopHearing = connection.onClosed(() => this.#end());
    asked.listen?.(this.#onStirred);
    if (ready >= this.#for.minBytes) this.#endOnceHeard();
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
    if (this.#total >= this.#for.minBytes) this.#endOnceHeard();
  }

  #endOnceHeard(): void {
    const { timers, mayLeaveOutAhead } = this.#for;
    if (mayLeaveOutAhead || !this.#ahead?.size) this.#end();
    else this.#aheadTimer ??= timers.after(aheadPatienceMs, () => this.#end({ isLate: true }));
  }

  #count(partition: Partition, asked: FetchPartition): void {
    const { partitions, rules, minBytes } = this.#for;
    const before = this.#ready.get(partition) ?? 0;
    if (before === Number.POSITIVE_INFINITY) return;
    // What its follower has acknowledged with this fetch could not be noted: it has to ask again, now that it will be heard.
    const isHeardNow = this.#ahead?.has(partition) === true && !isAhead(partition, asked, rules);
    if (isHeardNow) this.#ahead?.delete(partition);
    const bytes = isHeardNow ? Number.POSITIVE_INFINITY : bytesReady(partitions, asked, rules, minBytes);
    if (bytes === before) return;
    this.#total += bytes - before;
    this.#ready.set(partition, bytes);
  }

  #end({ isLate } = { isLate: false }): void {
    this.#timer?.cancel();
    this.#aheadTimer?.cancel();
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
