import type { VoterKey } from './voter-set.ts';

/** What a node must not forget: it is durable before anyone learns of it. Kept in the file quorum-state. */
export type ElectionState = {
  readonly leaderEpoch: number;
  /** Who leads in this epoch, if known. */
  readonly leaderId: number | null;
  /** Whom this node voted for in this epoch; null: nobody. */
  readonly votedFor: VoterKey | null;
};

/** Before the first election: what an absent file stands for. */
export const noElection: ElectionState = { leaderEpoch: 0, leaderId: null, votedFor: null };
