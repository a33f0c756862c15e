import type { AddRaftVoterRequest, RemoveRaftVoterRequest, UpdateRaftVoterRequest, Writable } from '@ottla/protocol';
import type { Destination } from './effects.ts';
import { hearOf } from './leader-news.ts';
import type { RaftCore } from './raft-core.ts';
import type { Follower } from './raft-state.ts';

/** What a follower asks of its leader about its own membership, once in every fetch timeout (KIP-853). */
export function askForMembership(core: RaftCore, state: Follower, leader: Destination): void {
  if (core.isVoter) {
    if (needsUpdate(core, state)) updateVoter(core, state, leader);
  } else if (core.options.isAutoJoining && core.options.canVote !== false && core.log.quorum.kRaftVersion >= 1) {
    join(core, leader);
  }
}

/** With kraft.version 0 the leader is told once, and keeps it in memory for the day of the upgrade. */
function needsUpdate({ log, self }: RaftCore, { hasSentVoter }: Follower): boolean {
  const { kRaftVersion, voters } = log.quorum;
  return kRaftVersion === 0 ? !hasSentVoter : !voters.with(self).equals(voters);
}

function updateVoter(core: RaftCore, state: Follower, leader: Destination): void {
  const { id, directoryId, endpoints, minKRaftVersion, maxKRaftVersion } = core.self;
  const request: Writable<UpdateRaftVoterRequest> = {
    clusterId: core.options.clusterId ?? null,
    currentLeaderEpoch: core.epoch,
    voterId: id,
    voterDirectoryId: directoryId,
    listeners: endpoints.map((endpoint) => ({ ...endpoint })),
    kRaftVersionFeature: { minSupportedVersion: minKRaftVersion, maxSupportedVersion: maxKRaftVersion },
  };
  core.send(
    leader,
    { api: 'updateRaftVoter', request },
    {
      answered: (response) => {
        const heard = hearOf(core, { api: 'updateRaftVoter', response });
        if (response.errorCode === 0) state.hasSentVoter = true;
        return heard !== 'useless';
      },
      failed: (error) => {
        // An older leader does not know of it, and needs nothing.
        if (error.name === 'UNSUPPORTED_VERSION') state.hasSentVoter = true;
      },
    },
  );
}

/** A voter of this id with another directory is this node before its disk was replaced: it goes first. */
function join(core: RaftCore, leader: Destination): void {
  const { id, directoryId, endpoints } = core.self;
  const clusterId = core.options.clusterId ?? null;
  const old = core.voters.get(id);
  if (old) {
    const request: Writable<RemoveRaftVoterRequest> = { clusterId, voterId: id, voterDirectoryId: old.directoryId };
    core.send(leader, { api: 'removeRaftVoter', request }, { answered: ({ errorCode }) => errorCode === 0 });
    return;
  }
  const request: Writable<AddRaftVoterRequest> = {
    clusterId,
    timeoutMs: core.timing.requestTimeoutMs,
    voterId: id,
    voterDirectoryId: directoryId,
    listeners: endpoints.map((endpoint) => ({ ...endpoint })),
    // It hears of the commit by its fetches, and must go on with them for it to come about.
    ackWhenCommitted: false,
  };
  core.send(leader, { api: 'addRaftVoter', request }, { answered: ({ errorCode }) => errorCode === 0 });
}
