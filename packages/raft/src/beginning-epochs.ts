import {
  type BeginQuorumEpochRequest,
  type BeginQuorumEpochResponse,
  type ErrorName,
  errors,
  type Writable,
} from '@ottla/protocol';
import { hearOf } from './leader-news.ts';
import type { Leadership } from './leadership.ts';
import { asTopics, onlyPartition } from './metadata-partition.ts';
import type { RaftCore } from './raft-core.ts';
import { isForAnother, isOfAnotherCluster, leaderIn, nodeEndpointsFor, refusalOfVoterRequest } from './serving.ts';
import type { VoterKey } from './voter-set.ts';

/** BeginQuorumEpoch: a new leader says that it is one, until the other voters fetch from it. */
export function answerBeginQuorumEpoch(
  core: RaftCore,
  request: BeginQuorumEpochRequest,
  listenerName: string,
): Writable<BeginQuorumEpochResponse> {
  if (isOfAnotherCluster(core, request.clusterId)) return { errorCode: errors.INCONSISTENT_CLUSTER_ID.code };
  const partition = onlyPartition(request.topics);
  if (!partition) return { errorCode: errors.INVALID_REQUEST.code };
  const { leaderId, leaderEpoch, voterDirectoryId } = partition;
  const answer = (error: ErrorName): Writable<BeginQuorumEpochResponse> => ({
    errorCode: 0,
    topics: asTopics({ errorCode: errors[error].code, ...leaderIn(core) }),
    nodeEndpoints: nodeEndpointsFor(core, listenerName),
  });
  const refusal = refusalOfVoterRequest(core, leaderId, leaderEpoch);
  if (refusal) return answer(refusal);
  hearOfLeader(core, leaderId, leaderEpoch, request.leaderEndpoints);
  const follower = core.in('follower');
  if (follower?.leaderId === leaderId) core.heardLeader(follower);
  return answer(isForAnother(core, { id: request.voterId, directoryId: voterDirectoryId }) ? 'INVALID_VOTER_KEY' : 'NONE');
}

/** The leader itself says so. Before v1 it did not say where it is; the voters' records or the configuration do. */
export function hearOfLeader(
  core: RaftCore,
  leaderId: number,
  leaderEpoch: number,
  endpoints: readonly { readonly name: string; readonly host: string; readonly port: number }[],
): void {
  const told = endpoints.map(({ name, host, port }) => ({ name, host, port }));
  core.hear(leaderEpoch, leaderId, told.length > 0 ? told : (core.voters.get(leaderId)?.endpoints ?? []));
}

/** Tells the voters that do not fetch who leads. Returns when that is to be looked at again. */
export function beginEpochWithSilentVoters(core: RaftCore, leadership: Leadership): number {
  if (core.voters.size === 1 && core.isVoter) return Number.POSITIVE_INFINITY;
  if (core.nowMs < leadership.beginEpochAtMs) return leadership.beginEpochAtMs;
  for (const voter of leadership.silentVoters(core.nowMs)) sendBeginQuorumEpoch(core, voter);
  leadership.beginEpochAtMs = core.nowMs + leadership.beginEpochIntervalMs;
  return leadership.beginEpochAtMs;
}

function sendBeginQuorumEpoch(core: RaftCore, voter: VoterKey): void {
  const destination = core.destinationOf(voter.id, core.voters.get(voter.id)?.endpoints ?? []);
  if (!destination || !core.requests.isFree(destination, core.nowMs)) return;
  const request: Writable<BeginQuorumEpochRequest> = {
    clusterId: core.options.clusterId ?? null,
    voterId: voter.id,
    topics: asTopics({ voterDirectoryId: voter.directoryId, leaderId: core.self.id, leaderEpoch: core.epoch }),
    leaderEndpoints: core.self.endpoints.map((endpoint) => ({ ...endpoint })),
  };
  core.send(
    destination,
    { api: 'beginQuorumEpoch', request },
    { answered: (response) => hearOf(core, { api: 'beginQuorumEpoch', response }) !== 'useless' },
  );
}
