import { KafkaError, ListOffsets, type ListOffsetsRequest, type ListOffsetsResponse, type Writable } from '@ottla/protocol';
import type { EpochEntry } from '@ottla/storage';
import type { Partition } from '../replication/partition.ts';
import { handler, orFailure } from './handler.ts';

const LATEST = -1;
const EARLIEST = -2;
const MAX_TIMESTAMP = -3;
const EARLIEST_LOCAL = -4;
const LATEST_TIERED = -5;
const EARLIEST_PENDING_UPLOAD = -6;

/** The first version in which each special timestamp means something. */
const firstVersionOf = new Map([
  [LATEST, 1],
  [EARLIEST, 1],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
  [EARLIEST_PENDING_UPLOAD, 11],
]);

type Found = { offset: number; timestamp: number; leaderEpoch: number };
const NOT_FOUND: Found = { offset: -1, timestamp: -1, leaderEpoch: -1 };

const OFFSET_NOT_AVAILABLE = new KafkaError('OFFSET_NOT_AVAILABLE').code;
const LEADER_NOT_AVAILABLE = new KafkaError('LEADER_NOT_AVAILABLE').code;

const READ_COMMITTED = 1;
const READ_UNCOMMITTED = 0;
const CONSUMER = -1;

/**
 * ListOffsets: the offset for a timestamp, or for one of the special timestamps below zero.
 * v2 isolationLevel: a read_committed reader sees up to the lastStableOffset (KIP-98)
 * v4 currentLeaderEpoch fences a client with stale metadata (KIP-320)
 * v5 OFFSET_NOT_AVAILABLE while a new leader does not know yet what is committed; before, LEADER_NOT_AVAILABLE (KIP-207)
 * v7 timestamp -3 asks for the record with the greatest timestamp (KIP-734)
 * v8 -4 the first offset on local disk (KIP-405); v9 -5 the last tiered one (KIP-1005); v11 -6 the first not yet tiered (KIP-1023)
 */
export const listOffsets = handler(
  ListOffsets,
  (request, { broker, apiVersion }) => {
    const duplicates = partitionsNamedTwice(request);
    return {
      topics: [...partitionsByTopic(request)].map(([name, partitions]) => ({
        name,
        partitions: partitions.map((asked) =>
          orFailure(
            () => {
              if (duplicates.has(`${name}-${asked.partitionIndex}`)) {
                throw new KafkaError('INVALID_REQUEST', `${name}-${asked.partitionIndex} is named twice in one request`);
              }
              const firstVersion = asked.timestamp < 0 ? firstVersionOf.get(asked.timestamp) : 1;
              if (firstVersion === undefined || apiVersion < firstVersion) {
                throw new KafkaError(
                  'UNSUPPORTED_VERSION',
                  `timestamp ${asked.timestamp} has no meaning in version ${apiVersion}`,
                );
              }
              const partition = broker.partitions.require(name, asked.partitionIndex);
              if (apiVersion >= 2 && request.isolationLevel !== READ_COMMITTED && request.isolationLevel !== READ_UNCOMMITTED)
                throw new KafkaError('UNKNOWN_SERVER_ERROR', `there is no isolation level ${request.isolationLevel}`);
              // The debugging consumer (replica id -2) may ask a follower.
              if (request.replicaId === -2) partition.requireEpoch(asked.currentLeaderEpoch);
              else partition.requireLeader(asked.currentLeaderEpoch);
              return {
                partitionIndex: asked.partitionIndex,
                errorCode: 0,
                ...inVersion(apiVersion, find(partition, asked.timestamp, request)),
              };
            },
            ({ errorCode }) => ({
              partitionIndex: asked.partitionIndex,
              errorCode: errorCode === OFFSET_NOT_AVAILABLE && apiVersion < 5 ? LEADER_NOT_AVAILABLE : errorCode,
              ...NOT_FOUND,
            }),
          ),
        ),
      })),
    } satisfies Writable<ListOffsetsResponse>;
  },
  (failure, request) => ({
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: failure.errorCode, ...NOT_FOUND })),
    })),
  }),
);

/** Older versions have no leaderEpoch, and would refuse to carry one. */
const inVersion = (apiVersion: number, found: Found): Found => (apiVersion >= 4 ? found : { ...found, leaderEpoch: -1 });

function find(partition: Partition, timestamp: number, request: ListOffsetsRequest): Found {
  const { log } = partition;
  const bound =
    request.replicaId !== CONSUMER ? 'logEnd' : request.isolationLevel === READ_COMMITTED ? 'lastStableOffset' : 'highWatermark';
  const endOffset = partition.endOffsetFor(bound);
  if (timestamp === LATEST && bound !== 'logEnd') partition.requireKnownEnd();
  if (timestamp === LATEST) return { offset: endOffset, timestamp: -1, leaderEpoch: partition.leaderEpoch };
  if (timestamp === EARLIEST || timestamp === EARLIEST_LOCAL) {
    return { offset: log.logStartOffset, timestamp: -1, leaderEpoch: epochAt(log.epochs, log.logStartOffset) };
  }
  // Nothing is tiered in this release, so nothing was found there and nothing is waiting to go there.
  if (timestamp === LATEST_TIERED || timestamp === EARLIEST_PENDING_UPLOAD) return NOT_FOUND;
  const found = timestamp === MAX_TIMESTAMP ? log.offsetOfMaxTimestamp() : log.offsetForTimestamp(timestamp);
  // A record that the reader may not see yet is not found either.
  if (!found) return NOT_FOUND;
  if (timestamp < 0 || found.offset < endOffset) return found;
  if (bound !== 'logEnd') partition.requireKnownEnd();
  return NOT_FOUND;
}

/** The leader epoch in force at an offset; -1 when the log does not know. */
function epochAt(epochs: readonly EpochEntry[], offset: number): number {
  return epochs.findLast(({ startOffset }) => startOffset <= offset)?.epoch ?? -1;
}

/** A topic named twice is answered once, and so is a partition. */
function partitionsByTopic(request: ListOffsetsRequest): Map<string, ListOffsetsRequest['topics'][number]['partitions']> {
  const topics = new Map<string, Map<number, ListOffsetsRequest['topics'][number]['partitions'][number]>>();
  for (const { name, partitions } of request.topics) {
    const known = topics.get(name) ?? new Map();
    topics.set(name, known);
    for (const asked of partitions) known.set(asked.partitionIndex, asked);
  }
  return new Map([...topics].map(([name, partitions]) => [name, [...partitions.values()]]));
}

function partitionsNamedTwice(request: ListOffsetsRequest): Set<string> {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const { name, partitions } of request.topics) {
    for (const { partitionIndex } of partitions) {
      const key = `${name}-${partitionIndex}`;
      if (seen.has(key)) twice.add(key);
      seen.add(key);
    }
  }
  return twice;
}
