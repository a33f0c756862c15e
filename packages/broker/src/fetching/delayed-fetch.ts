import type { Timers } from '@ottla/runtime';
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
export function readOrWait(
  { partitions, timers, connection }: FetchSurroundings,
  asked: readonly FetchPartition[],
  rules: ReadRules,
  { minBytes, maxWaitMs }: FetchPatience,
): PartitionData[] | Promise<() => PartitionData[]> {
  const read = () => {
    const maxBytes = Math.min(rules.maxBytes, answerBytesWhile(connection.queuedByAll));
    return readPartitions(partitions, asked, { ...rules, maxBytes });
  };
  if (maxWaitMs <= 0 || asked.length === 0 || minBytes <= 0) return read();
  const ready = asked.map((partition) => bytesReady(partitions, partition, rules, minBytes));
  let total = ready.reduce((sum, bytes) => sum + bytes, 0);
  if (total >= minBytes) return read();
  return new Promise((resolve) => {
    const stops: (() => void)[] = [];
    const finish = (): void => {
      timer.cancel();
      for (const stop of stops) stop();
      resolve(read);
    };
    const timer = timers.after(maxWaitMs, finish);
    asked.forEach((partition, at) => {
      const lookAgain = (): void => {
        total -= ready[at]!;
        total += ready[at] = bytesReady(partitions, partition, rules, minBytes);
        if (total >= minBytes) finish();
      };
      const name = partition.topic ?? partitions.topicName(partition.topicId);
      const watched = name === undefined ? undefined : partitions.get(name, partition.index);
      if (watched) stops.push(watched.watch(lookAgain));
    });
    stops.push(connection.onClosed(finish));
  });
}

function answerBytesWhile(queuedBytes: number): number {
  if (queuedBytes > 2 * queuedBytesBudget) return shortestAnswerBytes;
  return Math.max(shortAnswerBytes, (queuedBytesBudget - queuedBytes) / 2);
}
