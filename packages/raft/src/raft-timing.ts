/** All in ms. The names in brackets are Kafka's settings. */
export type RaftTiming = {
  /** Of an unattached, prospective or candidate node; each time up to as much again is added at random [controller.quorum.election.timeout.ms]. */
  readonly electionTimeoutMs: number;
  /** A follower that has not heard its leader for so long stands for election; a leader not heard of by a majority for 1.5 times as long resigns [controller.quorum.fetch.timeout.ms]. */
  readonly fetchTimeoutMs: number;
  /** How long a successor that is not the first waits at most [controller.quorum.election.backoff.max.ms]. */
  readonly electionBackoffMaxMs: number;
  /** [controller.quorum.request.timeout.ms] */
  readonly requestTimeoutMs: number;
  /** After a request that failed [controller.quorum.retry.backoff.ms]. */
  readonly retryBackoffMs: number;
  /** How long a leader may let a Fetch wait. */
  readonly fetchMaxWaitMs: number;
};

export const defaultRaftTiming: RaftTiming = {
  electionTimeoutMs: 1000,
  fetchTimeoutMs: 2000,
  electionBackoffMaxMs: 1000,
  requestTimeoutMs: 2000,
  retryBackoffMs: 20,
  fetchMaxWaitMs: 500,
};
