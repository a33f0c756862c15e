/**
 * The records of `__consumer_offsets`: an int16 record type and the key's body; an int16 version and the value's body. A null value
 * deletes. Format: docs of the protocol, schemas/group-coordinator-records.json.
 */
import { readGroupRecord, writeGroupRecordKey, writeGroupRecordValue } from '@ottla/protocol';
import type { OffsetAndMetadata } from './offsets/offset-and-metadata.ts';

/** A record whose type this version knows. */
export type GroupRecord = Exclude<ReturnType<typeof readGroupRecord>, { type: 'unknown' }>;
export type GroupRecordOf<Type extends GroupRecord['type']> = Extract<GroupRecord, { type: Type }>;
export type GroupMetadataValue = NonNullable<GroupRecordOf<'GroupMetadata'>['value']>;
export type OffsetCommitValue = NonNullable<GroupRecordOf<'OffsetCommit'>['value']>;

const GROUP_METADATA_VERSION = 3;
const OFFSET_COMMIT_VERSION = 4;
/** The only version that has an expiry of its own, for OffsetCommit v2 to v4. It holds neither leader epoch nor topic id. */
const OFFSET_COMMIT_VERSION_WITH_EXPIRY = 1;

/** Null: a type that a later Kafka invented. It is skipped, as Kafka does. */
export function decodeGroupRecord(key: Uint8Array, value: Uint8Array | null): GroupRecord | null {
  const record = readGroupRecord(key, value);
  return record.type === 'unknown' ? null : record;
}

export function encodeGroupRecord(record: GroupRecord): { key: Uint8Array; value: Uint8Array | null } {
  return { key: writeGroupRecordKey(record), value: writeGroupRecordValue(record) };
}

export function offsetCommitRecord(at: OffsetKey, committed: OffsetAndMetadata): GroupRecordOf<'OffsetCommit'> {
  const { offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp, topicId } = committed;
  return {
    type: 'OffsetCommit',
    version: expireTimestamp === -1 ? OFFSET_COMMIT_VERSION : OFFSET_COMMIT_VERSION_WITH_EXPIRY,
    key: { group: at.groupId, topic: at.topic, partition: at.partition },
    value: { offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp, topicId },
  };
}

export function offsetTombstone(at: OffsetKey): GroupRecordOf<'OffsetCommit'> {
  return { type: 'OffsetCommit', version: -1, key: { group: at.groupId, topic: at.topic, partition: at.partition }, value: null };
}

export function groupMetadataRecord(groupId: string, value: GroupMetadataValue): GroupRecordOf<'GroupMetadata'> {
  return { type: 'GroupMetadata', version: GROUP_METADATA_VERSION, key: { group: groupId }, value };
}

export function groupMetadataTombstone(groupId: string): GroupRecordOf<'GroupMetadata'> {
  return { type: 'GroupMetadata', version: -1, key: { group: groupId }, value: null };
}

export type OffsetKey = { readonly groupId: string; readonly topic: string; readonly partition: number };
