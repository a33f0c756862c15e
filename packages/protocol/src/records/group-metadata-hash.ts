/**
 * What a consumer group of the new protocol remembers of the topics it subscribes to: when the hash changes, the group
 * gets a new assignment. Both are XXH3-64, all integers little-endian.
 *
 *   topic   int8 0, int64 and int64 topic id, text name, int32 count of partitions;
 *           per partition: int32 index, then its replicas' racks in order, each as int32 length and text
 *   group   int64 hash of each topic, in the order of their names; without topics the hash is 0
 *   text    UTF-16, then int32 length in units
 */
import { type Uuid, uuidToBytes } from '../uuid.ts';
import { joinBytes } from './join-bytes.ts';
import { xxh3 } from './xxh3.ts';

export type HashedTopic = {
  name: string;
  topicId: Uuid;
  partitionCount: number;
  /** For each partition the racks of its replicas, as far as they have one, in any order. Absent: no racks. */
  racks?: readonly (readonly string[])[];
};

export function topicMetadataHash({ name, topicId, partitionCount, racks = [] }: HashedTopic): bigint {
  const id = uuidToBytes(topicId);
  const parts = [Uint8Array.of(0), id.slice(0, 8).reverse(), id.slice(8).reverse(), text(name), int32(partitionCount)];
  for (let index = 0; index < partitionCount; index++) {
    parts.push(int32(index));
    for (const rack of [...(racks[index] ?? [])].sort()) parts.push(int32(rack.length), text(rack));
  }
  return xxh3(joinBytes(parts));
}

export function groupMetadataHash(topicHashes: ReadonlyMap<string, bigint>): bigint {
  if (topicHashes.size === 0) return 0n;
  const bytes = new DataView(new ArrayBuffer(topicHashes.size * 8));
  const names = [...topicHashes.keys()].sort();
  for (const [index, name] of names.entries()) bytes.setBigInt64(index * 8, topicHashes.get(name)!, true);
  return xxh3(new Uint8Array(bytes.buffer));
}

function text(value: string): Uint8Array {
  return joinBytes([Buffer.from(value, 'utf16le'), int32(value.length)]);
}

function int32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
}
