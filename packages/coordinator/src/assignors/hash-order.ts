/**
 * The order in which Java's hash tables hold partitions. It means nothing, but Kafka's share group assignor deals in it, so a
 * coordinator that does too gives a group what the one before gave it.
 *
 *   hash of a partition   31 * (the topic id's 128 bits folded to 32 by xor) + partition number, in 32 bits
 *   place in the table    (hash xor hash >>> 16) modulo the table's size, a power of two
 */
import { type Uuid, uuidToBytes } from '@ottla/protocol';

export interface TopicIdPartition {
  readonly topicId: Uuid;
  readonly partition: number;
}

/** Of a table that has at least `capacity` places. Partitions with one place keep their order. */
export function inHashOrder(partitions: readonly TopicIdPartition[], capacity: number): TopicIdPartition[] {
  let size = 1;
  while (size < capacity) size *= 2;
  const topicHashes = new Map<Uuid, number>();
  for (const { topicId } of partitions) if (!topicHashes.has(topicId)) topicHashes.set(topicId, topicIdHash(topicId));
  const placeOf = ({ topicId, partition }: TopicIdPartition): number => {
    const hash = (Math.imul(31, topicHashes.get(topicId)!) + partition) | 0;
    return (hash ^ (hash >>> 16)) & (size - 1);
  };
  return partitions
    .map((partition) => ({ partition, place: placeOf(partition) }))
    .sort((one, other) => one.place - other.place)
    .map(({ partition }) => partition);
}

function topicIdHash(topicId: Uuid): number {
  const bytes = uuidToBytes(topicId);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return view.getInt32(0) ^ view.getInt32(4) ^ view.getInt32(8) ^ view.getInt32(12);
}
