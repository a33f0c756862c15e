import {
  type AddRaftVoterRequest,
  type AddRaftVoterResponse,
  type BeginQuorumEpochRequest,
  batchesOf,
  type EndQuorumEpochRequest,
  errorName,
  type FetchResponse,
  type FetchSnapshotResponse,
  type RemoveRaftVoterRequest,
  type UpdateRaftVoterRequest,
  type UpdateRaftVoterResponse,
  type VoteRequest,
  type VoteResponse,
} from '@ottla/protocol';
import type { RaftApi } from '../messages.ts';

/** A request as a line of a story; undefined: it would tell nothing. */
export function requestInWords(api: RaftApi, message: object): string | undefined {
  switch (api) {
    case 'vote': {
      const { preVote, replicaEpoch, lastOffset, lastOffsetEpoch } = (message as VoteRequest).topics[0]!.partitions[0]!;
      const asked = preVote ? `would you vote for me after epoch ${replicaEpoch}?` : `vote for me in epoch ${replicaEpoch}!`;
      return `${asked} My log ends at ${lastOffset} in epoch ${lastOffsetEpoch}.`;
    }
    case 'beginQuorumEpoch':
      return `I lead epoch ${(message as BeginQuorumEpochRequest).topics[0]!.partitions[0]!.leaderEpoch}.`;
    case 'endQuorumEpoch': {
      const { leaderEpoch, preferredCandidates } = (message as EndQuorumEpochRequest).topics[0]!.partitions[0]!;
      const successors = preferredCandidates.map(({ candidateId }) => candidateId);
      return `I no longer lead epoch ${leaderEpoch}; successors: ${successors.join(', ') || 'any'}.`;
    }
    case 'addRaftVoter':
      return `make ${(message as AddRaftVoterRequest).voterId} a voter!`;
    case 'removeRaftVoter':
      return `${(message as RemoveRaftVoterRequest).voterId} shall be a voter no more!`;
    case 'updateRaftVoter': {
      const { listeners } = message as UpdateRaftVoterRequest;
      return `I am at ${listeners.map(({ host, port }) => `${host}:${port}`).join(', ')}.`;
    }
    case 'apiVersions':
      return 'what do you support?';
    default:
      return undefined;
  }
}

export function responseInWords(api: RaftApi, message: object): string | undefined {
  const { errorCode } = message as { errorCode: number };
  if (errorCode !== 0 && api !== 'addRaftVoter' && api !== 'removeRaftVoter') return errorName(errorCode);
  switch (api) {
    case 'vote': {
      const { errorCode: code, voteGranted, leaderId, leaderEpoch } = (message as VoteResponse).topics[0]!.partitions[0]!;
      if (voteGranted) return 'yes.';
      return `no${inBrackets(code)}: ${leaderInWords(leaderId, leaderEpoch)}.`;
    }
    case 'beginQuorumEpoch':
    case 'endQuorumEpoch': {
      const { errorCode: code, leaderId, leaderEpoch } = (message as VoteResponse).topics[0]!.partitions[0]!;
      return code === 0 ? undefined : `no${inBrackets(code)}: ${leaderInWords(leaderId, leaderEpoch)}.`;
    }
    case 'fetch':
      return fetchInWords(message as FetchResponse);
    case 'fetchSnapshot': {
      const {
        errorCode: code,
        snapshotId,
        size,
        position,
        unalignedRecords,
      } = (message as FetchSnapshotResponse).topics[0]!.partitions[0]!;
      if (code !== 0) return errorName(code);
      const end = position + unalignedRecords.length;
      return `snapshot ${snapshotId.endOffset}-${snapshotId.epoch}, bytes ${position} to ${end} of ${size}.`;
    }
    case 'addRaftVoter':
    case 'removeRaftVoter': {
      const { errorMessage } = message as AddRaftVoterResponse;
      return errorCode === 0 ? 'done.' : `no${inBrackets(errorCode)}: ${errorMessage}.`;
    }
    case 'updateRaftVoter':
      return (message as UpdateRaftVoterResponse).errorCode === 0 ? 'noted.' : errorName(errorCode);
    default:
      return undefined;
  }
}

function fetchInWords({ responses }: FetchResponse): string | undefined {
  const { errorCode, currentLeader, divergingEpoch, snapshotId, records } = responses[0]!.partitions[0]!;
  // Who asks around while nobody leads does so all the time.
  if (errorCode !== 0 && currentLeader.leaderId < 0) return undefined;
  if (errorCode !== 0) return `${errorName(errorCode)}: ${leaderInWords(currentLeader.leaderId, currentLeader.leaderEpoch)}.`;
  if (divergingEpoch.epoch >= 0) return `our logs part: my epoch ${divergingEpoch.epoch} ends at ${divergingEpoch.endOffset}.`;
  if (snapshotId.epoch >= 0) return `fetch the snapshot ${snapshotId.endOffset}-${snapshotId.epoch}.`;
  const batches = [...batchesOf(records ?? new Uint8Array(0))];
  return batches.length === 0 ? undefined : `records ${batches[0]!.baseOffset} to ${batches.at(-1)!.lastOffset}.`;
}

const inBrackets = (code: number): string => (code === 0 ? '' : ` (${errorName(code)})`);
const leaderInWords = (leaderId: number, leaderEpoch: number): string =>
  leaderId < 0 ? `nobody leads epoch ${leaderEpoch}` : `${leaderId} leads epoch ${leaderEpoch}`;
