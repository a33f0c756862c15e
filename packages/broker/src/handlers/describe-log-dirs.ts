import { DescribeLogDirs } from '@ottla/protocol';
import { handler } from './handler.ts';

/**
 * DescribeLogDirs: the log directories of this broker with the size of each replica in them (KIP-113).
 * v4 total and usable bytes of the volume (KIP-827)
 * v5 whether a directory takes new replicas (KIP-1066)
 */
export const describeLogDirs = handler(DescribeLogDirs, (request, { broker }) => {
  const asked = request.topics && new Map<string, Set<number>>();
  for (const { topic, partitions } of request.topics ?? []) {
    const named = asked!.get(topic) ?? new Set();
    asked!.set(topic, named);
    for (const partition of partitions) named.add(partition);
  }
  return {
    errorCode: 0,
    results: broker.logManager.describeDirs().map(({ path, totalBytes, usableBytes, logs }) => {
      const topics = new Map<
        string,
        { partitionIndex: number; partitionSize: number; offsetLag: number; isFutureKey: boolean }[]
      >();
      for (const log of logs) {
        if (asked && !asked.get(log.topic)?.has(log.partition)) continue;
        const lag = Math.max(
          0,
          (broker.partitions.get(log.topic, log.partition)?.highWatermark ?? log.logEndOffset) - log.logEndOffset,
        );
        const partitions = topics.get(log.topic) ?? [];
        partitions.push({ partitionIndex: log.partition, partitionSize: log.sizeBytes, offsetLag: lag, isFutureKey: false });
        topics.set(log.topic, partitions);
      }
      return {
        errorCode: 0,
        logDir: path,
        totalBytes,
        usableBytes,
        isCordoned: false,
        topics: [...topics].map(([name, partitions]) => ({ name, partitions })),
      };
    }),
  };
});
