import type { Uuid } from '@ottla/protocol';
import type { RaftCore } from './raft-core.ts';
import type { ReplicaProgress } from './replica-progress.ts';
import type { VoterEndpoint } from './voter-set.ts';

export type ReplicaDescription = {
  readonly replicaId: number;
  readonly replicaDirectoryId: Uuid;
  /** Of voters. */
  readonly endpoints: readonly VoterEndpoint[];
  /** -1: unknown, as the times. */
  readonly logEndOffset: number;
  readonly lastFetchTimestampMs: number;
  readonly lastCaughtUpTimestampMs: number;
};

/** What a node knows of its quorum, for DescribeQuorum. */
export type QuorumDescription = {
  /** -1 when unknown. */
  readonly leaderId: number;
  readonly leaderEpoch: number;
  /** Of a leader: -1 until a batch of its epoch is committed. */
  readonly highWatermark: number;
  readonly voters: readonly ReplicaDescription[];
  readonly observers: readonly ReplicaDescription[];
};

export function describeQuorum(core: RaftCore, nowMs: number): QuorumDescription {
  const leadership = core.in('leader');
  return {
    leaderId: core.leaderId ?? -1,
    leaderEpoch: core.epoch,
    highWatermark: leadership ? core.toldHighWatermark : core.log.highWatermark,
    voters: core.voters.voters.map(({ id, directoryId, endpoints }) => ({
      replicaId: id,
      replicaDirectoryId: directoryId,
      endpoints,
      ...(id === core.self.id ? ownProgress(core, nowMs) : progressOf(leadership?.voterProgress(id))),
    })),
    observers: (leadership?.observers(nowMs) ?? []).map((observer) => ({
      replicaId: observer.key.id,
      replicaDirectoryId: observer.key.directoryId,
      endpoints: [],
      ...progressOf(observer),
    })),
  };
}

type Progress = Pick<ReplicaDescription, 'logEndOffset' | 'lastFetchTimestampMs' | 'lastCaughtUpTimestampMs'>;

/** As far as followers can be: they may have on disk what is still on its way to this node's. */
const ownProgress = ({ log }: RaftCore, nowMs: number): Progress => ({
  logEndOffset: log.writtenEndOffset,
  lastFetchTimestampMs: nowMs,
  lastCaughtUpTimestampMs: nowMs,
});

const progressOf = (progress: ReplicaProgress | undefined): Progress => ({
  logEndOffset: progress?.endOffset ?? -1,
  lastFetchTimestampMs: progress?.lastFetchMs ?? -1,
  lastCaughtUpTimestampMs: progress?.lastCaughtUpMs ?? -1,
});
