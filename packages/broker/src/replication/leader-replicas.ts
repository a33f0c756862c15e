import { type AlteredPartition, type IsrMember, type IsrProposal, IsrState } from './isr-state.ts';
import { ReplicaProgress } from './replica-progress.ts';

export type LeadershipBegins = {
  readonly brokerId: number;
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  readonly logEndOffset: number;
  readonly nowMs: number;
};

/** What the cluster says of a broker: its epoch if it is registered, unfenced and stays; else undefined. */
export type ActiveBrokerEpoch = (brokerId: number) => number | undefined;

export type LeaderRules = {
  readonly activeBrokerEpoch: ActiveBrokerEpoch;
  /** replica.lag.time.max.ms */
  readonly maxLagMs: number;
};

/** What becomes of the proposal that an answer is to: nothing any more, it is done, or it is sent again. */
export type AlterOutcome = 'obsolete' | 'committed' | 'given up' | 'try again';

/**
 * What the leader of a partition with several replicas knows of the others in its epoch, and what follows from it: the high watermark, and who
 * should be in the isr. It decides; Partition acts.
 */
export class LeaderReplicas {
  readonly #brokerId: number;
  readonly #rules: LeaderRules;
  readonly #others = new Map<number, ReplicaProgress>();
  #leaderEpoch = -1;
  /** Where the log ended when the epoch began: who has less may not know what the epoch's leader had. */
  #epochStartOffset = 0;
  #isr: IsrState;

  constructor(rules: LeaderRules, begins: LeadershipBegins) {
    this.#brokerId = begins.brokerId;
    this.#rules = rules;
    this.#isr = new IsrState(begins.isr, begins.partitionEpoch);
    this.update(begins);
  }

  get leaderEpoch(): number {
    return this.#leaderEpoch;
  }

  get epochStartOffset(): number {
    return this.#epochStartOffset;
  }

  get isr(): IsrState {
    return this.#isr;
  }

  get others(): Iterable<ReplicaProgress> {
    return this.#others.values();
  }

  /** Undefined: that broker is not given a replica. */
  replica(brokerId: number): ReplicaProgress | undefined {
    return this.#others.get(brokerId);
  }

  /** The metadata log has news of the partition, which this broker leads. */
  update({ leaderEpoch, partitionEpoch, replicas, isr, logEndOffset, nowMs }: LeadershipBegins): void {
    for (const brokerId of this.#others.keys()) if (!replicas.includes(brokerId)) this.#others.delete(brokerId);
    const isNewEpoch = leaderEpoch > this.#leaderEpoch;
    for (const brokerId of replicas) {
      if (brokerId === this.#brokerId) continue;
      const known = this.#others.get(brokerId);
      const isInSync = isr.includes(brokerId);
      if (!known) this.#others.set(brokerId, new ReplicaProgress(brokerId, { nowMs, isInSync }));
      else if (isNewEpoch) known.beginEpoch({ nowMs, isInSync, leaderEndOffset: logEndOffset });
    }
    if (isNewEpoch) {
      this.#leaderEpoch = leaderEpoch;
      this.#epochStartOffset = logEndOffset;
    }
    // What an answer has told already must not end the change that was proposed since: it may yet come true.
    if (isNewEpoch || partitionEpoch > this.#isr.partitionEpoch) this.#isr.commit(isr, partitionEpoch);
  }

  /** A fetch of an incarnation of the broker that is over. */
  isStale(brokerId: number, brokerEpoch: number): boolean {
    if (brokerEpoch < 0) return false;
    const current = this.#rules.activeBrokerEpoch(brokerId) ?? -1;
    return brokerEpoch < Math.max(current, this.#others.get(brokerId)?.brokerEpoch ?? -1);
  }

  /** The min.insync.replicas that holds: more than there are replicas cannot be asked for. */
  effectiveMinIsr(minInsyncReplicas: number): number {
    return Math.min(minInsyncReplicas, this.#others.size + 1);
  }

  /**
   * Up to where all have the log who must: the maximal isr, and who keeps up and will join it in a moment, lest the high watermark runs away
   * from it. -1: with too few in sync nothing more is committed.
   */
  committedOffset(logEndOffset: number, minInsyncReplicas: number, now: () => number): number {
    if (this.#isr.committed.length < this.effectiveMinIsr(minInsyncReplicas)) return -1;
    const { maximal } = this.#isr;
    let offset = logEndOffset;
    for (const replica of this.#others.values()) {
      if (replica.logEndOffset >= offset) continue;
      if (maximal.includes(replica.brokerId) || this.#isAboutToJoin(replica, logEndOffset, now())) offset = replica.logEndOffset;
    }
    return offset;
  }

  #isAboutToJoin(replica: ReplicaProgress, logEndOffset: number, nowMs: number): boolean {
    return replica.isCaughtUp(logEndOffset, nowMs, this.#rules.maxLagMs) && this.#isEligible(replica);
  }

  /** Its broker is unfenced, stays, and is the incarnation that fetched (KIP-841, KIP-903). */
  #isEligible({ brokerId, brokerEpoch }: ReplicaProgress): boolean {
    const current = this.#rules.activeBrokerEpoch(brokerId);
    return current !== undefined && (brokerEpoch === -1 || brokerEpoch === current);
  }

  /** A replica that fetched has all that is committed: it should be in the isr. Undefined: it is, or it may not. */
  expansionBy(brokerId: number, highWatermark: number): IsrProposal | undefined {
    const isr = this.#isr;
    if (isr.isInFlight || isr.committed.includes(brokerId)) return undefined;
    const replica = this.#others.get(brokerId);
    if (!replica || replica.logEndOffset < highWatermark || replica.logEndOffset < this.#epochStartOffset) return undefined;
    return this.#isEligible(replica) ? this.#proposal('expand', [...isr.committed, brokerId]) : undefined;
  }

  /** Without those who have not had all that there was for too long. Undefined: there are none. */
  shrinking(logEndOffset: number, nowMs: number): IsrProposal | undefined {
    const isr = this.#isr;
    if (isr.isInFlight) return undefined;
    const keeping = isr.committed.filter((brokerId) => {
      const replica = this.#others.get(brokerId);
      return !replica || replica.isCaughtUp(logEndOffset, nowMs, this.#rules.maxLagMs);
    });
    return keeping.length < isr.committed.length ? this.#proposal('shrink', keeping) : undefined;
  }

  #proposal(kind: IsrProposal['kind'], isr: readonly number[]): IsrProposal {
    // Sorted, as Kafka's leaders propose it: the controller keeps the order, and DescribeTopics shows it.
    const members = isr
      .toSorted((one, other) => one - other)
      .map((brokerId): IsrMember => ({ brokerId, brokerEpoch: this.#epochOf(brokerId) }));
    return { kind, isr: members, leaderEpoch: this.#leaderEpoch, partitionEpoch: this.#isr.partitionEpoch };
  }

  #epochOf(brokerId: number): number {
    if (brokerId === this.#brokerId) return this.#rules.activeBrokerEpoch(brokerId) ?? -1;
    return this.#others.get(brokerId)?.brokerEpoch ?? -1;
  }

  /** The controller agreed. */
  onAltered(proposal: IsrProposal, { leaderEpoch, partitionEpoch, isr }: AlteredPartition): AlterOutcome {
    if (!this.#isr.isPending(proposal)) return 'obsolete';
    // An answer from before what the metadata log has told already, or to an epoch that is over.
    if (leaderEpoch !== this.#leaderEpoch || partitionEpoch < this.#isr.partitionEpoch) return 'obsolete';
    this.#isr.commit(isr, partitionEpoch);
    return 'committed';
  }

  /** The controller refused, by the name of its error. */
  onRefused(proposal: IsrProposal, error: string): AlterOutcome {
    if (!this.#isr.isPending(proposal)) return 'obsolete';
    if (backToCommitted.has(error)) {
      this.#isr.withdraw();
      return 'given up';
    }
    // What is proposed stays pending: the metadata log will tell what has become of the partition.
    return awaitingMetadata.has(error) ? 'given up' : 'try again';
  }
}

/** The member may be eligible later: the next fetch proposes again. */
const backToCommitted: ReadonlySet<string> = new Set(['OPERATION_NOT_ATTEMPTED', 'INELIGIBLE_REPLICA']);

/** Somebody else has changed the partition, and this broker has yet to hear of it. */
const awaitingMetadata: ReadonlySet<string> = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'FENCED_LEADER_EPOCH',
  'INVALID_UPDATE_VERSION',
  'INVALID_REQUEST',
  'NEW_LEADER_ELECTED',
]);
