import {
  type BatchView,
  batchesOf,
  KafkaError,
  type MetadataRecord,
  readControlRecord,
  readMetadataRecord,
} from '@ottla/protocol';
import { VoterSet } from '@ottla/raft';
import { CorruptFileError } from '@ottla/storage';
import type { SnapshotHeader } from './snapshot-content.ts';

/** Where the bytes of a snapshot come from. */
export type SnapshotBytes = {
  readonly size: number;
  /** Those that there are of `length` bytes from `position` on; they are not changed later. */
  read(position: number, length: number): Uint8Array;
};

/** A snapshot file does not hold what its name promises. */
export class CorruptSnapshotError extends Error {
  override readonly name = 'CorruptSnapshotError';
}

/** The error, as CorruptFileError with what to do about the file when it is a CorruptSnapshotError. */
export function asCorruptFile(error: unknown, path: string, remedy = 'move it away, or bring back a whole one'): unknown {
  if (!(error instanceof CorruptSnapshotError)) return error;
  return new CorruptFileError(path, `${error.message}: ${remedy}`);
}

/** So much of a file is in memory at a time, or one batch that is larger. */
const pieceBytes = 1024 * 1024;

/**
 * Reads a snapshot from its beginning to its end and holds a piece of it at a time: a million partitions are 120 MiB of bytes, and ten times as
 * many as objects. All of it throws CorruptSnapshotError, with the place.
 */
export class SnapshotReader {
  readonly header: SnapshotHeader;
  readonly #source: SnapshotBytes;

  constructor(source: SnapshotBytes) {
    this.#source = source;
    this.header = this.#readHeader();
  }

  /** The metadata records. What is no whole snapshot is noticed when the damage is reached, at its end at the latest. */
  *records(): Generator<MetadataRecord> {
    let at = 0;
    try {
      for (const { batch, position } of this.#batches()) {
        at = position;
        if (batch.isControl) continue;
        for (const { value } of batch.records()) if (value) yield readMetadataRecord(value);
      }
    } catch (error) {
      throw damaged(error, at, this.#source.size);
    }
  }

  /** Looks at all bytes, without decoding records. Stops after each piece, for others to have their turn. */
  *verify(): Generator<void> {
    let turnEnd = pieceBytes;
    for (const { position } of this.#batches()) {
      if (position < turnEnd) continue;
      turnEnd = position + pieceBytes;
      yield;
    }
  }

  #readHeader(): SnapshotHeader {
    try {
      for (const { batch } of this.#batches()) {
        const header = batch.isControl ? headerOf(batch) : undefined;
        if (header) return header;
        break;
      }
    } catch (error) {
      throw damaged(error, 0, this.#source.size);
    }
    throw new CorruptSnapshotError(`at byte 0 of ${this.#source.size} stands no snapshot header`);
  }

  /** Each batch with its place in the file, its checksum being right; behind the last one comes nothing, and it is the footer. */
  *#batches(): Generator<{ readonly batch: BatchView; readonly position: number }> {
    const { size } = this.#source;
    let position = 0;
    let hasFooter = false;
    let length = pieceBytes;
    try {
      while (position < size) {
        const piece = this.#source.read(position, Math.min(length, size - position));
        const pieceStart = position;
        for (const batch of batchesOf(piece)) {
          batch.ensureCrc();
          if (hasFooter) throw new CorruptSnapshotError(`at byte ${position} of ${size} something comes behind its footer`);
          hasFooter = isFooter(batch);
          yield { batch, position };
          position = pieceStart + batch.end;
        }
        if (position > pieceStart) length = pieceBytes;
        else if (length < size - position) length = Math.max(2 * length, lengthOfBatch(piece));
        else break;
      }
    } catch (error) {
      throw damaged(error, position, size);
    }
    if (hasFooter && position === size) return;
    throw new CorruptSnapshotError(`it has ${size} bytes, and does not end with a snapshot footer at byte ${position}`);
  }
}

function headerOf(batch: BatchView): SnapshotHeader | undefined {
  let header: SnapshotHeader | undefined;
  for (const record of batch.records()) {
    const control = readControlRecord(record);
    if (control.type === 'snapshotHeader') header = { lastContainedLogTimestampMs: control.value.lastContainedLogTimestamp };
    if (control.type === 'kraftVersion') header = { ...header!, kRaftVersion: control.value.kRaftVersion };
    if (control.type === 'kraftVoters') header = { ...header!, voters: VoterSet.fromRecord(control.value) };
  }
  return header;
}

/** The bytes that the first batch takes, of which not all are here. */
const lengthOfBatch = (piece: Uint8Array): number =>
  12 + new DataView(piece.buffer, piece.byteOffset, piece.byteLength).getInt32(8);

function isFooter(batch: BatchView): boolean {
  if (!batch.isControl) return false;
  for (const record of batch.records()) if (readControlRecord(record).type === 'snapshotFooter') return true;
  return false;
}

function damaged(error: unknown, position: number, size: number): unknown {
  if (!(error instanceof KafkaError)) return error;
  return new CorruptSnapshotError(`damaged at byte ${position} of ${size}: ${error.message}`);
}
