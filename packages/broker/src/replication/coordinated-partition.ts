import type { CoordinatorLog } from '../coordinators/coordinator-log.ts';
import type { Partition } from './partition.ts';

const ACKS_ALL = -1;

/** A partition as the coordinator that lives in it sees it. */
export function coordinatedPartition(partition: Partition, minInsyncReplicas: () => number): CoordinatorLog {
  return {
    get logStartOffset() {
      return partition.log.logStartOffset;
    },
    get logEndOffset() {
      return partition.log.logEndOffset;
    },
    get highWatermark() {
      return partition.highWatermark;
    },
    get maxBatchBytes() {
      return Math.min(partition.log.config.maxMessageBytes, partition.log.config.segmentBytes);
    },
    // Never released: what is decoded may refer to it.
    read: (startOffset, maxBytes) => partition.read(startOffset, maxBytes, 'logEnd', true).records,
    append: (batch, options) =>
      partition.appendAsLeader(batch, { ...options, origin: 'coordinator' }, ACKS_ALL, minInsyncReplicas()).lastOffset + 1,
    whenCommitted: (endOffset) => partition.whenCommitted(endOffset),
  };
}
