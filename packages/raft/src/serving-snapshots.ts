import { type ErrorName, errors, type FetchSnapshotRequest } from '@ottla/protocol';
import { metadataTopic } from './metadata-partition.ts';
import type { RaftCore } from './raft-core.ts';
import { isOfAnotherCluster, leaderIn, nodeEndpointsFor, refusalByFollower } from './serving.ts';

/** FetchSnapshot: a piece of the snapshot that a Fetch was answered with. Its bytes and its size are the shell's. */
export function answerFetchSnapshot(
  core: RaftCore,
  requestId: number,
  request: FetchSnapshotRequest,
  listenerName: string,
): void {
  const fail = (error: ErrorName): void =>
    core.reply({ requestId, api: 'fetchSnapshot', response: { errorCode: errors[error].code } });
  if (isOfAnotherCluster(core, request.clusterId)) {
    fail('INCONSISTENT_CLUSTER_ID');
    return;
  }
  const [topic] = request.topics;
  const partition = topic?.partitions[0];
  if (request.topics.length !== 1 || topic!.partitions.length !== 1 || !partition) {
    fail('INVALID_REQUEST');
    return;
  }
  const { position } = partition;
  const snapshotId = { endOffset: partition.snapshotId.endOffset, epoch: partition.snapshotId.epoch };
  const isMetadata = topic!.name === metadataTopic && partition.partition === 0;
  const error = isMetadata ? refusalByFollower(core, partition.currentLeaderEpoch) : 'UNKNOWN_TOPIC_OR_PARTITION';
  const isKnown = core.log.hasSnapshot(snapshotId);
  const response = {
    errorCode: 0,
    topics: [
      {
        name: topic!.name,
        partitions: [
          {
            index: partition.partition,
            errorCode: errors[error ?? (isKnown ? 'NONE' : 'SNAPSHOT_NOT_FOUND')].code,
            snapshotId,
            currentLeader: leaderIn(core),
            position,
            size: 0,
          },
        ],
      },
    ],
    nodeEndpoints: nodeEndpointsFor(core, listenerName),
  };
  const reply = { requestId, api: 'fetchSnapshot' as const, response };
  if (error || !isKnown) {
    core.reply(reply);
    return;
  }
  core.in('leader')?.heardOf({ id: request.replicaId, directoryId: partition.replicaDirectoryId }, core.nowMs);
  const maxBytes = Math.min(request.maxBytes, core.options.fetchSnapshotMaxBytes ?? 1024 * 1024);
  core.reply({ ...reply, readSnapshot: { snapshotId, position, maxBytes } });
}
