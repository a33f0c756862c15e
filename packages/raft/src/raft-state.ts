import type { Ballot } from './ballot.ts';
import type { Leadership } from './leadership.ts';
import type { SnapshotId } from './snapshot-id.ts';
import type { VoterEndpoint, VoterKey } from './voter-set.ts';

/** It knows no leader that it could follow. */
export type Unattached = { readonly name: 'unattached'; electionDeadlineMs: number };

/** It asks, without a new epoch, who would vote for it (pre-vote, KIP-996). */
export type Prospective = {
  readonly name: 'prospective';
  readonly ballot: Ballot;
  readonly electionDeadlineMs: number;
  /** Where the leader was that it has not heard of for long; empty: not known. */
  leaderEndpoints: readonly VoterEndpoint[];
};

/** It asks for votes in a new epoch, in which its own is given to itself. */
export type Candidate = { readonly name: 'candidate'; readonly ballot: Ballot; readonly electionDeadlineMs: number };

export type Follower = {
  readonly name: 'follower';
  readonly leaderId: number;
  leaderEndpoints: readonly VoterEndpoint[];
  /** A voter stands for election when it has not heard of the leader by then. */
  fetchDeadlineMs: number;
  /** The leader has answered a Fetch: it is there, so nobody should want another. */
  hasFetched: boolean;
  /** It has said that it leads no more: what still comes from it gives nobody more time. */
  hasLeaderResigned: boolean;
  /** What the leader last said; this node may not have all of it on disk yet. */
  leaderHighWatermark: number;
  /** When it looks next whether the voters have it as it is. */
  voterCheckAtMs: number;
  /** With kraft.version 0: the leader has its directory id and endpoints. */
  hasSentVoter: boolean;
  snapshot: FetchedSnapshot | null;
};

export type FetchedSnapshot = { readonly id: SnapshotId; position: number };

/** It no longer leads, and asks the others to elect somebody. */
export type Resigned = {
  readonly name: 'resigned';
  readonly electionDeadlineMs: number;
  /** Who should stand for election, best first. */
  readonly preferredCandidates: readonly VoterKey[];
  readonly unacknowledged: Set<number>;
};

export type RaftState = Unattached | Prospective | Candidate | Leadership | Follower | Resigned;
export type StateName = RaftState['name'];
