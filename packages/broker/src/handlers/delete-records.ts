import { DeleteRecords, type DeleteRecordsRequest, KafkaError } from '@ottla/protocol';
import { isInternalTopic } from '../internal-topics.ts';
import { handler, orFailure } from './handler.ts';

/** DeleteRecords: moves the logStartOffset up, so that what lies before is gone for every reader (KIP-107). */
export const deleteRecords = handler(DeleteRecords, (request, { broker }) => {
  const topics = [...lastWishes(request)].map(([name, offsets]) => ({
    name,
    partitions: [...offsets].map(([partitionIndex, offset]) =>
      orFailure(
        () => {
          if (!broker.metadata.hasPartition(name, partitionIndex))
            throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no partition ${name}-${partitionIndex}`);
          if (isInternalTopic(name))
            throw new KafkaError('INVALID_TOPIC_EXCEPTION', `records of the internal topic ${name} cannot be deleted`);
          const policies = broker.config.log(name).cleanupPolicy;
          if (policies.length > 0 && !policies.includes('delete')) {
            throw new KafkaError(
              'POLICY_VIOLATION',
              `records of ${name} cannot be deleted: its cleanup.policy does not contain delete`,
            );
          }
          return {
            partitionIndex,
            lowWatermark: broker.partitions.leader(name, partitionIndex).deleteRecordsBefore(offset),
            errorCode: 0,
          };
        },
        ({ errorCode }) => ({ partitionIndex, lowWatermark: -1, errorCode }),
      ),
    ),
  }));
  broker.logManager.checkpointLogStartOffsets();
  return { topics };
});

/** The offset for each partition, by topic: of a partition named twice the last one counts. */
function lastWishes({ topics }: DeleteRecordsRequest): Map<string, Map<number, number>> {
  const wishes = new Map<string, Map<number, number>>();
  for (const { name, partitions } of topics) {
    const offsets = wishes.get(name) ?? new Map<number, number>();
    wishes.set(name, offsets);
    for (const { partitionIndex, offset } of partitions) offsets.set(partitionIndex, offset);
  }
  return wishes;
}
