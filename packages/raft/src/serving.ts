import { type ErrorName, ZERO_UUID } from '@ottla/protocol';
import { lastPlausibleEpoch, type RaftCore } from './raft-core.ts';
import type { VoterKey } from './voter-set.ts';

/** What the answers to other nodes have in common: who leads, and why a request is refused. */
export const leaderIn = (core: RaftCore): { readonly leaderId: number; readonly leaderEpoch: number } => ({
  leaderId: core.leaderId ?? -1,
  leaderEpoch: core.epoch,
});

/** Where the leader is reached by the listener that the request came in by; empty when unknown. */
export function nodeEndpointsFor(core: RaftCore, listenerName: string) {
  const { leaderId, leaderEndpoints } = core;
  const endpoint = leaderEndpoints.find(({ name }) => name === listenerName);
  if (leaderId === null || !endpoint) return [];
  return [{ nodeId: leaderId, host: endpoint.host, port: endpoint.port }];
}

/** A cluster id that was given must be ours. */
export function isOfAnotherCluster({ options: { clusterId } }: RaftCore, asked: string | null): boolean {
  return Boolean(clusterId) && asked !== null && asked !== clusterId;
}

/** Requests between voters: of an epoch that is not over and can be, and of a node with an id. */
export function refusalOfVoterRequest(core: RaftCore, nodeId: number, leaderEpoch: number): ErrorName | undefined {
  if (leaderEpoch < core.epoch) return 'FENCED_LEADER_EPOCH';
  return nodeId < 0 || leaderEpoch > lastPlausibleEpoch ? 'INVALID_REQUEST' : undefined;
}

/** Requests that only the leader answers, in the epoch that the asker knows; undefined: as for any epoch. */
export function refusalByFollower(core: RaftCore, leaderEpoch = core.epoch): ErrorName | undefined {
  if (leaderEpoch < core.epoch) return 'FENCED_LEADER_EPOCH';
  if (leaderEpoch > core.epoch) return 'UNKNOWN_LEADER_EPOCH';
  if (core.state.name !== 'leader') return 'NOT_LEADER_OR_FOLLOWER';
  return core.isStopping ? 'BROKER_NOT_AVAILABLE' : undefined;
}

/** The request names the voter it is meant for (v1, KIP-853), and this node is another one. Older ones name nobody. */
export function isForAnother({ self }: RaftCore, { id, directoryId }: VoterKey): boolean {
  if (id < 0) return false;
  return id !== self.id || (directoryId !== ZERO_UUID && directoryId !== self.directoryId);
}
