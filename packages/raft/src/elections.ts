import type { VoteRequest, VoteResponse, Writable } from '@ottla/protocol';
import type { Ballot } from './ballot.ts';
import { hearOf } from './leader-news.ts';
import { asTopics, onlyPartition } from './metadata-partition.ts';
import type { RaftCore } from './raft-core.ts';
import type { Candidate, Prospective } from './raft-state.ts';
import type { Voter } from './voter-set.ts';

type Standing = Prospective | Candidate;

/** Standing for election: first asking who would vote for this node, without a new epoch (KIP-996), then for their votes. */
export class Elections {
  readonly #core: RaftCore;
  /** What a node does that has won. */
  readonly #won: (granting: readonly number[]) => void;

  constructor(core: RaftCore, won: (granting: readonly number[]) => void) {
    this.#core = core;
    this.#won = won;
  }

  pollProspective(state: Prospective): number {
    const core = this.#core;
    if (state.ballot.isWon) core.becomeCandidate();
    else if (state.ballot.isLost || core.nowMs >= state.electionDeadlineMs || !core.mayStand) core.giveUpStanding();
    else return this.#askForVotes(state);
    return core.nowMs;
  }

  pollCandidate(state: Candidate): number {
    const core = this.#core;
    if (state.ballot.isWon) this.#won(state.ballot.granting);
    else if (!core.mayStand) core.becomeUnattached(core.epoch);
    else if (core.nowMs >= state.electionDeadlineMs) core.becomeProspective();
    else return this.#askForVotes(state);
    return core.nowMs;
  }

  #askForVotes(state: Standing): number {
    let wakeMs = state.electionDeadlineMs;
    for (const voter of this.#core.otherVoters) {
      if (!state.ballot.hasVoted(voter.id)) wakeMs = Math.min(wakeMs, this.#askForVote(voter, state));
    }
    return wakeMs;
  }

  #askForVote(voter: Voter, state: Standing): number {
    const core = this.#core;
    const destination = core.destinationOf(voter.id, voter.endpoints);
    if (!destination) return state.electionDeadlineMs;
    if (core.requests.isFree(destination, core.nowMs)) {
      const { ballot } = state;
      core.send(
        destination,
        { api: 'vote', request: this.#voteRequest(voter, state) },
        {
          answered: (response) => this.#onVote(voter.id, ballot, response),
          failed: (error) => {
            // A node that knows no pre-vote: as nobody asked before KIP-996.
            if (error.name === 'UNSUPPORTED_VERSION' && state.name === 'prospective') core.becomeCandidate();
          },
        },
      );
    }
    return core.requests.freeAtMs(destination, core.nowMs);
  }

  #voteRequest(voter: Voter, state: Standing): Writable<VoteRequest> {
    const core = this.#core;
    const { epoch, offset } = core.log.end;
    return {
      clusterId: core.options.clusterId ?? null,
      voterId: voter.id,
      topics: asTopics({
        replicaEpoch: core.epoch,
        replicaId: core.self.id,
        replicaDirectoryId: core.self.directoryId,
        voterDirectoryId: voter.directoryId,
        lastOffsetEpoch: epoch,
        lastOffset: offset,
        preVote: state.name === 'prospective',
      }),
    };
  }

  #onVote(voterId: number, ballot: Ballot, response: VoteResponse): boolean {
    const core = this.#core;
    const heard = hearOf(core, { api: 'vote', response });
    if (heard !== 'goOn') return heard === 'done';
    const partition = onlyPartition(response.topics)!;
    if (partition.voteGranted) ballot.grant(voterId);
    else ballot.reject(voterId);
    return true;
  }
}
