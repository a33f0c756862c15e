import { DeleteRecords, type DeleteRecordsRequest, type DeleteRecordsResponse, KafkaError, type Writable } from '@ottla/protocol';
import { isInternalTopic } from '../internal-topics.ts';
import type { Partition } from '../replication/partition.ts';
import { handler, orFailure, type RequestContext } from './handler.ts';

type Deleted = { partitionIndex: number; lowWatermark: number; errorCode: number };

/**
 * DeleteRecords: moves the logStartOffset up, so that what lies before is gone for every reader (KIP-107). Answered when all replicas whose
 * brokers live have done so, or in time.
 */
export const deleteRecords = handler(DeleteRecords, async (request, context): Promise<Writable<DeleteRecordsResponse>> => {
  const topics = [...lastWishes(request)].map(([name, offsets]) => ({
    name,
    partitions: [...offsets].map(([index, offset]) => deleteFrom({ name, index, offset }, request.timeoutMs, context)),
  }));
  context.broker.logManager.checkpointLogStartOffsets();
  return {
    topics: await Promise.all(topics.map(async ({ name, partitions }) => ({ name, partitions: await Promise.all(partitions) }))),
  };
});

function deleteFrom(
  { name, index, offset }: { name: string; index: number; offset: number },
  timeoutMs: number,
  context: RequestContext,
): Deleted | Promise<Deleted> {
  const { broker } = context;
  return orFailure<Deleted | Promise<Deleted>>(
    () => {
      if (!broker.metadata.hasPartition(name, index))
        throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no partition ${name}-${index}`);
      if (isInternalTopic(name))
        throw new KafkaError('INVALID_TOPIC_EXCEPTION', `records of the internal topic ${name} cannot be deleted`);
      const policies = broker.config.log(name).cleanupPolicy;
      if (policies.length > 0 && !policies.includes('delete')) {
        throw new KafkaError(
          'POLICY_VIOLATION',
          `records of ${name} cannot be deleted: its cleanup.policy does not contain delete`,
        );
      }
      const partition = broker.partitions.leader(name, index);
      const target = partition.deleteRecordsBefore(offset);
      if (partition.lowWatermark >= target) return { partitionIndex: index, lowWatermark: partition.lowWatermark, errorCode: 0 };
      return whenDeleted(partition, target, timeoutMs, context);
    },
    ({ errorCode }) => ({ partitionIndex: index, lowWatermark: -1, errorCode }),
  );
}

/** The low watermark is told also when it is too late. */
function whenDeleted(partition: Partition, offset: number, timeoutMs: number, { broker }: RequestContext): Promise<Deleted> {
  return new Promise((resolve) => {
    const settle = (errorCode: number): void => {
      timer.cancel();
      const lowWatermark = partition.isLeader ? partition.lowWatermark : -1;
      resolve({ partitionIndex: partition.index, lowWatermark, errorCode });
    };
    const timer = broker.runtime.timers.after(Math.max(0, timeoutMs), () => {
      partition.unwatch(watcher);
      settle(new KafkaError('REQUEST_TIMED_OUT').code);
    });
    const watcher = partition.awaitDeletedEverywhere(offset, (error) => settle(error?.code ?? 0));
  });
}

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
