/** In which log directory each replica is, and what happens when a directory fails (KIP-858). */

import {
  type AssignReplicasToDirsRequest,
  type AssignReplicasToDirsResponse,
  errors,
  KafkaError,
  type MetadataRecord,
  type Uuid,
} from '@ottla/protocol';
import { directoryAssignmentSince } from '../features/metadata-versions.ts';
import type { BrokerRegistration } from '../image/broker-registration.ts';
import { isOnlineDirectory, lostDirectory } from '../image/directory-ids.ts';
import { directoryOf, noLeader, type PartitionState } from '../image/partition-state.ts';
import { registrationChangeRecord } from '../records.ts';
import { brokerIsActive, type ControllerState, registeredBroker } from './controller-state.ts';
import type { Decision } from './decision.ts';
import { changes, closed, nothing, type Part } from './decision-part.ts';
import { partitionChange } from './partition-change.ts';

/** The broker leaves the partitions it had in these directories, and those without a leader may get one; whatever else the heartbeat decided comes first in `decided`. */
export function offlineDirectories(
  state: ControllerState,
  broker: BrokerRegistration,
  offline: readonly Uuid[],
  decided: readonly MetadataRecord[],
): Part {
  const failed = broker.directories.filter((id) => offline.includes(id));
  if (failed.length === 0) return nothing;
  const online = broker.directories.filter((id) => !failed.includes(id));
  const alreadyLeft = new Set(
    decided.flatMap((record) =>
      record.type === 'PartitionChangeRecord' ? [`${record.value.topicId}:${record.value.partitionId}`] : [],
    ),
  );
  const left = changes(state, state.image.topics.partitionsWithReplica(broker.id), ({ topic, index, partition }) => {
    if (!failed.includes(directoryOf(partition, broker.id)!) || alreadyLeft.has(`${topic.id}:${index}`)) return null;
    const isReassigning = partition.addingReplicas.length + partition.removingReplicas.length > 0;
    // It has left already.
    if (partition.leader !== noLeader && !partition.isr.includes(broker.id) && !isReassigning) return null;
    return {
      isr: partition.isr.filter((id) => id !== broker.id),
      isAlive: (id) => id !== broker.id && brokerIsActive(state, id),
    };
  });
  return online.length > 0 ? closed(left, registrationChangeRecord(broker, { logDirs: online })) : left;
}

/** @throws STALE_BROKER_EPOCH, UNSUPPORTED_VERSION */
export function assignReplicasToDirectories(
  state: ControllerState,
  request: AssignReplicasToDirsRequest,
): Decision<AssignReplicasToDirsResponse> {
  const broker = registeredBroker(state, request.brokerId, request.brokerEpoch);
  if (state.image.features.metadataVersion.level < directoryAssignmentSince) {
    throw new KafkaError('UNSUPPORTED_VERSION', `Directory assignment is not supported yet: metadata.version is too low.`);
  }
  const records: MetadataRecord[] = [];
  const directories = request.directories.map(({ id, topics }) => ({
    id,
    topics: topics.map(({ topicId, partitions }) => ({
      topicId,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: assign(state, broker, { topicId, index: partitionIndex, directory: id }, records),
      })),
    })),
  }));
  return { records, response: { throttleTimeMs: 0, errorCode: 0, directories }, isDivisible: true };
}

function assign(
  state: ControllerState,
  broker: BrokerRegistration,
  { topicId, index, directory }: { topicId: Uuid; index: number; directory: Uuid },
  records: MetadataRecord[],
): number {
  const topic = state.image.topics.byId(topicId);
  const partition = topic?.partition(index);
  if (!topic) return errors.UNKNOWN_TOPIC_ID.code;
  if (!partition) return errors.UNKNOWN_TOPIC_OR_PARTITION.code;
  if (!partition.replicas.includes(broker.id)) return errors.NOT_LEADER_OR_FOLLOWER.code;
  const isOnline = isOnlineDirectory(directory, broker.directories);
  const moved = partitionChange(
    state,
    { topic, index, partition },
    { directories: withDirectory(partition, broker.id, directory), election: 'online' },
  );
  if (moved) records.push(moved);
  if (!isOnline || directory === lostDirectory) {
    // A record of its own, which leaves the directories alone.
    const left = partitionChange(
      state,
      { topic, index, partition },
      {
        isr: partition.isr.filter((id) => id !== broker.id),
        isAlive: (id) => id !== broker.id && brokerIsActive(state, id),
      },
    );
    if (left) records.push(left);
  }
  return 0;
}

function withDirectory(partition: PartitionState, brokerId: number, directory: Uuid): Uuid[] {
  return partition.directories.map((id, at) => (partition.replicas[at] === brokerId ? directory : id));
}
