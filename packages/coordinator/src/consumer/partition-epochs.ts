import type { Uuid } from '@ottla/protocol';
import type { Assignment } from '../assignors/group-assignor.ts';

/** Partitions by topic, each with the epoch at which it was assigned to the member (KIP-1251). Never holds an empty topic. */
export type PartitionEpochs = ReadonlyMap<Uuid, ReadonlyMap<number, number>>;
type Draft = Map<Uuid, Map<number, number>>;

type Recorded = {
  readonly topicId: Uuid;
  readonly partitions: readonly number[];
  readonly assignmentEpochs: readonly number[] | null;
};

export const NO_PARTITIONS: PartitionEpochs = new Map();

/** Records of Kafka before 4.3 have no epochs: there the member's own stands for each. */
export function partitionEpochsOf(recorded: readonly Recorded[], memberEpoch: number): PartitionEpochs {
  if (recorded.length === 0) return NO_PARTITIONS;
  const otherwise = Math.max(memberEpoch, 0);
  const assigned: Draft = new Map();
  for (const { topicId, partitions, assignmentEpochs } of recorded) {
    for (const [index, partition] of partitions.entries()) {
      putPartition(assigned, topicId, partition, assignmentEpochs?.[index] ?? otherwise);
    }
  }
  return assigned;
}

export function recordedPartitions(
  assigned: PartitionEpochs,
): { topicId: Uuid; partitions: number[]; assignmentEpochs: number[] }[] {
  return [...assigned].map(([topicId, epochs]) => {
    const partitions = [...epochs.keys()].sort((left, right) => left - right);
    return { topicId, partitions, assignmentEpochs: partitions.map((partition) => epochs.get(partition)!) };
  });
}

export function partitionsByTopic(assigned: PartitionEpochs): { topicId: Uuid; partitions: number[] }[] {
  return recordedPartitions(assigned).map(({ topicId, partitions }) => ({ topicId, partitions }));
}

export function* partitionsIn(assigned: PartitionEpochs): Generator<{ topicId: Uuid; partition: number; epoch: number }> {
  for (const [topicId, epochs] of assigned) for (const [partition, epoch] of epochs) yield { topicId, partition, epoch };
}

/** All that a member has: what it is to keep, and what it has yet to give up. */
export function heldBy({
  assigned,
  revoking,
}: {
  readonly assigned: PartitionEpochs;
  readonly revoking: PartitionEpochs;
}): Assignment {
  const held = new Map<Uuid, number[]>();
  for (const partitions of [assigned, revoking]) {
    for (const { topicId, partition } of partitionsIn(partitions)) {
      const others = held.get(topicId);
      if (others === undefined) held.set(topicId, [partition]);
      else others.push(partition);
    }
  }
  return held;
}

export function putPartition(draft: Draft, topicId: Uuid, partition: number, epoch: number): void {
  let epochs = draft.get(topicId);
  if (epochs === undefined) draft.set(topicId, (epochs = new Map()));
  epochs.set(partition, epoch);
}

/** All of them at the same epoch. */
export function atEpoch(assignment: Assignment, epoch: number): PartitionEpochs {
  const assigned: Draft = new Map();
  for (const [topicId, partitions] of assignment)
    for (const partition of partitions) putPartition(assigned, topicId, partition, epoch);
  return assigned;
}

export function samePartitions(left: PartitionEpochs, right: PartitionEpochs): boolean {
  if (left === right) return true;
  if (left.size !== right.size) return false;
  for (const [topicId, epochs] of left) {
    const others = right.get(topicId);
    if (others === undefined || others.size !== epochs.size) return false;
    for (const [partition, epoch] of epochs) if (others.get(partition) !== epoch) return false;
  }
  return true;
}
