import {
  AddRaftVoter,
  type Api,
  ApiVersions,
  BeginQuorumEpoch,
  EndQuorumEpoch,
  Fetch,
  FetchSnapshot,
  RemoveRaftVoter,
  UpdateRaftVoter,
  Vote,
} from '@ottla/protocol';
import type { RaftApi, RaftMessages } from '@ottla/raft';

/** The APIs that nodes of a quorum speak with each other, by the names that `@ottla/raft` has for them. */
export const raftApis: { readonly [Name in RaftApi]: Api<RaftMessages[Name]['request'], RaftMessages[Name]['response']> } = {
  vote: Vote,
  beginQuorumEpoch: BeginQuorumEpoch,
  endQuorumEpoch: EndQuorumEpoch,
  fetch: Fetch,
  fetchSnapshot: FetchSnapshot,
  addRaftVoter: AddRaftVoter,
  removeRaftVoter: RemoveRaftVoter,
  updateRaftVoter: UpdateRaftVoter,
  apiVersions: ApiVersions,
};
