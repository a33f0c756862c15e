import type { GroupSharing } from './group-sharing.ts';
import { type InFlightRuns, lengthOf, RecordState, type Run } from './in-flight-runs.ts';

/** From first to last, both included. */
export type OffsetRange = { readonly firstOffset: number; readonly lastOffset: number };

/** As a member is told of records that are his now. */
export type AcquiredRange = { readonly firstOffset: number; lastOffset: number; readonly deliveryCount: number };

/** The batches that were read, by their first and last offsets. */
export type BatchBounds = { readonly baseOffsets: readonly number[]; readonly lastOffsets: readonly number[] };

export type AcquireRequest = {
  readonly memberId: string;
  /** Where the read began. */
  readonly fetchOffset: number;
  readonly batches: BatchBounds;
  readonly maxRecords: number;
  /** How many records an acquired range should have at least, where there is more than one batch. */
  readonly batchSize: number;
  /** Exactly up to maxRecords, also in the middle of a batch (KIP-1206); else whole batches, the last of which may exceed it. */
  readonly isRecordLimit: boolean;
  readonly sharing: GroupSharing;
  readonly nowMs: number;
};

/** `newRanges` were not in flight before, and are part of `acquired`. */
export type Acquisition = { readonly acquired: AcquiredRange[]; readonly newRanges: OffsetRange[] };

/** What a member is to get of batches that were read: first what became available again, then what nobody had yet. Changes nothing. */
export function acquireRecords(runs: InFlightRuns, startOffset: number, endOffset: number, request: AcquireRequest): Acquisition {
  const { baseOffsets, lastOffsets } = request.batches;
  const nothing = { acquired: [], newRanges: [] };
  if (baseOffsets.length === 0 || request.maxRecords <= 0) return nothing;
  const readLastOffset = lastOffsets.at(-1)!;
  if (readLastOffset < startOffset) return nothing;

  const room = request.sharing.maxRecordLocks - (endOffset - startOffset);
  if (room <= 0 && request.fetchOffset >= endOffset) return nothing;
  const maxRecords = Math.min(request.maxRecords, room > 0 ? room : endOffset - request.fetchOffset);
  const lastOffset = room > 0 ? readLastOffset : Math.min(readLastOffset, endOffset - 1);

  const baseOffset = baseOffsets[0]!;
  const taking = new Taking(runs, { ...request, maxRecords, startOffset: Math.max(baseOffset, startOffset), lastOffset });
  const isDone = taking.takeInFlight();
  if (isDone || taking.count >= maxRecords || lastOffset < endOffset) return { acquired: taking.acquired, newRanges: [] };

  const newRanges = newRangesFrom(Math.max(endOffset, baseOffset), lastOffset, maxRecords - taking.count, request);
  for (const range of newRanges) taking.acquired.push({ ...range, deliveryCount: 1 });
  return { acquired: taking.acquired, newRanges };
}

type TakeRules = AcquireRequest & { readonly startOffset: number; readonly lastOffset: number };

/** Records of one batch that have failed so often that they are delivered in ever smaller parts, until the one to blame is alone. */
function throttleFrom(deliveryCountLimit: number): number {
  return Math.max(2, Math.ceil(deliveryCountLimit / 2));
}

/** One pass over the runs. The ranges taken are noted, and isolated as runs when they are made so. */
class Taking {
  readonly acquired: AcquiredRange[] = [];
  count = 0;
  readonly #runs: InFlightRuns;
  readonly #rules: TakeRules;
  /** The batch that the range taken last is of: ranges of different batches are told apart, as the client wants its batches. */
  #batchOfLast = -1;

  constructor(runs: InFlightRuns, rules: TakeRules) {
    this.#runs = runs;
    this.#rules = rules;
  }

  /** True when nothing more is to be taken, also from behind the runs. */
  takeInFlight(): boolean {
    const { startOffset, lastOffset, maxRecords } = this.#rules;
    let index = this.#runs.indexFrom(startOffset);
    while (true) {
      const run = this.#runs.at(index);
      if (!run || run.firstOffset > lastOffset) return false;
      if (this.count >= maxRecords) return true;
      const end = this.#endOfBatch(index);
      if (this.#isThrottled(index, end)) {
        // Failing records come alone, not together with others.
        if (this.count > 0) return true;
        this.#takeFew(index, end);
        if (this.count > 0) return true;
      } else this.#takeAll(index, end);
      index = end;
    }
  }

  /** The index behind the last run of the batch, or behind what was read. */
  #endOfBatch(index: number): number {
    const { batchFirstOffset } = this.#runs.at(index)!;
    let end = index + 1;
    for (; ; end++) {
      const run = this.#runs.at(end);
      if (!run || run.batchFirstOffset !== batchFirstOffset || run.firstOffset > this.#rules.lastOffset) return end;
    }
  }

  #isThrottled(from: number, end: number): boolean {
    const threshold = throttleFrom(this.#rules.sharing.deliveryCountLimit);
    for (let index = from; index < end; index++) {
      const run = this.#runs.at(index)!;
      if (run.deliveryCount >= threshold && this.#isAvailable(run)) return true;
    }
    return false;
  }

  #takeFew(from: number, end: number): void {
    const { deliveryCountLimit } = this.#rules.sharing;
    const threshold = throttleFrom(deliveryCountLimit);
    let most = this.#rules.isRecordLimit ? this.#rules.maxRecords : Number.POSITIVE_INFINITY;
    let isHalved = false;
    for (let index = from; index < end && this.count < most; index++) {
      const run = this.#runs.at(index)!;
      if (!this.#isAvailable(run)) continue;
      const isLastDelivery = deliveryCountLimit > 2 && run.deliveryCount === deliveryCountLimit - 1;
      if (isLastDelivery && this.count > 0) return;
      if (run.deliveryCount >= threshold && !isHalved) {
        isHalved = true;
        const batchLength = run.batchLastOffset - run.batchFirstOffset + 1;
        const part = Math.max(1, Math.floor(batchLength / 2 ** (run.deliveryCount - threshold + 1)));
        most = Math.min(most, Math.max(part, this.count));
        if (this.count >= most) return;
      }
      this.#take(run, isLastDelivery ? 1 : most - this.count);
      if (isLastDelivery) return;
    }
  }

  #takeAll(from: number, end: number): void {
    const { isRecordLimit, maxRecords } = this.#rules;
    for (let index = from; index < end; index++) {
      const run = this.#runs.at(index)!;
      if (!this.#isAvailable(run)) continue;
      const left = maxRecords - this.count;
      if (isRecordLimit && left <= 0) return;
      // What was never delivered is no batch of the log yet, and may be far more than was asked for.
      if (isRecordLimit) this.#take(run, left);
      else if (run.deliveryCount > 0) this.#take(run, Number.POSITIVE_INFINITY);
      else if (left > 0) this.#take(run, this.#wholeBatches(Math.max(run.firstOffset, this.#rules.startOffset), left));
    }
  }

  #wholeBatches(firstOffset: number, count: number): number {
    const lastOffset = lastOffsetOfBatchWith(firstOffset + count - 1, this.#rules.batches, this.#rules.lastOffset);
    return lastOffset - firstOffset + 1;
  }

  #take(run: Run, atMost: number): void {
    const firstOffset = Math.max(run.firstOffset, this.#rules.startOffset);
    const lastOffset = Math.min(run.lastOffset, this.#rules.lastOffset, firstOffset + atMost - 1);
    if (lastOffset < firstOffset) return;
    const deliveryCount = run.deliveryCount + 1;
    const before = this.acquired.at(-1);
    const isSameBatch = this.#batchOfLast === run.batchFirstOffset;
    if (before && isSameBatch && before.lastOffset + 1 === firstOffset && before.deliveryCount === deliveryCount)
      before.lastOffset = lastOffset;
    else this.acquired.push({ firstOffset, lastOffset, deliveryCount });
    this.#batchOfLast = run.batchFirstOffset;
    this.count += lastOffset - firstOffset + 1;
  }

  #isAvailable(run: Run): boolean {
    const { nowMs, startOffset, lastOffset } = this.#rules;
    const isInRange = run.lastOffset >= startOffset && run.firstOffset <= lastOffset;
    return isInRange && run.state === RecordState.available && !run.change && run.availableAtMs <= nowMs;
  }
}

function newRangesFrom(firstOffset: number, readLastOffset: number, count: number, request: AcquireRequest): OffsetRange[] {
  const { batches, batchSize, isRecordLimit } = request;
  if (firstOffset > readLastOffset) return [];
  if (isRecordLimit) return [{ firstOffset, lastOffset: Math.min(readLastOffset, firstOffset + count - 1) }];
  const lastOffset =
    readLastOffset - firstOffset < count
      ? readLastOffset
      : lastOffsetOfBatchWith(firstOffset + count - 1, batches, readLastOffset);
  return inPartsOf(batchSize, { firstOffset, lastOffset }, batches);
}

function inPartsOf(batchSize: number, range: OffsetRange, { baseOffsets }: BatchBounds): OffsetRange[] {
  if (lengthOf(range) <= batchSize) return [range];
  const parts: OffsetRange[] = [];
  let firstOffset = range.firstOffset;
  for (const baseOffset of baseOffsets) {
    if (baseOffset > range.lastOffset) break;
    if (baseOffset - firstOffset < batchSize || baseOffset === firstOffset) continue;
    parts.push({ firstOffset, lastOffset: baseOffset - 1 });
    firstOffset = baseOffset;
  }
  parts.push({ firstOffset, lastOffset: range.lastOffset });
  return parts;
}

/** Compaction may have taken the batch that had it: then it is the end of the one before. */
function lastOffsetOfBatchWith(offset: number, { baseOffsets, lastOffsets }: BatchBounds, readLastOffset: number): number {
  for (let index = 0; index < lastOffsets.length; index++) {
    if (lastOffsets[index]! < offset) continue;
    const lastOffset = baseOffsets[index]! > offset ? offset : lastOffsets[index]!;
    return Math.min(lastOffset, readLastOffset);
  }
  return readLastOffset;
}
