/** AlterPartition: a leader says who is in sync with it. */

import {
  type AlterPartitionRequest,
  type AlterPartitionResponse,
  type ErrorName,
  errors,
  type MetadataRecord,
} from '@ottla/protocol';
import { changedPartition, noLeaderChange, type PartitionState, recovered, recovering } from '../image/partition-state.ts';
import type { TopicImage } from '../image/topics-image.ts';
import { type ControllerState, registeredBroker } from './controller-state.ts';
import type { Decision } from './decision.ts';
import { partitionChange } from './partition-change.ts';

type AskedPartition = AlterPartitionRequest['topics'][number]['partitions'][number];
type AnsweredPartition = AlterPartitionResponse['topics'][number]['partitions'][number];

/** v3 names the epochs of the brokers in the isr, so that a restarted one cannot slip in. @throws STALE_BROKER_EPOCH */
export function alterPartition(state: ControllerState, request: AlterPartitionRequest): Decision<AlterPartitionResponse> {
  registeredBroker(state, request.brokerId, request.brokerEpoch);
  const records: MetadataRecord[] = [];
  const topics = request.topics.map(({ topicId, partitions }) => {
    const topic = state.image.topics.byId(topicId);
    return {
      topicId,
      partitions: partitions.map((asked) =>
        topic ? alterOne(state, { topic, asked, leaderId: request.brokerId }, records) : refused(asked, 'UNKNOWN_TOPIC_ID'),
      ),
    };
  });
  return { records, response: { throttleTimeMs: 0, errorCode: 0, topics }, isDivisible: true };
}

function alterOne(
  state: ControllerState,
  { topic, asked, leaderId }: { topic: TopicImage; asked: AskedPartition; leaderId: number },
  records: MetadataRecord[],
): AnsweredPartition {
  const index = asked.partitionIndex;
  const partition = topic.partition(index);
  if (!partition) return refused(asked, 'UNKNOWN_TOPIC_OR_PARTITION');
  const members = newIsr(asked);
  const error = refusal(state, { partition, asked, members, leaderId });
  if (error) return refused(asked, error);
  const isr = members.map(({ brokerId }) => brokerId);
  const record = partitionChange(state, { topic, index, partition }, { isr, leaderRecoveryState: asked.leaderRecoveryState });
  if (record) records.push(record);
  if (record && record.value.leader !== noLeaderChange && record.value.leader !== leaderId) {
    // The new isr has completed a reassignment that takes this leader away.
    return refused(asked, 'NEW_LEADER_ELECTED');
  }
  return answered(index, record ? changedPartition(partition, record.value) : partition);
}

interface IsrMember {
  readonly brokerId: number;
  /** -1: not told. */
  readonly brokerEpoch: number;
}

function newIsr(asked: AskedPartition): IsrMember[] {
  if (asked.newIsrWithEpochs.length > 0) return asked.newIsrWithEpochs;
  return asked.newIsr.map((brokerId) => ({ brokerId, brokerEpoch: -1 }));
}

function refusal(
  { image, sessions }: ControllerState,
  {
    partition,
    asked,
    members,
    leaderId,
  }: { partition: PartitionState; asked: AskedPartition; members: IsrMember[]; leaderId: number },
): ErrorName | null {
  // Who knows of later epochs than we do has heard from a later controller.
  if (asked.leaderEpoch > partition.leaderEpoch || asked.partitionEpoch > partition.partitionEpoch) return 'NOT_CONTROLLER';
  if (asked.leaderEpoch < partition.leaderEpoch) return 'FENCED_LEADER_EPOCH';
  if (leaderId !== partition.leader) return 'INVALID_REQUEST';
  if (asked.partitionEpoch < partition.partitionEpoch) return 'INVALID_UPDATE_VERSION';
  const isr = members.map(({ brokerId }) => brokerId);
  const isSubset = isr.every((id) => partition.replicas.includes(id)) && new Set(isr).size === isr.length;
  if (!isSubset || !isr.includes(partition.leader)) return 'INVALID_REQUEST';
  if (asked.leaderRecoveryState !== recovered && asked.leaderRecoveryState !== recovering) return 'INVALID_REQUEST';
  if (asked.leaderRecoveryState === recovering && (isr.length > 1 || partition.leaderRecoveryState === recovered))
    return 'INVALID_REQUEST';
  const areEligible = members.every(({ brokerId, brokerEpoch }) => {
    const broker = image.brokers.get(brokerId);
    const isCurrent = brokerEpoch === -1 || brokerEpoch === broker?.epoch;
    const mayJoin = partition.isr.includes(brokerId) || !sessions.isLeaving(brokerId);
    return broker && !broker.fenced && !broker.inControlledShutdown && isCurrent && mayJoin;
  });
  return areEligible ? null : 'INELIGIBLE_REPLICA';
}

function refused({ partitionIndex }: AskedPartition, error: ErrorName): AnsweredPartition {
  const unknown = { leaderId: 0, leaderEpoch: 0, isr: [], leaderRecoveryState: recovered, partitionEpoch: 0 };
  return { partitionIndex, errorCode: errors[error].code, ...unknown };
}

function answered(partitionIndex: number, partition: PartitionState): AnsweredPartition {
  const { leader: leaderId, leaderEpoch, isr, leaderRecoveryState, partitionEpoch } = partition;
  return { partitionIndex, errorCode: 0, leaderId, leaderEpoch, isr: [...isr], leaderRecoveryState, partitionEpoch };
}
