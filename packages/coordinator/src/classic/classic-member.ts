import type { MemberProtocol, Token } from '../outcome.ts';

export const EMPTY_BYTES = new Uint8Array(0);

/** A member of a classic group. It lives in memory; what a restart needs of it is in the group's GroupMetadata record. */
export type ClassicMember = {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  rebalanceTimeoutMs: number;
  sessionTimeoutMs: number;
  /** In the member's order of preference. */
  protocols: readonly MemberProtocol[];
  assignment: Uint8Array;
  /** The JoinGroup that waits for the join phase to end. */
  awaitingJoin: Token | null;
  /** The SyncGroup that waits for the leader's assignment. */
  awaitingSync: Token | null;
  /** Has not been answered a JoinGroup yet: a client that went away cannot be noticed, so waiting does not keep it alive. */
  isNew: boolean;
};

export function metadataOf(member: ClassicMember, protocolName: string | null): Uint8Array {
  for (const { name, metadata } of member.protocols) if (name === protocolName) return metadata;
  throw new Error(`member ${member.memberId} does not support the protocol ${protocolName}`);
}

/** Bytes of a request are views on a buffer that outlives it for nothing: what is kept is copied. */
export function ownedProtocols(protocols: readonly MemberProtocol[]): MemberProtocol[] {
  return protocols.map(({ name, metadata }) => ({ name, metadata: metadata.slice() }));
}

export function sameProtocols(left: readonly MemberProtocol[], right: readonly MemberProtocol[]): boolean {
  return left.length === right.length && left.every((protocol, index) => sameProtocol(protocol, right[index]!));
}

function sameProtocol(left: MemberProtocol, right: MemberProtocol): boolean {
  return left.name === right.name && sameBytes(left.metadata, right.metadata);
}

export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
