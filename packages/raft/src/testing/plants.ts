/** Bugs that are put into the sources of the quorum on purpose, to see that its simulation finds them. */
export type RaftPlant = {
  readonly name: string;
  /** What goes wrong. */
  readonly what: string;
  readonly edits: readonly { readonly file: string; readonly find: string; readonly replace: string }[];
  /** One of that many seeds, counted from the first, must find it. */
  readonly seeds: number;
};

const source = (file: string): string => `packages/raft/src/${file}.ts`;

/** `file`: in `packages/raft/src`. `find` stands there once. */
const edit = (file: string, find: string, replace: string) => ({ file: source(file), find, replace });

export const raftPlants: readonly RaftPlant[] = [
  {
    name: 'votes-twice',
    what: 'a voter votes for another one in an epoch in which it has voted',
    edits: [
      edit('granting-votes', 'if (votedFor !== null) return', 'if (votedFor !== null && votedFor.id === candidate.id) return'),
      edit(
        'granting-votes',
        'if (isGranted && !preVote && core.election.votedFor === null) core.vote(candidate);',
        'if (isGranted && !preVote) core.vote(candidate);',
      ),
    ],
    seeds: 40,
  },
  {
    name: 'votes-for-who-has-less',
    what: 'a voter votes for a candidate that lacks records',
    edits: [
      edit(
        'granting-votes',
        'const isUpToDate = core.log.isUpToDate({ offset: lastOffset, epoch: lastOffsetEpoch });',
        'const isUpToDate = lastOffset >= 0 && lastOffsetEpoch >= 0;',
      ),
    ],
    seeds: 40,
  },
  {
    name: 'longer-log-wins',
    what: 'a voter compares how long logs are, and not of which epoch they are',
    edits: [
      edit(
        'raft-log',
        'return other.epoch !== this.lastEpoch ? other.epoch > this.lastEpoch : other.offset >= this.#endOffset;',
        'return other.offset >= this.#endOffset;',
      ),
    ],
    seeds: 300,
  },
  {
    name: 'vote-not-durable',
    what: 'a voter does not write down whom it has voted for',
    edits: [
      edit(
        'raft-core',
        'this.effects.electionState = election;',
        'if (election.votedFor === null || election.votedFor.id === this.self.id) this.effects.electionState = election;',
      ),
    ],
    seeds: 300,
  },
  {
    name: 'follower-votes',
    what: 'a voter that follows a leader votes for another one in the same epoch',
    edits: [edit('granting-votes', 'return preVote && isUpToDate && (!state', 'return isUpToDate && (!state')],
    seeds: 40,
  },
  {
    name: 'half-the-votes-win',
    what: 'a candidate wins with half of the votes',
    edits: [
      edit(
        'ballot',
        'return this.#granting.size >= this.#voters.majority;',
        'return this.#granting.size >= this.#voters.size / 2;',
      ),
    ],
    seeds: 80,
  },
  {
    name: 'metadata-commits-alone',
    what: 'the leader commits what no other voter has',
    edits: [edit('leadership', 'return ends[this.#voters.majority - 1] ?? -1;', 'return ends[0] ?? -1;')],
    seeds: 10,
  },
  {
    name: 'majority-off-by-one',
    what: 'half of the voters are a majority',
    edits: [edit('voter-set', 'return Math.floor(this.size / 2) + 1;', 'return Math.ceil(this.size / 2);')],
    seeds: 40,
  },
  {
    name: 'earlier-epochs-commit',
    what: 'the leader commits records of earlier epochs because a majority has them',
    edits: [edit('leading', 'if (reached <= leadership.epochStartOffset || !log', 'if (reached < 0 || !log')],
    seeds: 10,
  },
  {
    name: 'position-unchecked',
    what: 'a follower whose log has parted from that of the leader is taken for one that has it',
    edits: [
      edit(
        'serving-fetches',
        "if (log.check({ offset: fetchOffset, epoch: lastFetchedEpoch }).kind !== 'valid') return;",
        'if (fetchOffset > log.endOffset) return;',
      ),
    ],
    seeds: 60,
  },
  {
    name: 'diverging-unnoticed',
    what: 'the leader does not notice that the log of a follower has parted from its own',
    edits: [
      edit(
        'raft-log',
        "return { kind: 'diverging', ...own };",
        "return offset <= this.#endOffset ? { kind: 'valid' } : { kind: 'diverging', ...own };",
      ),
    ],
    seeds: 40,
  },
  {
    name: 'truncates-too-little',
    what: 'a follower keeps what it has of an epoch beyond where that of the leader ends',
    edits: [
      edit(
        'raft-log',
        'return own.epoch === leader.epoch ? Math.min(own.endOffset, leader.endOffset) : own.endOffset;',
        'return own.endOffset;',
      ),
    ],
    seeds: 40,
  },
  {
    name: 'voters-outlive-their-record',
    what: 'a change of the voters stays in force although its record was cut off',
    edits: [edit('raft-log', 'this.quorum.truncateTo(endOffset);', 'if (endOffset < 0) this.quorum.truncateTo(endOffset);')],
    seeds: 40,
  },
  {
    name: 'snapshot-without-voters',
    what: 'a snapshot that takes the place of the log leaves the voters as they were',
    edits: [edit('quorum-history', 'if (recorded.voters) this.addVoters(endOffset - 1, recorded.voters);', '')],
    seeds: 40,
  },
  {
    name: 'two-changes-at-once',
    what: 'the voters are changed again before the last change is committed',
    edits: [
      edit(
        'voter-changes',
        "return quorum.votersOffset < highWatermark ? null : later('the last change of the voters is not committed yet');",
        'return quorum.votersOffset < highWatermark + 1e9 ? null : later(String());',
      ),
      edit(
        'voter-changes',
        "if (leadership.voterChange) return later('another change of the voters is under way');",
        'if (leadership.voterChange) this.#end(leadership, null);',
      ),
    ],
    seeds: 400,
  },
  {
    name: 'counts-the-old-voters',
    what: 'the leader counts those who voted when its epoch began',
    edits: [edit('leading', "this.#core.in('leader')!.takeVoters(voters, nowMs);", '')],
    seeds: 40,
  },
  {
    name: 'follower-commits-unflushed',
    what: 'a follower takes for committed what it has not on disk',
    edits: [
      edit(
        'following',
        'const reached = Math.min(leaderHighWatermark, log.flushedEndOffset);',
        'const reached = Math.min(leaderHighWatermark, log.endOffset);',
      ),
    ],
    seeds: 10,
  },
  {
    name: 'leader-counts-unflushed',
    what: 'the leader counts itself for what it has not on disk',
    edits: [
      edit(
        'leading',
        'const reached = Math.min(leadership.offsetOfMajority(log.flushedEndOffset), log.flushedEndOffset);',
        'const reached = leadership.offsetOfMajority(log.endOffset);',
      ),
    ],
    seeds: 40,
  },
  {
    name: 'fetches-before-flushed',
    what: 'a follower says by its fetches that it has what is not on its disk',
    edits: [
      edit('raft-core', 'return this.log.isFlushed && this.loadingSnapshot === null', 'return this.loadingSnapshot === null'),
    ],
    seeds: 10,
  },
  {
    name: 'high-watermark-told-too-early',
    what: 'a new leader tells a high watermark below what an earlier one has told',
    edits: [
      edit(
        'raft-core',
        'return leadership && this.hasCommittedIn(leadership) ? this.log.highWatermark : -1;',
        'return leadership ? this.log.highWatermark : -1;',
      ),
    ],
    seeds: 10,
  },
  {
    name: 'leaves-with-the-record',
    what: 'a node that may have the only copy of the record that removes it never stands again',
    edits: [
      edit(
        'raft-core',
        'return wasVoter && quorum.votersOffset >= highWatermark;',
        'return wasVoter && quorum.votersOffset < 0 && highWatermark < 0;',
      ),
    ],
    seeds: 60,
  },
  {
    name: 'holds-on-to-a-false-place',
    what: 'a follower that was told a false place of its leader looks nowhere else',
    edits: [
      edit(
        'following',
        'if (core.isFailing(state)) core.lookElsewhere(state, core.voters.get(state.leaderId)?.endpoints ?? []);',
        '',
      ),
      edit(
        'following',
        'core.isUnheard(state) ? this.askBootstrapServers(destination) : Number.POSITIVE_INFINITY',
        'Number.POSITIVE_INFINITY',
      ),
    ],
    seeds: 40,
  },
  {
    name: 'resigned-leader-stays',
    what: 'a leader that comes back goes on in its old epoch',
    edits: [
      edit(
        'raft-core',
        'if (leaderId === this.self.id && this.#isNeeded) this.#enter(this.#asResigned([]));',
        'if (leaderId === this.self.id && this.#isNeeded) this.becomeLeader([this.self.id]);',
      ),
    ],
    seeds: 20,
  },
];
