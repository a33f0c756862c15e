/** Offsets from first to last, both included, as the share coordinator keeps them. */
export type StateBatch = {
  readonly firstOffset: number;
  lastOffset: number;
  readonly deliveryState: number;
  readonly deliveryCount: number;
};

export type DeathCause = 'rejected' | 'delivery count limit reached';

/** Records that will not be delivered again, and are to be kept elsewhere first. */
export type DeadLetters = {
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly deliveryCount: number;
  readonly cause: DeathCause;
};

/**
 * What the share coordinator is to be told of a partition. `SharePartition.complete` or `fail` ends it, once that is known. Batches are in
 * the order of their offsets.
 */
export class StateChange {
  readonly batches: StateBatch[] = [];
  /** To be written before the change is. */
  readonly deadLetters: DeadLetters[] = [];

  get isEmpty(): boolean {
    return this.batches.length === 0;
  }

  get firstOffset(): number {
    return this.batches[0]?.firstOffset ?? 0;
  }

  get lastOffset(): number {
    return this.batches.at(-1)?.lastOffset ?? -1;
  }

  add(firstOffset: number, lastOffset: number, deliveryState: number, deliveryCount: number): void {
    const last = this.batches.at(-1);
    if (
      last &&
      last.lastOffset + 1 === firstOffset &&
      last.deliveryState === deliveryState &&
      last.deliveryCount === deliveryCount
    ) {
      last.lastOffset = lastOffset;
    } else this.batches.push({ firstOffset, lastOffset, deliveryState, deliveryCount });
  }
}
