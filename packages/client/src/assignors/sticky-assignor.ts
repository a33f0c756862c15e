/**
 * Balanced, and of all balanced assignments one near the last (KIP-54). Members give up everything before they rejoin, so what
 * they had travels as user data:
 *
 *   array   count: int32
 *     topic        string (int16 length)
 *     partitions   count: int32, each int32
 *   generation   int32     absent from clients before Kafka 2.3
 */
import { ProtocolError, Reader, Writer } from '@ottla/protocol';
import { type Assignor, type MemberSubscription, nestedByTopic, type OwnAssignment } from './assignor.ts';
import { stickyGroup } from './sticky/claims.ts';
import { stickyAssignment } from './sticky/sticky-assignment.ts';

export const stickyAssignor: Assignor = {
  name: 'sticky',
  rebalanceProtocol: 'eager',
  userDataOf: writeStickyUserData,
  assign(members, partitionCounts, replicaRacks) {
    return stickyAssignment(stickyGroup(members, partitionCounts, memoryOf), replicaRacks);
  },
};

/** Null for a member that was never given anything. */
export function writeStickyUserData({ partitions, generationId }: OwnAssignment): Uint8Array | null {
  if (generationId < 0) return null;
  const writer = new Writer(128);
  const topics = nestedByTopic(partitions);
  writer.int32(topics.length);
  for (const { topic, partitions: numbers } of topics) {
    writer.string(topic);
    writer.int32(numbers.length);
    for (const number of numbers) writer.int32(number);
  }
  writer.int32(generationId);
  return writer.bytes();
}

/** Throws ProtocolError. */
export function readStickyUserData(bytes: Uint8Array): OwnAssignment {
  const reader = new Reader(bytes);
  const topics = Array.from({ length: reader.arrayLength(6) }, () => ({
    topic: reader.string(),
    partitions: Array.from({ length: reader.arrayLength(4) }, () => reader.int32()),
  }));
  const partitions = topics.flatMap(({ topic, partitions: numbers }) => numbers.map((partition) => ({ topic, partition })));
  return { partitions, generationId: reader.remaining >= 4 ? reader.int32() : -1 };
}

/** A member with user data that makes no sense is a new one: it must not stop the group. */
function memoryOf({ userData }: MemberSubscription): OwnAssignment {
  const nothing = { partitions: [], generationId: -1 };
  if (!userData || userData.length === 0) return nothing;
  try {
    return readStickyUserData(userData);
  } catch (error) {
    if (error instanceof ProtocolError) return nothing;
    throw error;
  }
}
