import type { RaftTiming } from './raft-timing.ts';
import { ReplicaProgress } from './replica-progress.ts';
import type { VoterChange } from './voter-change.ts';
import type { VoterKey, VoterSet } from './voter-set.ts';

/** An observer that has not fetched for so long is forgotten. */
const observerSessionMs = 300_000;
/** Ids come from the wire. */
const mostObservers = 10_000;

type Given = {
  readonly selfId: number;
  readonly epochStartOffset: number;
  readonly granting: readonly number[];
  readonly voters: VoterSet;
  readonly nowMs: number;
  readonly timing: RaftTiming;
};

/** The state of a leader: how far the others are, and whether they are still there. */
export class Leadership {
  readonly name = 'leader';
  /** Where its own first batch lies: nothing before it counts as committed until that batch is. */
  readonly epochStartOffset: number;
  readonly #selfId: number;
  readonly #timing: RaftTiming;
  #voters: VoterSet;
  readonly #voterProgress = new Map<number, ReplicaProgress>();
  readonly #observers = new Map<string, ReplicaProgress>();
  /** By then a majority must have fetched again. */
  #quorumDeadlineMs: number;
  readonly #fetchedVoters = new Set<number>();
  /** When voters that do not fetch are told again who leads. */
  beginEpochAtMs: number;
  /** The one change of voters under way. */
  voterChange: VoterChange | null = null;
  /** With kraft.version 0: the voters, with what they told of themselves. The configuration knows only their addresses. */
  toldVoters: VoterSet;

  constructor(given: Given) {
    this.#selfId = given.selfId;
    this.epochStartOffset = given.epochStartOffset;
    this.#timing = given.timing;
    this.#voters = given.voters;
    this.toldVoters = given.voters;
    this.#quorumDeadlineMs = given.nowMs + this.#quorumTimeoutMs;
    this.beginEpochAtMs = given.nowMs;
    for (const voter of given.voters.voters) this.#voterProgress.set(voter.id, new ReplicaProgress(voter));
  }

  get #quorumTimeoutMs(): number {
    return Math.floor(this.#timing.fetchTimeoutMs * 1.5);
  }

  /** The voters in force have changed. Who was known before stays known. */
  takeVoters(voters: VoterSet, nowMs: number): void {
    const neededOthers = this.#otherVotersOfMajority > 0;
    this.#voters = voters;
    // As long as no other was needed nobody put the deadline off.
    if (!neededOthers) this.#quorumDeadlineMs = nowMs + this.#quorumTimeoutMs;
    const before = new Map(this.#voterProgress);
    this.#voterProgress.clear();
    for (const voter of voters.voters) {
      const known = before.get(voter.id);
      const observer = this.#observers.get(keyOf(voter));
      this.#observers.delete(keyOf(voter));
      before.delete(voter.id);
      this.#voterProgress.set(voter.id, known ?? observer ?? new ReplicaProgress(voter));
    }
    for (const [id, progress] of before) if (id !== this.#selfId) this.#observers.set(keyOf(progress.key), progress);
  }

  /** A replica has all before `offset` on its disk. Replicas without an id are no replicas. */
  fetched(replica: VoterKey, offset: number, leaderEndOffset: number, nowMs: number): void {
    if (replica.id < 0 || replica.id === this.#selfId) return;
    this.#progressOf(replica, nowMs).fetched(offset, leaderEndOffset, nowMs);
    this.heardOf(replica, nowMs);
  }

  /** It fetches, be it only a snapshot: it is there. */
  heardOf(replica: VoterKey, nowMs: number): void {
    if (!this.#voters.has(replica) || replica.id === this.#selfId) return;
    this.#fetchedVoters.add(replica.id);
    if (this.#fetchedVoters.size < this.#otherVotersOfMajority) return;
    this.#fetchedVoters.clear();
    this.#quorumDeadlineMs = nowMs + this.#quorumTimeoutMs;
  }

  /** So many voters beside this node make a majority: all of them if it is none itself, as while it removes itself. */
  get #otherVotersOfMajority(): number {
    return this.#voters.majority - (this.#voters.get(this.#selfId) ? 1 : 0);
  }

  /** When it can no longer count on the others (KIP-595, check-quorum). */
  get quorumDeadlineMs(): number {
    return this.#otherVotersOfMajority === 0 ? Number.POSITIVE_INFINITY : this.#quorumDeadlineMs;
  }

  /** What a majority has on disk; -1: it is not known of one. */
  offsetOfMajority(flushedEndOffset: number): number {
    const ends = this.#voters.ids
      .map((id) => (id === this.#selfId ? flushedEndOffset : this.#voterProgress.get(id)!.endOffset))
      .sort((a, b) => b - a);
    return ends[this.#voters.majority - 1] ?? -1;
  }

  /** The voters that have not fetched for half a fetch timeout: they may not know the leader. */
  silentVoters(nowMs: number): VoterKey[] {
    const { beginEpochIntervalMs } = this;
    return [...this.#voterProgress.values()]
      .filter(({ key, lastFetchMs }) => key.id !== this.#selfId && nowMs - lastFetchMs >= beginEpochIntervalMs)
      .map(({ key }) => key);
  }

  get beginEpochIntervalMs(): number {
    return Math.floor(this.#timing.fetchTimeoutMs / 2);
  }

  /** The other voters, who has most of the log first. */
  successors(): VoterKey[] {
    return [...this.#voterProgress.values()]
      .filter(({ key }) => key.id !== this.#selfId)
      .sort((a, b) => b.endOffset - a.endOffset)
      .map(({ key }) => key);
  }

  /** An observer has had all of the log within the last hour, and still fetches. */
  isCaughtUp(replica: VoterKey, nowMs: number): boolean {
    const hourMs = 3_600_000;
    const progress = this.#observers.get(keyOf(replica));
    return progress !== undefined && progress.lastCaughtUpMs > 0 && progress.lastFetchMs >= nowMs - hourMs;
  }

  voterProgress(id: number): ReplicaProgress | undefined {
    return this.#voterProgress.get(id);
  }

  observers(nowMs: number): ReplicaProgress[] {
    this.#forgetSilentObservers(nowMs);
    return [...this.#observers.values()];
  }

  #progressOf(replica: VoterKey, nowMs: number): ReplicaProgress {
    if (this.#voters.has(replica)) return this.#voterProgress.get(replica.id)!;
    let observer = this.#observers.get(keyOf(replica));
    if (!observer) {
      this.#forgetSilentObservers(nowMs);
      observer = new ReplicaProgress(replica);
      this.#observers.set(keyOf(replica), observer);
      if (this.#observers.size > mostObservers) this.#observers.delete(this.#observers.keys().next().value!);
    }
    return observer;
  }

  #forgetSilentObservers(nowMs: number): void {
    for (const [key, { lastFetchMs }] of this.#observers)
      if (nowMs - lastFetchMs >= observerSessionMs) this.#observers.delete(key);
  }
}

const keyOf = ({ id, directoryId }: VoterKey): string => `${id}/${directoryId}`;
