export type {
  Destination,
  FetchedBatches,
  LeaderAndEpoch,
  RaftBatch,
  RaftEffects,
  RaftEvent,
  RaftReply,
  RaftRequest,
  RecordedInSnapshot,
  SnapshotChunk,
} from './effects.ts';
export { type ElectionState, noElection } from './election-state.ts';
export type { EpochStart } from './epoch-history.ts';
export type {
  RaftApi,
  RaftMessages,
  ReceivedRequest,
  ReceivedResponse,
  RequestToSend,
  ResponseToSend,
  ServedApi,
} from './messages.ts';
export type { QuorumDescription, ReplicaDescription } from './quorum-description.ts';
export { QuorumHistory } from './quorum-history.ts';
export type { Namesake } from './raft-core.ts';
export { RaftNode } from './raft-node.ts';
export type { RaftNodeOptions } from './raft-node-options.ts';
export { defaultRaftTiming, type RaftTiming } from './raft-timing.ts';
export type { SnapshotId } from './snapshot-id.ts';
export { type Voter, type VoterEndpoint, type VoterKey, VoterSet } from './voter-set.ts';
