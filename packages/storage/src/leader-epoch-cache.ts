/**
 * Which leader epoch began at which offset, for fencing and for finding where two replicas part (KIP-101, KIP-320).
 * Kept in `leader-epoch-checkpoint`: lines `epoch startOffset`, both ascending.
 *
 * The file is written behind: whoever moves the log's recovery point calls `persist` before, so that it holds the epochs of what is below. A
 * start after a crash reads all that lies behind again, and finds the epochs in the batches; what the file says of those offsets may be of a
 * tail that was cut off since. An epoch in which nothing was written is lost with a restart, as it is in Kafka.
 */
import type { Files } from '@ottla/runtime';
import { checkpointNumber, readCheckpoint, writeCheckpoint, writeCheckpointAside } from './checkpoint-file.ts';
import { CorruptFileError } from './corrupt-file-error.ts';

export const leaderEpochCheckpointName = 'leader-epoch-checkpoint';

export type EpochEntry = { readonly epoch: number; readonly startOffset: number };

/** (-1, -1) when the epoch asked for says nothing. */
export type EpochEndOffset = { readonly leaderEpoch: number; readonly endOffset: number };

const noEntries: readonly EpochEntry[] = [];

export class LeaderEpochCache {
  readonly #files: Files;
  /** Of the partition: its path is made when it is needed, because there are thousands of these. */
  readonly #directory: string;
  /** Never changed in place. Invariant: epochs and start offsets ascend strictly. */
  #entries: readonly EpochEntry[];
  /** What the file holds; undefined: not known. */
  #persisted: readonly EpochEntry[] | undefined;
  /** Counts the writes of the file: one under way gives way to a later one. */
  #writes = 0;

  private constructor(files: Files, directory: string, entries: readonly EpochEntry[], persisted?: readonly EpochEntry[]) {
    this.#files = files;
    this.#directory = directory;
    this.#entries = entries;
    this.#persisted = persisted;
  }

  /** Throws CorruptFileError. */
  static open(files: Files, directory: string): LeaderEpochCache {
    const path = pathIn(directory);
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
    return new LeaderEpochCache(files, directory, entries, entries);
  }

  /** With nothing in it: there is no file yet. */
  static create(files: Files, directory: string): LeaderEpochCache {
    return new LeaderEpochCache(files, directory, noEntries, noEntries);
  }

  /** With nothing in it, whatever the file holds. */
  static startOver(files: Files, directory: string): LeaderEpochCache {
    return new LeaderEpochCache(files, directory, noEntries);
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
    const last = this.#entries.findLastIndex((entry) => entry.epoch < epoch && entry.startOffset < startOffset);
    this.#entries = [...this.#entries.slice(0, last + 1), { epoch, startOffset }];
  }

  /** Goes back to `entries`: the batches of later epochs could not be written. */
  restore(entries: readonly EpochEntry[]): void {
    this.#entries = entries;
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
    this.#entries = entriesBelow(endOffset, this.#entries);
  }

  /** Drops the epochs before the one that holds `startOffset`, which from now on begins there. */
  truncateFromStart(startOffset: number): void {
    const holder = this.#entries.findLastIndex((entry) => entry.startOffset <= startOffset);
    if (holder < 0 || (holder === 0 && this.#entries[0]!.startOffset === startOffset)) return;
    this.#entries = [{ epoch: this.#entries[holder]!.epoch, startOffset }, ...this.#entries.slice(holder + 1)];
  }

  clear(): void {
    this.#entries = noEntries;
  }

  isPersisted(endOffset: number): boolean {
    return this.#unpersistedBelow(endOffset) === undefined;
  }

  /** The epochs that begin below `endOffset` are durable when it returns. Writes nothing when the file says the same of those offsets. */
  persist(endOffset: number): void {
    const entries = this.#unpersistedBelow(endOffset);
    if (!entries) return;
    this.#writes++;
    writeCheckpoint(this.#files, pathIn(this.#directory), entries.map(fieldsOf));
    this.#persisted = entries;
  }

  /**
   * Puts the file in its place without holding up the event loop. Returns what to call once the directory is durable; undefined when there
   * is nothing to write, or when it was written again meanwhile.
   */
  async persistLater(endOffset: number): Promise<(() => void) | undefined> {
    const entries = this.#unpersistedBelow(endOffset);
    if (!entries) return undefined;
    const path = pathIn(this.#directory);
    const write = ++this.#writes;
    await writeCheckpointAside(this.#files, path, entries.map(fieldsOf));
    if (write !== this.#writes) return undefined;
    this.#persisted = undefined;
    this.#files.rename(`${path}.tmp`, path);
    return () => {
      if (write === this.#writes) this.#persisted = entries;
    };
  }

  /** The file is no longer this log's: a write under way goes no further. */
  giveUpWrites(): void {
    this.#writes++;
  }

  #unpersistedBelow(endOffset: number): readonly EpochEntry[] | undefined {
    const entries = entriesBelow(endOffset, this.#entries);
    const isPersisted = this.#persisted && haveSameEntries(entries, entriesBelow(endOffset, this.#persisted));
    return isPersisted ? undefined : entries;
  }
}

const fieldsOf = ({ epoch, startOffset }: EpochEntry): [number, number] => [epoch, startOffset];

const pathIn = (directory: string): string => `${directory}/${leaderEpochCheckpointName}`;

function entriesBelow(endOffset: number, entries: readonly EpochEntry[]): readonly EpochEntry[] {
  const latest = entries.at(-1);
  return !latest || latest.startOffset < endOffset ? entries : entries.filter((entry) => entry.startOffset < endOffset);
}

function haveSameEntries(some: readonly EpochEntry[], others: readonly EpochEntry[]): boolean {
  if (some === others) return true;
  return (
    some.length === others.length &&
    some.every(({ epoch, startOffset }, at) => epoch === others[at]!.epoch && startOffset === others[at]!.startOffset)
  );
}
