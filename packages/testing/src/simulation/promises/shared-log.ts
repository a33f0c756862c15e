import type { CommittedLog } from './ledger.ts';

/** What the coordinator of a share group has written down about a partition. */
export type ShareState = {
  /** All before is done with; -1: that is not said. */
  readonly startOffset: number;
  readonly stateBatches: readonly {
    readonly firstOffset: number;
    readonly lastOffset: number;
    readonly deliveryState: number;
    readonly deliveryCount: number;
  }[];
};

/** One record with which a share group is done. */
export type ShareEnding = {
  readonly shared: SharedLog;
  readonly offset: number;
  readonly how: 'acknowledged' | 'archived' | 'passed over';
  /** How often it was delivered, as far as that was written down. */
  readonly deliveryCount: number;
};

const terminal: ReadonlyMap<number, ShareEnding['how']> = new Map([
  [2, 'acknowledged'],
  [4, 'archived'],
]);

/** A partition as a share group is done with it, by what is committed. */
export class SharedLog {
  readonly group: string;
  readonly log: CommittedLog;
  /** All before is done with. Groups of the simulator begin with the first record. */
  startOffset = 0;
  /** From `startOffset` on. */
  readonly #done = new Set<number>();
  readonly #deliveries = new Map<number, number>();

  constructor(group: string, log: CommittedLog) {
    this.group = group;
    this.log = log;
  }

  get place(): string {
    return `${this.group} ${this.log.topic}-${this.log.index}`;
  }

  /** The records with which the group is done, and was not before. */
  *take({ startOffset, stateBatches }: ShareState): Generator<ShareEnding> {
    for (const { firstOffset, lastOffset, deliveryState, deliveryCount } of stateBatches) {
      const how = terminal.get(deliveryState);
      for (let offset = Math.max(firstOffset, this.startOffset); offset <= lastOffset; offset++) {
        this.#deliveries.set(offset, Math.max(deliveryCount, this.#deliveries.get(offset) ?? 0));
        if (how) yield* this.#end(offset, how);
      }
    }
    for (; this.startOffset < startOffset; this.startOffset++) {
      yield* this.#end(this.startOffset, 'passed over');
      this.#done.delete(this.startOffset);
      this.#deliveries.delete(this.startOffset);
    }
  }

  *#end(offset: number, how: ShareEnding['how']): Generator<ShareEnding> {
    if (this.#done.has(offset)) return;
    this.#done.add(offset);
    yield { shared: this, offset, how, deliveryCount: this.#deliveries.get(offset) ?? 0 };
  }

  /** The first offset with which the group is not done, of all that is committed. Undefined: it is done with everything. */
  get firstLeft(): number | undefined {
    for (let offset = this.startOffset; offset < this.log.endOffset; offset++) if (!this.#done.has(offset)) return offset;
    return undefined;
  }
}
