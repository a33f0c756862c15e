import { batchesOf, readControlRecord } from '@ottla/protocol';
import { type Voter, VoterSet } from '@ottla/raft';
import type { Log } from '@ottla/storage';
import type { SnapshotContent } from './snapshot-content.ts';

/** What log and snapshots say about who votes. */
export type RecordedQuorum = {
  /** 0 when nothing says otherwise. */
  readonly kRaftVersion: number;
  readonly voters: VoterSet;
  /** Of the voters record in the log, or the end of the snapshot that has it; -1 when only `format` or the configuration names them. */
  readonly votersOffset: number;
};

type Sources = {
  readonly staticVoters: readonly Voter[];
  /** Of the bootstrap snapshot, and of the newest real one. */
  readonly bootstrap: SnapshotContent | undefined;
  readonly snapshot: (SnapshotContent & { readonly endOffset: number }) | undefined;
  readonly log: Log;
};

/** The newest word counts, committed or not: a voter set is in force from its append on (KIP-853). */
export function readRecordedQuorum({ staticVoters, bootstrap, snapshot, log }: Sources): RecordedQuorum {
  let kRaftVersion = bootstrap?.kRaftVersion ?? 0;
  let voters = bootstrap?.voters;
  let votersOffset = -1;
  if (snapshot) {
    kRaftVersion = snapshot.kRaftVersion ?? kRaftVersion;
    if (snapshot.voters) [voters, votersOffset] = [snapshot.voters, snapshot.endOffset];
  }
  for (const batch of batchesFrom(log, Math.max(log.logStartOffset, snapshot?.endOffset ?? 0))) {
    if (!batch.isControl) continue;
    for (const record of batch.records()) {
      const control = readControlRecord(record);
      if (control.type === 'kraftVersion') kRaftVersion = control.value.kRaftVersion;
      if (control.type === 'kraftVoters') [voters, votersOffset] = [VoterSet.fromRecord(control.value), record.offset];
    }
  }
  if (kRaftVersion === 0) return { kRaftVersion, voters: new VoterSet(staticVoters), votersOffset: -1 };
  return { kRaftVersion, voters: voters ?? new VoterSet([]), votersOffset };
}

/** All batches of a log from `startOffset` on, read in pieces of a megabyte. A batch is valid until the next is asked for. */
export function* batchesFrom(log: Log, startOffset: number, endOffset = log.logEndOffset) {
  let nextOffset = startOffset;
  while (nextOffset < endOffset) {
    const { records } = log.read({ startOffset: nextOffset, maxBytes: 1024 * 1024, endOffset, minOneBatch: true });
    const before = nextOffset;
    for (const batch of batchesOf(records)) {
      if (batch.lastOffset < startOffset) continue;
      nextOffset = batch.nextOffset;
      yield batch;
    }
    if (nextOffset === before) return;
  }
}
