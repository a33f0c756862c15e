/**
 * The records of `__share_group_state`: an int16 record type and the key's body; an int16 version and the value's body. The key is the
 * share partition: group, topic id, partition.
 *
 *   ShareSnapshot (0)   all that is known of a share partition; a null value deletes it
 *   ShareUpdate   (1)   what has changed since the snapshot with the same epoch
 */
import { KafkaError, readShareRecord, type Uuid, writeShareRecordKey, writeShareRecordValue } from '@ottla/protocol';
import type { StateBatch } from './state-batches.ts';

/** A record whose type this version knows. */
export type ShareStateRecord = Exclude<ReturnType<typeof readShareRecord>, { type: 'unknown' }>;
export type ShareSnapshotValue = NonNullable<Extract<ShareStateRecord, { type: 'ShareSnapshot' }>['value']>;
export type ShareUpdateValue = NonNullable<Extract<ShareStateRecord, { type: 'ShareUpdate' }>['value']>;

/** A partition of a topic as one group shares it. */
export type SharePartitionKey = { readonly groupId: string; readonly topicId: Uuid; readonly partition: number };

/** As the coordinator of a share partition is looked up: the hash of this text chooses its partition of `__share_group_state`. */
export function textOfKey({ groupId, topicId, partition }: SharePartitionKey): string {
  return `${groupId}:${topicId}:${partition}`;
}

/** The share partition that such a text names. The group's id may hold colons itself. Throws INVALID_REQUEST. */
export function keyOfText(text: string): SharePartitionKey {
  const [, groupId = '', topicId = '', partition] = /^(.+):([A-Za-z0-9_-]{22})(?:==)?:([+-]?\d+)$/s.exec(text) ?? [];
  const number = Number(partition);
  if (groupId.trim() === '' || number !== (number | 0))
    throw new KafkaError('INVALID_REQUEST', `${text} names no share partition: it should be group:topicId:partition`);
  return { groupId, topicId, partition: number };
}

/** Null: a type that a later Kafka invented. It is skipped, as Kafka does. */
export function decodeShareStateRecord(key: Uint8Array, value: Uint8Array | null): ShareStateRecord | null {
  const record = readShareRecord(key, value);
  return record.type === 'unknown' ? null : record;
}

export function encodeShareStateRecord(record: ShareStateRecord): { key: Uint8Array; value: Uint8Array | null } {
  return { key: writeShareRecordKey(record), value: writeShareRecordValue(record) };
}

export function snapshotRecord(key: SharePartitionKey, snapshot: Snapshot): ShareStateRecord {
  const { snapshotEpoch, stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount } = snapshot;
  const { createTimestamp, writeTimestamp, stateBatches } = snapshot;
  const value: ShareSnapshotValue = {
    snapshotEpoch,
    stateEpoch,
    leaderEpoch,
    startOffset,
    deliveryCompleteCount,
    createTimestamp,
    writeTimestamp,
    stateBatches: [...stateBatches],
  };
  return { type: 'ShareSnapshot', version: 0, key, value };
}

export function updateRecord(key: SharePartitionKey, value: ShareUpdateValue): ShareStateRecord {
  return { type: 'ShareUpdate', version: 0, key, value };
}

export function stateTombstone(key: SharePartitionKey): ShareStateRecord {
  return { type: 'ShareSnapshot', version: -1, key, value: null };
}

type Snapshot = Omit<ShareSnapshotValue, 'stateBatches'> & { readonly stateBatches: readonly StateBatch[] };
