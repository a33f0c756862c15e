import type { Timers } from '@ottla/runtime';
import type { Partitions } from '../replication/partitions.ts';
import type { FetchPartition } from './fetch-session.ts';
import { type PartitionData, type ReadRules, readPartitions } from './read-partitions.ts';

export type FetchPatience = { readonly minBytes: number; readonly maxWaitMs: number };

/**
 * Reads now, or waits until `minBytes` are there, something needs the reader's attention, or `maxWaitMs` have passed.
 * A waiting fetch costs nothing until one of its partitions changes.
 */
export function readOrWait(
  partitions: Partitions,
  timers: Timers,
  asked: readonly FetchPartition[],
  rules: ReadRules,
  patience: FetchPatience,
): PartitionData[] | Promise<PartitionData[]> {
  const first = readPartitions(partitions, asked, rules);
  if (patience.maxWaitMs <= 0 || asked.length === 0 || isEnough(first, patience.minBytes)) return first;
  return new Promise((resolve, reject) => {
    const stops: (() => void)[] = [];
    const finish = (answers: PartitionData[]): void => {
      timer.cancel();
      for (const stop of stops) stop();
      resolve(answers);
    };
    const lookAgain = (): void => {
      try {
        const answers = readPartitions(partitions, asked, rules);
        if (isEnough(answers, patience.minBytes)) finish(answers);
      } catch (error) {
        timer.cancel();
        for (const stop of stops) stop();
        reject(error);
      }
    };
    const timer = timers.after(patience.maxWaitMs, () => {
      try {
        finish(readPartitions(partitions, asked, rules));
      } catch (error) {
        reject(error);
      }
    });
    for (const { topic, topicId, index } of asked) {
      const name = topic ?? partitions.topicName(topicId);
      const partition = name === undefined ? undefined : partitions.get(name, index);
      if (partition) stops.push(partition.watch(lookAgain));
    }
  });
}

function isEnough(answers: readonly PartitionData[], minBytes: number): boolean {
  let bytes = 0;
  for (const answer of answers) {
    if (answer.errorCode !== 0 || answer.divergingEpoch) return true;
    bytes += answer.records.length;
  }
  return bytes >= minBytes;
}
