import type { Timer, Timers } from '@ottla/runtime';
import type { Partition, PartitionWatcher } from '../replication/partition.ts';
import type { Partitions } from '../replication/partitions.ts';
import type { FetchPartition } from './fetch-session.ts';
import { bytesReady, type PartitionData, type ReadRules, readPartitions } from './read-partitions.ts';

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

/**
 * Reads now, or waits until `minBytes` are there, something needs the reader's attention, or `maxWaitMs` have passed.
 * A waiting fetch costs nothing until one of its partitions changes, and then a look at positions in that one: nothing is read before
 * the wait is over, and not even then but when the answer's turn has come, for thousands may wait for the same record.
 */
export function readOrWait<Asked extends FetchPartition>(
  { partitions, timers, connection }: FetchSurroundings,
  asked: readonly Asked[],
  rules: ReadRules,
  { minBytes, maxWaitMs }: FetchPatience,
  readNow: (partitions: Partitions, asked: readonly Asked[], rules: ReadRules) => PartitionData[] = readPartitions,
): PartitionData[] | Promise<() => PartitionData[]> {
  const read = () => {
    const maxBytes = Math.min(rules.maxBytes, answerBytesWhile(connection.queuedByAll));
    return readNow(partitions, asked, { ...rules, maxBytes });
  };
  if (maxWaitMs <= 0 || asked.length === 0 || minBytes <= 0) return read();
  let ready = 0;
  for (const partition of asked) {
    ready += bytesReady(partitions, partition, rules, minBytes);
    if (ready >= minBytes) return read();
  }
  return new Promise((resolve) => {
    const fetch = new WaitingFetch({ partitions, asked, rules, minBytes }, () => resolve(read));
    fetch.begin(timers, maxWaitMs, connection, ready > 0);
  });
}

type WaitingFor = {
  readonly partitions: Partitions;
  readonly asked: readonly FetchPartition[];
  readonly rules: ReadRules;
  readonly minBytes: number;
};

/** Nothing but a place among the watchers of each partition, until one of them changes. */
class WaitingFetch implements PartitionWatcher {
  readonly #for: WaitingFor;
  readonly #onEnd: () => void;
  readonly #asked = new Map<Partition, FetchPartition>();
  /** What partitions that changed had for the reader when they did; the others have nothing. */
  readonly #ready = new Map<Partition, number>();
  #total = 0;
  #timer: Timer | undefined;
  #stopHearing: (() => void) | undefined;

  constructor(waitingFor: WaitingFor, onEnd: () => void) {
    this.#for = waitingFor;
    this.#onEnd = onEnd;
  }

  /** `hasSome`: there is something already, though not enough. */
  begin(timers: Timers, maxWaitMs: number, connection: FetchSurroundings['connection'], hasSome: boolean): void {
    const { partitions, asked } = this.#for;
    for (const one of asked) {
      const name = one.topic ?? partitions.topicName(one.topicId);
      const partition = name === undefined ? undefined : partitions.get(name, one.index);
      if (!partition) continue;
      this.#asked.set(partition, one);
      if (hasSome) this.#count(partition, one);
      partition.watch(this);
    }
    this.#timer = timers.after(maxWaitMs, () => this.#end());
    this.#stopHearing = connection.onClosed(() => this.#end());
  }

  partitionChanged(partition: Partition): void {
    this.#count(partition, this.#asked.get(partition)!);
    if (this.#total >= this.#for.minBytes) this.#end();
  }

  #count(partition: Partition, asked: FetchPartition): void {
    const { partitions, rules, minBytes } = this.#for;
    const before = this.#ready.get(partition) ?? 0;
    const bytes = bytesReady(partitions, asked, rules, minBytes);
    if (bytes === before) return;
    this.#total += bytes - before;
    this.#ready.set(partition, bytes);
  }

  #end(): void {
    this.#timer?.cancel();
    this.#stopHearing?.();
    for (const partition of this.#asked.keys()) partition.unwatch(this);
    this.#onEnd();
  }
}

function answerBytesWhile(queuedBytes: number): number {
  if (queuedBytes > 2 * queuedBytesBudget) return shortestAnswerBytes;
  return Math.max(shortAnswerBytes, (queuedBytesBudget - queuedBytes) / 2);
}
