/**
 * What becomes of partitions when a broker comes or goes. The order of records is Kafka's: who goes leaves its partitions
 * first and is fenced then; who comes is unfenced first and may then be elected.
 */

import type { MetadataRecord, Uuid } from '@ottla/protocol';
import type { BrokerRegistration } from '../image/broker-registration.ts';
import { directoryOf } from '../image/partition-state.ts';
import type { PartitionOfTopic } from '../image/topics-image.ts';
import { registrationChangeRecord, unregisterBrokerRecord } from '../records.ts';
import { brokerIsActive, type ControllerState } from './controller-state.ts';
import { type PartitionWish, partitionChange } from './partition-change.ts';

export function fencingRecords(state: ControllerState, broker: BrokerRegistration): MetadataRecord[] {
  return [...leavingRecords(state, broker.id), registrationChangeRecord(broker, { fenced: true })];
}

/** What it has in the directories it has lost meanwhile, `offline`, it cannot lead. */
export function unfencingRecords(state: ControllerState, broker: BrokerRegistration, offline: readonly Uuid[]): MetadataRecord[] {
  const elected = changes(state, state.image.topics.partitionsWithoutLeader(), ({ partition }) => ({
    isAlive: (id) => (id === broker.id ? !offline.includes(directoryOf(partition, id)!) : brokerIsActive(state, id)),
  }));
  return [registrationChangeRecord(broker, { fenced: false }), ...elected];
}

export function controlledShutdownRecords(state: ControllerState, broker: BrokerRegistration): MetadataRecord[] {
  const entering = broker.inControlledShutdown ? [] : [registrationChangeRecord(broker, { inControlledShutdown: true })];
  return [...entering, ...leavingRecords(state, broker.id)];
}

export function unregistrationRecords(state: ControllerState, broker: BrokerRegistration): MetadataRecord[] {
  const left = changes(state, state.image.topics.partitionsWithElrMember(broker.id), ({ partition }) => ({
    isr: without(partition.isr, broker.id),
    isAlive: (id) => id !== broker.id && brokerIsActive(state, id),
    uncleanlyStopped: [broker.id],
  }));
  return [...leavingRecords(state, broker.id), ...left, unregisterBrokerRecord(broker.id, broker.epoch)];
}

/** A new incarnation registers. What it had not flushed when it was not stopped cleanly is lost, so it is eligible no more. */
export function returningRecords(state: ControllerState, brokerId: number, stoppedCleanly: boolean): MetadataRecord[] {
  if (stoppedCleanly || !state.image.features.elrEnabled) return leavingRecords(state, brokerId);
  const { topics } = state.image;
  const forget = ({ partition }: PartitionOfTopic): PartitionWish => ({
    isr: without(partition.isr, brokerId),
    isAlive: (id) => id !== brokerId && brokerIsActive(state, id),
    uncleanlyStopped: [brokerId],
  });
  return [
    ...changes(state, topics.partitionsWithIsrMember(brokerId), forget),
    ...changes(state, topics.partitionsWithElrMember(brokerId), forget),
  ];
}

function leavingRecords(state: ControllerState, brokerId: number): MetadataRecord[] {
  return changes(state, state.image.topics.partitionsWithIsrMember(brokerId), ({ partition }) => ({
    isr: without(partition.isr, brokerId),
    isAlive: (id) => id !== brokerId && brokerIsActive(state, id),
  }));
}

function changes(
  state: ControllerState,
  partitions: Iterable<PartitionOfTopic>,
  wish: (partition: PartitionOfTopic) => PartitionWish,
): MetadataRecord[] {
  const records: MetadataRecord[] = [];
  for (const partition of partitions) {
    const record = partitionChange(state, partition, wish(partition));
    if (record) records.push(record);
  }
  return records;
}

const without = (list: readonly number[], member: number): number[] => list.filter((id) => id !== member);
