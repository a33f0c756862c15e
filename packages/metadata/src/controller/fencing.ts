/**
 * What becomes of partitions when a broker comes or goes. The order of records is Kafka's: who goes leaves its partitions
 * first and is fenced then; who comes is unfenced first and may then be elected. Where there are very many partitions it is
 * told in parts, and what closes it is in the last one: nothing else is decided while a part is, heartbeats of the other brokers least of all.
 */

import type { Uuid } from '@ottla/protocol';
import type { BrokerRegistration } from '../image/broker-registration.ts';
import { directoryOf, noLeader, type PartitionState } from '../image/partition-state.ts';
import type { PartitionOfTopic } from '../image/topics-image.ts';
import { registrationChangeRecord, unregisterBrokerRecord } from '../records.ts';
import { brokerIsActive, type ControllerState } from './controller-state.ts';
import { changes, closed, joined, type Part } from './decision-part.ts';
import type { PartitionWish } from './partition-change.ts';

export function fencing(state: ControllerState, broker: BrokerRegistration): Part {
  return closed(leaving(state, broker.id), registrationChangeRecord(broker, { fenced: true }));
}

/** What it has in the directories it has lost meanwhile, `offline`, it cannot lead. Who is not elected in this part is left over. */
export function unfencing(state: ControllerState, broker: BrokerRegistration, offline: readonly Uuid[]): Part {
  const { records, isPartial } = changes(state, state.image.topics.partitionsWithoutLeader(), ({ partition }) => ({
    isAlive: (id) => (id === broker.id ? !offline.includes(directoryOf(partition, id)!) : brokerIsActive(state, id)),
  }));
  return { records: [registrationChangeRecord(broker, { fenced: false }), ...records], isPartial };
}

export function controlledShutdown(state: ControllerState, broker: BrokerRegistration): Part {
  const entering = broker.inControlledShutdown ? [] : [registrationChangeRecord(broker, { inControlledShutdown: true })];
  const { records, isPartial } = leaving(state, broker.id);
  return { records: [...entering, ...records], isPartial };
}

export function unregistration(state: ControllerState, broker: BrokerRegistration): Part {
  const left = leaving(state, broker.id);
  if (left.isPartial) return left;
  const forgotten = changes(state, state.image.topics.partitionsWithElrMember(broker.id), ({ partition }) => ({
    isr: without(partition.isr, broker.id),
    isAlive: (id) => id !== broker.id && brokerIsActive(state, id),
    uncleanlyStopped: [broker.id],
  }));
  return closed(joined(left, forgotten), unregisterBrokerRecord(broker.id, broker.epoch));
}

/** A new incarnation registers. What it had not flushed when it was not stopped cleanly is lost, so it is eligible no more. */
export function returning(state: ControllerState, brokerId: number, stoppedCleanly: boolean): Part {
  if (stoppedCleanly || !state.image.features.elrEnabled) return leaving(state, brokerId);
  const { topics } = state.image;
  const forget = ({ partition }: PartitionOfTopic): PartitionWish => ({
    isr: without(partition.isr, brokerId),
    isAlive: (id) => id !== brokerId && brokerIsActive(state, id),
    uncleanlyStopped: [brokerId],
  });
  const left = changes(state, topics.partitionsWithIsrMember(brokerId), forget);
  return left.isPartial ? left : joined(left, changes(state, topics.partitionsWithElrMember(brokerId), forget));
}

function leaving(state: ControllerState, brokerId: number): Part {
  const { image } = state;
  const { elrEnabled } = image.features;
  /** It is the last in sync, and the partition has lost it already. */
  const hasLeft = ({ leader, isr, replicas }: PartitionState): boolean =>
    !elrEnabled &&
    leader === noLeader &&
    isr.length === 1 &&
    !replicas.some((id) => id !== brokerId && brokerIsActive(state, id));
  return changes(state, image.topics.partitionsWithIsrMember(brokerId), ({ partition }) =>
    hasLeft(partition)
      ? null
      : { isr: without(partition.isr, brokerId), isAlive: (id) => id !== brokerId && brokerIsActive(state, id) },
  );
}

const without = (list: readonly number[], member: number): number[] => list.filter((id) => id !== member);
