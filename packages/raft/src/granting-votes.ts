import type { ErrorName, VoteRequest, VoteResponse, Writable } from '@ottla/protocol';
import { errors } from '@ottla/protocol';
import { asTopics, onlyPartition } from './metadata-partition.ts';
import type { RaftCore } from './raft-core.ts';
import { isForAnother, isOfAnotherCluster, leaderIn, nodeEndpointsFor, refusalOfVoterRequest } from './serving.ts';
import { isSameVoter, type VoterKey } from './voter-set.ts';

type Asked = {
  readonly candidate: VoterKey;
  readonly preVote: boolean;
  readonly isUpToDate: boolean;
  /** Their logs end at the same place. */
  readonly isLevel: boolean;
};

/** Vote: another node stands for election, or asks whether it should (v2, KIP-996). Checks in the order of Kafka. */
export function answerVote(core: RaftCore, request: VoteRequest, listenerName: string): Writable<VoteResponse> {
  if (isOfAnotherCluster(core, request.clusterId)) return { errorCode: errors.INCONSISTENT_CLUSTER_ID.code };
  const partition = onlyPartition(request.topics);
  if (!partition) return { errorCode: errors.INVALID_REQUEST.code };
  const answer = (error: ErrorName, voteGranted: boolean): Writable<VoteResponse> => ({
    errorCode: 0,
    topics: asTopics({ errorCode: errors[error].code, ...leaderIn(core), voteGranted }),
    nodeEndpoints: nodeEndpointsFor(core, listenerName),
  });
  const { replicaId, replicaEpoch, replicaDirectoryId, lastOffset, lastOffsetEpoch, preVote } = partition;
  const isOfItsOwnEpoch = preVote ? lastOffsetEpoch > replicaEpoch : lastOffsetEpoch >= replicaEpoch;
  if (lastOffset < 0 || lastOffsetEpoch < 0 || isOfItsOwnEpoch) return answer('INVALID_REQUEST', false);
  const refusal = refusalOfVoterRequest(core, replicaId, replicaEpoch);
  if (refusal) return answer(refusal, false);
  if (replicaEpoch > core.epoch) core.becomeUnattached(replicaEpoch);
  if (isForAnother(core, { id: request.voterId, directoryId: partition.voterDirectoryId }))
    return answer('INVALID_VOTER_KEY', false);
  const candidate = { id: replicaId, directoryId: replicaDirectoryId };
  const isUpToDate = core.log.isUpToDate({ offset: lastOffset, epoch: lastOffsetEpoch });
  const isLevel = isUpToDate && lastOffset === core.log.endOffset && lastOffsetEpoch === core.log.lastEpoch;
  const isGranted = grants(core, { candidate, preVote, isUpToDate, isLevel });
  // As long as it followed the leader it told this node no, and each would wait for the other now.
  if (!isGranted && preVote) core.in('prospective')?.ballot.askAgain(replicaId);
  if (isGranted && !preVote && core.election.votedFor === null) core.vote(candidate);
  return answer('NONE', isGranted);
}

function grants(core: RaftCore, { candidate, preVote, isUpToDate, isLevel }: Asked): boolean {
  const { state, election, self } = core;
  switch (state.name) {
    case 'leader':
      return false;
    case 'candidate':
    case 'resigned':
      return preVote && isUpToDate;
    case 'follower':
      // As long as the leader has not answered it, this node cannot say that there is no need for another; nor when it has not lately, if this
      // node may not stand itself: it loads a snapshot, or does not know yet that it is a voter. One that may stands in a moment, and then the
      // smaller id goes first.
      return preVote && isUpToDate && (!state.hasFetched || (!core.mayStand && core.nowMs >= state.fetchDeadlineMs));
    default: {
      // Two that miss their leader at the same time would split the votes: the one with the smaller id goes first.
      if (preVote && state.name === 'prospective' && isLevel && candidate.id > self.id) return false;
      if (preVote) return isUpToDate;
      const { votedFor, leaderId } = election;
      if (votedFor !== null) return votedFor.id === candidate.id && isSameVoter(votedFor, candidate);
      return leaderId === null && isUpToDate;
    }
  }
}
