import type { OffsetToCommit } from '../admin/group-offsets.ts';
import { partitionName } from '../topic-partition.ts';
import type { ConsumerRecord } from './consumer.ts';

type Read = Pick<ConsumerRecord, 'topic' | 'partition' | 'offset' | 'leaderEpoch'>;

/**
 * What to commit when these records are done with, for `commit` and `sendOffsetsToTransaction`: of each partition the offset after the last
 * one, and the leader epoch it is of, by which whoever goes on there is not misled by a former leader (KIP-320, KIP-1094).
 */
export function nextOffsets(records: Iterable<Read>): OffsetToCommit[] {
  const next = new Map<string, OffsetToCommit>();
  for (const { topic, partition, offset, leaderEpoch } of records) {
    const name = partitionName({ topic, partition });
    if (offset >= (next.get(name)?.offset ?? 0)) next.set(name, { topic, partition, offset: offset + 1, leaderEpoch });
  }
  return [...next.values()];
}
