/** The configuration or the disk names a quorum that this release cannot take part in. The node must not start. */
export class UnsupportedQuorumError extends Error {
  override readonly name = 'UnsupportedQuorumError';
}
