/** A member of an isr that is proposed; the epoch of -1 is not known. */
export type IsrMember = { readonly brokerId: number; readonly brokerEpoch: number };

/** What the controller is asked for; `isr` is the new one. */
export type IsrProposal = {
  readonly kind: 'expand' | 'shrink';
  readonly isr: readonly IsrMember[];
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
};

/** What the controller made of a proposal. */
export type AlteredPartition = {
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  readonly isr: readonly number[];
};

/**
 * The isr as its leader knows it: what is committed, and the change that is on its way to the controller, if any. Until that is answered it may
 * have happened or not, so what counts for the high watermark is everybody who may be in the isr, and for min.insync.replicas who certainly is.
 */
export class IsrState {
  #committed: readonly number[];
  #partitionEpoch: number;
  #pending: IsrProposal | undefined;
  /** The committed isr, and who is about to join it. */
  #maximal: readonly number[];

  constructor(committed: readonly number[], partitionEpoch: number) {
    this.#committed = committed;
    this.#maximal = committed;
    this.#partitionEpoch = partitionEpoch;
  }

  get committed(): readonly number[] {
    return this.#committed;
  }

  get maximal(): readonly number[] {
    return this.#maximal;
  }

  get partitionEpoch(): number {
    return this.#partitionEpoch;
  }

  /** One change at a time. */
  get isInFlight(): boolean {
    return this.#pending !== undefined;
  }

  isPending(proposal: IsrProposal): boolean {
    return this.#pending === proposal;
  }

  propose(proposal: IsrProposal): void {
    this.#pending = proposal;
    if (proposal.kind === 'expand') this.#maximal = proposal.isr.map(({ brokerId }) => brokerId);
  }

  /** By an answer, or by the metadata log, whichever comes first. */
  commit(isr: readonly number[], partitionEpoch: number): void {
    this.#committed = isr;
    this.#maximal = isr;
    this.#partitionEpoch = partitionEpoch;
    this.#pending = undefined;
  }

  /** The proposal was refused, and will not come true. */
  withdraw(): void {
    this.#maximal = this.#committed;
    this.#pending = undefined;
  }
}
