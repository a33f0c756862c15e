import type { VoterKey } from './voter-set.ts';

/** How far another node is, as its leader learns by its fetches. */
export class ReplicaProgress {
  readonly key: VoterKey;
  /** It has all before this on its disk; -1: it has not fetched from this leader. */
  endOffset = -1;
  /** -1: never. */
  lastFetchMs = -1;
  /** When it last had all that the leader had; -1: never. */
  lastCaughtUpMs = -1;
  #leaderEndOffsetAtLastFetch = -1;

  constructor({ id, directoryId }: VoterKey) {
    this.key = { id, directoryId };
  }

  fetched(offset: number, leaderEndOffset: number, nowMs: number): void {
    // All the leader had by the last fetch: by then it was level.
    if (offset >= leaderEndOffset) this.lastCaughtUpMs = nowMs;
    else if (this.#leaderEndOffsetAtLastFetch > 0 && offset >= this.#leaderEndOffsetAtLastFetch)
      this.lastCaughtUpMs = Math.max(this.lastCaughtUpMs, this.lastFetchMs);
    this.endOffset = offset;
    this.lastFetchMs = nowMs;
    this.#leaderEndOffsetAtLastFetch = leaderEndOffset;
  }
}
