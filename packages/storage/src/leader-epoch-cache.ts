/**
 * Which leader epoch began at which offset, for fencing and for finding where two replicas part (KIP-101, KIP-320).
 * Kept in `leader-epoch-checkpoint`: lines `epoch startOffset`, both ascending.
 */
import { type Files, IoError } from '@ottla/runtime';
import { checkpointNumber, readCheckpoint, writeCheckpoint } from './checkpoint-file.ts';
import { CorruptFileError } from './corrupt-file-error.ts';

export const leaderEpochCheckpointName = 'leader-epoch-checkpoint';

export type EpochEntry = { readonly epoch: number; readonly startOffset: number };

/** (-1, -1) when the epoch asked for says nothing. */
export type EpochEndOffset = { readonly leaderEpoch: number; readonly endOffset: number };

export class LeaderEpochCache {
  readonly #files: Files;
  readonly #path: string;
  /** Invariant: epochs and start offsets ascend strictly. */
  #entries: EpochEntry[];

  private constructor(files: Files, path: string, entries: EpochEntry[]) {
    this.#files = files;
    this.#path = path;
    this.#entries = entries;
  }

  /** Throws CorruptFileError. */
  static open(files: Files, directory: string): LeaderEpochCache {
    const path = `${directory}/${leaderEpochCheckpointName}`;
    const entries: EpochEntry[] = [];
    for (const [epochField, offsetField] of readCheckpoint(files, path, 2)) {
      const entry = { epoch: checkpointNumber(path, epochField!), startOffset: checkpointNumber(path, offsetField!) };
      const last = entries.at(-1);
      if (last && (entry.epoch <= last.epoch || entry.startOffset < last.startOffset)) {
        throw new CorruptFileError(
          path,
          `epoch ${entry.epoch} from ${entry.startOffset} does not follow ${last.epoch} from ${last.startOffset}`,
        );
      }
      entries.push(entry);
    }
    return new LeaderEpochCache(files, path, entries);
  }

  /** With nothing in it, whatever the file held. */
  static empty(files: Files, directory: string): LeaderEpochCache {
    return new LeaderEpochCache(files, `${directory}/${leaderEpochCheckpointName}`, []);
  }

  get entries(): readonly EpochEntry[] {
    return this.#entries;
  }

  get latest(): EpochEntry | undefined {
    return this.#entries.at(-1);
  }

  get earliest(): EpochEntry | undefined {
    return this.#entries[0];
  }

  /** The epoch begins here. Entries that contradict it go. */
  assign(epoch: number, startOffset: number): void {
    if (epoch < 0 || startOffset < 0) return;
    const { latest } = this;
    if (latest && latest.epoch === epoch && startOffset >= latest.startOffset) return;
    while (this.#entries.length > 0) {
      const last = this.#entries.at(-1)!;
      if (last.epoch < epoch && last.startOffset < startOffset) break;
      this.#entries.pop();
    }
    this.#entries.push({ epoch, startOffset });
    this.#write();
  }

  /** Goes back to `entries`: the batches of later epochs could not be written. */
  restore(entries: readonly EpochEntry[]): void {
    this.#entries = entries.slice();
    try {
      this.#write();
    } catch (error) {
      // The disk is failing, and the error that led here says so. What the file has too much lies behind the log's end.
      if (!(error instanceof IoError)) throw error;
    }
  }

  /** -1 when no epoch covers it. */
  epochForOffset(offset: number): number {
    return this.#entries.findLast((entry) => entry.startOffset <= offset)?.epoch ?? -1;
  }

  /** Where the largest epoch <= `epoch` ends; `logEndOffset` ends the latest. */
  endOffsetFor(epoch: number, logEndOffset: number): EpochEndOffset {
    if (epoch === -1 || this.#entries.length === 0) return { leaderEpoch: -1, endOffset: -1 };
    if (this.latest!.epoch === epoch) return { leaderEpoch: epoch, endOffset: logEndOffset };
    const higher = this.#entries.findIndex((entry) => entry.epoch > epoch);
    if (higher < 0) return { leaderEpoch: -1, endOffset: -1 };
    return { leaderEpoch: this.#entries[higher - 1]?.epoch ?? epoch, endOffset: this.#entries[higher]!.startOffset };
  }

  /** Drops the epochs that begin at or behind `endOffset`. */
  truncateFromEnd(endOffset: number): void {
    const kept = this.#entries.filter((entry) => entry.startOffset < endOffset);
    if (kept.length === this.#entries.length) return;
    this.#entries = kept;
    this.#write();
  }

  /** Drops the epochs before the one that holds `startOffset`, which from now on begins there. */
  truncateFromStart(startOffset: number): void {
    const holder = this.#entries.findLastIndex((entry) => entry.startOffset <= startOffset);
    if (holder < 0 || (holder === 0 && this.#entries[0]!.startOffset === startOffset)) return;
    this.#entries = [{ epoch: this.#entries[holder]!.epoch, startOffset }, ...this.#entries.slice(holder + 1)];
    this.#write();
  }

  clear(): void {
    if (this.#entries.length === 0) return;
    this.#entries = [];
    this.#write();
  }

  #write(): void {
    writeCheckpoint(
      this.#files,
      this.#path,
      this.#entries.map((entry) => [entry.epoch, entry.startOffset]),
    );
  }
}
