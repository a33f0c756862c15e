import type { KafkaError } from '@ottla/protocol';
import type { RaftBatch, RaftEvent, RaftNode } from '@ottla/raft';
import type { Runtime } from '@ottla/runtime';
import type { Log } from '@ottla/storage';
import { DiskPause, isFull } from './disk-pause.ts';
import type { AppendWaiter, PendingAppends, PendingBatch } from './pending-appends.ts';
import { batchesWithin } from './recorded-quorum.ts';

type Options = {
  readonly runtime: Pick<Runtime, 'clock' | 'timers' | 'logger'>;
  /** Of the metadata log. */
  readonly directory: string;
  readonly log: Log;
  readonly raft: RaftNode;
  readonly appends: PendingAppends;
  readonly segmentBytes: number;
  /** How long what is appended waits for more, where several nodes vote. */
  readonly appendLingerMs: number;
  /** Nothing is written any more. */
  readonly hasFailed: () => boolean;
  /** What has been written, and what has reached the disk. */
  readonly onEvent: (event: RaftEvent) => void;
  /** Resolves when the listeners have heard everything before it, or will hear nothing more. */
  readonly hasHeard: (endOffset: number) => Promise<void>;
  readonly onFailure: (error: unknown) => void;
};

/**
 * Brings batches into the metadata log, and the log to the disk. Batches of one turn, and all that arrive while the disk is busy, share one write
 * and one sync.
 */
export class MetadataLogWriter {
  readonly #options: Options;
  readonly #pause: DiskPause;
  #writing: Promise<void> | undefined;
  /** A sync that began before the log was cut says nothing about what was written since. */
  #cuts = 0;
  #flushedEndOffset: number;

  constructor(options: Options) {
    this.#options = options;
    this.#pause = new DiskPause(options.runtime, options.directory);
    this.#flushedEndOffset = options.log.logEndOffset;
  }

  /** The disk is full, and was so a moment ago: it is not tried with every request. */
  get isBlocked(): boolean {
    return this.#pause.isOn;
  }

  /** What whoever wants something written is told while it `isBlocked`. */
  get refusal(): KafkaError {
    return this.#pause.refusal;
  }

  /** This node's own, as leader. */
  append(batches: readonly RaftBatch[], waiter?: AppendWaiter): void {
    const { appends, runtime } = this.#options;
    for (const batch of batches) appends.add(batch, runtime.clock.nowMs(), waiter);
    if (batches.length > 0) this.#writeSoon();
  }

  /** The leader's. Offsets and epochs are in the batches. */
  takeFetched(bytes: Uint8Array, leaderEpoch: number): void {
    const { appends, log, segmentBytes } = this.#options;
    appends.write((batch) => this.#writeOwn(batch));
    for (const piece of batchesWithin(bytes, segmentBytes)) log.append(piece, { leaderEpoch, origin: 'replication' });
    this.#writeSoon();
  }

  /** Those who wait for what is cut off are told `error`. */
  truncateTo(endOffset: number, error: unknown): void {
    const { appends, log } = this.#options;
    this.#cuts++;
    appends.truncateTo(endOffset, error);
    log.truncateTo(endOffset);
    this.#flushedEndOffset = Math.min(this.#flushedEndOffset, endOffset);
  }

  /** Behind a snapshot, of which all is on the disk. Those who wait for what was in the log are told `error`. */
  startAt(endOffset: number, error: unknown): void {
    const { appends, log } = this.#options;
    this.#cuts++;
    appends.dropAll(error);
    log.truncateFullyAndStartAt(endOffset);
    this.#flushedEndOffset = endOffset;
  }

  /** All that was to be written has reached the disk, or never will. */
  async rest(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  /** After this turn: whatever else is appended in it goes along. While a sync is under way nothing needs to be done, it looks again. */
  #writeSoon(): void {
    if (this.#writing) return;
    const { raft, appendLingerMs, runtime } = this.#options;
    const lingerMs = raft.isLeader && raft.voters.size > 1 ? appendLingerMs : 0;
    this.#writing = new Promise((done) => {
      const write = () => void this.#writeUnwritten().then(done);
      if (lingerMs > 0) runtime.timers.after(lingerMs, write);
      else runtime.timers.soon(write);
    });
  }

  async #writeUnwritten(): Promise<void> {
    const { appends, log, hasFailed, hasHeard, onEvent, onFailure } = this.#options;
    try {
      while (!hasFailed() && (appends.hasUnwritten || this.#flushedEndOffset < log.logEndOffset)) {
        const isWhole = this.#writeToLog();
        const endOffset = log.logEndOffset;
        const cuts = this.#cuts;
        onEvent({ type: 'written', endOffset });
        await log.flushLater();
        if (cuts === this.#cuts) {
          this.#flushedEndOffset = endOffset;
          onEvent({ type: 'flushed', endOffset });
        }
        if (isWhole) continue;
        // Who is refused goes back to what the listeners know, and nobody tells it anew what it had decided itself. Without the lead nothing
        // more is committed, and nobody would hear of it.
        if (this.#canWithdraw) await hasHeard(endOffset);
        if (this.#canWithdraw) this.#withdrawUnwritten();
      }
    } catch (error) {
      onFailure(error);
    } finally {
      this.#writing = undefined;
    }
  }

  /** False: the disk is full, and what it did not take is still unwritten. */
  #writeToLog(): boolean {
    try {
      this.#options.appends.write((batch) => this.#writeOwn(batch));
    } catch (error) {
      if (!isFull(error) || !this.#canWithdraw) throw error;
      this.#pause.begin(error);
      return false;
    }
    this.#pause.end();
    return true;
  }

  /** Under the epoch in which it was decided: this node may have lost the lead since, and another may not have cut it off yet. */
  #writeOwn({ bytes, baseOffset, leaderEpoch }: PendingBatch): void {
    const { firstOffset } = this.#options.log.append(bytes, { leaderEpoch, origin: 'raft' });
    if (firstOffset !== baseOffset) throw new Error(`broken invariant: a batch for offset ${baseOffset} went to ${firstOffset}`);
  }

  /** The batch that opens this node's epoch is not to be had without, and other voters may not be told two things for one offset. */
  get #canWithdraw(): boolean {
    const { raft, appends } = this.#options;
    const isOnlyVoter = raft.isLeader && raft.voters.size === 1 && raft.highWatermark > 0;
    return isOnlyVoter && appends.unwritten.every(({ isControl }) => !isControl);
  }

  /** Whoever decided it takes it back. Those that came while the others were flushed and told build on it, so they go too. */
  #withdrawUnwritten(): void {
    this.#options.onEvent({ type: 'withdraw', endOffset: this.#options.log.logEndOffset });
    this.#options.appends.withdrawUnwritten(this.#pause.refusal);
  }
}
