/** Delegation tokens (KIP-48): what is known of each but its secret, which follows from the token id and the cluster's key. */

export interface DelegationToken {
  readonly tokenId: string;
  /** Principals are `User:name`. */
  readonly owner: string;
  readonly requester: string;
  readonly renewers: readonly string[];
  readonly issueTimestamp: number;
  readonly maxTimestamp: number;
  readonly expirationTimestamp: number;
}

export class DelegationTokensImage {
  readonly #tokens = new Map<string, DelegationToken>();

  get(tokenId: string): DelegationToken | undefined {
    return this.#tokens.get(tokenId);
  }

  [Symbol.iterator](): IterableIterator<DelegationToken> {
    return this.#tokens.values();
  }

  set(token: DelegationToken): void {
    this.#tokens.set(token.tokenId, token);
  }

  remove(tokenId: string): void {
    this.#tokens.delete(tokenId);
  }
}
