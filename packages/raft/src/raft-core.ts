import { Ballot } from './ballot.ts';
import type { Destination, LeaderAndEpoch, RaftBatch, RaftEffects, RaftReply, RaftRequest } from './effects.ts';
import { type ElectionState, noElection } from './election-state.ts';
import { EpochHistory } from './epoch-history.ts';
import { assertHolds } from './invariant.ts';
import { Leadership } from './leadership.ts';
import type { RaftApi, RequestToSend } from './messages.ts';
import { type Outcome, OutgoingRequests } from './outgoing-requests.ts';
import { RaftLog } from './raft-log.ts';
import type { RaftNodeOptions } from './raft-node-options.ts';
import type { Follower, RaftState, StateName } from './raft-state.ts';
import { defaultRaftTiming, type RaftTiming } from './raft-timing.ts';
import type { SnapshotId } from './snapshot-id.ts';
import { isSameVoter, type Voter, type VoterEndpoint, type VoterKey, type VoterSet } from './voter-set.ts';

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };
export type GatheredEffects = Mutable<Omit<RaftEffects, 'batches' | 'requests' | 'replies'>> & {
  batches: RaftBatch[];
  requests: RaftRequest[];
  replies: RaftReply[];
};

type State<Name extends StateName> = Extract<RaftState, { readonly name: Name }>;

/** No quorum holds a billion elections: whoever names a later epoch is wrong, and to believe it would leave none for those to come. */
export const lastPlausibleEpoch = 0x3fff_ffff;

/**
 * What all of a node's doings share: its log, its election state, the state it is in with the ways between them, and the effects of the step
 * under way.
 */
export class RaftCore {
  readonly self: Voter;
  readonly options: RaftNodeOptions;
  readonly timing: RaftTiming;
  readonly log: RaftLog;
  /** Of all listeners, the one that nodes of the quorum use among themselves. */
  readonly listenerName: string;
  readonly requests: OutgoingRequests;
  nowMs = 0;
  effects: GatheredEffects = nothing();
  /** How often the state has changed. */
  transitions = 0;
  /** The node is about to stop. */
  isStopping = false;
  /** A fetched snapshot that is whole, and about to take the place of the log. */
  loadingSnapshot: SnapshotId | null = null;
  /** Others say that this node's own id leads that epoch, which it does not: another node has the id. */
  namesakeEpoch: number | null = null;
  /** That other node itself has answered, as the leader. */
  namesake: Namesake | null = null;
  #election: ElectionState;
  #state: RaftState;

  constructor(options: RaftNodeOptions) {
    this.options = options;
    this.self = options.self;
    this.timing = { ...defaultRaftTiming, ...options.timing };
    this.listenerName = options.listenerName ?? options.self.endpoints[0]?.name ?? 'CONTROLLER';
    this.log = new RaftLog({
      startOffset: options.log.startOffset,
      endOffset: options.log.endOffset,
      epochs: new EpochHistory(options.log.epochs),
      quorum: options.quorum,
      snapshots: options.snapshots ?? [],
    });
    this.requests = new OutgoingRequests(this.timing);
    this.#election = options.electionState ?? noElection;
    // The log can be ahead of the saved election when that file was lost; an epoch must never be used twice.
    if (this.#election.leaderEpoch < this.log.lastEpoch) this.#election = { ...noElection, leaderEpoch: this.log.lastEpoch };
    this.#state = { name: 'unattached', electionDeadlineMs: Number.NEGATIVE_INFINITY };
  }

  get state(): RaftState {
    return this.#state;
  }

  /** The state, if it is that one. */
  in<Name extends StateName>(name: Name): State<Name> | undefined {
    return this.#state.name === name ? (this.#state as State<Name>) : undefined;
  }

  get election(): ElectionState {
    return this.#election;
  }

  get epoch(): number {
    return this.#election.leaderEpoch;
  }

  get voters(): VoterSet {
    return this.log.quorum.voters;
  }

  get isVoter(): boolean {
    return this.options.canVote !== false && this.voters.has(this.self);
  }

  /** It may lead: not while its log is about to be replaced. */
  get mayStand(): boolean {
    return this.#isNeeded && this.loadingSnapshot === null;
  }

  /**
   * The high watermark as a leader tells it: -1 until a batch of its own epoch is committed. What it knew as a follower may be less than others
   * have heard from an earlier leader, and a node of Kafka whose high watermark would go back stops.
   */
  get toldHighWatermark(): number {
    const leadership = this.in('leader');
    return leadership && this.hasCommittedIn(leadership) ? this.log.highWatermark : -1;
  }

  /** A batch of the leader's own epoch is committed, and with it all that earlier leaders committed is known. */
  hasCommittedIn({ epochStartOffset }: Leadership): boolean {
    return this.log.highWatermark > epochStartOffset;
  }

  /**
   * A voter, or one until a record that may not be committed yet. If nobody else has that record only this node can bring it to the others,
   * whom its longer log keeps from leading.
   */
  get #isNeeded(): boolean {
    if (this.isVoter) return true;
    const { quorum, highWatermark } = this.log;
    const wasVoter = this.options.canVote !== false && quorum.votersBeforeLast?.has(this.self) === true;
    return wasVoter && quorum.votersOffset >= highWatermark;
  }

  /** The offset of a Fetch says what this node has on disk, so the disk must have all of it. */
  get isReadyToFetch(): boolean {
    return this.log.isFlushed && this.loadingSnapshot === null && !this.isStopping;
  }

  get isOnlyVoter(): boolean {
    return this.isVoter && this.voters.size === 1;
  }

  get otherVoters(): Voter[] {
    return this.voters.voters.filter(({ id }) => id !== this.self.id);
  }

  /** Who leads as far as this node knows; one that did and does no longer knows nobody. */
  get leaderId(): number | null {
    const { leaderId } = this.#election;
    return leaderId === this.self.id && this.#state.name !== 'leader' ? null : leaderId;
  }

  get leaderAndEpoch(): LeaderAndEpoch {
    return { leaderId: this.leaderId, leaderEpoch: this.epoch };
  }

  /** Where the leader's controllers can be reached; empty when unknown. */
  get leaderEndpoints(): readonly VoterEndpoint[] {
    const { leaderId } = this;
    if (leaderId === null) return [];
    if (this.#state.name === 'leader') return this.self.endpoints;
    const told = this.#state.name === 'follower' || this.#state.name === 'prospective' ? this.#state.leaderEndpoints : [];
    return told.length > 0 ? told : (this.voters.get(leaderId)?.endpoints ?? []);
  }

  /** The endpoint of a node's controllers that this one would use. */
  endpointOf(endpoints: readonly VoterEndpoint[]): VoterEndpoint | undefined {
    return endpoints.find(({ name }) => name === this.listenerName) ?? endpoints[0];
  }

  destinationOf(nodeId: number, endpoints: readonly VoterEndpoint[]): Destination | undefined {
    const endpoint = this.endpointOf(endpoints);
    return endpoint && { nodeId, host: endpoint.host, port: endpoint.port };
  }

  /** In [base, 2 base). */
  randomElectionTimeoutMs(): number {
    const { electionTimeoutMs } = this.timing;
    return electionTimeoutMs + Math.floor(this.options.random() * electionTimeoutMs);
  }

  send<Api extends RaftApi>(
    destination: Destination,
    request: RequestToSend & { readonly api: Api },
    outcome: Outcome<Api>,
  ): void {
    this.effects.requests.push(this.requests.send(destination, request, outcome, this.nowMs));
  }

  reply(reply: RaftReply): void {
    this.effects.replies.push(reply);
  }

  save(election: ElectionState): void {
    const known = this.#election;
    const isKnown =
      election.leaderEpoch === known.leaderEpoch &&
      election.leaderId === known.leaderId &&
      election.votedFor?.id === known.votedFor?.id &&
      election.votedFor?.directoryId === known.votedFor?.directoryId;
    if (isKnown) return;
    assertHolds(election.leaderEpoch >= known.leaderEpoch, `epoch ${election.leaderEpoch} after ${known.leaderEpoch}`);
    this.#election = election;
    this.effects.electionState = election;
  }

  /** Goes on from what was saved, at the first event. */
  start(): void {
    const { leaderId, votedFor } = this.#election;
    if (leaderId === this.self.id && this.#isNeeded) this.#enter(this.#asResigned([]));
    else if (leaderId !== null && leaderId !== this.self.id)
      this.#followOrWait(leaderId, this.voters.get(leaderId)?.endpoints ?? []);
    else if (votedFor !== null && isSameVoter(votedFor, this.self) && this.#isNeeded) this.#enter(this.#asCandidate());
    else this.#enter({ name: 'unattached', electionDeadlineMs: this.#electionDeadlineMs() });
  }

  /** A newer epoch of which nobody is known to lead it, or an election that came to nothing. */
  becomeUnattached(leaderEpoch: number, leaderId: number | null = null): void {
    const isNew = leaderEpoch > this.epoch;
    assertHolds(leaderEpoch >= this.epoch, `unattached in the older epoch ${leaderEpoch}`);
    const electionDeadlineMs = this.#remainingDeadlineMs();
    this.save({ leaderEpoch, leaderId, votedFor: isNew ? null : this.#election.votedFor });
    this.#enter({ name: 'unattached', electionDeadlineMs });
  }

  /** This node's vote in the present epoch, given to another. */
  vote(candidate: VoterKey): void {
    this.save({ ...this.#election, votedFor: { id: candidate.id, directoryId: candidate.directoryId } });
    const unattached = this.in('unattached');
    if (unattached) unattached.electionDeadlineMs = this.#electionDeadlineMs();
  }

  becomeProspective(): void {
    const ballot = new Ballot(this.voters);
    ballot.grant(this.self.id);
    const { leaderEndpoints } = this;
    this.#enter({ name: 'prospective', ballot, electionDeadlineMs: this.#electionDeadlineMs(), leaderEndpoints });
  }

  /** Nobody wants an election: back to the leader, if one is known. */
  giveUpStanding(): void {
    const { leaderId } = this.#election;
    if (leaderId !== null && leaderId !== this.self.id) this.#followOrWait(leaderId, this.leaderEndpoints);
    else this.becomeUnattached(this.epoch, leaderId);
  }

  becomeCandidate(): void {
    const { id, directoryId } = this.self;
    this.save({ leaderEpoch: this.epoch + 1, leaderId: null, votedFor: { id, directoryId } });
    this.#enter(this.#asCandidate());
  }

  becomeLeader(granting: readonly number[]): Leadership {
    this.save({ leaderEpoch: this.epoch, leaderId: this.self.id, votedFor: null });
    const leadership = new Leadership({
      selfId: this.self.id,
      epochStartOffset: this.log.endOffset,
      granting,
      voters: this.voters,
      nowMs: this.nowMs,
      timing: this.timing,
    });
    this.#enter(leadership);
    return leadership;
  }

  becomeFollower(leaderEpoch: number, leaderId: number, leaderEndpoints: readonly VoterEndpoint[]): void {
    assertHolds(leaderId !== this.self.id, 'a node does not follow itself');
    assertHolds(leaderEpoch >= this.epoch, `a follower in the older epoch ${leaderEpoch}`);
    this.save({ leaderEpoch, leaderId, votedFor: leaderEpoch > this.epoch ? null : this.#election.votedFor });
    this.#enter({
      name: 'follower',
      leaderId,
      leaderEndpoints,
      fetchDeadlineMs: this.nowMs + this.timing.fetchTimeoutMs,
      hasFetched: false,
      hasLeaderResigned: false,
      leaderHighWatermark: -1,
      voterCheckAtMs: this.nowMs + this.timing.fetchTimeoutMs,
      hasSentVoter: false,
      snapshot: null,
    });
  }

  /** The leader was heard of. */
  heardLeader(follower: Follower): void {
    if (!follower.hasLeaderResigned) follower.fetchDeadlineMs = this.nowMs + this.timing.fetchTimeoutMs;
  }

  /** Where it is said to be, the leader does not answer. */
  isUnheard(follower: Follower): boolean {
    return this.nowMs >= follower.fetchDeadlineMs || this.isFailing(follower);
  }

  /** The last request to the leader failed. */
  isFailing({ leaderId, leaderEndpoints }: Follower): boolean {
    const destination = this.destinationOf(leaderId, leaderEndpoints);
    return destination === undefined || this.requests.isFailing(destination, this.nowMs);
  }

  /** The leader may be there instead: it is asked at once. */
  lookElsewhere(follower: Follower, leaderEndpoints: readonly VoterEndpoint[]): void {
    const now = this.destinationOf(follower.leaderId, follower.leaderEndpoints);
    const other = this.destinationOf(follower.leaderId, leaderEndpoints);
    if (!other || (now?.host === other.host && now.port === other.port)) return;
    follower.leaderEndpoints = leaderEndpoints;
    this.requests.forget(other);
  }

  becomeResigned(preferredCandidates: readonly VoterKey[]): void {
    this.#enter(this.#asResigned(preferredCandidates));
  }

  /** What another node says about the leader. A newer epoch, or a leader that was not known, is believed. */
  hear(leaderEpoch: number, leaderId: number | null, leaderEndpoints: readonly VoterEndpoint[]): void {
    if (leaderEpoch > lastPlausibleEpoch) return;
    if (leaderId === this.self.id && leaderEpoch >= this.epoch) this.#hearOfOwnLead(leaderEpoch);
    if (leaderEpoch < this.epoch || leaderId === this.self.id) {
      if (leaderEpoch > this.epoch) this.becomeUnattached(leaderEpoch);
      return;
    }
    if (leaderEpoch > this.epoch) {
      if (leaderId !== null && leaderEndpoints.length > 0) this.becomeFollower(leaderEpoch, leaderId, leaderEndpoints);
      else this.becomeUnattached(leaderEpoch, leaderId);
      return;
    }
    if (leaderId === null || leaderEndpoints.length === 0) return;
    const follower = this.in('follower');
    const prospective = this.in('prospective');
    if (follower) {
      // Whoever says so is wrong: an epoch has one leader, and this node knows it.
      if (follower.leaderId !== leaderId) return;
      if (leaderEndpoints.length > follower.leaderEndpoints.length) follower.leaderEndpoints = leaderEndpoints;
      else if (this.isUnheard(follower)) this.lookElsewhere(follower, leaderEndpoints);
    } else if (prospective) {
      // It is not where this node has looked for it, and whoever answers may know better.
      if (this.#election.leaderId === null) this.becomeFollower(leaderEpoch, leaderId, leaderEndpoints);
      else if (this.#election.leaderId === leaderId) prospective.leaderEndpoints = leaderEndpoints;
    } else if (this.#state.name === 'unattached' || this.#state.name === 'candidate' || this.#election.leaderId === null) {
      this.becomeFollower(leaderEpoch, leaderId, leaderEndpoints);
    }
  }

  /** The answer to a fetch came from the leader. What others say of it may be out of date, as after this node has lost its disk. */
  hearLeaderItself(leaderEpoch: number, leaderId: number, endpoints: readonly VoterEndpoint[]): void {
    if (leaderEpoch > lastPlausibleEpoch) return;
    if (leaderId === this.self.id && !this.#hasLed(leaderEpoch)) this.namesake = { leaderEpoch, endpoints };
  }

  #hearOfOwnLead(leaderEpoch: number): void {
    this.namesakeEpoch = this.#hasLed(leaderEpoch) ? null : leaderEpoch;
  }

  #hasLed(leaderEpoch: number): boolean {
    return leaderEpoch === this.epoch && this.#election.leaderId === this.self.id;
  }

  assertInvariants(): void {
    this.log.assertInvariants();
    assertHolds(this.log.lastEpoch <= this.epoch, 'no record is of an epoch to come');
    assertHolds(this.#state.name !== 'leader' || this.#election.leaderId === this.self.id, 'a leader has saved that it leads');
    assertHolds(this.#state.name !== 'candidate' || this.#election.votedFor?.id === this.self.id, 'a candidate votes for itself');
  }

  #followOrWait(leaderId: number, endpoints: readonly VoterEndpoint[]): void {
    if (endpoints.length > 0) this.becomeFollower(this.epoch, leaderId, endpoints);
    else this.becomeUnattached(this.epoch, leaderId);
  }

  #asCandidate(): RaftState {
    const ballot = new Ballot(this.voters);
    ballot.grant(this.self.id);
    return { name: 'candidate', ballot, electionDeadlineMs: this.#electionDeadlineMs() };
  }

  #asResigned(preferredCandidates: readonly VoterKey[]): RaftState {
    return {
      name: 'resigned',
      electionDeadlineMs: this.nowMs + this.randomElectionTimeoutMs(),
      preferredCandidates,
      unacknowledged: new Set(this.otherVoters.map(({ id }) => id)),
    };
  }

  #electionDeadlineMs(): number {
    return this.#isNeeded ? this.nowMs + this.randomElectionTimeoutMs() : Number.POSITIVE_INFINITY;
  }

  /** News of an epoch gives nobody more time: who was about to stand for election still is. */
  #remainingDeadlineMs(): number {
    if (!this.#isNeeded) return Number.POSITIVE_INFINITY;
    const state = this.#state;
    if (state.name === 'leader') return this.#electionDeadlineMs();
    const deadlineMs = state.name === 'follower' ? state.fetchDeadlineMs : state.electionDeadlineMs;
    return Number.isFinite(deadlineMs) ? deadlineMs : this.#electionDeadlineMs();
  }

  #enter(state: RaftState): void {
    if (state.name === 'follower' || state.name === 'leader') this.namesakeEpoch = null;
    this.#state = state;
    this.transitions++;
    this.requests.forgetAll();
  }
}

/** Another node, with the id of this one, that leads. */
export type Namesake = { readonly leaderEpoch: number; readonly endpoints: readonly VoterEndpoint[] };

export const nothing = (): GatheredEffects => ({
  electionState: null,
  truncateTo: null,
  batches: [],
  fetched: null,
  snapshotChunk: null,
  damage: null,
  requests: [],
  replies: [],
  leadership: null,
  highWatermark: null,
  nextWakeMs: null,
});
