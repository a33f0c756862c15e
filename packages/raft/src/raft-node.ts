import { type ControlRecordToWrite, KafkaError } from '@ottla/protocol';
import { Ballot } from './ballot.ts';
import type { LeaderAndEpoch, RaftBatch, RaftEffects, RaftEvent } from './effects.ts';
import { type ElectionState, noElection } from './election-state.ts';
import type { QuorumDescription } from './quorum-description.ts';
import type { QuorumHistory } from './quorum-history.ts';
import type { RaftNodeOptions } from './raft-node-options.ts';
import { UnsupportedQuorumError } from './unsupported-quorum-error.ts';
import type { Voter, VoterEndpoint, VoterKey, VoterSet } from './voter-set.ts';

/** `epochStartOffset` is where the leader's own first batch lies: nothing before it counts as committed until that batch is. */
type State =
  | { readonly name: 'unattached' }
  | { readonly name: 'prospective'; readonly ballot: Ballot }
  | { readonly name: 'candidate'; readonly ballot: Ballot }
  | { readonly name: 'leader'; readonly epochStartOffset: number }
  | { readonly name: 'resigned' };

/**
 * One node of the metadata quorum: who leads, and how far the log is committed. It knows no socket, file or clock; `step` takes what happened
 * and says what must be done (see RaftEffects for the order).
 *
 * A vote is counted, and a high watermark moves, by majority of the voters; in this release the one voter is the node itself, so it passes
 * through prospective and candidate within one step. What other voters would send has no event yet.
 */
export class RaftNode {
  readonly #self: Voter;
  readonly #quorum: QuorumHistory;
  #state: State = { name: 'unattached' };
  #election: ElectionState;
  /** Includes batches that were handed out and may not be on disk yet. */
  #logEndOffset: number;
  #lastEpoch: number;
  /** Everything before it is on this node's disk. */
  #flushedEndOffset: number;
  /** -1 until this node knows one. Never goes down. */
  #highWatermark = -1;
  #effects: { -readonly [Name in keyof RaftEffects]: RaftEffects[Name] } & { batches: RaftBatch[] } = nothing();

  /** Throws UnsupportedQuorumError for a quorum that this release cannot run. */
  constructor(options: RaftNodeOptions) {
    this.#self = options.self;
    this.#quorum = options.quorum;
    this.#election = options.electionState ?? noElection;
    this.#logEndOffset = options.log.endOffset;
    this.#lastEpoch = Math.max(options.log.epochs.at(-1)?.epoch ?? 0, options.snapshots?.at(-1)?.epoch ?? 0);
    this.#flushedEndOffset = options.log.endOffset;
    requireSingleVoter(this.voters, this.#self);
    // The log can be ahead of the saved election when that file was lost; an epoch must never be used twice.
    if (this.#election.leaderEpoch < this.#lastEpoch) this.#election = { ...noElection, leaderEpoch: this.#lastEpoch };
  }

  get isLeader(): boolean {
    return this.#state.name === 'leader';
  }

  get state(): State['name'] {
    return this.#state.name;
  }

  get leaderAndEpoch(): LeaderAndEpoch {
    return { leaderId: this.isLeader ? this.#self.id : null, leaderEpoch: this.#election.leaderEpoch };
  }

  /** The offset that the next record will get. */
  get logEndOffset(): number {
    return this.#logEndOffset;
  }

  get highWatermark(): number {
    return this.#highWatermark;
  }

  /** In force: committed or not. */
  get voters(): VoterSet {
    return this.#quorum.voters;
  }

  get kRaftVersion(): number {
    return this.#quorum.kRaftVersion;
  }

  /** What a snapshot that ends at `endOffset` says about the quorum. */
  quorumBefore(endOffset: number): { readonly voters: VoterSet; readonly kRaftVersion: number } {
    return { voters: this.#quorum.votersBefore(endOffset), kRaftVersion: this.#quorum.kRaftVersionBefore(endOffset) };
  }

  /** Where the leader's controllers can be reached; empty when unknown. */
  get leaderEndpoints(): readonly VoterEndpoint[] {
    return this.isLeader ? this.#self.endpoints : [];
  }

  /** Of a leader: its first own batch. Once the high watermark has passed it, all that earlier leaders committed is known here. */
  get epochStartOffset(): number | null {
    return this.#state.name === 'leader' ? this.#state.epochStartOffset : null;
  }

  /** After `resign`: nobody waits for this node any more, the shell need not wait either. */
  get hasHandedOver(): boolean {
    return !this.isLeader;
  }

  /** Throws NOT_CONTROLLER for an append to a node that does not lead. */
  step(event: RaftEvent, nowMs: number): RaftEffects {
    this.#effects = nothing();
    switch (event.type) {
      case 'wake':
        if (this.#state.name === 'unattached' && this.voters.has(this.#self)) this.#becomeProspective(nowMs);
        break;
      case 'append':
        this.#append(event.values, nowMs);
        break;
      case 'flushed':
        this.#flushed(event.endOffset);
        break;
      case 'withdraw':
        this.#withdraw(event.endOffset);
        break;
      case 'resign':
        this.#resign();
        break;
      case 'written':
      case 'snapshots':
        break;
      default:
        throw new UnsupportedQuorumError(`an only voter has no use for ${event.type}`);
    }
    this.assertInvariants();
    return this.#effects;
  }

  /** The answer to DescribeQuorum. */
  describe(nowMs: number): QuorumDescription {
    const { leaderId, leaderEpoch } = this.leaderAndEpoch;
    return {
      leaderId: leaderId ?? -1,
      leaderEpoch,
      highWatermark: this.#highWatermark,
      voters: this.voters.voters.map(({ id, directoryId, endpoints }) => ({
        replicaId: id,
        replicaDirectoryId: directoryId,
        endpoints,
        logEndOffset: this.#flushedEndOffset,
        lastFetchTimestampMs: nowMs,
        lastCaughtUpTimestampMs: nowMs,
      })),
      observers: [],
    };
  }

  assertInvariants(): void {
    assert(this.#highWatermark <= this.#flushedEndOffset, 'nothing is committed that the leader itself has not on disk');
    assert(this.#flushedEndOffset <= this.#logEndOffset, 'nothing is flushed that was not appended');
    assert(this.#lastEpoch <= this.#election.leaderEpoch, 'no record is of an epoch to come');
    assert(!this.isLeader || this.#election.leaderId === this.#self.id, 'a leader has saved that it leads');
  }

  /** Asks without a new epoch whether a majority would vote for this node (pre-vote, KIP-996). */
  #becomeProspective(nowMs: number): void {
    const ballot = new Ballot(this.voters);
    ballot.grant(this.#self.id);
    this.#state = { name: 'prospective', ballot };
    if (ballot.isWon) this.#becomeCandidate(nowMs);
  }

  /** A new epoch, and this node's vote in it is its own. */
  #becomeCandidate(nowMs: number): void {
    const ballot = new Ballot(this.voters);
    ballot.grant(this.#self.id);
    this.#state = { name: 'candidate', ballot };
    this.#save({ leaderEpoch: this.#election.leaderEpoch + 1, leaderId: null, votedFor: keyOf(this.#self) });
    if (ballot.isWon) this.#becomeLeader(ballot, nowMs);
  }

  #becomeLeader(ballot: Ballot, nowMs: number): void {
    this.#save({ leaderEpoch: this.#election.leaderEpoch, leaderId: this.#self.id, votedFor: null });
    this.#state = { name: 'leader', epochStartOffset: this.#logEndOffset };
    this.#effects.leadership = this.leaderAndEpoch;
    this.#emit({ kind: 'control', records: this.#epochStartRecords(ballot) }, nowMs);
  }

  /**
   * What opens an epoch. The voters go with it when no record holds them yet, or this node can be reached elsewhere than its record says.
   * LeaderChange stays at version 0, which names voters by id only, as Kafka 4.3.1 writes it.
   */
  #epochStartRecords(ballot: Ballot): ControlRecordToWrite[] {
    const voters = this.voters.ids.map((voterId) => ({ voterId }));
    const grantingVoters = ballot.granting.map((voterId) => ({ voterId }));
    const leaderChange: ControlRecordToWrite = {
      type: 'leaderChange',
      value: { leaderId: this.#self.id, voters, grantingVoters },
    };
    if (this.kRaftVersion === 0) return [leaderChange];
    const updated = this.voters.with(this.#self);
    if (this.#quorum.votersOffset >= 0 && updated.equals(this.voters)) return [leaderChange];
    this.#quorum.addKRaftVersion(this.#logEndOffset + 1, this.kRaftVersion);
    this.#quorum.addVoters(this.#logEndOffset + 2, updated);
    return [
      leaderChange,
      { type: 'kraftVersion', value: { kRaftVersion: this.kRaftVersion } },
      { type: 'kraftVoters', value: updated.toRecord() },
    ];
  }

  #append(values: readonly Uint8Array[], nowMs: number): void {
    if (!this.isLeader) throw new KafkaError('NOT_CONTROLLER', `node ${this.#self.id} is not the active controller`);
    assert(values.length > 0, 'a batch has records');
    this.#emit({ kind: 'data', values }, nowMs);
  }

  #emit(
    content: { kind: 'control'; records: readonly ControlRecordToWrite[] } | { kind: 'data'; values: readonly Uint8Array[] },
    nowMs: number,
  ): void {
    const { leaderEpoch } = this.#election;
    this.#effects.batches.push({ baseOffset: this.#logEndOffset, leaderEpoch, timestampMs: nowMs, ...content });
    this.#logEndOffset += content.kind === 'control' ? content.records.length : content.values.length;
    this.#lastEpoch = leaderEpoch;
  }

  #flushed(endOffset: number): void {
    assert(endOffset <= this.#logEndOffset, `flushed to ${endOffset}, beyond the log end ${this.#logEndOffset}`);
    this.#flushedEndOffset = Math.max(this.#flushedEndOffset, endOffset);
    if (this.#state.name === 'leader') this.#advanceHighWatermark(this.#state.epochStartOffset);
  }

  /** The offset that a majority has on disk. Only a batch of the leader's own epoch commits, and with it what lies before. */
  #advanceHighWatermark(epochStartOffset: number): void {
    const ends = this.voters.ids.map((id) => (id === this.#self.id ? this.#flushedEndOffset : 0)).sort((a, b) => b - a);
    const reached = ends[this.voters.majority - 1]!;
    if (reached <= epochStartOffset || reached <= this.#highWatermark) return;
    this.#highWatermark = reached;
    this.#effects.highWatermark = reached;
  }

  /** The epoch stays and the saved state with it: the next start takes a new epoch anyway. */
  #withdraw(endOffset: number): void {
    assert(this.isLeader && this.voters.ids.length === 1, 'what other voters may have seen cannot be withdrawn');
    assert(endOffset >= this.#flushedEndOffset && endOffset <= this.#logEndOffset, `withdrawn to ${endOffset}`);
    this.#logEndOffset = endOffset;
  }

  #resign(): void {
    if (this.#state.name === 'resigned') return;
    const led = this.isLeader;
    this.#state = { name: 'resigned' };
    if (led) this.#effects.leadership = { leaderId: null, leaderEpoch: this.#election.leaderEpoch };
  }

  #save(election: ElectionState): void {
    this.#election = election;
    this.#effects.electionState = election;
  }
}

function requireSingleVoter(voters: VoterSet, self: VoterKey): void {
  if (voters.size === 0) {
    throw new UnsupportedQuorumError(
      `no controller is a voter: format this node with --standalone, or name it in controller.quorum.voters as ${self.id}@host:port`,
    );
  }
  const others = voters.ids.filter((id) => id !== self.id);
  if (others.length > 0) {
    throw new UnsupportedQuorumError(
      `this release runs a single controller, and the quorum also has the voters ${others.join(', ')}`,
    );
  }
  if (!voters.has(self)) {
    const { directoryId } = voters.get(self.id)!;
    throw new UnsupportedQuorumError(
      `voter ${self.id} of the quorum has its metadata in directory ${directoryId}, but the one here is ${self.directoryId}: was the directory formatted anew?`,
    );
  }
}

const keyOf = ({ id, directoryId }: VoterKey): VoterKey => ({ id, directoryId });

const nothing = (): { -readonly [Name in keyof RaftEffects]: RaftEffects[Name] } & { batches: RaftBatch[] } => ({
  electionState: null,
  truncateTo: null,
  batches: [],
  fetched: null,
  snapshotChunk: null,
  requests: [],
  replies: [],
  leadership: null,
  highWatermark: null,
  nextWakeMs: null,
});

function assert(holds: boolean, invariant: string): asserts holds {
  if (!holds) throw new Error(`broken invariant: ${invariant}`);
}
