import { type EndQuorumEpochRequest, type EndQuorumEpochResponse, type ErrorName, errors, type Writable } from '@ottla/protocol';
import { hearOfLeader } from './beginning-epochs.ts';
import { hearOf } from './leader-news.ts';
import { asTopics, onlyPartition } from './metadata-partition.ts';
import type { RaftCore } from './raft-core.ts';
import type { Resigned } from './raft-state.ts';
import { isOfAnotherCluster, leaderIn, nodeEndpointsFor, refusalOfVoterRequest } from './serving.ts';
import { isSameVoter, type Voter, type VoterKey } from './voter-set.ts';

/** EndQuorumEpoch: the leader resigns and says who should stand for election, the best first. */
export function answerEndQuorumEpoch(
  core: RaftCore,
  request: EndQuorumEpochRequest,
  listenerName: string,
): Writable<EndQuorumEpochResponse> {
  if (isOfAnotherCluster(core, request.clusterId)) return { errorCode: errors.INCONSISTENT_CLUSTER_ID.code };
  const partition = onlyPartition(request.topics);
  if (!partition) return { errorCode: errors.INVALID_REQUEST.code };
  const { leaderId, leaderEpoch, preferredCandidates, preferredSuccessors } = partition;
  const answer = (error: ErrorName): Writable<EndQuorumEpochResponse> => ({
    errorCode: 0,
    topics: asTopics({ errorCode: errors[error].code, ...leaderIn(core) }),
    nodeEndpoints: nodeEndpointsFor(core, listenerName),
  });
  const refusal = refusalOfVoterRequest(core, leaderId, leaderEpoch);
  if (refusal) return answer(refusal);
  hearOfLeader(core, leaderId, leaderEpoch, request.leaderEndpoints);
  const follower = core.in('follower');
  if (follower?.leaderId === leaderId) {
    const position =
      preferredCandidates.length > 0
        ? preferredCandidates.findIndex((key) => isSameVoter(asKey(key), core.self))
        : preferredSuccessors.indexOf(core.self.id);
    const count = Math.max(preferredCandidates.length, preferredSuccessors.length);
    follower.hasLeaderResigned = true;
    follower.hasFetched = false;
    follower.fetchDeadlineMs = core.nowMs + electionBackoffMs(position, count, core.timing.electionBackoffMaxMs);
  }
  return answer('NONE');
}

const asKey = (candidate: { readonly candidateId: number; readonly candidateDirectoryId: string }): VoterKey => ({
  id: candidate.candidateId,
  directoryId: candidate.candidateDirectoryId,
});

/** The first successor stands at once, each further one waits longer, and who is not named longest. */
export function electionBackoffMs(position: number, count: number, maxMs: number): number {
  if (position === 0) return 0;
  if (position < 0) return maxMs;
  return Math.min(maxMs, (maxMs >> (count - 1)) << (position - 1));
}

/** Tells the voters that nobody leads any more, until they know or the time has come for the next epoch. */
export function pollResigned(core: RaftCore, state: Resigned): number {
  // Who may not stand for election opens no epoch, but remembers that this one was its own.
  const isOver = core.nowMs >= state.electionDeadlineMs || (!core.mayStand && state.unacknowledged.size === 0);
  if (isOver && !core.isStopping) {
    if (core.mayStand) core.becomeUnattached(core.epoch + 1);
    else core.becomeUnattached(core.epoch, core.self.id);
    return core.nowMs;
  }
  let wakeMs = core.isStopping ? Number.POSITIVE_INFINITY : state.electionDeadlineMs;
  for (const voter of core.otherVoters) {
    if (state.unacknowledged.has(voter.id)) wakeMs = Math.min(wakeMs, sendEndQuorumEpoch(core, voter, state));
  }
  return wakeMs;
}

function sendEndQuorumEpoch(core: RaftCore, voter: Voter, state: Resigned): number {
  const destination = core.destinationOf(voter.id, voter.endpoints);
  if (!destination) return state.electionDeadlineMs;
  if (core.requests.isFree(destination, core.nowMs)) {
    const request: Writable<EndQuorumEpochRequest> = {
      clusterId: core.options.clusterId ?? null,
      topics: asTopics({
        leaderId: core.self.id,
        leaderEpoch: core.epoch,
        preferredSuccessors: state.preferredCandidates.map(({ id }) => id),
        preferredCandidates: state.preferredCandidates.map(({ id, directoryId }) => ({
          candidateId: id,
          candidateDirectoryId: directoryId,
        })),
      }),
      leaderEndpoints: core.self.endpoints.map((endpoint) => ({ ...endpoint })),
    };
    core.send(
      destination,
      { api: 'endQuorumEpoch', request },
      {
        answered: (response) => {
          const heard = hearOf(core, { api: 'endQuorumEpoch', response });
          if (heard !== 'useless') state.unacknowledged.delete(voter.id);
          return heard !== 'useless';
        },
      },
    );
  }
  return core.requests.freeAtMs(destination, core.nowMs);
}
