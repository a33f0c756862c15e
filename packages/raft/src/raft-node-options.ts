import type { ElectionState } from './election-state.ts';
import type { EpochStart } from './epoch-history.ts';
import type { QuorumHistory } from './quorum-history.ts';
import type { RaftTiming } from './raft-timing.ts';
import type { SnapshotId } from './snapshot-id.ts';
import type { Voter, VoterEndpoint } from './voter-set.ts';

export type RaftNodeOptions = {
  /** This node as a voter: its id, the id of its metadata directory, and where its controller can be reached now (nowhere for a broker). */
  readonly self: Voter;
  /** It has the role controller: it votes while it is a voter. Default true. */
  readonly canVote?: boolean;
  /** Null: requests are not checked for it. */
  readonly clusterId?: string | null;
  /** Where an observer that knows no leader asks [controller.quorum.bootstrap.servers]. */
  readonly bootstrapServers?: readonly Pick<VoterEndpoint, 'host' | 'port'>[];
  /** Who votes, by log, snapshot, bootstrap snapshot or controller.quorum.voters. It is the node's from now on. */
  readonly quorum: QuorumHistory;
  /** As it was saved; null when this node never took part in an election. */
  readonly electionState: ElectionState | null;
  /** The log as it lies on disk, all of it flushed. */
  readonly log: { readonly startOffset: number; readonly endOffset: number; readonly epochs: readonly EpochStart[] };
  /** Oldest first, without the bootstrap snapshot. */
  readonly snapshots?: readonly SnapshotId[];
  /** A controller that is no voter adds itself [controller.quorum.auto.join.enable]. Default false. */
  readonly isAutoJoining?: boolean;
  /** Of the listeners of controllers, the one that nodes of the quorum use: the first of controller.listener.names. Default: that of `self`. */
  readonly listenerName?: string;
  readonly timing?: Partial<RaftTiming>;
  /** The most bytes of one Fetch or FetchSnapshot [controller.quorum.fetch.max.bytes, controller.quorum.fetch.snapshot.max.bytes]. */
  readonly fetchMaxBytes?: number;
  readonly fetchSnapshotMaxBytes?: number;
  /** In [0, 1), for the spread of timeouts. */
  readonly random: () => number;
};
