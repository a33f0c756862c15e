import type {
  AddRaftVoterRequest,
  AddRaftVoterResponse,
  ApiVersionsRequest,
  ApiVersionsResponse,
  BeginQuorumEpochRequest,
  BeginQuorumEpochResponse,
  EndQuorumEpochRequest,
  EndQuorumEpochResponse,
  FetchRequest,
  FetchResponse,
  FetchSnapshotRequest,
  FetchSnapshotResponse,
  RemoveRaftVoterRequest,
  RemoveRaftVoterResponse,
  UpdateRaftVoterRequest,
  UpdateRaftVoterResponse,
  VoteRequest,
  VoteResponse,
  Writable,
} from '@ottla/protocol';

/** What nodes of a quorum say to each other, by the name of the API. */
export type RaftMessages = {
  vote: { request: VoteRequest; response: VoteResponse };
  beginQuorumEpoch: { request: BeginQuorumEpochRequest; response: BeginQuorumEpochResponse };
  endQuorumEpoch: { request: EndQuorumEpochRequest; response: EndQuorumEpochResponse };
  fetch: { request: FetchRequest; response: FetchResponse };
  fetchSnapshot: { request: FetchSnapshotRequest; response: FetchSnapshotResponse };
  addRaftVoter: { request: AddRaftVoterRequest; response: AddRaftVoterResponse };
  removeRaftVoter: { request: RemoveRaftVoterRequest; response: RemoveRaftVoterResponse };
  updateRaftVoter: { request: UpdateRaftVoterRequest; response: UpdateRaftVoterResponse };
  apiVersions: { request: ApiVersionsRequest; response: ApiVersionsResponse };
};

export type RaftApi = keyof RaftMessages;
/** What a node answers; ApiVersions is the server's to answer. */
export type ServedApi = Exclude<RaftApi, 'apiVersions'>;

export type ReceivedRequest = {
  [Name in ServedApi]: {
    readonly api: Name;
    /** Of the request as it came: some fields have a meaning only from some version on. */
    readonly version: number;
    readonly request: RaftMessages[Name]['request'];
  };
}[ServedApi];

export type RequestToSend = {
  [Name in RaftApi]: { readonly api: Name; readonly request: Writable<RaftMessages[Name]['request']> };
}[RaftApi];

export type ReceivedResponse = {
  [Name in RaftApi]: { readonly api: Name; readonly response: RaftMessages[Name]['response'] };
}[RaftApi];

export type ResponseToSend = {
  [Name in ServedApi]: { readonly api: Name; readonly response: Writable<RaftMessages[Name]['response']> };
}[ServedApi];
