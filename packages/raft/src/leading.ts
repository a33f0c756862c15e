import { type ControlRecordToWrite, KafkaError, ZERO_UUID } from '@ottla/protocol';
import { beginEpochWithSilentVoters } from './beginning-epochs.ts';
import { assertHolds } from './invariant.ts';
import type { Leadership } from './leadership.ts';
import type { RaftCore } from './raft-core.ts';
import { VoterChanges } from './voter-changes.ts';
import type { Voter, VoterSet } from './voter-set.ts';

type Content = { kind: 'control'; records: readonly ControlRecordToWrite[] } | { kind: 'data'; values: readonly Uint8Array[] };

/** Leading: the batches, how far they are committed, and giving up. */
export class Leading {
  readonly #core: RaftCore;
  readonly voterChanges: VoterChanges;

  constructor(core: RaftCore) {
    this.#core = core;
    this.voterChanges = new VoterChanges(core, (voters) => this.#recordVoters(voters));
  }

  begin(granting: readonly number[]): void {
    const core = this.#core;
    const leadership = core.becomeLeader(granting);
    this.#emit({ kind: 'control', records: this.#epochStartRecords(granting) });
    leadership.takeVoters(core.voters, core.nowMs);
    leadership.toldVoters = core.voters.with(core.self);
  }

  poll(leadership: Leadership): number {
    const core = this.#core;
    if (core.nowMs >= leadership.quorumDeadlineMs || this.#hasRemovedItself(leadership)) {
      this.resign(leadership);
      return core.nowMs;
    }
    const voterChangeMs = this.voterChanges.poll(leadership);
    return Math.min(leadership.quorumDeadlineMs, voterChangeMs, beginEpochWithSilentVoters(core, leadership));
  }

  /** It leads on until the record that removes it is committed, counting only the others. */
  #hasRemovedItself(leadership: Leadership): boolean {
    const { quorum, highWatermark } = this.#core.log;
    return !this.#core.isVoter && highWatermark > quorum.votersOffset && this.#core.hasCommittedIn(leadership);
  }

  resign(leadership: Leadership): void {
    this.#core.becomeResigned(leadership.successors());
  }

  /** Throws NOT_CONTROLLER. */
  append(values: readonly Uint8Array[]): void {
    this.#requireLeadership();
    assertHolds(values.length > 0, 'a batch has records');
    this.#emit({ kind: 'data', values });
  }

  /** Only a batch of the leader's own epoch commits, and with it what lies before. */
  advanceHighWatermark(leadership: Leadership): void {
    const { log, effects } = this.#core;
    const reached = Math.min(leadership.offsetOfMajority(log.flushedEndOffset), log.flushedEndOffset);
    if (reached <= leadership.epochStartOffset || !log.raiseHighWatermark(reached)) return;
    effects.highWatermark = reached;
    this.voterChanges.committed(leadership);
  }

  /** From static voters to those in the log (KIP-853). There is no way back. Throws NOT_CONTROLLER, INVALID_UPDATE_VERSION. */
  upgradeKRaftVersion(kRaftVersion: number, validateOnly: boolean): void {
    const leadership = this.#requireLeadership();
    const core = this.#core;
    const current = core.log.quorum.kRaftVersion;
    if (kRaftVersion === current) return;
    const invalid = (why: string): KafkaError =>
      new KafkaError('INVALID_UPDATE_VERSION', `Invalid update version ${kRaftVersion} for feature kraft.version. ${why}`);
    if (kRaftVersion < current) throw invalid("Can't downgrade the version of this feature.");
    if (!core.hasCommittedIn(leadership)) throw invalid('The leader has only just been elected: try again.');
    const voters = leadership.toldVoters;
    const lacking = voters.voters.filter((voter) => !isReadyFor(kRaftVersion, voter)).map(({ id }) => id);
    if (lacking.length > 0) throw invalid(`These voters have not said that they support it: ${lacking.join(', ')}.`);
    if (validateOnly) return;
    core.log.quorum.addKRaftVersion(core.log.endOffset, kRaftVersion);
    core.log.quorum.addVoters(core.log.endOffset + 1, voters);
    const records: ControlRecordToWrite[] = [
      { type: 'kraftVersion', value: { kRaftVersion } },
      { type: 'kraftVoters', value: voters.toRecord() },
    ];
    this.#emit({ kind: 'control', records });
    leadership.takeVoters(voters, core.nowMs);
  }

  /** The epoch stays and the saved state with it: the next start takes a new epoch anyway. */
  withdraw(endOffset: number): void {
    const core = this.#core;
    assertHolds(core.state.name === 'leader' && core.isOnlyVoter, 'what other voters may have seen cannot be withdrawn');
    assertHolds(endOffset >= core.log.flushedEndOffset && endOffset <= core.log.endOffset, `withdrawn to ${endOffset}`);
    core.log.truncateTo(endOffset);
  }

  #requireLeadership(): Leadership {
    const { state, self } = this.#core;
    if (state.name === 'leader') return state;
    throw new KafkaError('NOT_CONTROLLER', `node ${self.id} is not the active controller`);
  }

  /**
   * What opens an epoch. The voters go with it when no record holds them yet, or this node can be reached elsewhere than its record says.
   * LeaderChange stays at version 0, which names voters by id only, as Kafka 4.3.1 writes it.
   */
  #epochStartRecords(granting: readonly number[]): ControlRecordToWrite[] {
    const { self, voters, log } = this.#core;
    const leaderChange: ControlRecordToWrite = {
      type: 'leaderChange',
      value: {
        leaderId: self.id,
        voters: voters.ids.map((voterId) => ({ voterId })),
        grantingVoters: granting.map((voterId) => ({ voterId })),
      },
    };
    const { kRaftVersion, votersOffset } = log.quorum;
    if (kRaftVersion === 0) return [leaderChange];
    const updated = voters.with(self);
    if (votersOffset >= 0 && updated.equals(voters)) return [leaderChange];
    log.quorum.addKRaftVersion(log.endOffset + 1, kRaftVersion);
    log.quorum.addVoters(log.endOffset + 2, updated);
    return [leaderChange, { type: 'kraftVersion', value: { kRaftVersion } }, { type: 'kraftVoters', value: updated.toRecord() }];
  }

  /** In force from here on. Returns where the record lies. */
  #recordVoters(voters: VoterSet): number {
    const { log, nowMs } = this.#core;
    const offset = log.endOffset;
    log.quorum.addVoters(offset, voters);
    this.#emit({ kind: 'control', records: [{ type: 'kraftVoters', value: voters.toRecord() }] });
    this.#core.in('leader')!.takeVoters(voters, nowMs);
    return offset;
  }

  #emit(content: Content): void {
    const { log, epoch, nowMs, effects } = this.#core;
    effects.batches.push({ baseOffset: log.endOffset, leaderEpoch: epoch, timestampMs: nowMs, ...content });
    log.append(content.kind === 'control' ? content.records.length : content.values.length, epoch);
  }
}

const isReadyFor = (kRaftVersion: number, { directoryId, minKRaftVersion, maxKRaftVersion }: Voter): boolean =>
  directoryId !== ZERO_UUID && minKRaftVersion <= kRaftVersion && kRaftVersion <= maxKRaftVersion;
