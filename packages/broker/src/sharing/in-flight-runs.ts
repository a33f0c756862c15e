import type { StateChange } from './state-change.ts';

/** What may be the matter with a record. The numbers are those of Kafka's persisted state; acquired and archiving are never persisted. */
export const RecordState = { available: 0, acquired: 1, acknowledged: 2, archiving: 3, archived: 4 } as const;
export type RecordState = (typeof RecordState)[keyof typeof RecordState];

/**
 * Neighbouring records that fare alike. A batch that is delivered and acknowledged as a whole is one run from first to last, however many
 * records it has.
 */
export type Run = {
  firstOffset: number;
  lastOffset: number;
  state: RecordState;
  deliveryCount: number;
  /** Who holds the records; '' for nobody. Kept while `change` is written, for that may fail. */
  memberId: string;
  /** When acquired records are taken back. */
  lockUntilMs: number;
  /** Available records are not delivered before. */
  availableAtMs: number;
  /** The range that was acquired as one: records that keep failing are looked for within it, half by half. */
  readonly batchFirstOffset: number;
  readonly batchLastOffset: number;
  /** What is being written about these records. They are nobody's to change until that is known to be kept. */
  change: StateChange | undefined;
};

export function isTerminal({ state }: Run): boolean {
  return state === RecordState.acknowledged || state === RecordState.archived || state === RecordState.archiving;
}

export function lengthOf(range: { readonly firstOffset: number; readonly lastOffset: number }): number {
  return range.lastOffset - range.firstOffset + 1;
}

/** Runs in the order of their offsets, none overlapping another. Offsets that the log no longer has may lie between them. */
export class InFlightRuns {
  readonly #runs: Run[] = [];

  get all(): readonly Run[] {
    return this.#runs;
  }

  get isEmpty(): boolean {
    return this.#runs.length === 0;
  }

  at(index: number): Run | undefined {
    return this.#runs[index];
  }

  /** The index of the first run that ends at this offset or later. */
  indexFrom(offset: number): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#runs[middle]!.lastOffset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Beyond the last one. */
  push(run: Run): void {
    this.#runs.push(run);
  }

  /** Sees to it that the run at `index` begins at `offset` if it has it. The index of what begins there. */
  splitAt(index: number, offset: number): number {
    const run = this.#runs[index];
    if (!run || run.firstOffset >= offset) return index;
    if (run.lastOffset < offset) return index + 1;
    this.#runs.splice(index + 1, 0, { ...run, firstOffset: offset });
    run.lastOffset = offset - 1;
    return index + 1;
  }

  /** Makes a run of its own of what lies in the range, and gives its index. The run at `index` must overlap the range. */
  isolate(index: number, firstOffset: number, lastOffset: number): number {
    const own = this.splitAt(index, firstOffset);
    this.splitAt(own, lastOffset + 1);
    return own;
  }

  /** Forgets everything before `offset`. */
  dropBefore(offset: number): void {
    const index = this.splitAt(this.indexFrom(offset), offset);
    if (index > 0) this.#runs.splice(0, index);
  }

  /** Makes one run of neighbours in and around the range that fare alike. */
  mergeAround(firstOffset: number, lastOffset: number): void {
    const runs = this.#runs;
    const from = Math.max(1, this.indexFrom(firstOffset));
    let kept = from;
    let index = from;
    for (; index < runs.length; index++) {
      const before = runs[kept - 1]!;
      const run = runs[index]!;
      if (before.firstOffset > lastOffset) break;
      if (fareAlike(before, run)) before.lastOffset = run.lastOffset;
      else runs[kept++] = run;
    }
    if (kept < index) runs.splice(kept, index - kept);
  }
}

function fareAlike(left: Run, right: Run): boolean {
  return (
    left.lastOffset + 1 === right.firstOffset &&
    left.state === right.state &&
    left.deliveryCount === right.deliveryCount &&
    left.change === right.change &&
    left.memberId === right.memberId &&
    left.lockUntilMs === right.lockUntilMs &&
    left.availableAtMs === right.availableAtMs &&
    left.batchFirstOffset === right.batchFirstOffset &&
    left.batchLastOffset === right.batchLastOffset
  );
}
