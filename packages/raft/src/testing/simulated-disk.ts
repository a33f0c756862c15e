import { BatchBuilder, type BatchView, batchesOf, buildControlBatch } from '@ottla/protocol';
import type { FetchedBatches, RaftBatch } from '../effects.ts';
import type { ElectionState } from '../election-state.ts';
import type { EpochStart } from '../epoch-history.ts';
import { QuorumHistory } from '../quorum-history.ts';
import type { SnapshotId } from '../snapshot-id.ts';
import { VoterSet } from '../voter-set.ts';

type StoredBatch = {
  readonly bytes: Uint8Array;
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly epoch: number;
  /** Stands for all records up to its end: logs whose chains are the same there hold the same. */
  readonly chain: string;
};

type StoredSnapshot = { readonly id: SnapshotId; readonly bytes: Uint8Array };

/** What a snapshot of the simulation holds: the quorum, and one line that stands for all the records before its end. */
export type SnapshotContent = { readonly kRaftVersion: number; readonly voters: VoterSet; readonly state: string };

/** The files of one simulated node: what a crash leaves is what was synced. */
export class SimulatedDisk {
  /** What `format` said. */
  readonly formatted: { readonly voters: VoterSet; readonly kRaftVersion: number };
  batches: StoredBatch[] = [];
  startOffset = 0;
  flushedEndOffset = 0;
  electionState: ElectionState | null = null;
  snapshots: StoredSnapshot[] = [];

  constructor(formatted: { readonly voters: VoterSet; readonly kRaftVersion: number }) {
    this.formatted = formatted;
  }

  get endOffset(): number {
    return this.batches.at(-1)?.endOffset ?? this.startOffset;
  }

  get lastEpoch(): number {
    return this.batches.at(-1)?.epoch ?? this.snapshots.at(-1)?.id.epoch ?? 0;
  }

  /** Undefined: no batch ends there. */
  chainAt(endOffset: number): string | undefined {
    if (endOffset === 0) return '';
    const batch = this.batches.findLast((each) => each.endOffset === endOffset);
    if (batch) return batch.chain;
    const snapshot = this.snapshots.find(({ id }) => id.endOffset === endOffset);
    return snapshot && readSnapshot(snapshot.bytes).state;
  }

  appendOwn(batch: RaftBatch): void {
    this.#append(encode(batch));
  }

  appendFetched({ bytes, baseOffset, endOffset }: FetchedBatches): void {
    if (baseOffset !== this.endOffset) throw new Error(`batches for ${baseOffset} come to a log that ends at ${this.endOffset}`);
    this.#append(bytes.slice());
    if (this.endOffset !== endOffset) throw new Error(`batches up to ${endOffset} end at ${this.endOffset}`);
  }

  #append(bytes: Uint8Array): void {
    for (const batch of batchesOf(bytes)) {
      if (batch.baseOffset !== this.endOffset) throw new Error(`a batch at ${batch.baseOffset} comes to ${this.endOffset}`);
      this.batches.push({
        bytes: batch.bytes,
        baseOffset: batch.baseOffset,
        endOffset: batch.lastOffset + 1,
        epoch: batch.leaderEpoch,
        chain: chained(this.chainAt(batch.baseOffset)!, contentOf(batch)),
      });
    }
  }

  flush(endOffset: number): void {
    this.flushedEndOffset = Math.max(this.flushedEndOffset, Math.min(endOffset, this.endOffset));
  }

  truncateTo(endOffset: number): void {
    this.batches = this.batches.filter((batch) => batch.endOffset <= endOffset);
    if (this.endOffset !== Math.max(endOffset, this.startOffset) && this.endOffset > endOffset)
      throw new Error(`${endOffset} is inside a batch`);
    this.flushedEndOffset = Math.min(this.flushedEndOffset, endOffset);
  }

  /** Whole batches within the limits, the first however large. */
  read({ startOffset, endOffset, maxBytes }: { startOffset: number; endOffset: number; maxBytes: number }): Uint8Array {
    const wanted: Uint8Array[] = [];
    let length = 0;
    for (const batch of this.batches) {
      if (batch.endOffset <= startOffset) continue;
      if (batch.endOffset > endOffset || (wanted.length > 0 && length + batch.bytes.length > maxBytes)) break;
      wanted.push(batch.bytes);
      length += batch.bytes.length;
    }
    const bytes = new Uint8Array(length);
    let position = 0;
    for (const each of wanted) {
      bytes.set(each, position);
      position += each.length;
    }
    return bytes;
  }

  /** A power cut: of what was not synced, the batches from `keep` on are gone. */
  crash(keep: number): void {
    const unsynced = this.batches.filter(({ endOffset }) => endOffset > this.flushedEndOffset);
    const kept = unsynced[keep - 1]?.endOffset ?? this.flushedEndOffset;
    this.batches = this.batches.filter(({ endOffset }) => endOffset <= kept);
    // What is read back at the start is synced before anything else happens.
    this.flushedEndOffset = this.endOffset;
  }

  get epochs(): EpochStart[] {
    const starts: EpochStart[] = [];
    const [oldest] = this.snapshots;
    if (oldest && oldest.id.endOffset === this.startOffset)
      starts.push({ epoch: oldest.id.epoch, startOffset: this.startOffset });
    for (const { epoch, baseOffset } of this.batches)
      if (epoch > (starts.at(-1)?.epoch ?? -1)) starts.push({ epoch, startOffset: baseOffset });
    return starts;
  }

  /** As the shell reads it at a start. */
  readQuorum(): QuorumHistory {
    const quorum = new QuorumHistory(this.formatted);
    const newest = this.snapshots.at(-1);
    if (newest) quorum.startFromSnapshot(newest.id.endOffset, readSnapshot(newest.bytes));
    for (const { bytes, baseOffset } of this.batches)
      if (baseOffset >= (newest?.id.endOffset ?? 0)) for (const batch of batchesOf(bytes)) quorum.addBatch(batch);
    return quorum;
  }

  epochAt(offset: number): number {
    const batch = this.batches.find((each) => each.baseOffset <= offset && offset < each.endOffset);
    return batch?.epoch ?? this.snapshots.findLast(({ id }) => id.endOffset > offset)?.id.epoch ?? 0;
  }

  addSnapshot(id: SnapshotId, content: SnapshotContent): void {
    this.snapshots.push({ id, bytes: writeSnapshot(content) });
  }

  /** All but the newest snapshot go, and the log before that one. */
  clean(): void {
    const newest = this.snapshots.at(-1)!;
    this.snapshots = [newest];
    this.startOffset = newest.id.endOffset;
    this.batches = this.batches.filter(({ endOffset }) => endOffset > this.startOffset);
  }

  restartAt(id: SnapshotId, bytes: Uint8Array): void {
    this.batches = [];
    this.snapshots = [{ id, bytes }];
    this.startOffset = id.endOffset;
    this.flushedEndOffset = id.endOffset;
  }

  snapshot(id: SnapshotId): StoredSnapshot | undefined {
    return this.snapshots.find((each) => each.id.endOffset === id.endOffset && each.id.epoch === id.epoch);
  }
}

function encode({ baseOffset, leaderEpoch, timestampMs, ...content }: RaftBatch): Uint8Array {
  if (content.kind === 'control')
    return buildControlBatch({ records: content.records, timestamp: timestampMs, baseOffset, leaderEpoch });
  const builder = new BatchBuilder({ baseOffset, leaderEpoch });
  for (const value of content.values) builder.append(timestampMs, null, value);
  return builder.build();
}

/** Short, and good enough for a simulation. */
function chained(chain: string, content: string): string {
  let [a, b] = [0x9747b28c, 0x3c6ef372];
  for (const character of chain + content) {
    a = Math.imul(a ^ character.charCodeAt(0), 0x85ebca6b);
    b = Math.imul(b ^ character.charCodeAt(0), 0xc2b2ae35) ^ (a >>> 13);
  }
  return (a >>> 0).toString(16) + (b >>> 0).toString(16);
}

const contentOf = (batch: BatchView): string => `${batch.leaderEpoch}:${batch.isControl ? 'c' : 'd'}${batch.crc.toString(16)}`;

export function writeSnapshot({ kRaftVersion, voters, state }: SnapshotContent): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ kRaftVersion, voters: voters.voters, state }));
}

export function readSnapshot(bytes: Uint8Array): SnapshotContent {
  const { kRaftVersion, voters, state } = JSON.parse(new TextDecoder().decode(bytes));
  return { kRaftVersion, voters: new VoterSet(voters), state };
}
