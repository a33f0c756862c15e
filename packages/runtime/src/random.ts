export interface Random {
  /** In [0, 1). */
  fraction(): number;
  /** A whole number in [0, bound), bound at most 2^32. */
  below(bound: number): number;
  /** Fresh random bytes; cryptographically strong in the Node.js version. */
  bytes(length: number): Uint8Array;
}
