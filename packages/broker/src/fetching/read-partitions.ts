import { errorCodeOf, KafkaError, ZERO_UUID } from '@ottla/protocol';
import type { Release } from '@ottla/storage';
import type { Partition, ReadBound } from '../replication/partition.ts';
import type { Partitions } from '../replication/partitions.ts';
import type { FetchPartition, QuietPlace, SessionPartition } from './fetch-session.ts';

const EMPTY = new Uint8Array(0);

export type AbortedTransaction = { readonly producerId: number; readonly firstOffset: number };

/** What one partition answers to a fetch. */
export type PartitionData = {
  readonly asked: FetchPartition;
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  readonly records: Uint8Array;
  /** Null unless the reader asked for committed records only. */
  readonly abortedTransactions: AbortedTransaction[] | null;
  /** Set where a request that came to the wrong place should go. */
  readonly divergingEpoch?: { epoch: number; endOffset: number };
  /** A replica nearer to the reader, who should go there: nothing was read. */
  readonly preferredReadReplica?: number;
};

export type ReadRules = {
  readonly bound: ReadBound;
  /** For all partitions together; each also has its own maximum. */
  readonly maxBytes: number;
  /** The id of the broker that follows, or below zero for a consumer. */
  readonly replicaId: number;
  /** Of a broker that follows, if it says. */
  readonly replicaEpoch?: number;
  /** A reader that knows of KIP-392 is served by followers too. */
  readonly fromAnyReplica?: boolean;
  /** Where a reader had better read, if not here. */
  readonly preferredReplica?: ((partition: Partition, fetchOffset: number) => number | undefined) | undefined;
  /** The partition gives nothing now, for this reader has had as much as he may. */
  readonly isThrottled?: ((partition: Partition) => boolean) | undefined;
  /** Nothing is said of partitions whose follower knows a later epoch than this broker does: it asks again, and this broker will have heard. */
  readonly leavesOutAhead?: boolean;
  /** Where each read leaves what is to be called when nobody looks at its records any more, also when a later one fails. */
  readonly releases: Release[];
};

/**
 * The follower has heard of an epoch of which this broker has not, though both hear from the same log: this one will in a moment. To refuse it
 * would have the follower stay away for replica.fetch.backoff.ms, and producers wait as long.
 */
export function isAhead(
  partition: Partition | undefined,
  { currentLeaderEpoch }: FetchPartition,
  { replicaId }: ReadRules,
): boolean {
  return partition !== undefined && replicaId >= 0 && currentLeaderEpoch > partition.leaderEpoch;
}

/** Undefined: this broker has none. */
export function replicaOf(partitions: Partitions, { topic, topicId, index }: FetchPartition): Partition | undefined {
  const name = topic ?? partitions.topicName(topicId);
  return name === undefined ? undefined : partitions.get(name, index);
}

/** Of a partition that a session follows: its fetcher has all that there is, and knows it. Then this is where that would change, else undefined. */
function knownPlace(
  partitions: Partitions,
  asked: SessionPartition,
  { bound, replicaId, replicaEpoch = -1, preferredReplica }: ReadRules,
): Partition | undefined {
  if (asked.topic === undefined) return undefined;
  const partition = partitions.get(asked.topic, asked.index);
  if (!partition?.isLeader || asked.fetchOffset !== partition.endOffsetFor(bound)) return undefined;
  if (replicaId >= 0 && !partition.hasFollower(replicaId, replicaEpoch)) return undefined;
  if (asked.currentLeaderEpoch !== -1 && asked.currentLeaderEpoch !== partition.leaderEpoch) return undefined;
  if (asked.topicId !== ZERO_UUID && asked.topicId !== partition.topicId) return undefined;
  if (asked.lastFetchedEpoch >= 0 && asked.lastFetchedEpoch !== partition.log.latestEpoch) return undefined;
  if (asked.sentHighWatermark !== partition.highWatermark || asked.sentLogStartOffset !== partition.log.logStartOffset)
    return undefined;
  return preferredReplica?.(partition, asked.fetchOffset) === undefined ? partition : undefined;
}

/**
 * Where a partition of a session would have to change for there to be something to tell, or to do when it is fetched again; undefined: something
 * else may change that nobody watches. A follower outside the isr may be let in at each of its fetches.
 */
export function quietPlace(partitions: Partitions, asked: SessionPartition, rules: ReadRules): QuietPlace | undefined {
  if (rules.preferredReplica) return undefined;
  const partition = knownPlace(partitions, asked, rules);
  if (!partition) return undefined;
  const { replicaId, replicaEpoch = -1 } = rules;
  if (replicaId < 0) return { partition, replica: undefined };
  const replica = partition.leading!.replica(replicaId)!;
  // Its leader may have begun anew since this fetch was noted, or another session of the follower's be the one that it keeps up with.
  const isNoted =
    !replica.isFollowed &&
    replica.logEndOffset === asked.fetchOffset &&
    replica.logStartOffset === asked.logStartOffset &&
    replica.brokerEpoch === replicaEpoch;
  return isNoted && partition.isr.includes(replicaId) ? { partition, replica } : undefined;
}

/** As `readPartitions`, for a session: partitions of which there is nothing to tell are left out. */
export function readSessionPartitions(
  partitions: Partitions,
  asked: Iterable<SessionPartition>,
  rules: ReadRules,
): PartitionData[] {
  return readPartitions(
    partitions,
    asked,
    rules,
    (partition) =>
      knownPlace(partitions, partition as SessionPartition, rules) !== undefined ||
      (rules.leavesOutAhead === true && isAhead(replicaOf(partitions, partition), partition, rules)),
  );
}

/**
 * Reads in the order asked until `maxBytes` are used up. The first batch found is given whole even when it is larger than
 * every limit, so that a reader with a small buffer still gets on (KIP-74).
 */
export function readPartitions(
  partitions: Partitions,
  asked: Iterable<FetchPartition>,
  rules: ReadRules,
  mayBeLeftOut?: (partition: FetchPartition) => boolean,
): PartitionData[] {
  const answers: PartitionData[] = [];
  let bytesLeft = rules.maxBytes;
  let nothingRead = true;
  for (const partition of asked) {
    if (mayBeLeftOut?.(partition)) continue;
    const answer = readPartition(partitions, partition, rules, Math.min(bytesLeft, partition.maxBytes), nothingRead);
    if (answer.records.length > 0) nothingRead = false;
    bytesLeft = Math.max(0, bytesLeft - answer.records.length);
    answers.push(answer);
  }
  return answers;
}

/**
 * The bytes that a partition has for a reader, as far as that matters to one who wants `minBytes`. Nothing is read for it.
 * Infinity: there is something to tell him at once.
 */
export function bytesReady(partitions: Partitions, asked: FetchPartition, rules: ReadRules, minBytes: number): number {
  try {
    const partition = served(partitions, asked, rules);
    if (divergence(partition, asked)) return Number.POSITIVE_INFINITY;
    if (rules.preferredReplica?.(partition, asked.fetchOffset) !== undefined) return Number.POSITIVE_INFINITY;
    const { logStartOffset, logEndOffset } = partition.log;
    if (asked.fetchOffset < logStartOffset || asked.fetchOffset > logEndOffset) return Number.POSITIVE_INFINITY;
    if (asked.fetchOffset >= partition.endOffsetFor(rules.bound)) return 0;
    if (rules.isThrottled?.(partition)) return 0;
    if (minBytes <= 1 || asked.maxBytes < 0) return minBytes;
    return partition.bytesToRead(asked.fetchOffset, asked.maxBytes, rules.bound);
  } catch {
    // The read will meet the same, and tell.
    return isAhead(replicaOf(partitions, asked), asked, rules) ? 0 : Number.POSITIVE_INFINITY;
  }
}

function readPartition(
  partitions: Partitions,
  asked: FetchPartition,
  rules: ReadRules,
  maxBytes: number,
  minOneBatch: boolean,
): PartitionData {
  try {
    const partition = served(partitions, asked, rules);
    const offsets = {
      highWatermark: partition.highWatermark,
      lastStableOffset: partition.lastStableOffset,
      logStartOffset: partition.log.logStartOffset,
    };
    const nothing = { asked, errorCode: 0, ...offsets, records: EMPTY, abortedTransactions: null };
    const preferredReadReplica = rules.preferredReplica?.(partition, asked.fetchOffset);
    if (preferredReadReplica !== undefined) return { ...nothing, preferredReadReplica };
    const divergingEpoch = divergence(partition, asked);
    if (divergingEpoch) return { ...nothing, divergingEpoch };
    if (rules.isThrottled?.(partition)) return nothing;
    if (maxBytes < 0 && asked.fetchOffset < partition.endOffsetFor(rules.bound))
      throw new KafkaError('UNKNOWN_SERVER_ERROR', `${maxBytes} bytes were asked for`);
    const read = partition.read(asked.fetchOffset, maxBytes, rules.bound, minOneBatch);
    if (read.release) rules.releases.push(read.release);
    const abortedTransactions =
      rules.bound !== 'lastStableOffset'
        ? null
        : asked.fetchOffset < offsets.lastStableOffset
          ? partition.abortedTransactions(asked.fetchOffset, read.upperBoundOffset)
          : [];
    return { asked, errorCode: 0, ...offsets, records: read.records, abortedTransactions };
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return failedRead(asked, error);
  }
}

/**
 * A follower's fetch acknowledges all before its offsets: noted when it comes, whatever becomes of its answer. What is not to be served says
 * nothing; the read will meet the same, and tell.
 */
export function noteFollowerFetch(
  partitions: Partitions,
  asked: Iterable<FetchPartition>,
  rules: ReadRules,
  nowMs: number,
): void {
  const brokerEpoch = rules.replicaEpoch ?? -1;
  for (const one of asked) {
    try {
      const partition = served(partitions, one, rules);
      const { log } = partition;
      if (one.fetchOffset < log.logStartOffset || one.fetchOffset > log.logEndOffset || divergence(partition, one)) continue;
      partition.onFollowerFetch(rules.replicaId, brokerEpoch, one, nowMs);
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
    }
  }
}

/** The partition, if this broker may serve it. Throws what the reader is to be told. */
function served(
  partitions: Partitions,
  asked: FetchPartition,
  { replicaId, replicaEpoch = -1, fromAnyReplica }: ReadRules,
): Partition {
  const topic = asked.topic ?? partitions.topicName(asked.topicId);
  if (topic === undefined) throw new KafkaError('UNKNOWN_TOPIC_ID', `no topic has the id ${asked.topicId}: refresh metadata`);
  const partition = partitions.require(topic, asked.index);
  if (fromAnyReplica) partition.requireReplicaHere(asked.currentLeaderEpoch);
  else partition.requireLeader(asked.currentLeaderEpoch);
  if (asked.topicId !== ZERO_UUID && partition.topicId !== asked.topicId) {
    throw new KafkaError('INCONSISTENT_TOPIC_ID', `${partition.name} has the id ${partition.topicId} now: refresh metadata`);
  }
  if (replicaId >= 0) partition.requireFollower(replicaId, replicaEpoch, asked.currentLeaderEpoch);
  return partition;
}

/** Where the reader's history leaves this log's (KIP-595). Throws OFFSET_OUT_OF_RANGE. */
function divergence(partition: Partition, asked: FetchPartition): { epoch: number; endOffset: number } | undefined {
  if (asked.lastFetchedEpoch < 0) return undefined;
  // Followers of thousands of partitions ask this over and over, and of almost all of them it is so.
  if (asked.lastFetchedEpoch === partition.log.latestEpoch && asked.fetchOffset <= partition.log.logEndOffset) return undefined;
  const { leaderEpoch, endOffset } = partition.log.endOffsetForEpoch(asked.lastFetchedEpoch);
  if (leaderEpoch < 0)
    throw new KafkaError('OFFSET_OUT_OF_RANGE', `${partition.name} knows no leader epoch up to ${asked.lastFetchedEpoch}`);
  const isBehind = leaderEpoch < asked.lastFetchedEpoch || endOffset < asked.fetchOffset;
  return isBehind ? { epoch: leaderEpoch, endOffset } : undefined;
}

/** Errors that a look at the metadata explains come without aborted transactions rather than with a null of them. */
const errorsOfMetadata: ReadonlySet<string> = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID']);

function failedRead(asked: FetchPartition, error: KafkaError): PartitionData {
  return {
    asked,
    errorCode: errorCodeOf(error),
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    records: EMPTY,
    abortedTransactions: errorsOfMetadata.has(error.name) ? [] : null,
  };
}
