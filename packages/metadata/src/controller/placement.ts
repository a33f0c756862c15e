/** The replicas of a new partition, chosen by us or by the user, and the partition that they make. */

import { KafkaError } from '@ottla/protocol';
import type { BrokerRegistration } from '../image/broker-registration.ts';
import { type PartitionState, recovered } from '../image/partition-state.ts';
import { brokerIsActive, type ControllerState, defaultDirectory } from './controller-state.ts';
import type { RandomSource } from './decision.ts';
import { placeReplicas } from './replica-placer.ts';

/** @throws INVALID_REPLICATION_FACTOR */
export function placedReplicas(
  state: ControllerState,
  wanted: { partitions: number; replicationFactor: number },
  random: RandomSource,
): number[][] {
  const refuse = (why: string): never => {
    throw new KafkaError(
      'INVALID_REPLICATION_FACTOR',
      `Unable to replicate the partition ${wanted.replicationFactor} time(s): ${why}`,
    );
  };
  const usable = [...state.image.brokers.values()].filter((broker) => !isCordoned(broker));
  let placed: number[][] = [];
  try {
    placed = placeReplicas(usable, wanted, random);
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    refuse(error.message);
  }
  for (const replicas of placed) {
    if (!replicas.some((id) => brokerIsActive(state, id))) refuse('All brokers are currently fenced or in controlled shutdown.');
  }
  return placed;
}

/** Takes no new replicas: all its directories are cordoned. */
function isCordoned({ directories, cordonedDirectories }: BrokerRegistration): boolean {
  return directories.length > 0 && cordonedDirectories !== null && directories.every((id) => cordonedDirectories.includes(id));
}

/** @throws INVALID_REPLICA_ASSIGNMENT */
export function checkManualReplicas(
  state: ControllerState,
  { index, replicas, replicationFactor }: { index: number; replicas: readonly number[]; replicationFactor: number | undefined },
): void {
  const refuse = (text: string): never => {
    throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', text);
  };
  checkReplicasExist(state, replicas);
  if (replicationFactor !== undefined && replicas.length !== replicationFactor) {
    refuse(
      `The manual partition assignment includes a partition with ${replicas.length} replica(s), but this is not ` +
        `consistent with previous partitions, which have ${replicationFactor} replica(s).`,
    );
  }
  if (!replicas.some((id) => brokerIsActive(state, id))) {
    refuse(
      `All brokers specified in the manual partition assignment for partition ${index} are fenced or in controlled shutdown.`,
    );
  }
}

/** @throws INVALID_REPLICA_ASSIGNMENT */
export function checkReplicasExist({ image }: ControllerState, replicas: readonly number[]): void {
  const refuse = (text: string): never => {
    throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', text);
  };
  if (replicas.length === 0) refuse('The manual partition assignment includes an empty replica list.');
  let previous: number | undefined;
  for (const id of [...replicas].sort((a, b) => a - b)) {
    if (!image.brokers.has(id))
      refuse(`The manual partition assignment includes broker ${id}, but no such broker is registered.`);
    if (id === previous) refuse(`The manual partition assignment includes the broker ${id} more than once.`);
    previous = id;
  }
}

/** Led by its first active replica, in sync on all of them. */
export function newPartition(state: ControllerState, replicas: readonly number[]): PartitionState {
  const isr = replicas.filter((id) => brokerIsActive(state, id));
  return {
    replicas,
    isr,
    elr: [],
    lastKnownElr: [],
    addingReplicas: [],
    removingReplicas: [],
    directories: replicas.map((id) => defaultDirectory(state.image.brokers.get(id))),
    leader: isr[0]!,
    leaderRecoveryState: recovered,
    leaderEpoch: 0,
    partitionEpoch: 0,
  };
}
