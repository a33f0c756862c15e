export type { LeaderAndEpoch, RaftBatch, RaftEffects, RaftEvent } from './effects.ts';
export { type ElectionState, noElection } from './election-state.ts';
export type { QuorumDescription, ReplicaDescription } from './quorum-description.ts';
export { RaftNode, type RaftNodeOptions } from './raft-node.ts';
export { UnsupportedQuorumError } from './unsupported-quorum-error.ts';
export { type Voter, type VoterEndpoint, type VoterKey, VoterSet } from './voter-set.ts';
