import { BatchView, type MetadataRecord, readMetadataRecord } from '@ottla/protocol';
import type { LeaderAndEpoch } from '@ottla/raft';
import { nextTurn, type Timers } from '@ottla/runtime';
import type { Log } from '@ottla/storage';
import type { CommittedBatch, MetadataListener } from './metadata-listener.ts';
import type { MetadataSnapshots } from './metadata-snapshots.ts';
import { MetadataTransactions } from './metadata-transactions.ts';
import type { PendingAppends } from './pending-appends.ts';
import { batchesFrom } from './recorded-quorum.ts';
import type { SnapshotId } from './snapshot-files.ts';

type Options = {
  readonly log: Log;
  readonly snapshots: MetadataSnapshots;
  readonly appends: PendingAppends;
  readonly timers: Timers;
  /** The listeners have heard something more. */
  readonly onTold: () => void;
  /** A listener, or the log, failed while there was still something to tell. */
  readonly onFailure: (error: unknown) => void;
};

/** After so many bytes the event loop has its turn: a node that begins with a long log must not look dead meanwhile. */
const bytesOfOneTurn = 1024 * 1024;
/** And after so many records of a snapshot. */
const recordsOfOneTurn = 1_000;

/**
 * What is committed, on its way to the listeners: each batch once, in order, and none inside a metadata transaction that has not ended. What
 * this node appended itself is told from memory, all else from the log.
 */
export class CommittedLog {
  readonly #options: Options;
  readonly #listeners: MetadataListener[] = [];
  readonly #transactions = new MetadataTransactions();
  #highWatermark = 0;
  /** Everything before it went into `#transactions`. */
  #readEndOffset = 0;
  /** Everything before it was told to the listeners; never inside a metadata transaction. */
  #appliedEndOffset = 0;
  #appliedEpoch = 0;
  #appliedTimestampMs = 0;
  #bytesSinceSnapshot = 0;
  #isTelling = false;
  #isClosed = false;
  #leader: LeaderAndEpoch = { leaderId: null, leaderEpoch: 0 };
  /** This node leads, and its listeners hear of it when they know all that earlier leaders committed. */
  #ownLead: { readonly leader: LeaderAndEpoch; readonly epochStartOffset: number } | undefined;
  /** Pieces of work that are told apart, one after the other; while there are some, what is committed waits. */
  #works = 0;
  #work: Promise<void> = Promise.resolve();
  /** How many snapshots came from leaders. */
  #restarts = 0;
  readonly #waiting: { readonly endOffset: number; readonly resolve: () => void }[] = [];

  constructor(options: Options) {
    this.#options = options;
    const { snapshots, log } = options;
    const { newest } = snapshots;
    this.#startAt(newest ?? { endOffset: log.logStartOffset, epoch: 0 });
    if (newest) this.#appliedTimestampMs = snapshots.lastContainedLogTimestampMs(newest);
  }

  get hasOpenTransaction(): boolean {
    return this.#transactions.isOpen;
  }

  get bytesSinceSnapshot(): number {
    return this.#bytesSinceSnapshot;
  }

  /** What a snapshot that is written now stands for. */
  get applied(): SnapshotId & { readonly lastContainedLogTimestampMs: number } {
    return {
      endOffset: this.#appliedEndOffset,
      epoch: this.#appliedEpoch,
      lastContainedLogTimestampMs: this.#appliedTimestampMs,
    };
  }

  onSnapshotWritten(): void {
    this.#bytesSinceSnapshot = 0;
  }

  get records(): Iterable<MetadataRecord> | undefined {
    return this.#listeners.find((each) => each.toSnapshot)?.toSnapshot?.();
  }

  /**
   * Tells the listener all that the others have heard; from then on it hears what they hear, which is nothing before. Resolves then. Rejects with
   * CorruptFileError where something of it cannot be read.
   */
  subscribe(listener: MetadataListener): Promise<void> {
    return this.#apart(async () => {
      const { snapshots, log } = this.#options;
      const { newest } = snapshots;
      const restarts = this.#restarts;
      if (!newest || (await this.#load([listener], newest)))
        await this.#tellAgain(listener, newest?.endOffset ?? log.logStartOffset, () => restarts === this.#restarts);
      if (this.#isClosed) return;
      listener.leaderChanged?.(this.#leader);
      this.#listeners.push(listener);
    });
  }

  /** What the others have heard, from the log. A snapshot of the leader that comes in between will take its place. */
  async #tellAgain(listener: MetadataListener, startOffset: number, isCurrent: () => boolean): Promise<void> {
    const { log, timers } = this.#options;
    const transactions = new MetadataTransactions();
    let nextOffset = startOffset;
    while (nextOffset < this.#readEndOffset && isCurrent() && !this.#isClosed) {
      let bytes = 0;
      const before = nextOffset;
      for (const batch of batchesFrom(log, nextOffset, this.#readEndOffset)) {
        for (const visible of transactions.pass(committed(batch))) listener.batch(visible);
        nextOffset = batch.nextOffset;
        bytes += batch.length;
        if (bytes >= bytesOfOneTurn) break;
      }
      if (nextOffset === before) return;
      if (nextOffset < this.#readEndOffset) await nextTurn(timers);
    }
  }

  /** False: it was given up, as another one is to come, or the node is about to stop. */
  async #load(listeners: readonly MetadataListener[], id: SnapshotId): Promise<boolean> {
    const { snapshots, timers } = this.#options;
    const restarts = this.#restarts;
    const lastContainedLogTimestampMs = snapshots.lastContainedLogTimestampMs(id);
    const { endOffset, epoch: leaderEpoch } = id;
    const hearing = listeners.map((each) => each.snapshot({ endOffset, leaderEpoch, lastContainedLogTimestampMs }));
    for (const slice of snapshots.slices(id, recordsOfOneTurn)) {
      for (const each of hearing) each.records(slice);
      if (slice.length === recordsOfOneTurn) await nextTurn(timers);
      if (this.#isClosed || restarts !== this.#restarts) return false;
    }
    for (const each of hearing) each.end();
    return true;
  }

  /** Work that takes many turns, in which nothing is told to listeners that is not its own. */
  #apart(work: () => Promise<void>): Promise<void> {
    this.#works++;
    const done = this.#work.then(work).finally(() => {
      this.#works--;
    });
    this.#work = done.catch(() => {});
    return done.then(() => this.#goOn());
  }

  /** Everything before the high watermark is committed. */
  advanceTo(highWatermark: number): void {
    this.#highWatermark = Math.max(this.#highWatermark, highWatermark);
    this.#tellNext();
  }

  /** Resolves when the listeners have heard everything before `endOffset`, or will hear nothing more. */
  hasHeard(endOffset: number): Promise<void> {
    if (this.#readEndOffset >= endOffset || this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => void this.#waiting.push({ endOffset, resolve }));
  }

  /** Another node leads, or nobody. */
  followLeader(leader: LeaderAndEpoch): void {
    this.#ownLead = undefined;
    this.#announce(leader);
  }

  /** This node leads: its own first batch is at `epochStartOffset`. */
  lead(leader: LeaderAndEpoch, epochStartOffset: number): void {
    // The leader before is none any more, and who does what only its own leader may must stop now.
    if (this.#leader.leaderId !== null) this.#announce({ leaderId: null, leaderEpoch: leader.leaderEpoch });
    this.#ownLead = { leader, epochStartOffset };
    this.#announceOwnLead();
  }

  /** A snapshot came from the leader and takes the place of all that was told before. It is in use, and told in the turns to come. */
  restartFrom(id: SnapshotId): void {
    this.#transactions.forget();
    this.#highWatermark = Math.max(this.#highWatermark, id.endOffset);
    const restarts = ++this.#restarts;
    this.#apart(async () => {
      if (restarts !== this.#restarts || !(await this.#load(this.#listeners, id))) return;
      this.#startAt(id);
      this.#appliedTimestampMs = this.#options.snapshots.lastContainedLogTimestampMs(id);
      this.#settleWaiting();
    }).catch((error: unknown) => this.#options.onFailure(error));
  }

  close(): void {
    this.#isClosed = true;
    this.#ownLead = undefined;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  #startAt({ endOffset, epoch }: SnapshotId): void {
    this.#readEndOffset = endOffset;
    this.#appliedEndOffset = endOffset;
    this.#appliedEpoch = epoch;
    this.#bytesSinceSnapshot = 0;
    this.#highWatermark = Math.max(this.#highWatermark, endOffset);
  }

  /** A listener may append while it is told: what that commits is told by the call under way. */
  #tellNext(): void {
    if (this.#isTelling || this.#isClosed || this.#works > 0) return;
    this.#isTelling = true;
    let isBehind: boolean;
    try {
      isBehind = this.#tellOneTurn();
    } finally {
      this.#isTelling = false;
    }
    this.#announceOwnLead();
    this.#settleWaiting();
    this.#options.onTold();
    if (isBehind) this.#options.timers.soon(() => this.#goOn());
  }

  #goOn(): void {
    try {
      this.#tellNext();
    } catch (error) {
      this.#options.onFailure(error);
    }
  }

  /** True when there is more to tell. */
  #tellOneTurn(): boolean {
    const { appends } = this.#options;
    let bytes = 0;
    while (this.#readEndOffset < this.#highWatermark) {
      if (bytes >= bytesOfOneTurn) return true;
      const own = appends.firstWritten;
      if (own?.baseOffset === this.#readEndOffset) {
        if (own.lastOffset >= this.#highWatermark) return false;
        // It stays in the list until then: if a listener throws, whoever appended it hears of that.
        bytes += this.#tell(new BatchView(own.bytes));
        appends.commitFirst();
      } else {
        const told = this.#tellFromLog(Math.min(this.#highWatermark, own?.baseOffset ?? this.#highWatermark));
        if (told === 0) return false;
        bytes += told;
      }
    }
    return false;
  }

  /** Returns the bytes told; 0: there is no whole batch. */
  #tellFromLog(endOffset: number): number {
    let bytes = 0;
    for (const batch of batchesFrom(this.#options.log, this.#readEndOffset, endOffset)) {
      if (batch.lastOffset >= endOffset) break;
      bytes += this.#tell(batch);
      if (bytes >= bytesOfOneTurn) break;
    }
    return bytes;
  }

  #tell(batch: BatchView): number {
    const { length, nextOffset } = batch;
    this.#bytesSinceSnapshot += length;
    const visible = this.#transactions.pass(committed(batch));
    this.#readEndOffset = nextOffset;
    for (const each of visible) {
      for (const listener of this.#listeners) listener.batch(each);
      this.#appliedEndOffset = each.lastOffset + 1;
      this.#appliedEpoch = each.leaderEpoch;
      this.#appliedTimestampMs = each.appendTimestampMs;
    }
    return length;
  }

  #announceOwnLead(): void {
    if (!this.#ownLead || this.#readEndOffset <= this.#ownLead.epochStartOffset) return;
    const { leader } = this.#ownLead;
    this.#ownLead = undefined;
    this.#announce(leader);
  }

  #announce(leader: LeaderAndEpoch): void {
    this.#leader = leader;
    for (const listener of this.#listeners) listener.leaderChanged?.(leader);
  }

  #settleWaiting(): void {
    for (let index = this.#waiting.length - 1; index >= 0; index--) {
      if (this.#waiting[index]!.endOffset <= this.#readEndOffset) this.#waiting.splice(index, 1)[0]!.resolve();
    }
  }
}

/** Decoded from the bytes, so that a listener hears today what it would hear after a restart. */
function committed(batch: BatchView): CommittedBatch {
  const records: MetadataRecord[] = [];
  try {
    if (!batch.isControl) for (const { value } of batch.records()) if (value) records.push(readMetadataRecord(value));
  } catch (error) {
    throw new Error(`the committed batch at offset ${batch.baseOffset} of the metadata log cannot be read`, { cause: error });
  }
  const { baseOffset, lastOffset, leaderEpoch, maxTimestamp } = batch;
  return { baseOffset, lastOffset, leaderEpoch, appendTimestampMs: maxTimestamp, records };
}
