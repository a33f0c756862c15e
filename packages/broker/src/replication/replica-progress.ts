/** What a follower asks of a partition, as far as it tells of the follower's log. */
export type FollowerFetch = {
  readonly fetchOffset: number;
  readonly logStartOffset: number;
};

/** A fetch session that asks for many partitions in each request, and names only those of which it has news. */
export type FetchPulse = {
  /** When it last asked. */
  readonly lastFetchMs: number;
};

/** How far the replica on another broker is, as its leader learns from its fetches: an offset that is asked for acknowledges all before it. */
export class ReplicaProgress {
  readonly brokerId: number;
  /** -1 as long as the replica has not fetched from this leader. */
  logEndOffset = -1;
  logStartOffset = -1;
  /** Of the incarnation that fetches; -1: a broker that does not say. */
  brokerEpoch = -1;
  /** How often in a row it has asked for the same offset, although there was something. */
  repeats = 0;
  #lastCaughtUpMs: number;
  #lastFetchMs = 0;
  #leaderEndAtLastFetch = -1;
  /** While it has all that there is, each fetch of this session asks for the leader's end, without naming it. */
  #pulse: FetchPulse | undefined;

  /** A new leader gives those that were in sync the benefit of the doubt, for as long as any other may lag. */
  constructor(brokerId: number, { nowMs, isInSync }: { nowMs: number; isInSync: boolean }) {
    this.brokerId = brokerId;
    this.#lastCaughtUpMs = isInSync ? nowMs : Number.NEGATIVE_INFINITY;
  }

  /** When it last had all that there was. */
  get lastCaughtUpMs(): number {
    return this.#pulse ? Math.max(this.#lastCaughtUpMs, this.#pulse.lastFetchMs) : this.#lastCaughtUpMs;
  }

  /** The last fetch was for the leader's end: until that moves, `unfollowed` is called, or the replica is fetched by name, it keeps up with the session. */
  followedBy(pulse: FetchPulse): void {
    this.#pulse = pulse;
  }

  /** Fetches of a session count for it that do not name it. */
  get isFollowed(): boolean {
    return this.#pulse !== undefined;
  }

  /** To be called before the session asks again. */
  unfollowed(): void {
    if (!this.#pulse) return;
    this.#lastCaughtUpMs = this.lastCaughtUpMs;
    this.#lastFetchMs = Math.max(this.#lastFetchMs, this.#pulse.lastFetchMs);
    this.#pulse = undefined;
  }

  /** The same leader begins another epoch: what is known of the replica stays, but not that it kept up. */
  beginEpoch({ nowMs, isInSync, leaderEndOffset }: { nowMs: number; isInSync: boolean; leaderEndOffset: number }): void {
    this.#pulse = undefined;
    this.#lastCaughtUpMs = isInSync ? nowMs : Number.NEGATIVE_INFINITY;
    this.#lastFetchMs = this.#lastCaughtUpMs;
    this.#leaderEndAtLastFetch = leaderEndOffset;
  }

  /**
   * Who asks for the leader's end has caught up now; who asks for what was the end at his previous fetch had caught up then: under load a
   * replica is always a little behind, and still keeps up.
   */
  onFetch(fetch: FollowerFetch, brokerEpoch: number, leaderEndOffset: number, nowMs: number): void {
    this.unfollowed();
    if (fetch.fetchOffset >= leaderEndOffset) this.#lastCaughtUpMs = Math.max(this.#lastCaughtUpMs, nowMs);
    else if (fetch.fetchOffset >= this.#leaderEndAtLastFetch)
      this.#lastCaughtUpMs = Math.max(this.#lastCaughtUpMs, this.#lastFetchMs);
    const isStuck = fetch.fetchOffset === this.logEndOffset && fetch.fetchOffset < this.#leaderEndAtLastFetch;
    this.repeats = isStuck ? this.repeats + 1 : 0;
    this.logEndOffset = fetch.fetchOffset;
    this.logStartOffset = fetch.logStartOffset;
    this.brokerEpoch = brokerEpoch;
    this.#leaderEndAtLastFetch = Math.max(leaderEndOffset, this.#leaderEndAtLastFetch);
    this.#lastFetchMs = nowMs;
  }

  isCaughtUp(leaderEndOffset: number, nowMs: number, maxLagMs: number): boolean {
    return this.logEndOffset === leaderEndOffset || nowMs - this.lastCaughtUpMs <= maxLagMs;
  }
}
