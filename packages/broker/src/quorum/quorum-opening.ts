import { type Uuid, ZERO_UUID } from '@ottla/protocol';
import { RaftNode, type RaftTiming, type Voter, type VoterEndpoint } from '@ottla/raft';
import type { Runtime } from '@ottla/runtime';
import { Log } from '@ottla/storage';
import { asLogConfig, type MetadataLogConfig } from './metadata-log-config.ts';
import type { MetadataSnapshots } from './metadata-snapshots.ts';
import { readQuorumState } from './quorum-state-file.ts';
import { readRecordedQuorum } from './recorded-quorum.ts';
import { isBootstrap, type SnapshotId } from './snapshot-files.ts';

export const metadataTopic = '__cluster_metadata';
export const metadataTopicId: Uuid = 'AAAAAAAAAAAAAAAAAAAAAQ';

/** Who this node is in the quorum, and how it goes about it. */
export type QuorumMember = {
  readonly nodeId: number;
  /** From the meta.properties of the log directory that holds `__cluster_metadata-0`. */
  readonly directoryId: Uuid;
  /** Requests that name another cluster are refused. Default: none is. */
  readonly clusterId?: string;
  /** It has the role controller: it votes while it is a voter. Default true. */
  readonly isController?: boolean;
  /** Where this node's controller listens, as others reach it: the first of controller.listener.names first. A broker has none. */
  readonly controllerEndpoints: readonly VoterEndpoint[];
  /** The first of controller.listener.names, by which voters are reached. Default: of the first endpoint. */
  readonly controllerListenerName?: string;
  /** controller.quorum.voters; empty for a dynamic quorum. */
  readonly staticVoters?: readonly { readonly id: number; readonly host: string; readonly port: number }[];
  /** controller.quorum.bootstrap.servers */
  readonly bootstrapServers?: readonly { readonly host: string; readonly port: number }[];
  /** controller.quorum.auto.join.enable */
  readonly isAutoJoining?: boolean;
  readonly timing?: Partial<RaftTiming>;
  /** controller.quorum.fetch.max.bytes, controller.quorum.fetch.snapshot.max.bytes */
  readonly fetchMaxBytes?: number;
  readonly fetchSnapshotMaxBytes?: number;
};

type Opening = {
  readonly runtime: Runtime;
  /** Of the metadata log. */
  readonly directory: string;
  readonly snapshots: MetadataSnapshots;
};

/**
 * The whole log is read again at every start, as Kafka does: it is small, and nothing may be wrong with it. A log that does not lead up to the
 * newest snapshot starts again behind it: it ends before (it was copied alone, or its tail was lost), or it goes another way, as the log of a
 * former leader does that was to give way to the snapshot of another when the power failed.
 */
export function openMetadataLog({ runtime, directory, snapshots }: Opening, config: MetadataLogConfig): Log {
  const { newest } = snapshots;
  // Before the log may have to give way to it: a file that only looks like a snapshot must not cost the log.
  if (newest) snapshots.verify(newest);
  const log = Log.open({
    directory,
    topic: metadataTopic,
    partition: 0,
    topicId: metadataTopicId,
    runtime,
    config: asLogConfig(config),
    cleanShutdown: false,
    recoveryPoint: 0,
    // What comes before the oldest snapshot may still show which way the log went.
    logStartOffset: 0,
  });
  try {
    if (newest && !leadsUpTo(newest, log)) {
      const end = { logEndOffset: log.logEndOffset, logEndEpoch: log.latestEpoch };
      runtime.logger.warn('the metadata log does not lead up to its newest snapshot and starts again there', {
        ...{ directory, ...newest, ...end },
      });
      log.truncateFullyAndStartAt(newest.endOffset);
    }
    log.advanceLogStartOffset(snapshots.all[0]?.endOffset ?? 0);
    snapshots.retireBefore(log.logStartOffset);
    // A process that was killed may have left more than is on the disk, and from now on this voter counts for all of it.
    if (log.recoveryPoint < log.logEndOffset) log.flush();
  } catch (error) {
    log.abandon();
    throw error;
  }
  return log;
}

/** Two logs that hold a record of the same epoch at the same offset are the same up to there (KIP-101), and only what is committed is in a snapshot. */
function leadsUpTo({ endOffset, epoch }: SnapshotId, log: Log): boolean {
  if (log.logStartOffset >= endOffset) return true;
  return log.logEndOffset >= endOffset && log.epochForOffset(endOffset - 1) === epoch;
}

/** Throws CorruptFileError for a quorum-state or snapshot that cannot be read. */
export function createRaftNode({ runtime, directory, snapshots }: Opening, log: Log, member: QuorumMember): RaftNode {
  const { nodeId, directoryId, controllerEndpoints, staticVoters = [], bootstrapServers = [] } = member;
  const { bootstrap, newest } = snapshots;
  const listenerName = controllerListenerNameOf(member);
  const quorum = readRecordedQuorum({
    staticVoters: staticVoters.map(({ id, host, port }) =>
      voterOf({ id, directoryId: ZERO_UUID }, [{ name: listenerName, host, port }]),
    ),
    bootstrap: bootstrap && snapshots.header(bootstrap),
    snapshot: newest && { ...snapshots.header(newest), endOffset: newest.endOffset },
    log,
  });
  const electionState = readQuorumState(runtime.files, directory);
  const isController = member.isController ?? true;
  if (!electionState && isController && log.epochs.length > 0)
    runtime.logger.warn(
      'quorum-state is gone, and with it whom this node voted for: if it ran when the last leader was elected it could vote twice, so stop it and have it join the quorum anew, with an empty directory; otherwise nothing is to be done',
      { directory, epoch: log.epochs.at(-1)?.epoch },
    );
  const isEmpty = log.epochs.length === 0 && newest !== undefined;
  return new RaftNode({
    self: voterOf({ id: nodeId, directoryId }, controllerEndpoints),
    canVote: isController,
    listenerName,
    clusterId: member.clusterId ?? null,
    bootstrapServers: bootstrapServers.length > 0 ? bootstrapServers : staticVoters,
    quorum,
    electionState,
    log: {
      startOffset: log.logStartOffset,
      endOffset: log.logEndOffset,
      // Behind a snapshot an empty log knows no epoch: that of the last record in the snapshot is the one.
      epochs: isEmpty ? [{ epoch: newest.epoch, startOffset: log.logStartOffset }] : log.epochs,
    },
    snapshots: snapshots.all.filter((id) => !isBootstrap(id)),
    isAutoJoining: member.isAutoJoining ?? false,
    timing: member.timing ?? {},
    ...(member.fetchMaxBytes === undefined ? {} : { fetchMaxBytes: member.fetchMaxBytes }),
    ...(member.fetchSnapshotMaxBytes === undefined ? {} : { fetchSnapshotMaxBytes: member.fetchSnapshotMaxBytes }),
    random: () => runtime.random.fraction(),
  });
}

export const controllerListenerNameOf = ({ controllerListenerName, controllerEndpoints }: QuorumMember): string =>
  controllerListenerName ?? controllerEndpoints[0]?.name ?? 'CONTROLLER';

const voterOf = ({ id, directoryId }: { id: number; directoryId: Uuid }, endpoints: readonly VoterEndpoint[]): Voter => ({
  id,
  directoryId,
  endpoints: endpoints.map(({ name, host, port }) => ({ name, host, port })),
  minKRaftVersion: 0,
  maxKRaftVersion: 1,
});
