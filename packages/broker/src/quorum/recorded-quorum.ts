import { batchesOf } from '@ottla/protocol';
import { QuorumHistory, type Voter, VoterSet } from '@ottla/raft';
import type { Log } from '@ottla/storage';
import type { SnapshotHeader } from './snapshot-content.ts';

type Sources = {
  readonly staticVoters: readonly Voter[];
  /** Of the bootstrap snapshot, and of the newest real one. */
  readonly bootstrap: SnapshotHeader | undefined;
  readonly snapshot: (SnapshotHeader & { readonly endOffset: number }) | undefined;
  readonly log: Log;
};

/** What log and snapshots say about who votes. The configuration counts only while nothing else does. */
export function readRecordedQuorum({ staticVoters, bootstrap, snapshot, log }: Sources): QuorumHistory {
  const kRaftVersion = bootstrap?.kRaftVersion ?? 0;
  const voters = kRaftVersion === 0 ? new VoterSet(staticVoters) : (bootstrap?.voters ?? new VoterSet([]));
  const quorum = new QuorumHistory({ voters, kRaftVersion });
  if (snapshot?.kRaftVersion !== undefined)
    quorum.startFromSnapshot(snapshot.endOffset, { voters: snapshot.voters ?? null, kRaftVersion: snapshot.kRaftVersion });
  for (const batch of batchesFrom(log, Math.max(log.logStartOffset, snapshot?.endOffset ?? 0))) quorum.addBatch(batch);
  return quorum;
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

/** Whole batches back to back, in pieces of at most `maxBytes`; a larger batch is a piece of its own. */
export function* batchesWithin(bytes: Uint8Array, maxBytes: number): Generator<Uint8Array> {
  let start = 0;
  for (const { start: batchStart, end } of batchesOf(bytes)) {
    if (end - start <= maxBytes || batchStart === start) continue;
    yield bytes.subarray(start, batchStart);
    start = batchStart;
  }
  if (start < bytes.length) yield bytes.subarray(start);
}
