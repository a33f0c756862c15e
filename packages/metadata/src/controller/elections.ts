/** Electing leaders because somebody asks, or because the time has come. */

import {
  type ElectLeadersRequest,
  type ElectLeadersResponse,
  type ErrorName,
  errors,
  type MetadataRecord,
} from '@ottla/protocol';
import { noLeader, noLeaderChange } from '../image/partition-state.ts';
import type { PartitionOfTopic } from '../image/topics-image.ts';
import { brokerIsActive, type ControllerState, uncleanElectionAllowed } from './controller-state.ts';
import { assertWithinLimit, type Decision, type ItemError, success } from './decision.ts';
import { partitionChange } from './partition-change.ts';

const preferredElection = 0;
const uncleanElection = 1;

/** For named partitions, or for all: then partitions that need no election are left out of the answer. */
export function electLeaders(state: ControllerState, request: ElectLeadersRequest): Decision<ElectLeadersResponse> {
  const { electionType, topicPartitions } = request;
  if (electionType !== preferredElection && electionType !== uncleanElection) {
    const refusal = failure('INVALID_REQUEST', `Unknown election type ${electionType}`);
    const replicaElectionResults = (topicPartitions ?? []).map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partitionId) => ({ partitionId, ...refusal })),
    }));
    return { records: [], response: { throttleTimeMs: 0, errorCode: refusal.errorCode, replicaElectionResults } };
  }
  const records: MetadataRecord[] = [];
  const results = topicPartitions
    ? topicPartitions.map(({ topic, partitions }) => ({
        topic,
        partitionResult: partitions.map((partitionId) => ({
          partitionId,
          ...electNamed(state, { name: topic, index: partitionId, electionType }, records),
        })),
      }))
    : electAll(state, electionType, records);
  assertWithinLimit(records, state.settings.maxRecordsPerOperation);
  return { records, response: { throttleTimeMs: 0, errorCode: 0, replicaElectionResults: results } };
}

function electAll(
  state: ControllerState,
  electionType: number,
  records: MetadataRecord[],
): ElectLeadersResponse['replicaElectionResults'] {
  const results: ElectLeadersResponse['replicaElectionResults'] = [];
  for (const topic of state.image.topics) {
    const partitionResult: (typeof results)[number]['partitionResult'] = [];
    for (const [index, partition] of topic.partitions()) {
      const outcome = elect(state, { topic, index, partition }, electionType, records);
      if (outcome.errorCode !== errors.ELECTION_NOT_NEEDED.code) partitionResult.push({ partitionId: index, ...outcome });
    }
    results.push({ topic: topic.name, partitionResult });
  }
  return results;
}

function electNamed(
  state: ControllerState,
  { name, index, electionType }: { name: string; index: number; electionType: number },
  records: MetadataRecord[],
): ItemError {
  const topic = state.image.topics.byName(name);
  if (!topic) return failure('UNKNOWN_TOPIC_OR_PARTITION', `No such topic as ${name}`);
  const partition = topic.partition(index);
  if (!partition) return failure('UNKNOWN_TOPIC_OR_PARTITION', `No such partition as ${name}-${index}`);
  return elect(state, { topic, index, partition }, electionType, records);
}

function elect(state: ControllerState, found: PartitionOfTopic, electionType: number, records: MetadataRecord[]): ItemError {
  const { partition } = found;
  const isPreferred = electionType === preferredElection;
  const isDone = isPreferred ? partition.leader === partition.replicas[0] : partition.leader !== noLeader;
  if (isDone) return failure('ELECTION_NOT_NEEDED', 'Leader election not needed for topic partition.');
  const record = partitionChange(state, found, { election: isPreferred ? 'preferred' : 'unclean' });
  // A leader that may not lead any more gives way also where the preferred one cannot take over.
  if (!record) {
    return isPreferred
      ? failure('PREFERRED_LEADER_NOT_AVAILABLE', 'The preferred leader was not available.')
      : failure('ELIGIBLE_LEADERS_NOT_AVAILABLE', 'Eligible topic partition leaders are not available.');
  }
  records.push(record);
  return success;
}

const failure = (error: ErrorName, errorMessage: string): ItemError => ({ errorCode: errors[error].code, errorMessage });

/** Leadership goes back to the first replicas, so that leaders stay spread over brokers. */
export function balanceLeaders(state: ControllerState, limit: number): { records: MetadataRecord[]; isComplete: boolean } {
  return electSome(state.image.topics.partitionsLedByOther(), limit, (found) =>
    partitionChange(state, found, { election: 'preferred' }),
  );
}

/**
 * Partitions without a leader though somebody alive is in line: what brought that broker back was written in part only. Its registration was
 * changed first, so nobody would see anything to do for the others.
 */
export function electLeftOverLeaders(state: ControllerState, limit: number): { records: MetadataRecord[]; isComplete: boolean } {
  return electSome(state.image.topics.partitionsWithoutLeader(), limit, (found) => {
    if (!found.partition.replicas.some((id) => brokerIsActive(state, id))) return null;
    const record = partitionChange(state, found, { election: 'online' });
    return record && record.value.leader !== noLeaderChange ? record : null;
  });
}

/** Topics that allow it, and have lost everybody in sync, are led by whoever lives. */
export function electUncleanLeaders(state: ControllerState, limit: number): { records: MetadataRecord[]; isComplete: boolean } {
  return electSome(state.image.topics.partitionsWithoutLeader(), limit, (found) => {
    if (!uncleanElectionAllowed(state, found.topic)) return null;
    return partitionChange(state, found, { election: 'unclean' });
  });
}

function electSome(
  partitions: Iterable<PartitionOfTopic>,
  limit: number,
  elected: (found: PartitionOfTopic) => MetadataRecord | null,
): { records: MetadataRecord[]; isComplete: boolean } {
  const records: MetadataRecord[] = [];
  for (const found of partitions) {
    const record = elected(found);
    if (record) records.push(record);
    if (records.length >= limit) return { records, isComplete: false };
  }
  return { records, isComplete: true };
}
