import type { VoterSet } from './voter-set.ts';

/** The votes of one election. Only voters count, each once. */
export class Ballot {
  readonly #voters: VoterSet;
  readonly #granting = new Set<number>();
  readonly #rejecting = new Set<number>();
  /** Whose next no is not counted. */
  readonly #toAskAgain = new Set<number>();

  constructor(voters: VoterSet) {
    this.#voters = voters;
  }

  grant(voterId: number): void {
    if (this.#voters.get(voterId) && !this.#rejecting.has(voterId)) this.#granting.add(voterId);
  }

  reject(voterId: number): void {
    if (this.#toAskAgain.delete(voterId)) return;
    if (this.#voters.get(voterId) && !this.#granting.has(voterId)) this.#rejecting.add(voterId);
  }

  /** It stands itself now: its no, which may still be on its way, was from before. */
  askAgain(voterId: number): void {
    if (!this.#rejecting.delete(voterId) && !this.#granting.has(voterId)) this.#toAskAgain.add(voterId);
  }

  hasVoted(voterId: number): boolean {
    return this.#granting.has(voterId) || this.#rejecting.has(voterId);
  }

  get granting(): number[] {
    return [...this.#granting];
  }

  get isWon(): boolean {
    return this.#granting.size >= this.#voters.majority;
  }

  /** Too many voters said no for a majority to be left. */
  get isLost(): boolean {
    return this.#voters.size - this.#rejecting.size < this.#voters.majority;
  }
}
