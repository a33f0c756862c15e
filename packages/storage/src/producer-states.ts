import type { Files, Logger } from '@ottla/runtime';
import { CorruptFileError } from './corrupt-file-error.ts';
import { type CompletedTransaction, ProducerAppend } from './producer-append.ts';
import { addProducedBatch, emptyProducerEntry, enterProducerEpoch, type ProducerEntry } from './producer-entry.ts';
import { decodeProducerSnapshot, encodeProducerSnapshot } from './producer-snapshot.ts';
import { deletedSuffix, parseSegmentFileName, segmentFileName } from './segment-files.ts';
import { TransactionVerifications } from './transaction-verifications.ts';

export type ProducerStatesOptions = {
  readonly files: Files;
  /** The partition's. */
  readonly directory: string;
  readonly logger: Logger;
  readonly producerIdExpirationMs: number;
  /** Of the files in the directory. */
  readonly names: readonly string[];
};

/**
 * The producers of one partition, for recognising repeats and gaps (KIP-98), with the transactions that are open. It holds the
 * state before `mapEndOffset`, and snapshot files of it at earlier offsets, from which it is rebuilt after a restart or a
 * truncation.
 */
export class ProducerStates {
  readonly #options: ProducerStatesOptions;
  /** Invariant: `#openTransactions` holds exactly the first offsets of the entries with an open transaction. */
  readonly #producers = new Map<number, ProducerEntry>();
  /** First offset -> producer id. */
  readonly #openTransactions = new Map<number, number>();
  /** First offset -> last offset, of transactions whose marker the high watermark has not passed. */
  readonly #unreplicatedTransactions = new Map<number, number>();
  /** Ascending. */
  #snapshotOffsets: number[];
  #unsyncedSnapshots: number[] = [];
  /** In memory only: after a restart the batches are sent, and verified, again. */
  readonly verifications = new TransactionVerifications();
  #mapEndOffset = 0;
  /** What is at or before it need not be written down again. */
  #lastSnapshotOffset = 0;

  constructor(options: ProducerStatesOptions) {
    this.#options = options;
    this.#snapshotOffsets = snapshotOffsetsAmong(options.names);
  }

  get mapEndOffset(): number {
    return this.#mapEndOffset;
  }

  /** The log went on to `offset` with records of no producer's. */
  advanceTo(offset: number): void {
    this.#mapEndOffset = offset;
  }

  get isEmpty(): boolean {
    return this.#producers.size === 0 && this.#unreplicatedTransactions.size === 0;
  }

  get entries(): ReadonlyMap<number, ProducerEntry> {
    return this.#producers;
  }

  /** The offset that read_committed readers must not pass; undefined when no transaction is in the way. */
  get firstUnstableOffset(): number | undefined {
    return smallestKey(this.#openTransactions, smallestKey(this.#unreplicatedTransactions));
  }

  /** Of the oldest transaction without a marker. */
  get firstOpenOffset(): number | undefined {
    return smallestKey(this.#openTransactions);
  }

  hasOpenTransaction(producerId: number, producerEpoch: number): boolean {
    const entry = this.#producers.get(producerId);
    return entry !== undefined && entry.producerEpoch === producerEpoch && entry.transactionFirstOffset >= 0;
  }

  prepare(producerId: number, partitionName: string): ProducerAppend {
    const current = this.#producers.get(producerId) ?? emptyProducerEntry(producerId);
    return new ProducerAppend(current, partitionName, this.verifications.get(producerId));
  }

  update({ current, updated, startedTransactions, transactional }: ProducerAppend): void {
    enterProducerEpoch(current, updated.producerEpoch);
    for (const batch of updated.batches) addProducedBatch(current, batch);
    current.coordinatorEpoch = updated.coordinatorEpoch;
    current.lastTimestamp = updated.lastTimestamp;
    current.transactionFirstOffset = updated.transactionFirstOffset;
    if (this.#producers.get(current.producerId) !== current) this.#producers.set(current.producerId, current);
    for (const batch of transactional) this.verifications.onWritten(batch);
    for (const firstOffset of startedTransactions) this.#openTransactions.set(firstOffset, current.producerId);
  }

  /** The last stable offset once the transaction is out of the way. */
  lastStableOffsetAfter(completed: CompletedTransaction): number {
    let lastStableOffset = completed.lastOffset + 1;
    for (const [firstOffset, producerId] of this.#openTransactions) {
      if (producerId !== completed.producerId) lastStableOffset = Math.min(lastStableOffset, firstOffset);
    }
    return lastStableOffset;
  }

  complete(transaction: CompletedTransaction): void {
    this.#openTransactions.delete(transaction.firstOffset);
    this.#unreplicatedTransactions.set(transaction.firstOffset, transaction.lastOffset);
  }

  /** Markers below the high watermark no longer hold readers back. */
  onHighWatermark(highWatermark: number): void {
    for (const [firstOffset, lastOffset] of this.#unreplicatedTransactions) {
      if (lastOffset < highWatermark) this.#unreplicatedTransactions.delete(firstOffset);
    }
  }

  onLogStartOffset(logStartOffset: number): void {
    this.onHighWatermark(logStartOffset);
    if (this.#mapEndOffset < logStartOffset) this.#mapEndOffset = logStartOffset;
    this.#lastSnapshotOffset = this.latestSnapshotOffset ?? logStartOffset;
  }

  removeExpired(nowMs: number, expirationMs = this.#options.producerIdExpirationMs): void {
    for (const [producerId, entry] of this.#producers) {
      if (isExpired(entry, nowMs, expirationMs)) this.#producers.delete(producerId);
    }
    this.verifications.removeExpired(nowMs, expirationMs);
  }

  /** Forgets all, and all snapshots: the log begins anew at `offset`. */
  startAt(offset: number): void {
    this.#clear();
    for (const snapshot of [...this.#snapshotOffsets]) this.#removeSnapshot(snapshot);
    this.#mapEndOffset = offset;
    this.#lastSnapshotOffset = 0;
  }

  /** Goes back to the newest snapshot inside the log, unless the state is at `logEndOffset` already. The caller replays the rest. */
  reload({ logStartOffset, logEndOffset, nowMs }: { logStartOffset: number; logEndOffset: number; nowMs: number }): void {
    for (const offset of [...this.#snapshotOffsets]) {
      if (offset > logEndOffset || offset < logStartOffset) this.#removeSnapshot(offset);
    }
    if (this.#mapEndOffset === logEndOffset) {
      this.onLogStartOffset(logStartOffset);
      return;
    }
    this.#clear();
    this.#mapEndOffset = this.#loadNewestSnapshot(nowMs) ?? logStartOffset;
    this.#lastSnapshotOffset = this.#mapEndOffset;
  }

  get latestSnapshotOffset(): number | undefined {
    return this.#snapshotOffsets.at(-1);
  }

  /** Writes the state down as of `mapEndOffset`, if that is new. Durable after `syncSnapshots`. */
  takeSnapshot(): void {
    const offset = this.#mapEndOffset;
    if (offset <= this.#lastSnapshotOffset) return;
    const file = this.#options.files.open(this.#snapshotPath(offset), 'truncate');
    try {
      file.write(encodeProducerSnapshot(this.#producers.values()), 0);
    } finally {
      file.close();
    }
    this.#snapshotOffsets.push(offset);
    this.#lastSnapshotOffset = offset;
    this.#unsyncedSnapshots.push(offset);
  }

  get hasUnsyncedSnapshots(): boolean {
    return this.#unsyncedSnapshots.length > 0;
  }

  /** The contents of the snapshots it returns are durable when it resolves; once their names are, tell `onSnapshotsDurable`. */
  async syncSnapshotsLater(): Promise<readonly number[]> {
    const { files } = this.#options;
    const offsets = this.#unsyncedSnapshots.slice();
    for (const offset of offsets) {
      const path = this.#snapshotPath(offset);
      if (!files.stat(path)) continue;
      const file = files.open(path, 'update');
      try {
        await file.syncLater();
      } finally {
        file.close();
      }
    }
    return offsets;
  }

  onSnapshotsDurable(offsets: readonly number[]): void {
    if (offsets.length > 0) this.#unsyncedSnapshots = this.#unsyncedSnapshots.filter((offset) => !offsets.includes(offset));
  }

  /** Returns whether there were any: then their names, too, have to be made durable. */
  syncSnapshots(): boolean {
    if (this.#unsyncedSnapshots.length === 0) return false;
    for (const offset of this.#unsyncedSnapshots) {
      const path = this.#snapshotPath(offset);
      if (!this.#options.files.stat(path)) continue;
      const file = this.#options.files.open(path, 'update');
      try {
        file.sync();
      } finally {
        file.close();
      }
    }
    this.#unsyncedSnapshots = [];
    return true;
  }

  /** Renames the snapshot at `offset` for delayed removal and returns its new path; undefined when there is none. */
  retireSnapshot(offset: number): string | undefined {
    if (!this.#snapshotOffsets.includes(offset)) return undefined;
    const path = this.#snapshotPath(offset);
    this.#snapshotOffsets = this.#snapshotOffsets.filter((other) => other !== offset);
    if (!this.#options.files.stat(path)) return undefined;
    this.#options.files.rename(path, path + deletedSuffix);
    return path + deletedSuffix;
  }

  /** At start: keeps the snapshots at the segments' base offsets, and of the others the newest, if it is behind them all. */
  removeStraySnapshots(baseOffsets: readonly number[]): void {
    const bases = new Set(baseOffsets);
    const lastBase = baseOffsets.at(-1) ?? -1;
    const strays = this.#snapshotOffsets.filter((offset) => !bases.has(offset));
    const kept = strays.at(-1);
    for (const offset of strays) {
      if (offset !== kept || offset < lastBase) this.#removeSnapshot(offset);
    }
  }

  #loadNewestSnapshot(nowMs: number): number | undefined {
    for (;;) {
      const offset = this.latestSnapshotOffset;
      if (offset === undefined) return undefined;
      const path = this.#snapshotPath(offset);
      try {
        for (const entry of decodeProducerSnapshot(this.#options.files.readFile(path), path)) {
          if (isExpired(entry, nowMs, this.#options.producerIdExpirationMs)) continue;
          this.#producers.set(entry.producerId, entry);
          if (entry.transactionFirstOffset >= 0) this.#openTransactions.set(entry.transactionFirstOffset, entry.producerId);
        }
        return offset;
      } catch (error) {
        if (!(error instanceof CorruptFileError)) throw error;
        this.#options.logger.warn('removed a corrupt producer snapshot', { file: path, problem: error.message });
        this.#clear();
        this.#removeSnapshot(offset);
      }
    }
  }

  #clear(): void {
    this.#producers.clear();
    this.#openTransactions.clear();
    this.#unreplicatedTransactions.clear();
  }

  #removeSnapshot(offset: number): void {
    this.#snapshotOffsets = this.#snapshotOffsets.filter((other) => other !== offset);
    this.#options.files.remove(this.#snapshotPath(offset));
  }

  #snapshotPath(offset: number): string {
    return `${this.#options.directory}/${segmentFileName(offset, '.snapshot')}`;
  }
}

function snapshotOffsetsAmong(names: readonly string[]): number[] {
  return names
    .map(parseSegmentFileName)
    .filter((name) => name?.suffix === '.snapshot')
    .map((name) => name!.offset)
    .sort((left, right) => left - right);
}

function smallestKey(map: ReadonlyMap<number, unknown>, smallest?: number): number | undefined {
  let result = smallest;
  for (const key of map.keys()) if (result === undefined || key < result) result = key;
  return result;
}

function isExpired(entry: ProducerEntry, nowMs: number, expirationMs: number): boolean {
  return entry.transactionFirstOffset < 0 && nowMs - entry.lastTimestamp >= expirationMs;
}
