import { answerBeginQuorumEpoch } from './beginning-epochs.ts';
import type { LeaderAndEpoch, RaftEffects, RaftEvent } from './effects.ts';
import { Elections } from './elections.ts';
import { answerEndQuorumEpoch, pollResigned } from './ending-epochs.ts';
import { Following } from './following.ts';
import { answerVote } from './granting-votes.ts';
import { Leading } from './leading.ts';
import { describeQuorum, type QuorumDescription } from './quorum-description.ts';
import { type Namesake, nothing, RaftCore } from './raft-core.ts';
import type { RaftNodeOptions } from './raft-node-options.ts';
import type { StateName } from './raft-state.ts';
import { ServingFetches } from './serving-fetches.ts';
import { answerFetchSnapshot } from './serving-snapshots.ts';
import type { VoterEndpoint, VoterSet } from './voter-set.ts';

type Request = Extract<RaftEvent, { readonly type: 'request' }>;

/**
 * One node of the metadata quorum: who leads, and how far the log is committed (KRaft: KIP-595, 630, 853, 996). It knows no socket, file or
 * clock; `step` takes what happened and says what must be done (see RaftEffects for the order). After every event it looks, as the state it is
 * in demands, at what is due: that alone sends requests and lets deadlines pass.
 */
export class RaftNode {
  readonly #core: RaftCore;
  readonly #elections: Elections;
  readonly #following: Following;
  readonly #leading: Leading;
  readonly #fetches: ServingFetches;
  #hasStarted = false;

  constructor(options: RaftNodeOptions) {
    this.#core = new RaftCore(options);
    this.#leading = new Leading(this.#core);
    this.#elections = new Elections(this.#core, (granting) => this.#leading.begin(granting));
    this.#following = new Following(this.#core);
    this.#fetches = new ServingFetches(this.#core, (leadership) => this.#leading.advanceHighWatermark(leadership));
  }

  get state(): StateName {
    return this.#core.state.name;
  }

  get isLeader(): boolean {
    return this.state === 'leader';
  }

  get leaderAndEpoch(): LeaderAndEpoch {
    return this.#core.leaderAndEpoch;
  }

  /** Where the leader's controllers can be reached; empty when unknown. */
  get leaderEndpoints(): readonly VoterEndpoint[] {
    return this.#core.leaderEndpoints;
  }

  /** Others say that this node's own id leads that epoch, which it does not. */
  get namesakeEpoch(): number | null {
    return this.#core.namesakeEpoch;
  }

  /** The leader has answered, and has this node's own id: this node can never take part. */
  get namesake(): Namesake | null {
    return this.#core.namesake;
  }

  /** The offset that the next record will get. */
  get logEndOffset(): number {
    return this.#core.log.endOffset;
  }

  /** -1: not known yet. */
  get highWatermark(): number {
    return this.#core.log.highWatermark;
  }

  /** In force: committed or not. */
  get voters(): VoterSet {
    return this.#core.voters;
  }

  /** By the voters in force this node is one. */
  get isVoter(): boolean {
    return this.#core.isVoter;
  }

  get kRaftVersion(): number {
    return this.#core.log.quorum.kRaftVersion;
  }

  /** What a snapshot that ends at `endOffset` says about the quorum. */
  quorumBefore(endOffset: number): { readonly voters: VoterSet; readonly kRaftVersion: number } {
    const { quorum } = this.#core.log;
    return { voters: quorum.votersBefore(endOffset), kRaftVersion: quorum.kRaftVersionBefore(endOffset) };
  }

  /** Of a leader: its first own batch. Once the high watermark has passed it, all that earlier leaders committed is known here. */
  get epochStartOffset(): number | null {
    return this.#core.in('leader')?.epochStartOffset ?? null;
  }

  /** After `resign`: nobody waits for this node any more, the shell need not wait either. */
  get hasHandedOver(): boolean {
    const resigned = this.#core.in('resigned');
    return !this.isLeader && (resigned === undefined || resigned.unacknowledged.size === 0);
  }

  /** Throws NOT_CONTROLLER for what only a leader can do; nothing has changed then. */
  step(event: RaftEvent, nowMs: number): RaftEffects {
    const core = this.#core;
    core.nowMs = nowMs;
    core.effects = nothing();
    const before = core.leaderAndEpoch;
    const leadership = core.in('leader');
    if (!this.#hasStarted && event.type === 'wake') {
      this.#hasStarted = true;
      core.start();
      if (core.log.highWatermark >= 0) core.effects.highWatermark = core.log.highWatermark;
    }
    this.#take(event);
    if (this.#hasStarted) core.effects.nextWakeMs = this.#poll();
    if (leadership && core.state !== leadership) {
      this.#leading.voterChanges.abandon(leadership);
      this.#fetches.poll();
    }
    const { leaderAndEpoch } = core;
    if (leaderAndEpoch.leaderId !== before.leaderId || leaderAndEpoch.leaderEpoch !== before.leaderEpoch)
      core.effects.leadership = leaderAndEpoch;
    core.assertInvariants();
    return core.effects;
  }

  /** The answer to DescribeQuorum. Only a leader knows how far the others are. */
  describe(nowMs: number): QuorumDescription {
    return describeQuorum(this.#core, nowMs);
  }

  #take(event: RaftEvent): void {
    const core = this.#core;
    switch (event.type) {
      case 'wake':
        return;
      case 'append':
        this.#leading.append(event.values);
        return;
      case 'written':
        core.log.written(event.endOffset);
        return;
      case 'flushed':
        core.log.flushed(event.endOffset);
        this.#advanceHighWatermark();
        return;
      case 'withdraw':
        this.#leading.withdraw(event.endOffset);
        return;
      case 'resign':
        this.#resign();
        return;
      case 'request':
        this.#answer(event);
        return;
      case 'response':
        core.requests.answered(event.requestId, event, core.nowMs);
        this.#advanceHighWatermark();
        return;
      case 'failed':
        core.requests.failed(event.requestId, event.error, core.nowMs);
        return;
      case 'snapshots':
        core.log.keep(event.snapshots, event.logStartOffset);
        return;
      case 'snapshotLoaded':
        core.loadingSnapshot = null;
        core.log.restartAt(event.snapshotId);
        core.log.quorum.startFromSnapshot(event.snapshotId.endOffset, event.quorum);
        if (core.log.raiseHighWatermark(event.snapshotId.endOffset)) core.effects.highWatermark = event.snapshotId.endOffset;
        return;
      case 'snapshotRefused':
        core.loadingSnapshot = null;
        return;
      case 'upgradeKRaftVersion':
        this.#leading.upgradeKRaftVersion(event.kRaftVersion, event.validateOnly);
    }
  }

  #answer(event: Request): void {
    const core = this.#core;
    const { requestId, listenerName } = event;
    switch (event.api) {
      case 'vote':
        core.reply({ requestId, api: 'vote', response: answerVote(core, event.request, listenerName) });
        return;
      case 'beginQuorumEpoch': {
        const response = answerBeginQuorumEpoch(core, event.request, listenerName);
        core.reply({ requestId, api: 'beginQuorumEpoch', response });
        return;
      }
      case 'endQuorumEpoch':
        core.reply({ requestId, api: 'endQuorumEpoch', response: answerEndQuorumEpoch(core, event.request, listenerName) });
        return;
      case 'fetch':
        this.#fetches.answer(requestId, event.request, listenerName);
        return;
      case 'fetchSnapshot':
        answerFetchSnapshot(core, requestId, event.request, listenerName);
        return;
      case 'addRaftVoter':
        this.#leading.voterChanges.add(requestId, event.request);
        return;
      case 'removeRaftVoter':
        this.#leading.voterChanges.remove(requestId, event.request);
        return;
      case 'updateRaftVoter':
        this.#leading.voterChanges.update(requestId, event.request);
    }
  }

  #advanceHighWatermark(): void {
    const { state } = this.#core;
    if (state.name === 'leader') this.#leading.advanceHighWatermark(state);
    else if (state.name === 'follower') this.#following.raiseHighWatermark(state);
  }

  /** Does what is due, until nothing more is. */
  #poll(): number | null {
    const core = this.#core;
    for (let rounds = 0; ; rounds++) {
      const { transitions } = core;
      const wakeMs = Math.min(this.#pollState(), this.#fetches.poll());
      if (core.transitions === transitions) return Number.isFinite(wakeMs) ? wakeMs : null;
      if (rounds > 20) throw new Error(`broken invariant: node ${core.self.id} finds no rest in state ${core.state.name}`);
    }
  }

  #pollState(): number {
    const core = this.#core;
    const { state } = core;
    if (core.isStopping && state.name !== 'resigned') return Number.POSITIVE_INFINITY;
    switch (state.name) {
      case 'unattached':
        if (core.mayStand && (core.isOnlyVoter || core.nowMs >= state.electionDeadlineMs)) {
          core.becomeProspective();
          return core.nowMs;
        }
        return Math.min(state.electionDeadlineMs, this.#following.askBootstrapServers());
      case 'prospective':
        return this.#elections.pollProspective(state);
      case 'candidate':
        return this.#elections.pollCandidate(state);
      case 'leader':
        return this.#leading.poll(state);
      case 'follower':
        return this.#following.pollFollower(state);
      case 'resigned':
        // Nobody else could take over.
        if (core.isOnlyVoter && !core.isStopping) {
          core.becomeProspective();
          return core.nowMs;
        }
        return pollResigned(core, state);
    }
  }

  #resign(): void {
    const core = this.#core;
    if (core.isStopping) return;
    core.isStopping = true;
    const leadership = core.in('leader');
    if (leadership) this.#leading.resign(leadership);
  }
}
