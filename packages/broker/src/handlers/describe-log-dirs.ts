import {
  DescribeLogDirs,
  type DescribeLogDirsRequest,
  type DescribeLogDirsResponse,
  errors,
  type Writable,
} from '@ottla/protocol';
import type { DirectoryDescription, Log } from '@ottla/storage';
import type { BrokerParts } from '../broker-parts.ts';
import { handler } from './handler.ts';

type Topic = NonNullable<NonNullable<Writable<DescribeLogDirsResponse>['results']>[number]['topics']>[number];
type Partition = NonNullable<Topic['partitions']>[number];

/** What Kafka says of a log that it does not know. */
const UNKNOWN = -1;

/**
 * DescribeLogDirs: the log directories of this broker with the size of each replica in them, and of those that are on their way (KIP-113).
 * v4 total and usable bytes of the volume (KIP-827)
 * v5 whether a directory takes new replicas (KIP-1066)
 */
export const describeLogDirs = handler(DescribeLogDirs, (request, { broker }): Writable<DescribeLogDirsResponse> => {
  const isAsked = askedFor(request);
  return {
    errorCode: 0,
    results: broker.logManager.describeDirs().map(({ path, online, isCordoned }) =>
      online
        ? {
            errorCode: 0,
            logDir: path,
            totalBytes: online.totalBytes,
            usableBytes: online.usableBytes,
            isCordoned,
            topics: describeTopics(online, isAsked, broker),
          }
        : { errorCode: errors.KAFKA_STORAGE_ERROR.code, logDir: path, topics: [], totalBytes: UNKNOWN, usableBytes: UNKNOWN },
    ),
  };
});

function askedFor({ topics }: DescribeLogDirsRequest): (log: Log) => boolean {
  if (topics === null) return () => true;
  const asked = new Map<string, Set<number>>();
  for (const { topic, partitions } of topics) {
    const named = asked.get(topic) ?? new Set();
    asked.set(topic, named);
    for (const partition of partitions) named.add(partition);
  }
  return ({ topic, partition }) => asked.get(topic)?.has(partition) ?? false;
}

function describeTopics(
  { logs, futureLogs }: NonNullable<DirectoryDescription['online']>,
  isAsked: (log: Log) => boolean,
  { logManager }: BrokerParts,
): Topic[] {
  const topics = new Map<string, Partition[]>();
  const describe = (log: Log, isFutureKey: boolean): void => {
    if (!isAsked(log)) return;
    const partitions = topics.get(log.topic) ?? [];
    topics.set(log.topic, partitions);
    const offsetLag = lagOf(log, logManager.get(log.topic, log.partition), isFutureKey);
    partitions.push({ partitionIndex: log.partition, partitionSize: log.sizeBytes, offsetLag, isFutureKey });
  };
  for (const log of logs) describe(log, false);
  for (const log of futureLogs) describe(log, true);
  return [...topics].map(([name, partitions]) => ({ name, partitions }));
}

/** A copy lags behind its log, a log behind what is committed. */
function lagOf(log: Log, current: Log | undefined, isFuture: boolean): number {
  if (!current) return UNKNOWN;
  return isFuture ? current.logEndOffset - log.logEndOffset : Math.max(current.highWatermark - log.logEndOffset, 0);
}
