import { KafkaError } from '@ottla/protocol';
import { type AcknowledgementBatch, AcknowledgeType } from './acknowledge-type.ts';
import { type AcquiredRange, type AcquireRequest, acquireRecords, type OffsetRange } from './acquire-records.ts';
import type { GroupSharing } from './group-sharing.ts';
import { InFlightRuns, isTerminal, lengthOf, RecordState, type Run } from './in-flight-runs.ts';
import { type DeathCause, type StateBatch, StateChange } from './state-change.ts';

/** What the share coordinator kept of a partition; `startOffset` is known. */
export type LoadedState = {
  readonly stateEpoch: number;
  readonly startOffset: number;
  readonly stateBatches: readonly StateBatch[];
};

/** How long dead letters that could not be written are left alone. */
const DEAD_LETTER_RETRY_MS = 1000;
const NEVER = Number.POSITIVE_INFINITY;

/**
 * A partition as one share group consumes it (KIP-932): which of its records are with whom, and how often they were delivered. It lives
 * on the partition's leader, and decides everything by itself: time comes in, changes to persist go out.
 *
 * Each offset below `startOffset` is done with, none from `endOffset` on was delivered yet, and between them `InFlightRuns` says how each
 * fares. What a member asks for happens in two steps, as it may be acknowledged only when it cannot be lost any more: `acknowledge` and
 * `release` give a `StateChange` and bar its records, `complete` makes it so, `fail` gives the records back to the member. A lock that
 * ends makes its records available at once: should that be lost, they are available anyway after a load.
 *
 * Invariant: startOffset <= every run <= endOffset; the first run is not done with, unless it is being written.
 */
export class SharePartition {
  readonly #runs = new InFlightRuns();
  readonly stateEpoch: number;
  #startOffset: number;
  #endOffset: number;
  /** No lock ends and no delay passes before. */
  #wakeMs = NEVER;

  /** Throws UNKNOWN_SERVER_ERROR for state that cannot be. */
  constructor({ stateEpoch, startOffset, stateBatches }: LoadedState) {
    this.stateEpoch = stateEpoch;
    this.#startOffset = startOffset;
    this.#endOffset = startOffset;
    for (const batch of stateBatches) this.#load(batch);
    this.#advanceStartOffset();
  }

  #load({ firstOffset, lastOffset, deliveryState, deliveryCount }: StateBatch): void {
    if (firstOffset < this.#endOffset || lastOffset < firstOffset)
      throw new KafkaError(
        'UNKNOWN_SERVER_ERROR',
        `the share coordinator kept offsets ${firstOffset} to ${lastOffset} where those from ${this.#endOffset} on were due`,
      );
    // What nothing is known of lies between acknowledged records: it was never delivered, or its delivery was not persisted.
    if (firstOffset > this.#endOffset) this.#addRun(this.#endOffset, firstOffset - 1, RecordState.available, 0);
    this.#addRun(firstOffset, lastOffset, deliveryState as RecordState, deliveryCount);
  }

  #addRun(firstOffset: number, lastOffset: number, state: RecordState, deliveryCount: number): void {
    const range = { firstOffset, lastOffset, batchFirstOffset: firstOffset, batchLastOffset: lastOffset };
    this.#runs.push({ ...range, state, deliveryCount, memberId: '', lockUntilMs: NEVER, availableAtMs: 0, change: undefined });
    this.#endOffset = lastOffset + 1;
  }

  get startOffset(): number {
    return this.#startOffset;
  }

  get endOffset(): number {
    return this.#endOffset;
  }

  get runs(): readonly Readonly<Run>[] {
    return this.#runs.all;
  }

  /** When `wake` is to be called; Infinity for never. */
  get wakeMs(): number {
    return this.#wakeMs;
  }

  /** Of the records in flight, those that are done with but for the ones before them. */
  get deliveryCompleteCount(): number {
    let count = 0;
    for (const run of this.#runs.all) if (isTerminal(run)) count += lengthOf(run);
    return count;
  }

  /** The offset at which the next fetch reads: the first one that somebody may have. */
  nextFetchOffset(nowMs: number): number {
    for (const run of this.#runs.all) if (isAvailable(run, nowMs)) return run.firstOffset;
    return this.#endOffset;
  }

  /** Whether somebody may have records from `nextFetchOffset` on, if the log has any there. */
  canAcquire(nextFetchOffset: number, { maxRecordLocks }: GroupSharing): boolean {
    return nextFetchOffset < this.#endOffset || this.#endOffset - this.#startOffset < maxRecordLocks;
  }

  /** The log lost what lies before: nobody can deliver it any more. */
  onLogStartOffset(logStartOffset: number): void {
    if (logStartOffset <= this.#startOffset) return;
    this.#runs.dropBefore(logStartOffset);
    this.#startOffset = logStartOffset;
    this.#endOffset = Math.max(this.#endOffset, logStartOffset);
    this.#advanceStartOffset();
  }

  /**
   * Gives a member records of what was read at `nextFetchOffset`. They are his until he acknowledges or releases them, or the lock's time
   * is over. `aborted`: of the batches read, those of aborted transactions, which nobody gets.
   */
  acquire(request: AcquireRequest, aborted: readonly OffsetRange[] = []): AcquiredRange[] {
    const baseOffset = request.batches.baseOffsets[0] ?? request.fetchOffset;
    if (baseOffset > request.fetchOffset) this.#archiveLost(request.fetchOffset, baseOffset - 1);
    const lockUntilMs = request.nowMs + request.sharing.lockDurationMs;
    const { acquired, newRanges } = acquireRecords(this.#runs, this.#startOffset, this.#endOffset, request);
    for (const { firstOffset, lastOffset } of newRanges) {
      if (this.#runs.isEmpty) this.#startOffset = firstOffset;
      this.#addRun(firstOffset, lastOffset, RecordState.available, 0);
    }
    for (const range of acquired) {
      this.#each(range.firstOffset, range.lastOffset, (run) => {
        run.state = RecordState.acquired;
        run.deliveryCount += 1;
        run.memberId = request.memberId;
        run.lockUntilMs = lockUntilMs;
      });
      this.#runs.mergeAround(range.firstOffset, range.lastOffset);
    }
    if (acquired.length > 0) this.#wakeAt(lockUntilMs);
    if (aborted.length === 0) return acquired;
    return this.#withoutAborted(acquired, aborted);
  }

  /** The batches read begin further on than where was read: what lies between has been compacted away. */
  #archiveLost(firstOffset: number, lastOffset: number): void {
    this.#each(firstOffset, lastOffset, (run) => {
      if (run.state === RecordState.available && !run.change) settle(run, RecordState.archived);
    });
    this.#runs.mergeAround(firstOffset, lastOffset);
    this.#advanceStartOffset();
  }

  #withoutAborted(acquired: readonly AcquiredRange[], aborted: readonly OffsetRange[]): AcquiredRange[] {
    for (const { firstOffset, lastOffset } of aborted) {
      if (lastOffset < this.#startOffset) continue;
      this.#each(firstOffset, lastOffset, (run) => {
        if (run.state === RecordState.acquired && !run.change) settle(run, RecordState.archived);
      });
      this.#runs.mergeAround(firstOffset, lastOffset);
    }
    this.#advanceStartOffset();
    let left = [...acquired];
    for (const { firstOffset, lastOffset } of aborted) {
      left = left.flatMap((range) => {
        if (range.lastOffset < firstOffset || range.firstOffset > lastOffset) return [range];
        const before = { ...range, lastOffset: firstOffset - 1 };
        const after = { ...range, firstOffset: lastOffset + 1 };
        return [before, after].filter((part) => part.firstOffset <= part.lastOffset);
      });
    }
    return left;
  }

  /**
   * What a member says became of records that he holds. All of it, or nothing: throws INVALID_RECORD_STATE when he does not hold one of
   * them, INVALID_REQUEST when one was never delivered. Offsets that are done with by themselves (the log lost them) are passed over.
   */
  acknowledge(memberId: string, batches: readonly AcknowledgementBatch[], sharing: GroupSharing, nowMs: number): StateChange {
    let lastOffset = -1;
    for (const batch of batches) {
      if (batch.firstOffset <= lastOffset || batch.lastOffset < batch.firstOffset)
        throw new KafkaError('INVALID_RECORD_STATE', `offset ${batch.firstOffset} is acknowledged twice, or out of order`);
      lastOffset = batch.lastOffset;
      if (batch.lastOffset >= this.#startOffset) this.#requireHeld(memberId, batch, sharing);
    }
    const change = new StateChange();
    for (const batch of batches) {
      for (const { firstOffset, lastOffset, type } of rangesOfOneType(batch, this.#startOffset)) {
        if (type === AcknowledgeType.renew) this.#renew(firstOffset, lastOffset, nowMs + sharing.lockDurationMs);
        else this.#each(firstOffset, lastOffset, (run) => this.#begin(change, run, type, sharing, nowMs));
      }
    }
    return change;
  }

  #requireHeld(
    memberId: string,
    { firstOffset, lastOffset, acknowledgeTypes }: AcknowledgementBatch,
    sharing: GroupSharing,
  ): void {
    if (this.#runs.isEmpty)
      throw new KafkaError('INVALID_RECORD_STATE', `no record from offset ${firstOffset} on is with anybody`);
    if (lastOffset >= this.#endOffset)
      throw new KafkaError(
        'INVALID_REQUEST',
        `records were delivered up to offset ${this.#endOffset - 1}, not up to ${lastOffset}`,
      );
    if (!sharing.isRenewEnabled && acknowledgeTypes.includes(AcknowledgeType.renew))
      throw new KafkaError('INVALID_RECORD_STATE', 'this group does not renew locks: see share.renew.acknowledge.enable');
    for (let index = this.#runs.indexFrom(Math.max(firstOffset, this.#startOffset)); ; index++) {
      const run = this.#runs.at(index);
      if (!run || run.firstOffset > lastOffset) return;
      if (run.change)
        throw new KafkaError('INVALID_RECORD_STATE', `what became of offset ${run.firstOffset} is being written already`);
      if (run.state !== RecordState.acquired || run.memberId !== memberId)
        throw new KafkaError(
          'INVALID_RECORD_STATE',
          `offset ${run.firstOffset} is not with member ${memberId}: its lock may be over`,
        );
    }
  }

  #renew(firstOffset: number, lastOffset: number, lockUntilMs: number): void {
    this.#each(firstOffset, lastOffset, (run) => {
      run.lockUntilMs = lockUntilMs;
    });
    this.#runs.mergeAround(firstOffset, lastOffset);
    this.#wakeAt(lockUntilMs);
  }

  #begin(change: StateChange, run: Run, type: number, sharing: GroupSharing, nowMs: number): void {
    if (type === AcknowledgeType.accept) run.state = RecordState.acknowledged;
    else if (type === AcknowledgeType.gap) run.state = RecordState.archived;
    else if (type === AcknowledgeType.reject) run.state = buried(change, run, 'rejected', sharing);
    else if (run.deliveryCount >= sharing.deliveryCountLimit)
      run.state = buried(change, run, 'delivery count limit reached', sharing);
    else {
      run.state = RecordState.available;
      run.availableAtMs = nowMs + sharing.redeliveryDelayMs;
    }
    run.change = change;
    record(change, run);
  }

  /** Everything that a member holds goes back: he left, closed his session, or is gone. */
  release(memberId: string, sharing: GroupSharing, nowMs: number): StateChange {
    const change = new StateChange();
    for (const run of this.#runs.all) {
      if (run.state !== RecordState.acquired || run.memberId !== memberId || run.change) continue;
      this.#begin(change, run, AcknowledgeType.release, sharing, nowMs);
    }
    return change;
  }

  /**
   * Takes back records whose lock is over. A change that needs no dead letters is true already; it is still to be written, and then
   * completed. Whether anything became available, also because its delay is over, `nextFetchOffset` says.
   */
  wake(sharing: GroupSharing, nowMs: number): StateChange {
    const change = new StateChange();
    if (nowMs < this.#wakeMs) return change;
    for (const run of this.#runs.all) {
      if (run.state !== RecordState.acquired || run.change || run.lockUntilMs > nowMs) continue;
      if (run.deliveryCount < sharing.deliveryCountLimit) {
        settle(run, RecordState.available);
        run.availableAtMs = nowMs + sharing.redeliveryDelayMs;
      } else {
        const state = buried(change, run, 'delivery count limit reached', sharing);
        settle(run, state);
        if (state === RecordState.archiving) run.change = change;
      }
      record(change, run);
    }
    if (!change.isEmpty) this.#runs.mergeAround(change.firstOffset, change.lastOffset);
    this.#advanceStartOffset();
    this.#findWake(nowMs);
    return change;
  }

  /** The change is kept. */
  complete(change: StateChange, nowMs: number): void {
    this.#each(change.firstOffset, change.lastOffset, (run) => {
      if (run.change !== change) return;
      settle(run, run.state === RecordState.archiving ? RecordState.archived : run.state);
      if (run.state === RecordState.available && run.availableAtMs > nowMs) this.#wakeAt(run.availableAtMs);
    });
    this.#runs.mergeAround(change.firstOffset, change.lastOffset);
    this.#advanceStartOffset();
  }

  /** The change is not kept: its records are as before, or as they would be by now. */
  fail(change: StateChange, sharing: GroupSharing, nowMs: number): void {
    this.#each(change.firstOffset, change.lastOffset, (run) => {
      if (run.change !== change) return;
      run.change = undefined;
      run.availableAtMs = 0;
      const isHeld = run.memberId !== '' && run.lockUntilMs > nowMs;
      const isDead = run.deliveryCount >= sharing.deliveryCountLimit;
      if (!isHeld && !isDead) settle(run, RecordState.available);
      else if (!isHeld && sharing.deadLetterTopic === '') settle(run, RecordState.archived);
      else {
        run.state = RecordState.acquired;
        if (!isHeld) {
          // Nobody's, and its letter is written when this lock is over.
          run.memberId = '';
          run.lockUntilMs = nowMs + DEAD_LETTER_RETRY_MS;
        }
        this.#wakeAt(run.lockUntilMs);
      }
    });
    this.#runs.mergeAround(change.firstOffset, change.lastOffset);
    this.#advanceStartOffset();
  }

  /** Each run in the range, cut to it. */
  #each(firstOffset: number, lastOffset: number, action: (run: Run) => void): void {
    for (let index = this.#runs.indexFrom(firstOffset); ; index++) {
      const run = this.#runs.at(index);
      if (!run || run.firstOffset > lastOffset) return;
      index = this.#runs.isolate(index, firstOffset, lastOffset);
      action(this.#runs.at(index)!);
    }
  }

  #advanceStartOffset(): void {
    let done = 0;
    for (const run of this.#runs.all) {
      if (!isTerminal(run) || run.change) break;
      done++;
    }
    const next = this.#runs.at(done);
    if (done === 0 && next) {
      this.#startOffset = Math.max(this.#startOffset, next.firstOffset);
      return;
    }
    this.#startOffset = next?.firstOffset ?? this.#endOffset;
    this.#runs.dropBefore(this.#startOffset);
  }

  #wakeAt(ms: number): void {
    this.#wakeMs = Math.min(this.#wakeMs, ms);
  }

  #findWake(nowMs: number): void {
    this.#wakeMs = NEVER;
    for (const run of this.#runs.all) {
      if (run.change) continue;
      if (run.state === RecordState.acquired) this.#wakeAt(run.lockUntilMs);
      else if (run.state === RecordState.available && run.availableAtMs > nowMs) this.#wakeAt(run.availableAtMs);
    }
  }

  /** Throws when what must always hold does not. For tests. */
  assertInvariants(): void {
    let offset = this.#startOffset;
    for (const run of this.#runs.all) {
      if (run.firstOffset < offset || run.lastOffset < run.firstOffset)
        throw new Error(`a run out of place at ${run.firstOffset}`);
      if (run.state === RecordState.archiving && !run.change) throw new Error(`nobody archives ${run.firstOffset}`);
      if (run.state === RecordState.acquired && !run.change && run.lockUntilMs < this.#wakeMs)
        throw new Error(`nobody will end the lock of ${run.firstOffset}`);
      offset = run.lastOffset + 1;
    }
    if (offset > this.#endOffset) throw new Error(`runs beyond the end offset ${this.#endOffset}`);
    const first = this.#runs.at(0);
    if (first && isTerminal(first) && !first.change) throw new Error(`the start offset ${this.#startOffset} should have moved`);
  }
}

export function isAvailable(run: Run, nowMs: number): boolean {
  return run.state === RecordState.available && !run.change && run.availableAtMs <= nowMs;
}

/** Nobody holds the records from here on. */
function settle(run: Run, state: RecordState): void {
  run.state = state;
  run.change = undefined;
  run.memberId = '';
  run.lockUntilMs = NEVER;
  if (state !== RecordState.available) run.availableAtMs = 0;
}

/** With a dead-letter topic records stay on the way there until they have arrived. */
function buried(change: StateChange, run: Run, cause: DeathCause, { deadLetterTopic }: GroupSharing): RecordState {
  if (deadLetterTopic === '') return RecordState.archived;
  const { firstOffset, lastOffset, deliveryCount } = run;
  change.deadLetters.push({ firstOffset, lastOffset, deliveryCount, cause });
  return RecordState.archiving;
}

function record(change: StateChange, { firstOffset, lastOffset, state, deliveryCount }: Run): void {
  change.add(firstOffset, lastOffset, state === RecordState.archiving ? RecordState.archived : state, deliveryCount);
}

function* rangesOfOneType(
  { firstOffset, lastOffset, acknowledgeTypes }: AcknowledgementBatch,
  startOffset: number,
): Generator<OffsetRange & { type: number }> {
  const typeAt = (offset: number) =>
    acknowledgeTypes.length === 1 ? acknowledgeTypes[0]! : acknowledgeTypes[offset - firstOffset]!;
  const from = Math.max(firstOffset, startOffset);
  if (acknowledgeTypes.length === 1) {
    if (from <= lastOffset) yield { firstOffset: from, lastOffset, type: acknowledgeTypes[0]! };
    return;
  }
  for (let first = from; first <= lastOffset; ) {
    const type = typeAt(first);
    let last = first;
    while (last < lastOffset && typeAt(last + 1) === type) last++;
    yield { firstOffset: first, lastOffset: last, type };
    first = last + 1;
  }
}
