import { type ErrorName, errors, KafkaError } from '@ottla/protocol';
import type { Timer, Timers } from '@ottla/runtime';
import type { LogRead, Release } from '@ottla/storage';
import type { PartitionWatcher } from '../replication/partition.ts';
import type { AcquiredRange } from './acquire-records.ts';
import { ReadBatches } from './batch-bounds.ts';
import type { Share, ShareWatcher } from './share.ts';
import type { SharedPartitionName, ShareSession } from './share-session.ts';
import type { Shares } from './shares.ts';

const EMPTY = new Uint8Array(0);

/** What a member gets of one partition. */
export type SharedRecords = {
  readonly asked: SharedPartitionName;
  readonly errorCode: number;
  readonly records: Uint8Array;
  readonly acquired: readonly AcquiredRange[];
  /** Set where a request that came to the wrong place should go. */
};

export type ShareFetchRules = {
  readonly minBytes: number;
  readonly maxWaitMs: number;
  readonly maxBytes: number;
  readonly maxRecords: number;
  readonly batchSize: number;
  readonly isRecordLimit: boolean;
  /** Where each read leaves what is to be called when nobody looks at its records any more. */
  readonly releases: Release[];
};

export type ShareFetchSurroundings = {
  readonly shares: Shares;
  readonly timers: Timers;
  /** Whoever waits for the answer: when he is gone, nobody waits. */
  readonly connection: { onClosed(callback: () => void): () => void };
};

/** Acquires now, or waits until `minBytes` are there for this member, or `maxWaitMs` have passed. */
export function fetchShared(
  around: ShareFetchSurroundings,
  session: ShareSession,
  asked: readonly SharedPartitionName[],
  rules: ShareFetchRules,
): SharedRecords[] | Promise<SharedRecords[]> {
  if (asked.length === 0) return [];
  const fetch = new ShareFetching(around, session, asked, rules);
  if (rules.maxWaitMs <= 0 && !fetch.isLoading) return fetch.acquire();
  if (fetch.isReady()) return fetch.acquire();
  return new Promise((resolve, reject) => fetch.wait({ resolve, reject }));
}

type Waiting = { readonly resolve: (records: SharedRecords[]) => void; readonly reject: (error: unknown) => void };

/**
 * One fetch. While it waits it has a place among the watchers of each partition and each share, and looks again, once in a turn, when one of
 * them has moved: whoever of a group looks first has the records, and the others go on waiting.
 */
class ShareFetching implements PartitionWatcher, ShareWatcher {
  readonly #around: ShareFetchSurroundings;
  readonly #session: ShareSession;
  readonly #asked: readonly SharedPartitionName[];
  readonly #rules: ShareFetchRules;
  /** Each share as it was opened, or why not, also if that changes meanwhile: then that is told, and the next fetch opens another. */
  readonly #opened = new Map<SharedPartitionName, Share | ErrorName>();
  #waiting: Waiting | undefined;
  #timer: Timer | undefined;
  #stopHearing: (() => void) | undefined;
  #looksSoon = false;

  constructor(
    around: ShareFetchSurroundings,
    session: ShareSession,
    asked: readonly SharedPartitionName[],
    rules: ShareFetchRules,
  ) {
    this.#around = around;
    this.#session = session;
    this.#asked = asked;
    this.#rules = rules;
  }

  #open(asked: SharedPartitionName): Share | ErrorName {
    let share = this.#opened.get(asked);
    if (!share) this.#opened.set(asked, (share = this.#around.shares.open(this.#session.groupId, asked)));
    return share;
  }

  *#shares(): Iterable<Share> {
    for (const share of this.#opened.values()) if (typeof share !== 'string') yield share;
  }

  /** Some share cannot be looked at yet, and none has anything. */
  get isLoading(): boolean {
    return this.#asked.some((asked) => {
      const share = this.#open(asked);
      return typeof share !== 'string' && share.isLoading;
    });
  }

  /** There is as much as the member waits for, or nothing to wait for. */
  isReady(): boolean {
    let bytes = 0;
    let failures = 0;
    for (const asked of this.#asked) {
      const share = this.#open(asked);
      const ready = typeof share === 'string' ? undefined : this.#bytesReady(share);
      // What is wrong is told with whatever the others have.
      if (ready === undefined) failures++;
      else bytes += ready;
    }
    return failures === this.#asked.length || bytes >= Math.max(1, this.#rules.minBytes);
  }

  /** Undefined: it cannot be read. */
  #bytesReady(share: Share): number | undefined {
    try {
      const offset = share.nextFetchOffset();
      if (offset === undefined) return 0;
      const bound = boundOf(share);
      if (offset >= share.partition.endOffsetFor(bound)) return 0;
      if (this.#rules.minBytes <= 1) return 1;
      return share.partition.bytesToRead(offset, this.#rules.maxBytes, bound);
    } catch {
      return undefined;
    }
  }

  wait(waiting: Waiting): void {
    this.#waiting = waiting;
    this.#timer = this.#around.timers.after(this.#rules.maxWaitMs, () => this.#end());
    for (const share of this.#shares()) {
      share.watch(this);
      share.partition.watch(this);
    }
    // Last, as it calls back at once if the connection is gone already.
    this.#stopHearing = this.#around.connection.onClosed(() => this.#end());
  }

  partitionChanged(): void {
    this.#lookSoon();
  }

  shareChanged(): void {
    this.#lookSoon();
  }

  /** When the turn's appends and acknowledgements are done with: one look for all of them. */
  #lookSoon(): void {
    if (this.#looksSoon || !this.#waiting) return;
    this.#looksSoon = true;
    Promise.resolve().then(() => {
      this.#looksSoon = false;
      if (!this.#session.isOpen || this.isReady()) this.#end();
    });
  }

  #end(): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    this.#waiting = undefined;
    this.#timer?.cancel();
    this.#stopHearing?.();
    for (const share of this.#shares()) {
      share.unwatch(this);
      share.partition.unwatch(this);
    }
    // Nobody above would catch what it throws: this is called by timers, and by whoever changed a partition.
    try {
      waiting.resolve(this.acquire());
    } catch (error) {
      waiting.reject(error);
    }
  }

  /** A session that is over acquires nothing: nobody would release it. */
  acquire(): SharedRecords[] {
    if (!this.#session.isOpen) return this.#asked.map((asked) => nothingOf(asked));
    const share = Math.max(1, this.#asked.filter((asked) => this.#mayHave(asked)).length);
    const rules = { maxBytes: Math.floor(this.#rules.maxBytes / share), recordsLeft: this.#rules.maxRecords, isFirst: true };
    return this.#asked.map((asked) => {
      const share = this.#open(asked);
      if (typeof share === 'string') return failedFetch(asked, share);
      try {
        return this.#acquireFrom(asked, share, rules);
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error;
        return failedFetch(asked, error.name);
      }
    });
  }

  #mayHave(asked: SharedPartitionName): boolean {
    const share = this.#open(asked);
    if (typeof share === 'string') return false;
    try {
      const offset = share.nextFetchOffset();
      return offset !== undefined && offset < share.partition.endOffsetFor(boundOf(share));
    } catch {
      return false;
    }
  }

  #acquireFrom(
    asked: SharedPartitionName,
    share: Share,
    left: { maxBytes: number; recordsLeft: number; isFirst: boolean },
  ): SharedRecords {
    const fetchOffset = share.nextFetchOffset();
    const bound = boundOf(share);
    const { partition } = share;
    if (fetchOffset === undefined || fetchOffset >= partition.endOffsetFor(bound) || left.recordsLeft <= 0)
      return nothingOf(asked);
    // A long log may lie ahead, of which only few records are to be acquired: no more is read than they are likely to take.
    for (let maxBytes = Math.min(left.maxBytes, FIRST_READ_BYTES); ; maxBytes = Math.min(left.maxBytes, maxBytes * 4)) {
      const read = partition.read(fetchOffset, maxBytes, bound, left.isFirst);
      const batches = new ReadBatches(read.records);
      const mayBeMore = maxBytes < left.maxBytes && read.records.length >= maxBytes;
      const covered = (batches.lastOffsets.at(-1) ?? fetchOffset - 1) + 1 - fetchOffset;
      const acquired = mayBeMore && covered < left.recordsLeft ? [] : this.#acquireRead(share, fetchOffset, read, batches, left);
      if (acquired.length === 0) {
        read.release?.();
        if (mayBeMore && covered < left.recordsLeft + MOST_IN_FLIGHT) continue;
        return nothingOf(asked);
      }
      if (read.release) this.#rules.releases.push(read.release);
      left.isFirst = false;
      for (const { firstOffset, lastOffset } of acquired) left.recordsLeft -= lastOffset - firstOffset + 1;
      const records = batches.between(acquired[0]!.firstOffset, acquired.at(-1)!.lastOffset);
      return { asked, errorCode: 0, records, acquired };
    }
  }

  #acquireRead(share: Share, fetchOffset: number, read: LogRead, batches: ReadBatches, left: { readonly recordsLeft: number }) {
    const isReadCommitted = boundOf(share) === 'lastStableOffset';
    const { batchSize, isRecordLimit } = this.#rules;
    const { memberId } = this.#session;
    const request = { memberId, fetchOffset, batches, maxRecords: left.recordsLeft, batchSize, isRecordLimit };
    try {
      const aborted = isReadCommitted
        ? batches.aborted(share.partition.abortedTransactions(fetchOffset, read.upperBoundOffset))
        : [];
      return share.acquire(request, aborted);
    } catch (error) {
      read.release?.();
      throw error;
    }
  }
}

/** So many records of a partition may be held at most, and so lie before one that may be acquired. */
const MOST_IN_FLIGHT = 10_000;
/** Some hundred small records. */
const FIRST_READ_BYTES = 64 * 1024;

function boundOf(share: Share): 'highWatermark' | 'lastStableOffset' {
  return share.sharing.isReadCommitted ? 'lastStableOffset' : 'highWatermark';
}

function nothingOf(asked: SharedPartitionName): SharedRecords {
  return { asked, errorCode: 0, records: EMPTY, acquired: [] };
}

function failedFetch(asked: SharedPartitionName, error: ErrorName): SharedRecords {
  return { ...nothingOf(asked), errorCode: errors[error].code };
}
