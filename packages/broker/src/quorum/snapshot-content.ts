/**
 * What is in a snapshot file, and in `bootstrap.checkpoint`: record batches of magic 2 with offsets of their own, from 0.
 *
 *   control batch   SnapshotHeader (timestamp of the last record it stands for), for kraft.version 1 also KRaftVersion and KRaftVoters
 *   data batches    metadata records
 *   control batch   SnapshotFooter
 *
 * Every batch carries the snapshot's epoch as its leader epoch.
 */
import {
  BatchBuilder,
  buildControlBatch,
  type ControlRecordToWrite,
  type MetadataRecord,
  writeMetadataRecord,
} from '@ottla/protocol';
import type { VoterSet } from '@ottla/raft';
import { SnapshotReader } from './snapshot-reader.ts';

export type SnapshotHeader = {
  readonly lastContainedLogTimestampMs: number;
  /** Undefined without KRaft control records, as in a static quorum. */
  readonly kRaftVersion?: number;
  readonly voters?: VoterSet;
};

export type SnapshotContent = SnapshotHeader & { readonly records: readonly MetadataRecord[] };

type WriteOptions = SnapshotHeader & { readonly epoch: number; readonly nowMs: number; readonly maxBatchBytes?: number };

/** The batches of a snapshot, one after the other. */
export function* snapshotBatches(records: Iterable<MetadataRecord>, options: WriteOptions): Generator<Uint8Array> {
  const { epoch, nowMs, maxBatchBytes = 256 * 1024 } = options;
  const header = headerRecords(options);
  yield buildControlBatch({ records: header, timestamp: nowMs, baseOffset: 0, leaderEpoch: epoch });
  let nextOffset = header.length;
  let batch = new BatchBuilder({ baseOffset: nextOffset, leaderEpoch: epoch });
  for (const record of records) {
    const value = writeMetadataRecord(record);
    if (!batch.hasRoomFor(null, value, [], maxBatchBytes)) {
      yield batch.build();
      batch = new BatchBuilder({ baseOffset: nextOffset, leaderEpoch: epoch });
    }
    batch.append(nowMs, null, value);
    nextOffset++;
  }
  if (!batch.isEmpty) yield batch.build();
  yield buildControlBatch({
    records: [{ type: 'snapshotFooter', value: {} }],
    timestamp: nowMs,
    baseOffset: nextOffset,
    leaderEpoch: epoch,
  });
}

function headerRecords({ lastContainedLogTimestampMs, kRaftVersion, voters }: SnapshotHeader): ControlRecordToWrite[] {
  const header: ControlRecordToWrite[] = [
    { type: 'snapshotHeader', value: { lastContainedLogTimestamp: lastContainedLogTimestampMs } },
  ];
  if (kRaftVersion === undefined || kRaftVersion === 0) return header;
  header.push({ type: 'kraftVersion', value: { kRaftVersion } });
  if (voters) header.push({ type: 'kraftVoters', value: voters.toRecord() });
  return header;
}

/** A small snapshot, whole in memory. Throws CorruptSnapshotError, with the place, when the end is missing or a batch or record cannot be read. */
export function readSnapshotContent(bytes: Uint8Array): SnapshotContent {
  const read = (position: number, length: number): Uint8Array => bytes.subarray(position, position + length);
  const reader = new SnapshotReader({ size: bytes.length, read });
  return { ...reader.header, records: [...reader.records()] };
}
