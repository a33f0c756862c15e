/** Moving partitions to other brokers: the new replicas join, catch up, and only then do the old ones leave (KIP-455). */

import {
  type AlterPartitionReassignmentsRequest,
  type AlterPartitionReassignmentsResponse,
  errors,
  KafkaError,
  type ListPartitionReassignmentsRequest,
  type ListPartitionReassignmentsResponse,
  type MetadataRecord,
} from '@ottla/protocol';
import type { MetadataImage } from '../image/metadata-image.ts';
import { isReassigning, type PartitionState } from '../image/partition-state.ts';
import type { PartitionOfTopic } from '../image/topics-image.ts';
import { type ControllerState, uncleanElectionAllowed } from './controller-state.ts';
import { assertWithinLimit, type Decision, itemError, success } from './decision.ts';
import { partitionChange } from './partition-change.ts';
import { checkReplicasExist } from './placement.ts';

const NO_REASSIGNMENT = errors.NO_REASSIGNMENT_IN_PROGRESS.code;

/** Answered partition by partition; null replicas cancel what is under way. */
export function alterPartitionReassignments(
  state: ControllerState,
  request: AlterPartitionReassignmentsRequest,
): Decision<AlterPartitionReassignmentsResponse> {
  const { allowReplicationFactorChange } = request;
  const records: MetadataRecord[] = [];
  const responses = request.topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex, replicas }) => {
      try {
        const found = partitionNamed(state.image, name, partitionIndex);
        const record = replicas ? reassign(state, found, replicas, allowReplicationFactorChange) : cancel(state, found);
        if (record) records.push(record);
        return { partitionIndex, ...success };
      } catch (error) {
        const failure = itemError(error);
        // The code says it all.
        return { partitionIndex, ...failure, ...(failure.errorCode === NO_REASSIGNMENT ? { errorMessage: null } : {}) };
      }
    }),
  }));
  assertWithinLimit(records, state.settings.maxRecordsPerOperation);
  return { records, response: { throttleTimeMs: 0, allowReplicationFactorChange, ...success, responses } };
}

function partitionNamed({ topics }: MetadataImage, name: string, index: number): PartitionOfTopic {
  const topic = topics.byName(name);
  if (!topic) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `Unable to find a topic named ${name}.`);
  const partition = topic.partition(index);
  if (!partition) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `Unable to find partition ${name}:${index}.`);
  return { topic, index, partition };
}

function reassign(
  state: ControllerState,
  found: PartitionOfTopic,
  target: readonly number[],
  mayChangeReplicationFactor: boolean,
): MetadataRecord | null {
  const { partition } = found;
  checkReplicasExist(state, target);
  // Of what is under way, as it is meant to end.
  const replicationFactor = partition.replicas.filter((id) => !partition.removingReplicas.includes(id)).length;
  if (!mayChangeReplicationFactor && target.length !== replicationFactor) {
    throw new KafkaError(
      'INVALID_REPLICATION_FACTOR',
      `The replication factor is changed from ${replicationFactor} to ${target.length}`,
    );
  }
  const removing = partition.replicas.filter((id) => !target.includes(id)).sort((a, b) => a - b);
  const adding = target.filter((id) => !partition.replicas.includes(id)).sort((a, b) => a - b);
  // Who moves a partition has not asked for losing records, whatever its topic allows.
  return partitionChange(state, found, {
    election: 'online',
    replicas: [...target, ...removing],
    ...(adding.length > 0 ? { addingReplicas: adding } : {}),
    ...(removing.length > 0 ? { removingReplicas: removing } : {}),
  });
}

/** Takes out again what was being added, and keeps what was to be removed. */
function cancel(state: ControllerState, found: PartitionOfTopic): MetadataRecord | null {
  const { topic, index, partition } = found;
  if (!isReassigning(partition)) throw new KafkaError('NO_REASSIGNMENT_IN_PROGRESS');
  const { replicas, isr, isUnclean } = reverted(partition);
  if (isUnclean && !uncleanElectionAllowed(state, topic)) {
    const text = `Unable to revert partition assignment for ${topic.name}:${index} because it would require an unclean leader election.`;
    throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', text);
  }
  return partitionChange(state, found, {
    replicas,
    isr,
    addingReplicas: [],
    removingReplicas: [],
  });
}

function reverted({ replicas, isr, addingReplicas }: PartitionState): { replicas: number[]; isr: number[]; isUnclean: boolean } {
  const remaining = replicas.filter((id) => !addingReplicas.includes(id));
  const remainingIsr = isr.filter((id) => !addingReplicas.includes(id));
  if (remainingIsr.length > 0) return { replicas: remaining, isr: remainingIsr, isUnclean: false };
  if (remaining.length === 0) {
    throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', 'Invalid replica assignment: addingReplicas contains all replicas.');
  }
  return { replicas: remaining, isr: [remaining[0]!], isUnclean: true };
}

/** Those under way, of the named partitions or of all. */
export function listPartitionReassignments(
  { topics }: MetadataImage,
  request: ListPartitionReassignmentsRequest,
): ListPartitionReassignmentsResponse {
  const byTopic = new Map<string, ListPartitionReassignmentsResponse['topics'][number]>();
  const asked = request.topics && new Map(request.topics.map(({ name, partitionIndexes }) => [name, new Set(partitionIndexes)]));
  for (const { topic, index, partition } of topics.reassigningPartitions()) {
    if (asked && !asked.get(topic.name)?.has(index)) continue;
    const entry = byTopic.get(topic.name) ?? { name: topic.name, partitions: [] };
    byTopic.set(topic.name, entry);
    entry.partitions.push({
      partitionIndex: index,
      replicas: [...partition.replicas],
      addingReplicas: [...partition.addingReplicas],
      removingReplicas: [...partition.removingReplicas],
    });
  }
  return { throttleTimeMs: 0, ...success, topics: [...byTopic.values()] };
}
