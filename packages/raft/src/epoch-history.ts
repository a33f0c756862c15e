export type EpochStart = { readonly epoch: number; readonly startOffset: number };

/** Which epochs the log's records are of: each with the offset of its first record, both growing. */
export class EpochHistory {
  #starts: EpochStart[];

  constructor(starts: readonly EpochStart[]) {
    this.#starts = [...starts];
  }

  get entries(): readonly EpochStart[] {
    return this.#starts;
  }

  /** -1 for a log that never held a record. */
  get lastEpoch(): number {
    return this.#starts.at(-1)?.epoch ?? -1;
  }

  /** Of the oldest epoch; undefined: there is none. */
  get startOffset(): number | undefined {
    return this.#starts[0]?.startOffset;
  }

  /** A record of `epoch` is at `offset`, the log's end. */
  add(epoch: number, offset: number): void {
    if (epoch > this.lastEpoch) this.#starts.push({ epoch, startOffset: offset });
  }

  /** The newest epoch that is not newer than `epoch`, and where it ends; undefined: the log knows none so old. */
  endOf(epoch: number, logEndOffset: number): { readonly epoch: number; readonly endOffset: number } | undefined {
    const index = this.#starts.findLastIndex((start) => start.epoch <= epoch);
    const start = this.#starts[index];
    return start && { epoch: start.epoch, endOffset: this.#starts[index + 1]?.startOffset ?? logEndOffset };
  }

  /** Of the record at `offset`; -1: not known. */
  epochAt(offset: number): number {
    return this.#starts.findLast(({ startOffset }) => startOffset <= offset)?.epoch ?? -1;
  }

  /** The records from `endOffset` on are gone. */
  truncateTo(endOffset: number): void {
    this.#starts = this.#starts.filter(({ startOffset }) => startOffset < endOffset);
  }

  /** The records before `logStartOffset` are gone. */
  forgetBefore(logStartOffset: number): void {
    const first = this.#starts.findLastIndex(({ startOffset }) => startOffset <= logStartOffset);
    if (first < 0) return;
    this.#starts = this.#starts.slice(first);
    this.#starts[0] = { epoch: this.#starts[0]!.epoch, startOffset: logStartOffset };
  }

  /** The log is empty and begins behind a snapshot whose last record is of `epoch`. */
  startFromSnapshot(epoch: number, endOffset: number): void {
    this.#starts = [{ epoch, startOffset: endOffset }];
  }
}
