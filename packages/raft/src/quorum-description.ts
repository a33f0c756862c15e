import type { Uuid } from '@ottla/protocol';
import type { VoterEndpoint } from './voter-set.ts';

export type ReplicaDescription = {
  readonly replicaId: number;
  readonly replicaDirectoryId: Uuid;
  readonly endpoints: readonly VoterEndpoint[];
  readonly logEndOffset: number;
  readonly lastFetchTimestampMs: number;
  readonly lastCaughtUpTimestampMs: number;
};

/** What the leader knows of its quorum, for DescribeQuorum. */
export type QuorumDescription = {
  /** -1 when unknown. */
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly highWatermark: number;
  readonly voters: readonly ReplicaDescription[];
  readonly observers: readonly ReplicaDescription[];
};
